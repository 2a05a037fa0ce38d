//! How many message delays it takes from an event's creation until its
//! transactions are executed, for links of several kinds.
//!
//! Syncs and computing take no time here, so what is left is the algorithm and
//! the pace of events. A message delay (md) is the mean delay of a link. Absent:
//! the wait in the pool until the next own event, which depends on the load.

mod links;
mod table;

use std::collections::BTreeMap;

use bytes::Bytes;
use dctrl_consensus::{Block, Message, Ordering};

use crate::lab::{Experiment, Lab};
use crate::prng::Prng;
use crate::scenario::MILLISECOND;
pub use links::LinkKind;
pub use table::{Row, actions_per_core_second, table};

/// The mean delay of a link.
pub(crate) const MESSAGE_DELAY: u64 = 20 * MILLISECOND;
/// Virtual time before samples count.
const WARM_UP: u64 = 40 * MESSAGE_DELAY;
/// Virtual time in which samples count.
const MEASURED: u64 = 200 * MESSAGE_DELAY;

/// One setup.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Nodes of the federation.
    pub nodes: usize,
    /// The rules.
    pub ordering: Ordering,
    /// Delays.
    pub links: LinkKind,
    /// Nodes that never start; f at most.
    pub down: usize,
    /// Lost messages, in thousandths.
    pub loss_per_mille: u64,
}

/// What was measured, in thousandths of a message delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Over all transactions and nodes.
    pub mean: u64,
    /// Half take at most this.
    pub p50: u64,
    /// All but one in a hundred take at most this.
    pub p99: u64,
    /// How many there were.
    pub samples: usize,
}

/// Watches when transactions are put into events, and when they are executed.
struct Watch {
    chance: Prng,
    delays: links::Delays,
    loss_per_mille: u64,
    created: BTreeMap<Bytes, u64>,
    samples: Vec<u64>,
}

impl Experiment for Watch {
    fn delay(&mut self, from: usize, to: usize, _now: u64) -> Option<u64> {
        if self.chance.chance(self.loss_per_mille) {
            return None;
        }
        Some(self.delays.draw(from, to, &mut self.chance))
    }

    fn sent(&mut self, process: usize, now: u64, message: &Message) {
        let Message::Events(events) = message else {
            return;
        };
        for event in events {
            if event.header().creator.position() == process {
                for bytes in event.transactions() {
                    self.created.entry(bytes.clone()).or_insert(now);
                }
            }
        }
    }

    fn executed(&mut self, _process: usize, now: u64, block: &Block) {
        for transaction in &block.transactions {
            let created = self.created.get(&transaction.bytes);
            if let Some(created) = created.filter(|created| **created >= WARM_UP) {
                self.samples.push(now - created);
            }
        }
    }
}

/// Runs one setup: every node has something to say in every layer.
#[must_use]
pub fn measure(setup: &Setup) -> Option<Measured> {
    let mut chance = Prng::new(7);
    let watch = Watch {
        delays: setup.links.delays(setup.nodes, &mut chance),
        chance,
        loss_per_mille: setup.loss_per_mille,
        created: BTreeMap::new(),
        samples: Vec::new(),
    };
    let seats: Vec<usize> = (0..setup.nodes).collect();
    let up = setup.nodes - setup.down;
    let down: Vec<bool> = seats.iter().map(|seat| *seat >= up).collect();
    let mut lab = Lab::new(setup.nodes, &seats, &down, setup.ordering, watch);
    let mut load = Prng::new(11);
    for seat in 0..up {
        let mut at = 0;
        while at < WARM_UP + MEASURED {
            at += load.between(1, MESSAGE_DELAY);
            lab.submit(at, seat, Bytes::from(format!("{at} at {seat}")));
        }
    }
    lab.run_until(WARM_UP + MEASURED + 50 * MESSAGE_DELAY);
    summary(lab.experiment.samples)
}

fn summary(mut samples: Vec<u64>) -> Option<Measured> {
    samples.sort_unstable();
    let last = samples.len().checked_sub(1)?;
    let thousandths = |time: u64| time * 1000 / MESSAGE_DELAY;
    let sum: u64 = samples.iter().sum();
    Some(Measured {
        mean: thousandths(sum / samples.len() as u64),
        p50: thousandths(samples[last / 2]),
        p99: thousandths(samples[last * 99 / 100]),
        samples: samples.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_consensus::{OrderRule, Profile};

    fn with(order: OrderRule, unanimity: bool) -> Measured {
        let ordering = Ordering {
            profile: Profile::Layered,
            order,
            unanimity,
            ..Ordering::STANDARD
        };
        let setup = Setup {
            nodes: 4,
            ordering,
            links: LinkKind::Constant,
            down: 0,
            loss_per_mille: 0,
        };
        measure(&setup).expect("something was committed")
    }

    #[test]
    fn layers_take_four_delays_and_three_and_the_shortcut_saves_one() {
        for (order, delays) in [(OrderRule::Received, 4), (OrderRule::Direct, 3)] {
            for (unanimity, delays) in [(false, delays), (true, delays - 1)] {
                let measured = with(order, unanimity);
                let middle = delays * 1000;
                let near = middle - 100..middle + 100;
                assert!(
                    near.contains(&measured.p50),
                    "{order:?} {unanimity}: {measured:?}"
                );
            }
        }
    }
}
