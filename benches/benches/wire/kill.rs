//! How soon a master is back that was killed while many wrote, and whether all is there that it acknowledged.

use super::{
    load::{Client, median, send_all},
    master::{Master, read, request},
    scenarios::tell,
};
use slap_impl::wire::{marshal::decode, objects::Computer};
use std::{
    cell::Cell,
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

const COMPUTERS: u32 = 50;
const PARTITIONS: u32 = 200;
const INSTANCES: u32 = COMPUTERS * PARTITIONS;
const CLIENTS: u32 = 64;
const KILLS: u32 = 30;

/// What one client asked for and heard of: the last value that was sent of each of its instances, and the last that was acknowledged.
#[derive(Default)]
struct Told {
    sent: Cell<u32>,
    acknowledged: Cell<u32>,
}

fn computer_of(number: u32) -> String {
    format!("COMP-{}", number % COMPUTERS)
}

/// Changes one instance after the other without a pause, until the master is gone.
async fn write(address: SocketAddr, first: u32, told: Rc<Vec<Told>>) {
    let mut client = Client::connect(address).await;
    for number in (first..INSTANCES).step_by(CLIENTS as usize).cycle() {
        let told = &told[number as usize];
        let value = told.sent.get() + 1;
        told.sent.set(value);
        let wish = request(&format!("t{number}"), Some(&computer_of(number)), &value.to_string());
        match client.try_ask(&wish, true).await {
            Ok(answer) => assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body)),
            Err(_) => return,
        }
        told.acknowledged.set(value);
    }
}

/// Where each instance is, and its value.
async fn places(master: &Master) -> BTreeMap<String, (String, u32)> {
    let mut client = master.client().await;
    let mut places = BTreeMap::new();
    for number in 0..COMPUTERS {
        let answer = client.ask(&read(&computer_of(number), ""), true).await;
        let computer = Computer::from_value(&decode(&answer.body).unwrap()).unwrap();
        for partition in computer.partitions {
            let Some(instance) = partition.instance else { continue };
            let value = instance.parameters["text"].clone().unwrap().parse().unwrap();
            let place = format!("{} {}", partition.computer_id, partition.partition_id);
            assert!(places.insert(instance.title, (place, value)).is_none(), "a title is there twice");
        }
    }
    places
}

/// Kills it again and again while 64 clients write.
pub(super) async fn kills() {
    let mut master = Master::start();
    for number in 0..COMPUTERS {
        master.format(&computer_of(number), PARTITIONS).await;
    }
    let wanted = (0..INSTANCES).map(|number| request(&format!("t{number}"), Some(&computer_of(number)), "0"));
    send_all(master.address, 64, wanted.collect()).await;
    let before = places(&master).await;
    assert_eq!(before.len(), INSTANCES as usize);
    let told: Rc<Vec<Told>> = Rc::new((0..INSTANCES).map(|_| Told::default()).collect());
    let mut times = Vec::new();
    for round in 0..KILLS {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| tokio::task::spawn_local(write(master.address, number, told.clone())))
            .collect();
        // At another moment of its work each time.
        tokio::time::sleep(Duration::from_millis(100 + 37 * u64::from(round % 10))).await;
        let start = Instant::now();
        master = Master::start_in(master.kill());
        let answer = master.client().await.ask(&read("COMP-0", ""), false).await;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!(answer.status, 200);
        for client in clients {
            client.await.unwrap();
        }
    }
    let after = places(&master).await;
    let mut writes = 0;
    for (number, told) in told.iter().enumerate() {
        let title = format!("t{number}");
        let ((place, _), (now, value)) = (&before[&title], &after[&title]);
        assert_eq!(place, now, "{title} was moved");
        let (acknowledged, sent) = (told.acknowledged.get(), told.sent.get());
        assert!((acknowledged..=sent).contains(value), "{title}: {value} of {acknowledged} to {sent}");
        writes += acknowledged;
    }
    assert!(writes > KILLS * CLIENTS, "{writes} writes are no load");
    let worst = times.iter().copied().fold(0.0, f64::max);
    tell(
        &format!("back after kill -9, {INSTANCES} instances, {writes} writes kept"),
        format!("median {:.1} ms, worst {worst:.1} ms of {KILLS}", median(times)),
        worst <= 100.0,
        "100 ms",
    );
}
