//! The whole table, and what the simulated core costs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use std::time::Instant;

use bytes::Bytes;
use dctrl_consensus::{Block, OrderRule, Ordering, Profile};
use serde_json::{Value, json};

use super::{LinkKind, Measured, Setup, measure};
use crate::lab::{Experiment, Lab};
use crate::scenario::{MILLISECOND, SECOND};

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What was set up.
    pub setup: Setup,
    /// What came out.
    pub measured: Measured,
}

impl Row {
    /// The line as JSON; delays in message delays.
    #[must_use]
    pub fn json(&self) -> Value {
        let Setup {
            nodes,
            ordering,
            links,
            down,
            loss_per_mille,
        } = self.setup;
        let delays = |thousandths: u64| Value::from(thousandths as f64 / 1000.0);
        json!({
            "nodes": nodes,
            "profile": match ordering.profile {
                Profile::Classic => "classic",
                Profile::Layered => "layered",
            },
            "order": match ordering.order {
                OrderRule::Received => "received",
                OrderRule::Direct => "direct",
            },
            "shortcut": ordering.unanimity,
            "links": links.name(),
            "down": down,
            "loss_per_mille": loss_per_mille,
            "mean_md": delays(self.measured.mean),
            "p50_md": delays(self.measured.p50),
            "p99_md": delays(self.measured.p99),
            "samples": self.measured.samples,
        })
    }
}

/// All rules that differ: the shortcut exists in the layered profile only.
fn all_rules() -> Vec<Ordering> {
    let mut all = Vec::new();
    for (profile, unanimity) in [
        (Profile::Classic, false),
        (Profile::Layered, false),
        (Profile::Layered, true),
    ] {
        for order in [OrderRule::Received, OrderRule::Direct] {
            all.push(Ordering {
                profile,
                order,
                unanimity,
                ..Ordering::STANDARD
            });
        }
    }
    all
}

fn setups(nodes: &[usize]) -> Vec<Setup> {
    let mut setups = Vec::new();
    for &nodes in nodes {
        for ordering in all_rules() {
            for links in LinkKind::ALL {
                for (down, loss_per_mille) in [(0, 0), ((nodes - 1) / 3, 0), (0, 10)] {
                    setups.push(Setup {
                        nodes,
                        ordering,
                        links,
                        down,
                        loss_per_mille,
                    });
                }
            }
        }
    }
    setups
}

/// Measures every line, on so many threads.
///
/// # Panics
/// Where a thread panicked.
#[must_use]
pub fn table(nodes: &[usize], threads: usize) -> Vec<Row> {
    let setups = setups(nodes);
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Memory::Relaxed);
                    let Some(setup) = setups.get(place).copied() else {
                        return;
                    };
                    let row = measure(&setup).map(|measured| Row { setup, measured });
                    let row = row.map(|row| (place, row));
                    rows.lock().expect("no thread panics").extend(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("no thread panicked");
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Links of one millisecond, and nothing to watch but the count.
#[derive(Default)]
struct Counting {
    committed: u64,
}

impl Experiment for Counting {
    fn delay(&mut self, _from: usize, _to: usize, _now: u64) -> Option<u64> {
        Some(MILLISECOND)
    }

    fn executed(&mut self, process: usize, _now: u64, block: &Block) {
        if process == 0 {
            self.committed += block.transactions.len() as u64;
        }
    }
}

/// Actions of 512 bytes that one core simulates in a second, ordered at every
/// node; each counts once. Depends on the machine.
#[must_use]
pub fn actions_per_core_second(nodes: usize, ordering: Ordering) -> u64 {
    let seats: Vec<usize> = (0..nodes).collect();
    let down = vec![false; nodes];
    let mut lab = Lab::new(nodes, &seats, &down, ordering, Counting::default());
    let began = Instant::now();
    let (mut number, mut at) = (0_u64, 0);
    while at < 2 * SECOND {
        at += 50_000 * nodes as u64;
        for seat in 0..nodes {
            let mut bytes = vec![0; 512];
            number += 1;
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            lab.submit(at, seat, Bytes::from(bytes));
        }
        lab.run_until(at);
    }
    lab.run_until(at + SECOND);
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    lab.experiment.committed * 1000 / took.max(1)
}
