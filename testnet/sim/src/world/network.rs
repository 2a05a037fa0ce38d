//! The network: who reaches whom, and what the links do to a message.

use bytes::Bytes;
use dctrl_consensus::Recipient;

use super::{Happening, World};
use crate::report::Faults;

impl World {
    pub(super) fn send(&mut self, from: usize, to: Recipient, bytes: &Bytes) {
        let me = self.nodes[from].config.me;
        for target in 0..self.nodes.len() {
            let index = self.nodes[target].config.me;
            let meant = match to {
                Recipient::All => index != me,
                Recipient::One(one) => index == one,
            };
            if meant && self.talks(from, target) {
                self.transmit(from, target, bytes);
            }
        }
    }

    /// The twin's first copy talks to the even nodes, the second to the odd ones.
    pub(super) fn talks(&self, from: usize, to: usize) -> bool {
        let copy = self.scenario.nodes;
        let half = |node: usize, other: usize| {
            if node == copy {
                other % 2 == 1
            } else {
                Some(node) != self.scenario.twin || other.is_multiple_of(2)
            }
        };
        half(from, to) && half(to, from)
    }

    pub(super) fn transmit(&mut self, from: usize, to: usize, bytes: &Bytes) {
        let (a, b) = (
            self.nodes[from].config.me.position(),
            self.nodes[to].config.me.position(),
        );
        let healed = self.now >= self.scenario.heal_at;
        let faults: &mut Faults = &mut self.report.faults;
        let apart = |side: u32| (side >> a) & 1 != (side >> b) & 1;
        let cut = self
            .scenario
            .partitions
            .iter()
            .any(|p| (p.from..p.until).contains(&self.now) && apart(p.side));
        if cut {
            faults.cut += 1;
            return;
        }
        if !healed && self.chance.chance(self.scenario.loss_per_mille) {
            faults.lost += 1;
            return;
        }
        let mut copies = 1;
        if !healed && self.chance.chance(self.scenario.duplicate_per_mille) {
            faults.duplicated += 1;
            copies = 2;
        }
        let (shortest, jitter) = self.scenario.delays[a][b];
        for _ in 0..copies {
            let delay = shortest + self.chance.below(jitter + 1);
            let incarnation = self.nodes[to].incarnation;
            let bytes = bytes.clone();
            self.at(
                self.now + delay,
                Happening::Deliver {
                    from,
                    to,
                    incarnation,
                    bytes,
                },
            );
        }
    }
}
