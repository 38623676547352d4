//! What is measured, and its floors.

use super::{
    limit::{BareLoop, BareServer},
    load::{Client, median, rate, send_all},
    master::{Master, first_answer, format, format_command, read, request, request_command},
};
use std::{
    pin::Pin,
    rc::Rc,
    time::{Duration, Instant},
};

type Scenario = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// The scenarios by name.
pub(super) const ALL: [(&str, Scenario); 7] = [
    ("wire-read", || Box::pin(full_reads())),
    ("wire-request", || Box::pin(requests())),
    ("wire-allocation", || Box::pin(allocations())),
    ("wire-start", || Box::pin(starts())),
    ("wire-cloud", || Box::pin(cloud())),
    ("wire-garbage", || Box::pin(super::garbage::garbage())),
    ("wire-kill", || Box::pin(super::kill::kills())),
];

/// How often the two sides take turns.
const ROUNDS: usize = 9;
/// How long each turn is.
const TURN: Duration = Duration::from_millis(300);

/// Prints a figure beside its floor.
pub(super) fn tell(what: &str, figure: String, holds: bool, floor: &str) {
    let verdict = if holds { "" } else { "  BELOW THE FLOOR" };
    println!("{what:<58} {figure:>34}   floor {floor}{verdict}");
}

async fn clients(address: std::net::SocketAddr, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(address).await);
    }
    clients
}

/// Both sides in turn; medians of their rates.
async fn compare(master: &Master, bare: &BareServer, count: usize, request: &[u8]) -> (f64, f64) {
    let (mut ours, mut theirs) = (clients(master.address, count).await, clients(bare.address, count).await);
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(rate(&mut ours, request, TURN).await);
        their_rates.push(rate(&mut theirs, request, TURN).await);
    }
    (median(our_rates), median(their_rates))
}

/// A master with one computer all of whose partitions have an instance.
async fn filled(partitions: u32) -> Master {
    let master = Master::start();
    master.format("COMP-1", partitions).await;
    let wanted = (0..partitions).map(|number| request(&format!("t{number}"), None, "x")).collect();
    send_all(master.address, 8, wanted).await;
    master
}

async fn full_reads() {
    for partitions in [100, 1000] {
        let master = filled(partitions).await;
        let asked = read("COMP-1", "");
        let document = master.client().await.ask(&asked, true).await.body;
        let file = master.directory.path().join("document");
        std::fs::write(&file, &document).unwrap();
        let bare = BareServer::start(&file);
        let (ours, theirs) = compare(&master, &bare, 8, &asked).await;
        tell(
            &format!("full information, {partitions} partitions ({} KiB), 8 clients", document.len() / 1024),
            format!("{ours:.0}/s of {theirs:.0}/s = {:.2}", ours / theirs),
            ours >= 0.8 * theirs,
            "0.8 of bare hyper",
        );
        if partitions == 1000 {
            let mut client = master.client().await;
            let mut times = Vec::new();
            for round in 0..25 {
                let change = request(&format!("t{}", round * 37), None, &format!("y{round}"));
                assert_eq!(client.ask(&change, false).await.status, 200);
                let start = Instant::now();
                assert_eq!(client.ask(&asked, false).await.status, 200);
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            let took = median(times);
            tell("first read after a change, 1000 partitions", format!("{took:.2} ms"), took <= 5.0, "5 ms");
            let resident = master.resident_kib() as f64 / 1024.0;
            tell("resident, 1000 partitions", format!("{resident:.1} MiB"), resident <= 20.0, "20 MiB");
        }
    }
}

async fn requests() {
    let master = filled(100).await;
    let file = master.directory.path().join("empty");
    std::fs::write(&file, "").unwrap();
    let bare = BareServer::start(&file);
    let (ours, theirs) = compare(&master, &bare, 8, &request("t7", None, "x")).await;
    tell(
        "idempotent request, 8 clients",
        format!("{ours:.0}/s of {theirs:.0}/s = {:.2}", ours / theirs),
        ours >= 0.35 * theirs,
        "0.35 of bare hyper's empty answer",
    );
}

async fn allocations() {
    const BATCH: u32 = 100;
    let master = Master::start();
    let bare = BareLoop::open(&master.directory.path().join("bare.db"));
    let mut client = master.client().await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let computer = format!("C-{round}");
        let titles: Vec<String> = (0..BATCH).map(|number| format!("r{round}n{number}")).collect();
        master.format(&computer, BATCH).await;
        bare.run(1, &[format_command(&computer, BATCH)]);
        let wanted: Vec<Rc<[u8]>> = titles.iter().map(|title| request(title, Some(&computer), "x")).collect();
        let commands: Vec<_> = titles.iter().map(|title| request_command(title, &computer, "x")).collect();
        let start = Instant::now();
        for request in &wanted {
            assert_eq!(client.ask(request, false).await.status, 200);
        }
        ours.push(f64::from(BATCH) / start.elapsed().as_secs_f64());
        let start = Instant::now();
        bare.run(1, &commands);
        theirs.push(f64::from(BATCH) / start.elapsed().as_secs_f64());
    }
    let (ours, theirs) = (median(ours), median(theirs));
    tell(
        "new allocation, durable, 1 client",
        format!("{ours:.0}/s of {theirs:.0}/s = {:.2}", ours / theirs),
        ours >= 0.5 * theirs,
        "0.5 of the bare loop",
    );
    // The second touches ten times as many pages of the database.
    for (what, computers, is_named, floor) in [
        ("wherever there is room", 10, false, "20,000/s"),
        ("on 100 computers that they name", 100, true, "none"),
    ] {
        let mut rates = Vec::new();
        for round in 0..5 {
            rates.push(allocation_rate(computers, is_named, round).await);
        }
        let found = median(rates);
        tell(
            &format!("new allocations, durable, 64 clients, {what}"),
            format!("{found:.0}/s"),
            is_named || found >= 20_000.0,
            floor,
        );
    }
}

/// 64 clients ask for 10,000 instances on as many partitions of so many computers, each where it names it or wherever there is room.
async fn allocation_rate(computers: u32, is_named: bool, round: u32) -> f64 {
    const INSTANCES: u32 = 10_000;
    let master = Master::start();
    for number in 0..computers {
        master.format(&format!("D-{number}"), INSTANCES / computers).await;
    }
    let wanted: Vec<_> = (0..INSTANCES)
        .map(|number| {
            let computer = format!("D-{}", number % computers);
            request(&format!("many{round}n{number}"), is_named.then_some(computer.as_str()), "x")
        })
        .collect();
    f64::from(INSTANCES) / send_all(master.address, 64, wanted).await.as_secs_f64()
}

async fn starts() {
    let mut directory = tempfile::tempdir().unwrap();
    let mut times = Vec::new();
    for _ in 0..15 {
        let (took, back) = first_answer(directory).await;
        directory = back;
        times.push(took * 1e3);
    }
    let took = median(times);
    tell("start to first answer", format!("{took:.1} ms"), took <= 20.0, "20 ms");
}

/// 5,000 computers of 2 partitions come, and get 10,000 instances, while 1,000 agents wait for changes of theirs.
async fn cloud() {
    const COMPUTERS: u32 = 5000;
    const AGENTS: u32 = 1000;
    let master = Master::start();
    let start = Instant::now();
    let formats = (0..COMPUTERS).map(|number| format(&format!("COMP-{number}"), 2)).collect();
    let registered = send_all(master.address, 64, formats).await;
    let mut agents = Vec::new();
    let answers = Rc::new(std::cell::Cell::new(0u32));
    for number in 0..AGENTS {
        let mut client = master.client().await;
        let answers = answers.clone();
        agents.push(tokio::task::spawn_local(async move {
            let computer = format!("COMP-{}", number * (COMPUTERS / AGENTS));
            let mut tag = String::new();
            loop {
                let answer = client.ask(&read(&computer, &tag), false).await;
                answers.set(answers.get() + u32::from(answer.status == 200));
                let found = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
                tag = format!("if-none-match: {found}\r\nprefer: wait=300\r\n");
            }
        }));
    }
    let wanted = (0..COMPUTERS * 2).map(|number| request(&format!("t{number}"), None, "x")).collect();
    let allocated = send_all(master.address, 64, wanted).await;
    let took = start.elapsed().as_secs_f64();
    // Each agent hears of both instances of its computer at the latest now.
    while answers.get() < AGENTS * 2 && start.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tell(
        &format!("{COMPUTERS} computers and {} instances, {AGENTS} agents wait", COMPUTERS * 2),
        format!("{registered:.1?} and {allocated:.1?}, {took:.2} s in all"),
        took <= 6.0,
        "6 s",
    );
    agents.iter().for_each(tokio::task::JoinHandle::abort);
}
