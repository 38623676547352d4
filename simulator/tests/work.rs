//! What a user does in a lab of a world in memory, with the same command line as in a real one.

use simulator::{lab::Lab, world::World};
use slap_impl::{
    client::{InstanceRequest, SlapClient},
    env::{Address, Exit},
    node::supervisor::SupervisorClient,
};
use std::{collections::BTreeMap, ops::Deref, path::Path};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SEEDS: [u64; 3] = [1, 2, 3];

/// A lab that is up, and what it shows of its first instance.
struct Up {
    lab: Lab,
    title: String,
    service: String,
}

impl Deref for Up {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        &self.lab
    }
}

/// Brings up a lab of two nodes in a world of each seed, and does something in it.
fn in_labs(body: impl AsyncFn(Up) + Copy + Send + 'static) {
    for seed in SEEDS {
        World::run(seed, async move |world| {
            let lab = Lab::new(world);
            lab.done("lab up --nodes 2").await;
            let (title, service) = (lab.title(1).await, lab.service(1));
            body(Up { lab, title, service }).await;
        });
    }
}

/// The page of the first instance, as a browser gets it; `None` if nobody serves it.
async fn page(lab: &Up) -> Option<String> {
    // A hint may follow: of what is paused or dead.
    let printed = lab.slap("lab status --output json").await.1;
    let mut documents = serde_json::Deserializer::from_str(&printed).into_iter::<serde_json::Value>();
    let status = documents.next()?.ok()?;
    let instance = &status["nodes"][0]["partitions"][0]["instance"];
    let url = instance["connection_parameters"]["url"].as_str()?;
    let address = url.strip_prefix("http://")?.trim_end_matches('/').parse().ok()?;
    let mut stream = lab.user.network().connect(&Address::Tcp(address)).await.ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Requests the first instance again, with something more.
async fn request(lab: &Up, more: &str) {
    let (title, release) = (&lab.title, lab.release());
    lab.done(&format!("request {title} {release} --node computer_guid=COMP-1 {more}")).await;
}

/// How many processes run whose command line contains `words`.
fn running(lab: &Up, words: &str) -> usize {
    lab.world.processes().iter().filter(|(_, line)| line.contains(words)).count()
}

#[test]
fn other_parameters_change_the_page() {
    in_labs(async |lab| {
        assert!(page(&lab).await.expect("it is served").contains("Hello COMP-1!"));
        request(&lab, "--parameters name=Ada").await;
        lab.done(&format!("wait {} --for green", lab.title)).await;
        assert!(page(&lab).await.expect("it is served").contains("Hello Ada!"));
    });
}

#[test]
fn stopped_started_destroyed() {
    in_labs(async |lab| {
        request(&lab, "--state stopped").await;
        lab.done(&format!("wait {} --for stopped", lab.title)).await;
        assert!(page(&lab).await.is_none());
        request(&lab, "--state started").await;
        lab.done(&format!("wait {} --for started", lab.title)).await;
        assert!(page(&lab).await.is_some());
        request(&lab, "--state destroyed").await;
        lab.done(&format!("wait {} --for destroyed", lab.title)).await;
        assert_eq!(running(&lab, &lab.service), 1, "the other node's");
        assert_eq!(lab.slap(&format!("wait {}", lab.title)).await.0, Exit::IMPOSSIBLE);
    });
}

#[test]
fn killed_services_and_programs_come_back_and_nothing_runs_twice() {
    in_labs(async |lab| {
        let service = format!("COMP-1/slappart0/{}", lab.service);
        for target in [service.as_str(), "agent/COMP-1", "supervisor/COMP-1", "master"] {
            lab.done(&format!("lab kill {target}")).await;
            lab.done("lab wait --timeout 5m").await;
        }
        request(&lab, "--parameters name=kept").await;
        for target in ["supervisor/COMP-1", "agent/COMP-1", "master", "keeper"] {
            lab.done(&format!("lab kill {target}")).await;
        }
        lab.done("lab up").await;
        assert!(
            page(&lab).await.expect("it is served").contains("Hello kept!"),
            "nothing acknowledged is lost"
        );
        for (words, count) in
            [(lab.service.as_str(), 2), (" supervisor ", 3), (" node run ", 2), (" proxy start ", 1)]
        {
            assert_eq!(running(&lab, words), count, "{words}: {:?}", lab.world.processes());
        }
        lab.done("lab down").await;
        assert_eq!(lab.world.processes().len(), 1, "only the user is left: {:?}", lab.world.processes());
    });
}

#[test]
fn a_paused_agent_does_nothing_until_it_is_resumed() {
    in_labs(async |lab| {
        lab.done("lab pause agent/COMP-1").await;
        request(&lab, "--parameters name=late").await;
        assert_eq!(lab.slap(&format!("wait {} --timeout 10s", lab.title)).await.0, Exit::TIMED_OUT);
        assert!(page(&lab).await.expect("services go on").contains("Hello COMP-1!"));
        lab.done("lab resume agent/COMP-1").await;
        lab.done(&format!("wait {} --for green", lab.title)).await;
        assert!(page(&lab).await.expect("it is served").contains("Hello late!"));
    });
}

#[test]
fn a_tree_and_a_shared_instance_go_from_the_leaves_up() {
    in_labs(async |lab| {
        let status = lab.done("lab status --output json").await;
        let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
        let master = status["master_url"].as_str().expect("it has one");
        let wish = |title: &str, shared| InstanceRequest {
            software_release: lab.release().parse().expect("it is a path"),
            software_type: "default".to_owned(),
            title: title.parse().expect("it is a title"),
            parameters: BTreeMap::new(),
            filter: BTreeMap::from([("computer_guid".to_owned(), "COMP-2".to_owned())]),
            state: None,
            shared,
        };
        let client = SlapClient::new(lab.user.clone(), master).expect("it is a URL");
        let (computer, partition) = ("COMP-1".parse().expect("an id"), "slappart0".parse().expect("an id"));
        for (title, shared) in [("child", false), ("guest", true)] {
            let given = client.request_from(&computer, &partition, &wish(title, shared)).await;
            assert_eq!(given.expect("there is room").computer_id, "COMP-2");
        }
        lab.done("lab wait").await;
        assert_eq!(running(&lab, &lab.service), 3, "the child on the other node, too");
        let table = lab.done("lab status").await;
        assert!(
            table.contains(&format!("child of {}", lab.title))
                && table.contains(&format!("{}_guest", lab.title)),
            "{table}"
        );
        request(&lab, "--state destroyed").await;
        lab.done(&format!("wait {} --for destroyed", lab.title)).await;
        assert_eq!(running(&lab, &lab.service), 1, "that of the other node's");
        lab.done("lab wait").await;
        let table = lab.done("lab status").await;
        assert!(!table.contains("child") && !table.contains("guest"), "{table}");
    });
}

/// Services that a `down` stopped run again, and nobody is told that all is well before.
#[test]
fn down_and_up_serve_the_pages_again() {
    in_labs(async |lab| {
        for _ in 0..2 {
            lab.done("lab down").await;
            assert_eq!(running(&lab, "hello-http"), 0);
            lab.done("lab up").await;
            assert!(page(&lab).await.expect("it is served").contains("Hello COMP-1!"));
            assert_eq!(running(&lab, "hello-http"), 2);
        }
    });
}

#[test]
fn supervisors_make_their_removed_directories_again_and_services_go_on() {
    in_labs(async |lab| {
        let client = SupervisorClient::new(lab.user.clone(), Path::new("/tmp/lab/run/COMP-1"));
        let identities = || -> Vec<_> { client.recorded().iter().map(|service| service.identity).collect() };
        let before = identities();
        assert!(!before.is_empty());
        for name in ["COMP-1/supervisor.json", "COMP-1/supervisor.lock", "COMP-1", "keeper"] {
            let path = Path::new("/tmp/lab/run").join(name);
            lab.user.files().remove_any(&path).expect("it is there");
            lab.done("lab up").await;
            lab.done("lab wait").await;
            assert_eq!(identities(), before, "{name}");
        }
        // Whoever comes next has the lock, and takes over what runs.
        lab.done("lab kill supervisor/COMP-1").await;
        lab.done("lab wait").await;
        assert_eq!(identities(), before);
    });
}
