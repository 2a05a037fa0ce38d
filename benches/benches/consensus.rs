//! One node's consensus work.
//!
//! - `insert-and-decide`: the graph, the election and the order alone, per event
//!   of a graph in lock step, for both profiles and up to 100 nodes. Shows how
//!   the cost grows with the number of nodes.
//! - `core`: all that the engine of a node does (decode, insert, decide, order,
//!   count signatures) per ordered transaction of 512 bytes.
//!
//! `cargo xtask bench core consensus` prints events and transactions a second
//! on one core.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dctrl_benches::{lockstep, recording::Recording};
use dctrl_consensus::{Engine, Event, Limits, OrderRule, Ordering, Profile};

/// Ordered in one measured run of a core.
const TRANSACTIONS: u64 = 1_000;

/// Layers in one measured run of the graph, and before it: by then elections
/// are decided and events ordered as fast as they come.
const LAYERS: u64 = 20;
const WARM_LAYERS: u64 = 12;

fn insert_and_decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("consensus/insert-and-decide");
    group.sample_size(10);
    for (name, profile) in [("layered", Profile::Layered), ("classic", Profile::Classic)] {
        let ordering = Ordering {
            profile,
            order: OrderRule::Received,
            ..Ordering::STANDARD
        };
        for nodes in [4_u16, 7, 16, 31, 64, 100] {
            let events = lockstep::graph(nodes, WARM_LAYERS + LAYERS);
            let (before, measured) = events.split_at(usize::from(nodes) * 12);
            let ready = || (warm(nodes, &ordering, before), measured.to_vec());
            group.throughput(Throughput::Elements(u64::from(nodes) * LAYERS));
            group.bench_function(BenchmarkId::new(name, nodes), |bencher| {
                bencher.iter_batched(
                    ready,
                    |(engine, events)| feed(engine, events),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn warm(nodes: u16, ordering: &Ordering, events: &[Event]) -> Engine {
    let weights = vec![1; usize::from(nodes)];
    let engine = Engine::of(&weights, ordering, &Limits::STANDARD).expect("weights");
    feed(engine, events.to_vec()).0
}

fn feed(mut engine: Engine, events: Vec<Event>) -> (Engine, usize) {
    let mut ordered = 0;
    for event in events {
        ordered += engine.feed(event).expect("valid").events;
    }
    (engine, ordered)
}

fn core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("consensus/core");
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

criterion_group!(benches, insert_and_decide, core);
criterion_main!(benches);
