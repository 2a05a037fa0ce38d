//! One node's ledger work: guards, state changes, outputs, audit and digest of
//! one block.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dctrl_benches::workload::Workload;

/// Actions of one block: what a busy second brings.
const ACTIONS: u16 = 100;

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger/apply");
    group.sample_size(20);
    group.throughput(Throughput::Elements(u64::from(ACTIONS)));
    for (name, workload) in [
        ("quotes", Workload::quotes(ACTIONS)),
        ("reports", Workload::reports(ACTIONS)),
    ] {
        let workload = workload.expect("the ledger takes the workload");
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &workload,
            |bencher, workload| bencher.iter(|| workload.apply()),
        );
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
