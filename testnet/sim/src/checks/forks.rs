//! Honest nodes never sign two events for one place, and whoever does is
//! proven to soon.

use std::collections::{BTreeMap, BTreeSet};

use dctrl_consensus::Digest;
use dctrl_consensus::event::Event;

use crate::engine::Seat;

/// Layers within which a fork that two nodes hold must be proven, counted on
/// the own events of both: two rounds of two layers each, and one layer on
/// either end.
const LAYERS_TO_EVIDENCE: u64 = 6;

/// A liar's event in the graph of a sound node, at a place in the liar's chain.
#[derive(Debug, Clone, Copy)]
struct Taken {
    by: Seat,
    id: Digest,
    /// The layer of the taker's last own event when it was taken.
    layer: u64,
}

/// What was signed, and what was seen of it.
#[derive(Debug, Default)]
pub(crate) struct Forks {
    /// Events of honest nodes by epoch and sequence number: what each has ever
    /// sent.
    sent: BTreeMap<(Seat, u64, u64), Digest>,
    /// Events of liars by liar and sequence number.
    taken: BTreeMap<(Seat, u64), Vec<Taken>>,
}

impl Forks {
    /// An honest node sends an event of its own.
    pub(crate) fn sent(&mut self, seat: Seat, event: &Event) -> Result<(), String> {
        let seq = event.header().seq;
        let first = *self
            .sent
            .entry((seat, event.header().epoch, seq))
            .or_insert(event.id());
        if first == event.id() {
            Ok(())
        } else {
            Err(format!("honest node {seat} forked at its event {seq}"))
        }
    }

    /// A sound node whose own events are at `layer` took a liar's event of the
    /// first epoch into its graph, in which an index is a seat.
    pub(crate) fn taken(&mut self, by: Seat, event: &Event, layer: u64) {
        let (liar, seq, id) = (
            event.header().creator.position(),
            event.header().seq,
            event.id(),
        );
        let taken = self.taken.entry((liar, seq)).or_default();
        if !taken.iter().any(|one| one.by == by && one.id == id) {
            taken.push(Taken { by, id, layer });
        }
    }

    /// A node came back; what it holds is told anew.
    pub(crate) fn restarted(&mut self, seat: Seat) {
        self.taken
            .values_mut()
            .for_each(|taken| taken.retain(|one| one.by != seat));
    }

    /// Who must have been proven to fork by now, where the nodes' own events
    /// were at the layers `healed` when the network became whole, and are at
    /// the layers `now`.
    pub(crate) fn due(&self, healed: &[u64], now: &[u64]) -> BTreeSet<Seat> {
        let due = |taken: &Vec<Taken>| {
            let mut told = taken
                .iter()
                .filter(|one| now[one.by] > one.layer.max(healed[one.by]) + LAYERS_TO_EVIDENCE);
            let first = told.next();
            told.any(|one| Some(one.id) != first.map(|first| first.id))
        };
        let due = self.taken.iter().filter(|(_, taken)| due(taken));
        due.map(|((liar, _), _)| *liar).collect()
    }
}
