//! One node's consensus work: decode, insert, decide, order.
//!
//! The unit is one ordered transaction of 512 bytes; `cargo xtask bench core`
//! prints transactions a second on one core for federations of 4, 7 and 16.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dctrl_benches::recording::Recording;

/// Ordered in one measured run.
const TRANSACTIONS: u64 = 1_000;

fn insert_and_decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("consensus/insert-and-decide");
    group.sample_size(10);
    for nodes in [4_u16, 7, 16] {
        let recording = Recording::make(nodes, TRANSACTIONS).expect("a federation without faults");
        group.throughput(Throughput::Elements(recording.transactions));
        group.bench_with_input(
            BenchmarkId::from_parameter(format!("{nodes}-nodes")),
            &recording,
            |bencher, recording| bencher.iter(|| recording.replay().expect("decodes")),
        );
    }
    group.finish();
}

criterion_group!(benches, insert_and_decide);
criterion_main!(benches);
