//! The network between machines: what passes, when, and each thing that can go wrong with it. Each test fails if its fault did nothing.

use simulator::{
    cluster::terminal,
    world::{Machine, Mishap, World},
};
use slap_impl::env::{Address, BoxStream, Env, LocalFuture, join_all};
use std::{
    cell::RefCell,
    io::{self, ErrorKind},
    net::IpAddr,
    rc::Rc,
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: u16 = 80;
const MINUTE: Duration = Duration::from_secs(60);

/// What a server saw: what it read of which connection, and how that ended.
type Seen = Rc<RefCell<Vec<String>>>;

/// Two machines with a latency of 10 ms each way: a user on `a`, and a server on `b` that answers each read with `re:` and the same.
struct Two {
    world: World,
    a: Machine,
    b: Machine,
    user: Env,
    seen: Seen,
}

fn two(body: impl AsyncFnOnce(Two) + Send + 'static) {
    World::run(5, async |world| {
        let (a, b) = (world.add_machine("a"), world.add_machine("b"));
        for link in [world.link(&a, &b), world.link(&b, &a)] {
            link.set_latency(ms(10), ms(10));
        }
        let (user, seen) = (terminal(&a), serve(&b));
        body(Two { world, a, b, user, seen }).await;
    });
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn at(address: impl Into<IpAddr>) -> Address {
    Address::Tcp((address.into(), PORT).into())
}

/// Starts the server.
fn serve(machine: &Machine) -> Seen {
    let (env, seen) = (terminal(machine), Seen::default());
    let mut listener =
        env.network().listen(&Address::Tcp(([0, 0, 0, 0], PORT).into())).expect("the port is free");
    let (server, log) = (env.clone(), seen.clone());
    env.spawn(async move {
        for number in 1.. {
            let (stream, _) = listener.accept().await.expect("it listens");
            server.spawn(answer(stream, number, log.clone()));
        }
    });
    seen
}

async fn answer(mut stream: BoxStream, number: u32, seen: Seen) {
    let mut bytes = [0; 1 << 16];
    loop {
        let what = match stream.read(&mut bytes).await {
            Ok(0) => "end".to_owned(),
            Ok(length) => String::from_utf8_lossy(&bytes[..length]).into_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        seen.borrow_mut().push(format!("{number} {what}"));
        if what == "end" || stream.write_all(format!("re:{what}").as_bytes()).await.is_err() {
            return;
        }
    }
}

impl Two {
    async fn connect(&self) -> io::Result<BoxStream> {
        self.user.network().connect(&at(self.b.address())).await
    }

    /// What the server saw since it was asked the last time.
    fn seen(&self) -> Vec<String> {
        self.seen.take()
    }

    fn elapsed(&self) -> Duration {
        self.user.clock().elapsed()
    }

    /// How long something takes, and what comes of it.
    async fn timed<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let start = self.elapsed();
        let result = work.await;
        (result, (self.elapsed() - start).as_millis() as u64)
    }

    /// Whether something has not ended after that time.
    async fn hangs<T>(&self, patience: Duration, work: impl Future<Output = T>) -> bool {
        self.user.timeout(patience, work).await.is_err()
    }
}

async fn ask(stream: &mut BoxStream, what: &str) -> io::Result<String> {
    stream.write_all(what.as_bytes()).await?;
    read(stream).await
}

/// The next bytes; nothing at the end.
async fn read(stream: &mut BoxStream) -> io::Result<String> {
    let mut bytes = [0; 1 << 16];
    let length = stream.read(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("it fails").kind()
}

#[test]
fn bytes_take_their_time_and_stay_in_order() {
    two(async |two| {
        let (stream, took) = two.timed(two.connect()).await;
        assert_eq!(took, 20, "there and back");
        let mut stream = stream.unwrap();
        let (answer, took) = two.timed(ask(&mut stream, "one")).await;
        assert_eq!((answer.unwrap().as_str(), took), ("re:one", 20));
        // What is sent later with less latency does not overtake.
        let link = two.world.link(&two.a, &two.b);
        stream.write_all(b"two").await.unwrap();
        link.set_latency(ms(0), ms(0));
        stream.write_all(b"three").await.unwrap();
        let (answer, took) = two.timed(read(&mut stream)).await;
        assert_eq!((answer.unwrap().as_str(), took), ("re:twothree", 20));
        drop(stream);
        two.user.sleep(ms(10)).await;
        assert_eq!(two.seen(), ["1 one", "1 twothree", "1 end"]);
    });
}

#[test]
fn machines_are_found_by_name_and_address_and_say_whence_they_come() {
    two(async |two| {
        let server = terminal(&two.b);
        let mut listener = server.network().listen(&Address::Tcp((two.b.address6(), 81).into())).unwrap();
        let user = two.user.clone();
        let address = listener.address();
        two.user.spawn(async move { drop(user.network().connect(&address).await) });
        assert_eq!(listener.accept().await.unwrap().1.unwrap().ip(), IpAddr::from(two.a.address6()));
        let mut listener = server.network().listen(&Address::Tcp((two.b.address(), 81).into())).unwrap();
        let user = two.user.clone();
        two.user.spawn(async move {
            drop(user.network().connect(&Address::Name("b".to_owned(), 81)).await);
        });
        assert_eq!(listener.accept().await.unwrap().1.unwrap().ip(), IpAddr::from(two.a.address()));
        let to = async |address: Address| two.user.network().connect(&address).await;
        assert_eq!(kind(to(Address::Name("c".to_owned(), 81)).await), ErrorKind::NotFound);
        assert_eq!(kind(to(at([10, 9, 9, 9])).await), ErrorKind::HostUnreachable);
        let nobody = Address::Tcp((two.b.address(), 82).into());
        assert_eq!(kind(to(nobody).await), ErrorKind::ConnectionRefused);
        two.b.add_address([10, 9, 9, 9].into());
        assert!(to(at([10, 9, 9, 9])).await.is_ok(), "it listens on all its addresses");
        assert_eq!(
            kind(to(at([127, 0, 0, 1])).await),
            ErrorKind::ConnectionRefused,
            "that is the user's own"
        );
    });
}

#[test]
fn a_firewall_refuses_new_connections_only() {
    two(async |two| {
        let link = two.world.link(&two.a, &two.b);
        let mut open = two.connect().await.unwrap();
        link.refuse(true);
        let (refused, took) = two.timed(two.connect()).await;
        assert_eq!((kind(refused), took), (ErrorKind::ConnectionRefused, 20));
        assert!(ask(&mut open, "x").await.is_ok());
        link.heal();
        assert!(two.connect().await.is_ok());
    });
}

#[test]
fn who_connects_into_a_block_tries_again_and_gives_up() {
    for is_there in [true, false] {
        two(async move |two| {
            // The way there, or the way back: both keep it from being made.
            let link = if is_there { two.world.link(&two.a, &two.b) } else { two.world.link(&two.b, &two.a) };
            link.block();
            let (failed, took) = two.timed(two.connect()).await;
            assert_eq!((kind(failed), took), (ErrorKind::TimedOut, 127_000));
            let user = two.user.clone();
            two.user.spawn(async move {
                user.sleep(Duration::from_secs(20)).await;
                link.unblock();
            });
            let (made, took) = two.timed(two.connect()).await;
            assert!(made.is_ok());
            assert_eq!(took, 31_020, "the try after 1, 2, 4, 8 and 16 s");
            assert_eq!(two.seen(), Vec::<String>::new());
        });
    }
}

#[test]
fn a_short_partition_holds_bytes_and_lets_them_through() {
    two(async |two| {
        let mut stream = two.connect().await.unwrap();
        two.world.partition(&two.a, &two.b);
        stream.write_all(b"held").await.unwrap();
        assert!(two.hangs(MINUTE, read(&mut stream)).await);
        assert!(two.seen().is_empty());
        two.world.heal(&two.a, &two.b);
        // Tries after 0.2, 0.6, 1.4, 3, 6.2, 12.6, 25.4, 51 and 102.2 s.
        let (answer, took) = two.timed(read(&mut stream)).await;
        assert_eq!((answer.unwrap().as_str(), took), ("re:held", 42_220));
        assert_eq!(two.seen(), ["1 held"]);
        assert!(ask(&mut stream, "more").await.is_ok());
    });
}

#[test]
fn what_is_on_its_way_into_a_partition_is_held_too() {
    two(async |two| {
        let mut stream = two.connect().await.unwrap();
        stream.write_all(b"on its way").await.unwrap();
        stream.shutdown().await.unwrap();
        two.user.sleep(ms(5)).await;
        two.world.link(&two.a, &two.b).block();
        assert!(two.hangs(Duration::from_secs(1), read(&mut stream)).await);
        assert!(two.seen().is_empty());
        two.world.link(&two.a, &two.b).unblock();
        assert_eq!(read(&mut stream).await.unwrap(), "re:on its way");
        assert_eq!(read(&mut stream).await.unwrap(), "", "its end was held, too");
        assert_eq!(two.seen(), ["1 on its way", "1 end"]);
    });
}

#[test]
fn a_long_partition_ends_the_connection_for_who_sent() {
    two(async |two| {
        let mut stream = two.connect().await.unwrap();
        ask(&mut stream, "before").await.unwrap();
        two.world.partition(&two.a, &two.b);
        stream.write_all(b"lost").await.unwrap();
        let (failed, took) = two.timed(read(&mut stream)).await;
        assert_eq!((kind(failed), took), (ErrorKind::TimedOut, 924_600));
        assert_eq!(kind(stream.write_all(b"x").await), ErrorKind::BrokenPipe);
        assert_eq!(read(&mut stream).await.unwrap(), "");
        two.world.heal(&two.a, &two.b);
        two.user.sleep(Duration::from_secs(3600)).await;
        assert_eq!(two.seen(), ["1 before"], "nobody told the other side");
    });
}

#[test]
fn who_does_not_look_is_told_later_that_the_connection_timed_out() {
    two(async |two| {
        let mut stream = two.connect().await.unwrap();
        two.world.partition(&two.a, &two.b);
        stream.write_all(b"lost").await.unwrap();
        two.user.sleep(Duration::from_secs(1000)).await;
        two.world.heal(&two.a, &two.b);
        two.user.sleep(Duration::from_secs(1000)).await;
        assert_eq!(kind(read(&mut stream).await), ErrorKind::TimedOut);
        assert!(two.seen().is_empty());
    });
}

#[test]
fn a_partition_of_one_way_lets_the_request_through_and_not_the_answer() {
    two(async |two| {
        let mut stream = two.connect().await.unwrap();
        two.world.link(&two.b, &two.a).block();
        stream.write_all(b"heard").await.unwrap();
        assert!(two.hangs(MINUTE, read(&mut stream)).await);
        assert_eq!(two.seen(), ["1 heard"]);
        two.world.link(&two.b, &two.a).unblock();
        assert_eq!(read(&mut stream).await.unwrap(), "re:heard");
        // The sender hears of no delivery, and gives up, too.
        two.world.link(&two.b, &two.a).block();
        stream.write_all(b"heard again").await.unwrap();
        let (failed, took) = two.timed(read(&mut stream)).await;
        assert_eq!((kind(failed), took), (ErrorKind::TimedOut, 924_600));
    });
}

#[test]
fn who_has_no_room_left_waits_and_goes_on_or_gives_up() {
    for is_healed in [true, false] {
        two(async move |two| {
            let mut stream = two.connect().await.unwrap();
            two.world.partition(&two.a, &two.b);
            let sent = vec![b'x'; 100_000];
            assert!(two.hangs(Duration::from_secs(10), stream.write_all(&sent)).await);
            if is_healed {
                two.world.heal(&two.a, &two.b);
                stream.write_all(&sent[65_536..]).await.unwrap();
                let mut answers = 0;
                while answers < sent.len() {
                    answers += read(&mut stream).await.unwrap().replace("re:", "").len();
                }
                let read: usize = two.seen().iter().map(|what| what.len() - "1 ".len()).sum();
                assert_eq!(read, 100_000);
            } else {
                let (failed, took) = two.timed(stream.write_all(b"x")).await;
                assert_eq!((kind(failed), took), (ErrorKind::TimedOut, 914_600));
            }
        });
    }
}

#[test]
fn a_reset_ends_all_connections_of_the_two_for_both() {
    two(async |two| {
        let (mut one, mut other) = (two.connect().await.unwrap(), two.connect().await.unwrap());
        ask(&mut one, "hello").await.unwrap();
        one.write_all(b"delivered").await.unwrap();
        two.user.sleep(ms(25)).await;
        one.write_all(b"on its way").await.unwrap();
        two.world.link(&two.b, &two.a).reset();
        assert_eq!(read(&mut one).await.unwrap(), "re:delivered", "it had arrived");
        assert_eq!(kind(read(&mut one).await), ErrorKind::ConnectionReset);
        assert_eq!(kind(other.write_all(b"x").await), ErrorKind::ConnectionReset);
        two.user.sleep(ms(25)).await;
        assert_eq!(two.seen(), ["1 hello", "1 delivered", "1 ConnectionReset", "2 ConnectionReset"]);
        assert!(two.connect().await.is_ok());
    });
}

#[test]
fn planned_requests_are_lost_before_or_after_they_are_delivered() {
    for (mishap, delivered) in [(Mishap::LoseRequest, false), (Mishap::LoseAnswer, true)] {
        two(async move |two| {
            let link = two.world.link(&two.a, &two.b);
            link.plan(2, mishap);
            let mut stream = two.connect().await.unwrap();
            // Two writes are one request, as long as no answer comes.
            stream.write_all(b"o").await.unwrap();
            assert_eq!(ask(&mut stream, "ne").await.unwrap(), "re:one");
            assert_eq!(ask(&mut stream, "two").await.unwrap(), "re:two");
            assert_eq!(link.planned(), 1);
            assert_eq!(kind(ask(&mut stream, "three").await), ErrorKind::ConnectionReset);
            assert_eq!(link.planned(), 0);
            two.user.sleep(ms(20)).await;
            let mut expected = vec!["1 one", "1 two"];
            expected.extend(delivered.then_some("1 three"));
            expected.push("1 ConnectionReset");
            let seen: Vec<String> = two.seen();
            assert_eq!(seen, expected);
            let mut stream = two.connect().await.unwrap();
            assert_eq!(ask(&mut stream, "four").await.unwrap(), "re:four");
        });
    }
}

#[test]
fn a_planned_request_is_delivered_twice_and_answered_once() {
    two(async |two| {
        let link = two.world.link(&two.a, &two.b);
        link.plan(1, Mishap::Duplicate(Duration::from_secs(5)));
        let mut stream = two.connect().await.unwrap();
        for what in ["one", "two", "three"] {
            assert_eq!(ask(&mut stream, what).await.unwrap(), format!("re:{what}"));
        }
        assert_eq!(two.seen(), ["1 one", "1 two", "1 three"]);
        two.user.sleep(Duration::from_secs(6)).await;
        assert_eq!(two.seen(), ["2 two", "2 ConnectionReset"]);
        assert!(two.hangs(MINUTE, read(&mut stream)).await, "no second answer");
        // A long one is not repeated.
        link.plan(0, Mishap::Duplicate(Duration::ZERO));
        let server = terminal(&two.b);
        let mut listener = server.network().listen(&Address::Tcp(([0, 0, 0, 0], 81).into())).unwrap();
        let long = vec![b'x'; 70_000];
        let asked = async {
            let mut stream =
                two.user.network().connect(&Address::Tcp((two.b.address(), 81).into())).await.unwrap();
            stream.write_all(&long).await.unwrap();
            assert_eq!(read(&mut stream).await.unwrap(), "thanks");
        };
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut vec![0; 70_000]).await.unwrap();
            stream.write_all(b"thanks").await.unwrap();
            two.hangs(MINUTE, listener.accept()).await
        };
        let work: Vec<LocalFuture<'_, bool>> = vec![
            Box::pin(async {
                asked.await;
                true
            }),
            Box::pin(served),
        ];
        assert_eq!(join_all(work).await, [true, true], "answered, and nobody else comes");
        let lines = two.world.trace().lines();
        assert!(lines.iter().any(|line| line.contains("a > b") && line.contains("does not repeat")));
    });
}

#[test]
fn a_link_may_be_slow() {
    two(async |two| {
        let link = two.world.link(&two.b, &two.a);
        let mut stream = two.connect().await.unwrap();
        link.delay(Duration::from_secs(3));
        let (_, took) = two.timed(ask(&mut stream, "x")).await;
        assert_eq!(took, 3_020);
        link.delay(Duration::ZERO);
        link.trickle(Some(10));
        let what = "x".repeat(97);
        stream.write_all(what.as_bytes()).await.unwrap();
        let (mut pieces, start) = (0, two.elapsed());
        let mut answer = String::new();
        while answer.len() < 100 {
            answer += &read(&mut stream).await.unwrap();
            pieces += 1;
        }
        let took = (two.elapsed() - start).as_secs_f64();
        assert!((9.9..10.1).contains(&took) && pieces >= 40, "{took} s, {pieces} pieces");
        link.heal();
        let (_, took) = two.timed(ask(&mut stream, "x")).await;
        assert_eq!(took, 20);
    });
}

#[test]
fn a_machine_without_power_says_nothing_until_it_is_up_again() {
    two(async |two| {
        let mut silent = two.connect().await.unwrap();
        let mut talking = two.connect().await.unwrap();
        ask(&mut talking, "x").await.unwrap();
        two.b.power_off();
        assert!(two.hangs(Duration::from_secs(3600), read(&mut silent)).await);
        let (failed, took) = two.timed(two.connect()).await;
        assert_eq!((kind(failed), took), (ErrorKind::TimedOut, 127_000));
        talking.write_all(b"kept").await.unwrap();
        two.user.sleep(Duration::from_secs(60)).await;
        two.b.power_on();
        let refused = two.connect().await;
        assert_eq!(kind(refused), ErrorKind::ConnectionRefused, "it is up, and serves nothing yet");
        let (reset, took) = two.timed(read(&mut talking)).await;
        assert_eq!(kind(reset), ErrorKind::ConnectionReset);
        assert_eq!(took, 42_200, "the next try, after 102.2 s; it took 20 ms to be refused");
        assert!(
            two.hangs(Duration::from_secs(3600), read(&mut silent)).await,
            "who does not send is not told"
        );
        let (reset, took) = two.timed(ask(&mut silent, "x")).await;
        assert_eq!((kind(reset), took), (ErrorKind::ConnectionReset, 20));
        assert_eq!(two.seen(), ["2 x"]);
    });
}

#[test]
fn a_machine_that_lost_its_power_for_a_moment_knows_nothing_of_its_connections() {
    two(async |two| {
        let mut stream = two.connect().await.unwrap();
        let mut waiting = two.connect().await.unwrap();
        stream.write_all(b"on its way").await.unwrap();
        two.b.cut_power();
        assert_eq!(kind(read(&mut stream).await), ErrorKind::ConnectionReset);
        assert!(two.hangs(Duration::from_secs(3600), read(&mut waiting)).await);
        assert!(two.seen().is_empty());
        // The other side's connections are gone with its power, too, and the server hears nothing of it.
        let seen = serve(&two.b);
        let mut stream = two.connect().await.unwrap();
        ask(&mut stream, "x").await.unwrap();
        two.a.cut_power();
        terminal(&two.b).sleep(Duration::from_secs(3600)).await;
        assert_eq!(*seen.borrow(), ["1 x"]);
    });
}

#[test]
fn a_killed_process_s_connections_are_closed() {
    two(async |two| {
        let mut stream = two.connect().await.unwrap();
        stream.write_all(b"half").await.unwrap();
        two.a.kill(two.user.context().identity);
        terminal(&two.a).sleep(ms(50)).await;
        drop(stream);
        terminal(&two.a).sleep(ms(50)).await;
        // It had an answer that nobody read: that is a reset. What was sent before arrived.
        assert_eq!(two.seen(), ["1 half", "1 ConnectionReset"]);
    });
}

#[test]
fn a_machine_s_own_connections_may_fail_too() {
    two(async |two| {
        let own = terminal(&two.b);
        let link = two.world.link(&two.b, &two.b);
        let mut stream = own.network().connect(&at([127, 0, 0, 1])).await.unwrap();
        let (answer, took) = two.timed(ask(&mut stream, "x")).await;
        assert_eq!((answer.unwrap().as_str(), took), ("re:x", 0), "no time passes within a machine");
        link.delay(ms(100));
        let (_, took) = two.timed(ask(&mut stream, "x")).await;
        assert_eq!(took, 200);
        link.reset();
        assert_eq!(kind(read(&mut stream).await), ErrorKind::ConnectionReset);
        link.heal();
        let mut stream = own.network().connect(&at(two.b.address())).await.unwrap();
        assert_eq!(two.timed(ask(&mut stream, "x")).await.1, 0, "its own address is its own, too");
    });
}
