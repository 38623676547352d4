//! Events a second on the model and on the real master, through its router, codec, commit queue and SQL, with all that is kept
//! compared after each.
//!
//! Floor (release, two cores): 2,000 events a second.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a benchmark may panic")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simulator::differential::{
    choices::seeded,
    run::{Wires, run},
};
use slap_model::worlds::everything;

const LENGTH: usize = 120;

fn lists(criterion: &mut Criterion) {
    let world = everything();
    let lists: Vec<_> = (0..20).map(|seed| seeded(&world, seed, LENGTH)).collect();
    let mut group = criterion.benchmark_group("differential");
    group.throughput(Throughput::Elements((lists.len() * LENGTH) as u64));
    group.sample_size(10);
    group.bench_function("events on the model and the real master (floor 2,000 a second)", |bencher| {
        bencher.iter(|| lists.iter().for_each(|list| assert!(run(list, Wires::Xml).difference.is_none())));
    });
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
