//! What must hold in the whole world, by the numbers of the safety list:
//!
//! - I1, I3: one order and one state at all nodes (`agreement`);
//! - I2: nothing acknowledged as final is lost (`agreement`, and the end);
//! - I4: at most one pulse for an order (`pulses`);
//! - I5 to I7: what leaves the wallet (`spends`);
//! - I8: nothing is accepted from whom was suspended (`books`);
//! - I9: no honest node forks (the consensus checker `Forks`);
//! - I10: what waits stays within bounds (`bounds`);
//! - I11: all comes right behind the healing (the end);
//! - I12: the log leads to the state, and the ledger's own audit holds (the end);
//! - I13: money and stock are conserved after every block (`books`), and the
//!   ledger believes of payments what the chain holds (the end).
//!
mod agreement;
mod books;
mod bounds;
mod pulses;
mod spends;

use std::collections::{BTreeMap, VecDeque};

use dctrl_consensus::{BlockHeader, Digest};
use dctrl_ledger::ChangeSet;

use super::seen::Seen;
use crate::checks::Forks;
use agreement::Agreement;
use books::Books;
use bounds::Layers;
pub(super) use bounds::check_bounds;
use pulses::Pulses;

/// Certificates that are remembered as proven.
const PROVEN_MAX: usize = 4096;

/// All that is watched.
pub(super) struct Checks {
    pub(super) agreement: Agreement,
    pub(super) books: Books,
    pub(super) pulses: Pulses,
    pub(super) forks: Forks,
    layers: Layers,
    /// Certificates that hold, by the digest of their bytes.
    pub(super) proven: BTreeMap<Digest, BlockHeader>,
    order: VecDeque<Digest>,
}

impl Checks {
    pub(super) fn new(founded: &ChangeSet, nodes: usize) -> Self {
        Self {
            agreement: Agreement::new(nodes),
            books: Books::new(founded),
            pulses: Pulses::default(),
            forks: Forks::default(),
            layers: Layers::default(),
            proven: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// A certificate holds.
    pub(super) fn prove(&mut self, fact: Digest, header: &BlockHeader) {
        if self.order.len() >= PROVEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.proven.remove(&oldest);
        }
        self.proven.insert(fact, header.clone());
        self.order.push_back(fact);
    }

    /// What the ledger says of a vend, against what the machine did: dispensed
    /// only where the line was pulsed.
    pub(super) fn outcomes(&mut self, _: &Seen) -> Vec<String> {
        let mut found = Vec::new();
        for vend in self.books.newly_dispensed() {
            let place = (vend.incarnation, vend.sequence);
            if !self.pulses.was_given(&vend.machine_id, place.0, place.1) {
                let id = &vend.id;
                found.push(format!("vend {id} is dispensed without a pulse"));
            }
        }
        found
    }
}
