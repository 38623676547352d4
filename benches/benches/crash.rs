//! Crashes and recoveries a second: the real master on a disk that loses what was not synced, four clients that write, and all that a
//! recovered database must hold judged after each.
//!
//! Floor (release, one core): 500 cycles a second.
#![allow(missing_docs, reason = "criterion's macros; a benchmark may panic")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use simulator::crash::{Plan, run};

/// That of the simulator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const CYCLES: u32 = 300;

fn plan(seed: u64, has_failures: bool) -> Plan {
    Plan { seed, cycles: CYCLES, clients: 4, has_failures, disk_lies: false }
}

fn cycles(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crash");
    group.sample_size(10);
    for (name, has_failures) in [("crashes", false), ("crashes and failures", true)] {
        // Those within a recovery count as well: another recovery follows them.
        let seen = run(&plan(1, has_failures));
        group.throughput(Throughput::Elements((seen.kills + seen.power_losses).into()));
        group.bench_function(format!("{name}, each with its recovery (floor 500 a second)"), |bencher| {
            let mut seed = 0;
            bencher.iter(|| {
                seed += 1;
                let outcomes = run(&plan(seed, has_failures));
                assert!(outcomes.violations.is_empty(), "seed {seed}: {}", outcomes.violations.join("\n"));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cycles);
criterion_main!(benches);
