//! The rate at which worlds of slap-model are explored, every rule judged at every transition: two worlds on two threads.
//!
//! Floor (release, two cores): 300,000 transitions a second.
#![allow(missing_docs, reason = "criterion's macros")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simulator::explore::{Options, explore};
use slap_model::worlds::{World, worlds};

/// Worlds without nodes and with one, to a depth that takes about a second.
fn chosen(names: [&str; 2]) -> Vec<World> {
    worlds().into_iter().filter(|world| names.contains(&world.name)).collect()
}

fn transitions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("explore, transitions (floor 300,000 a second)");
    group.sample_size(10);
    for (names, depth) in [(["tree", "shared"], 6), (["stale view", "node crash"], 9)] {
        let options = Options { depth: Some(depth), ..Options::default() };
        let run = || explore(chosen(names), &options).iter().map(|one| one.transitions).sum();
        group.throughput(Throughput::Elements(run()));
        group.bench_function(names.join(" and "), |bencher| bencher.iter(run));
    }
    group.finish();
}

criterion_group!(benches, transitions);
criterion_main!(benches);
