//! From nothing to all promises green: `slap lab up` with 3, 10 and 100 nodes, as real processes.
//!
//! Floors (release, two cores): 3 nodes in 0.3 s, 10 in 0.8 s, 100 in 5 s. `slap service list` starts and answers in 20 ms.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark starts the program it measures"
)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "criterion's macros; a benchmark may panic"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn slap() -> PathBuf {
    let path = env::var_os("SLAP").map(PathBuf::from).expect("run the benchmarks with `cargo xtask bench`");
    assert!(path.is_file(), "{} does not exist: run the benchmarks with `cargo xtask bench`", path.display());
    path
}

fn run(slap: &Path, arguments: &[&str]) {
    let output = Command::new(slap).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "slap {arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn up(slap: &Path, nodes: u32) -> Duration {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("lab").display().to_string();
    let start = Instant::now();
    run(slap, &["lab", "up", "--quiet", "--dir", &directory, "--nodes", &nodes.to_string()]);
    let took = start.elapsed();
    run(slap, &["lab", "down", "--quiet", "--purge", "--dir", &directory]);
    took
}

fn labs(criterion: &mut Criterion) {
    let slap = slap();
    let mut group = criterion.benchmark_group("lab up");
    group.sample_size(10);
    for (nodes, floor) in [(3, 0.3), (10, 0.8), (100, 5.0)] {
        group.measurement_time(Duration::from_secs_f64(floor * 10.0));
        group.bench_function(format!("{nodes} nodes (floor {floor} s)"), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| up(&slap, nodes)).sum());
        });
    }
    group.finish();
}

fn start_up(criterion: &mut Criterion) {
    let slap = slap();
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("lab").display().to_string();
    run(&slap, &["lab", "up", "--quiet", "--dir", &directory, "--nodes", "1"]);
    let configuration = format!("{directory}/slapos-client.cfg");
    criterion.bench_function("slap service list (floor 20 ms)", |bencher| {
        bencher.iter(|| run(&slap, &["service", "list", "--cfg", &configuration]));
    });
    run(&slap, &["lab", "down", "--quiet", "--purge", "--dir", &directory]);
}

criterion_group!(benches, labs, start_up);
criterion_main!(benches);
