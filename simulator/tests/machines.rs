//! Several machines in one world: what is a machine's own, what can be done to one, and the real master and agents on machines of
//! their own.

use jiff::SignedDuration;
use simulator::{
    cluster::{Cluster, RELEASE, partition_address, terminal},
    world::{Machine, Mishap, SLAP, Tier, World},
};
use slap_impl::env::{Address, Command, Env, Exit, Output};
use std::{collections::BTreeMap, io, path::Path, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MINUTE: Duration = Duration::from_secs(60);

/// The page of a node's first instance, as a browser of that `Env` gets it.
async fn page(env: &Env, node: u16) -> io::Result<String> {
    let address = Address::Tcp((partition_address(node, 0), 8000).into());
    let get = async {
        let mut stream = env.network().connect(&address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    env.timeout(Duration::from_secs(10), get).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// A cluster of two nodes with an instance on each, green.
async fn green(world: World) -> Cluster {
    let cluster = Cluster::new(world, 2, 2);
    cluster.start().await;
    for node in [1, 2] {
        cluster.done(&format!("supply {RELEASE} COMP-{node}")).await;
        let (exit, output) = cluster.request(&format!("hello-{node}"), node, "--parameters name=Ada").await;
        assert_eq!(exit, Exit::DONE, "{output}");
    }
    for node in [1, 2] {
        cluster.done(&format!("wait hello-{node} --for green")).await;
        greets(&cluster, node, "Ada").await;
    }
    cluster
}

async fn greets(cluster: &Cluster, node: u16, name: &str) {
    let page = page(&cluster.user, node).await.unwrap_or_else(|error| panic!("node {node}: {error}"));
    assert!(page.contains("200 OK") && page.contains(name), "{page}");
}

/// The services of hello-N that run on its node.
fn services(node: &Machine) -> Vec<String> {
    let all = node.processes().into_iter().map(|(_, description)| description);
    all.filter(|description| description.contains("/etc/service/hello-http")).collect()
}

/// Waits until it is so, an hour of the world's at most.
async fn until(env: &Env, what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let start = env.clock().elapsed();
    while !is_so().await {
        assert!(env.clock().elapsed() - start < 60 * MINUTE, "not within an hour: {what}");
        env.sleep(Duration::from_secs(1)).await;
    }
    env.clock().elapsed() - start
}

#[test]
fn a_node_that_is_cut_off_goes_on_by_itself_and_catches_up() {
    World::run(7, async |world| {
        let cluster = green(world).await;
        let (node, user) = (&cluster.nodes[0], &cluster.user);
        cluster.world.partition(node, &cluster.master);
        // Nobody there hears of the wish, but what was wished before is kept up: the page comes back without the master.
        let (exit, output) = cluster.request("hello-1", 1, "--parameters name=Grace").await;
        assert_eq!(exit, Exit::DONE, "{output}");
        let before = services(node);
        assert_eq!(before.len(), 1, "{before:?}");
        let (identity, _) = node.processes().into_iter().find(|(_, what)| *what == before[0]).unwrap();
        node.kill(identity);
        until(user, "the page is served again", async || page(user, 1).await.is_ok()).await;
        user.sleep(20 * MINUTE).await;
        greets(&cluster, 1, "Ada").await;
        assert_eq!(services(node), before);
        cluster.world.heal(node, &cluster.master);
        let is_new = async || page(user, 1).await.is_ok_and(|page| page.contains("Grace"));
        let took = until(user, "the node hears of the wish", is_new).await;
        assert!(took <= 10 * MINUTE, "{took:?}");
        assert_eq!(services(node), before);
        greets(&cluster, 2, "Ada").await;
    });
}

#[test]
fn a_node_that_loses_its_power_comes_back_with_each_service_once() {
    World::run(7, async |world| {
        let cluster = green(world).await;
        let (node, user) = (&cluster.nodes[0], &cluster.user);
        let before = services(node);
        node.power_off();
        assert!(node.processes().is_empty() && !node.is_on());
        let gone = page(user, 1).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::TimedOut, "it vanished without a word");
        cluster.done("request hello-1 /srv/helloworld/software.cfg --parameters name=Grace").await;
        user.sleep(5 * MINUTE).await;
        greets(&cluster, 2, "Ada").await;
        node.power_on();
        let is_new = async || page(user, 1).await.is_ok_and(|page| page.contains("Grace"));
        until(user, "it serves what was wished meanwhile", is_new).await;
        assert_eq!(services(node), before);
        cluster.done("wait hello-1 --for green").await;
        node.reboot().await;
        until(user, "it comes back from a reboot, too", async || page(user, 1).await.is_ok()).await;
        user.sleep(5 * MINUTE).await;
        assert_eq!(services(node), before);
    });
}

#[test]
fn a_node_that_boots_while_it_is_cut_off_starts_its_services() {
    World::run(7, async |world| {
        let cluster = green(world).await;
        let (node, user) = (&cluster.nodes[0], &cluster.user);
        let before = services(node);
        cluster.world.partition(node, &cluster.master);
        let stopped = "request hello-1 /srv/helloworld/software.cfg --state stopped";
        cluster.done(stopped).await;
        node.power_off();
        user.sleep(MINUTE).await;
        node.power_on();
        // Nobody answers, and nobody refuses: a question would end after minutes.
        let took = until(user, "its page is served", async || page(user, 1).await.is_ok()).await;
        assert!(took <= MINUTE, "{took:?}");
        assert_eq!(services(node), before);
        cluster.world.heal(node, &cluster.master);
        until(user, "it hears what was wished meanwhile", async || services(node).is_empty()).await;
    });
}

#[test]
fn nodes_and_master_lose_their_power_with_disks_that_forget() {
    for seed in 1..=6 {
        World::run_in(Tier::Crash, seed, async move |world| {
            let cluster = green(world).await;
            let user = &cluster.user;
            for name in ["Grace", "Lin", "Rosa", "Mae"] {
                // The system writes within 30 s what an engine installed and nobody synced.
                user.sleep(Duration::from_secs(40)).await;
                cluster.nodes[0].cut_power();
                cluster.master.power_off();
                user.sleep(Duration::from_secs(seed)).await;
                cluster.master.power_on();
                user.sleep(Duration::from_secs(1)).await;
                let (exit, output) =
                    cluster.request("hello-1", 1, &format!("--parameters name={name}")).await;
                assert_eq!(exit, Exit::DONE, "{output}");
                let is_new = async || page(user, 1).await.is_ok_and(|page| page.contains(name));
                until(user, "the wish comes true", is_new).await;
                cluster.done("wait hello-1 --for green").await;
                // What the master acknowledged it remembers, at once.
                cluster.master.cut_power();
                user.sleep(Duration::from_secs(1)).await;
                let list = cluster.done("service list").await;
                assert!(list.contains("hello-1") && list.contains("hello-2"), "{list}");
            }
            user.sleep(10 * MINUTE).await;
            assert_eq!(services(&cluster.nodes[0]).len(), 1);
            greets(&cluster, 1, "Mae").await;
            greets(&cluster, 2, "Ada").await;
        });
    }
}

#[test]
fn the_master_may_lose_its_power_and_nothing_is_lost() {
    World::run(7, async |world| {
        let cluster = green(world).await;
        cluster.master.cut_power();
        let user = &cluster.user;
        let lives = async || cluster.slap("service list").await.0 == Exit::DONE;
        until(user, "the master answers", lives).await;
        let list = cluster.done("service list").await;
        assert!(list.contains("hello-1") && list.contains("hello-2"), "{list}");
        let (exit, output) = cluster.request("hello-1", 1, "--parameters name=Grace").await;
        assert_eq!(exit, Exit::DONE, "{output}");
        let is_new = async || page(user, 1).await.is_ok_and(|page| page.contains("Grace"));
        until(user, "the node hears of it", is_new).await;
    });
}

#[test]
fn a_lost_answer_to_a_request_makes_no_second_instance() {
    for (mishap, told, is_done, was_made) in [
        (Mishap::LoseAnswer, "loses the answer to a request", false, 1),
        (Mishap::LoseRequest, "loses a request", false, 0),
        (Mishap::Duplicate(Duration::from_secs(3)), "repeats a request", true, 1),
    ] {
        World::run(7, async move |world| {
            let cluster = green(world).await;
            let machines = cluster.world.machines();
            let link = cluster.world.link(&machines[0], &cluster.master);
            link.plan(0, mishap);
            let (exit, output) = cluster.request("hello-3", 1, "--parameters name=Lin").await;
            assert_eq!(exit == Exit::DONE, is_done, "{mishap:?}: {output}");
            let times =
                |what: &str| cluster.world.trace().lines().iter().filter(|line| line.contains(what)).count();
            let made = "request \"hello-3\": COMP-1-slappart1";
            assert_eq!((times(told), link.planned()), (1, 0), "{mishap:?}");
            assert_eq!(times(made), was_made, "{mishap:?}: it is done, or not, whatever the user was told");
            let (exit, output) = cluster.request("hello-3", 1, "--parameters name=Lin").await;
            assert_eq!(exit, Exit::DONE, "{mishap:?}: {output}");
            cluster.done("wait hello-3 --for green").await;
            cluster.user.sleep(MINUTE).await;
            assert_eq!(services(&cluster.nodes[0]).len(), 2, "{mishap:?}");
            assert_eq!(times(made), 1, "{mishap:?}: one instance");
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        World::run(seed, async |world| {
            let cluster = green(world).await;
            cluster.world.isolate(&cluster.nodes[1]);
            cluster.world.link(&cluster.nodes[0], &cluster.master).trickle(Some(300));
            cluster.user.sleep(3 * MINUTE).await;
            cluster.nodes[1].cut_power();
            cluster.world.rejoin(&cluster.nodes[1]);
            cluster.world.rejoin(&cluster.nodes[0]);
            cluster.user.sleep(10 * MINUTE).await;
            cluster.world.trace().lines()
        })
    };
    let (first, second) = (trace(3), trace(3));
    for (one, two) in first.iter().zip(&second) {
        assert_eq!(one, two);
    }
    assert_eq!(first.len(), second.len());
    assert_ne!(first, trace(4));
}

#[test]
fn each_machine_has_its_own_files_processes_ports_and_boots() {
    World::run(1, async |world| {
        let (one, two) = (world.add_machine("one"), world.add_machine("two"));
        let (here, there) = (terminal(&one), terminal(&two));
        assert_eq!(here.context().identity, there.context().identity, "numbers repeat");
        here.files().write(Path::new("/tmp/x"), b"one", 0o600).unwrap();
        assert!(!there.files().exists(Path::new("/tmp/x")));
        let port = Address::Tcp(([127, 0, 0, 1], 5000).into());
        let listeners = (here.network().listen(&port).unwrap(), there.network().listen(&port).unwrap());
        drop(listeners.0);
        assert!(here.network().connect(&port).await.is_err() && there.network().connect(&port).await.is_ok());
        // The end of a process closes what it listened on, and not what one of the same number does elsewhere.
        two.kill(there.context().identity);
        one.kill(here.context().identity);
        let (here, there) = (terminal(&one), terminal(&two));
        assert!(there.network().connect(&port).await.is_err());
        assert_ne!(here.processes().boot(), there.processes().boot());
        assert_ne!(here.random_bytes(16), there.random_bytes(16));
        assert_eq!(
            world.machine("two").map(|two| (two.address(), two.address6())),
            Some(([10, 0, 0, 2].into(), "fd00::2".parse().unwrap()))
        );
        assert!(here.network().listen(&Address::Tcp((two.address(), 1).into())).is_err(), "not its address");
    });
}

#[test]
fn what_is_done_at_boot_is_done_at_each() {
    World::run(1, async |world| {
        let machine = world.add_machine("one");
        let command = Command {
            output: Output::Append("/tmp/log".into()),
            ..Command::new("/bin/echo").arguments(["up"])
        };
        machine.on_boot(vec![Command::new("/no/such"), command]);
        let log = async || {
            let user = terminal(&machine);
            user.sleep(Duration::from_secs(1)).await;
            user.files().read_text(Path::new("/tmp/log"), 100).unwrap_or_default()
        };
        assert_eq!(log().await, "");
        let before = terminal(&machine).processes().boot();
        machine.cut_power();
        assert_eq!(log().await, "up\n");
        machine.reboot().await;
        assert_eq!(log().await, "up\nup\n");
        assert_ne!(terminal(&machine).processes().boot(), before);
        let lines = world.trace().lines();
        assert!(lines.iter().any(|line| line.contains("one/init") && line.contains("cannot start /no/such")));
    });
}

#[test]
fn a_reboot_asks_first_and_kills_later() {
    World::run(1, async |world| {
        let machine = world.add_machine("one");
        let (polite, stubborn, note) = (terminal(&machine), terminal(&machine), Path::new("/tmp/note"));
        let asked = polite.processes().termination();
        polite.spawn({
            let polite = polite.clone();
            async move {
                asked.await;
                polite.files().write(note, b"goodbye", 0o600).unwrap();
            }
        });
        drop(stubborn.processes().termination());
        let start = machine.clock();
        let before = slap_impl::env::Clock::elapsed(start);
        machine.reboot().await;
        let took = slap_impl::env::Clock::elapsed(start) - before;
        assert!((5.0..5.1).contains(&took.as_secs_f64()), "{took:?}");
        assert!(machine.processes().is_empty());
        assert_eq!(terminal(&machine).files().read(note, 100).unwrap(), b"goodbye");
    });
}

#[test]
fn each_tier_loses_what_it_says() {
    for (tier, is_kept) in [(Tier::Fast, true), (Tier::Crash, false)] {
        let kept = (0..8).filter(|seed| {
            World::run(*seed, async move |world| {
                let machine = world.add_machine_in(tier, "one");
                let user = terminal(&machine);
                user.files().write(Path::new("/tmp/x"), b"not synced", 0o600).unwrap();
                machine.cut_power();
                let seen = terminal(&machine).files().read(Path::new("/tmp/x"), 100);
                seen.is_ok_and(|seen| seen == b"not synced")
            })
        });
        assert_eq!(kept.count() == 8, is_kept, "{tier:?}");
    }
}

#[test]
fn what_nobody_synced_is_kept_when_it_is_old() {
    for seed in 0..8 {
        World::run_in(Tier::Crash, seed, async |world| {
            let machine = world.add_machine("one");
            let user = terminal(&machine);
            user.files().write(Path::new("/tmp/x"), b"not synced", 0o600).unwrap();
            user.sleep(Duration::from_secs(31)).await;
            machine.cut_power();
            assert_eq!(terminal(&machine).files().read(Path::new("/tmp/x"), 100).unwrap(), b"not synced");
        });
    }
}

#[test]
fn a_disk_is_wiped_or_copied_with_its_databases() {
    for tier in [Tier::Fast, Tier::Crash] {
        World::run_in(tier, 1, async |world| {
            let (one, two) = (world.add_machine("one"), world.add_machine("two"));
            let path = Path::new("/srv/data.db");
            let user = terminal(&one);
            user.files().create_directory(Path::new("/srv"), 0o700).unwrap();
            let store = user.stores().open(path).unwrap();
            store.commit(batch("CREATE TABLE t (x); INSERT INTO t VALUES (7)")).await.unwrap();
            drop(store);
            two.clone_disk_of(&one);
            let count = async |machine: &Machine| {
                let store = terminal(machine).stores().open(path).ok()?;
                let mut found = None;
                let mut query = |connection: &rusqlite::Connection| {
                    found =
                        Some(connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?);
                    Ok(())
                };
                store.read(&mut query).ok()?;
                found
            };
            assert_eq!(count(&two).await, Some(1));
            let store = terminal(&two).stores().open(path).unwrap();
            store.commit(batch("INSERT INTO t VALUES (8)")).await.unwrap();
            drop(store);
            assert_eq!((count(&one).await, count(&two).await), (Some(1), Some(2)), "they are two");
            one.wipe();
            assert_eq!((count(&one).await, count(&two).await), (None, Some(2)));
            let user = terminal(&one);
            assert!(!user.files().exists(path) && user.files().exists(Path::new(SLAP)));
            assert_eq!(one.command(&user, "/bin/echo", &["hello"]).await, (Exit::DONE, "hello\n".to_owned()));
        });
    }
}

fn batch(sql: &'static str) -> slap_impl::env::Batch {
    vec![Box::new(move |connection: &rusqlite::Connection| {
        connection.execute_batch(sql)?;
        Ok(slap_impl::env::Verdict::Keep)
    })]
}

#[test]
fn each_machine_has_a_wall_clock_that_may_be_wrong() {
    World::run(1, async |world| {
        let (one, two) = (world.add_machine("one"), world.add_machine("two"));
        let (wrong, right) = (terminal(&one), terminal(&two));
        let ahead = || wrong.clock().now().duration_since(right.clock().now()).as_millis();
        assert_eq!(ahead(), 0);
        one.clock().set_skew(SignedDuration::from_hours(-2));
        assert_eq!(ahead(), -7_200_000);
        one.clock().step(SignedDuration::from_secs(7_203));
        assert_eq!(ahead(), 3_000);
        one.clock().drift(-500);
        right.sleep(Duration::from_secs(1_000)).await;
        assert_eq!(ahead(), 2_500);
        one.clock().drift(1_000_000);
        right.sleep(Duration::from_secs(10)).await;
        assert_eq!(ahead(), 12_500);
        assert_eq!(wrong.clock().elapsed(), right.clock().elapsed(), "time itself passes alike");
        one.clock().drift(0);
        one.clock().set_skew(SignedDuration::from_hours(24));
        wrong.files().write(Path::new("/tmp/x"), b"", 0o600).unwrap();
        let modified = wrong.files().metadata(Path::new("/tmp/x")).unwrap().modified_seconds;
        assert_eq!(modified, wrong.clock().now().as_second(), "its files have its dates");
    });
}

/// Who keeps a process's number only may hit another one.
#[test]
fn numbers_of_processes_come_again() {
    World::run(1, async |world| {
        let machine = world.add_machine("node-1");
        let started = async |env: &Env, text: &str| {
            let spawned = env.processes().spawn(&Command::new("/bin/sh").arguments(["-c", text])).unwrap();
            (spawned.identity, spawned.child)
        };
        let env = machine.user("/", BTreeMap::new());
        let (long, _) = started(&env, "sleep 100000").await;
        let (first, mut child) = started(&env, "true").await;
        child.wait().await.unwrap();
        let mut again = None;
        for _ in 0..1000 {
            let (identity, mut child) = started(&env, "true").await;
            assert_ne!(identity.pid, long.pid, "it is still running");
            assert_ne!(identity, first);
            child.wait().await.unwrap();
            again = again.or((identity.pid == first.pid).then_some(identity));
        }
        let again = again.expect("within so many starts all numbers were there");
        assert!(again.start_time > first.start_time);
        // Another one has the first number, and runs.
        let other = loop {
            let (identity, mut child) = started(&env, "sleep 100000").await;
            if identity.pid == first.pid {
                break identity;
            }
            machine.kill(identity);
            child.wait().await.unwrap();
        };
        machine.kill(first);
        assert!(env.processes().find(first).is_none() && env.processes().find(other).is_some());
        machine.cut_power();
        let env = machine.user("/", BTreeMap::new());
        let (after_boot, _) = started(&env, "sleep 100000").await;
        assert!(after_boot.pid <= long.pid && after_boot.start_time > again.start_time, "numbers begin anew");
    });
}
