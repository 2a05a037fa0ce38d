//! Honest nodes never sign two events for one place, and whoever does is
//! proven to soon.

use std::collections::BTreeMap;

use dctrl_consensus::Digest;
use dctrl_consensus::event::Event;

use crate::engine::Seat;

/// Rounds within which a fork that two honest nodes built on must be proven.
const ROUNDS_TO_EVIDENCE: u64 = 2;

/// A fork that honest nodes have taken into their graphs.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The highest round of any node when the second event was taken.
    round: u64,
}

/// What was signed, and what was seen of it.
#[derive(Debug, Default)]
pub(crate) struct Forks {
    /// Events of honest nodes: what each has ever sent.
    sent: BTreeMap<(Seat, u64), Digest>,
    /// Events of liars in the graphs of honest nodes.
    taken: BTreeMap<(Seat, u64), Digest>,
    seen: BTreeMap<Seat, Seen>,
}

impl Forks {
    /// An honest node sends an event of its own.
    pub(crate) fn sent(&mut self, seat: Seat, event: &Event) -> Result<(), String> {
        let seq = event.header().seq;
        let first = *self.sent.entry((seat, seq)).or_insert(event.id());
        if first == event.id() {
            Ok(())
        } else {
            Err(format!("honest node {seat} forked at its event {seq}"))
        }
    }

    /// An honest node took a liar's event into its graph; rounds are at `round`.
    pub(crate) fn taken(&mut self, liar: Seat, event: &Event, round: u64) {
        let seq = event.header().seq;
        let first = *self.taken.entry((liar, seq)).or_insert(event.id());
        if first != event.id() {
            self.seen.entry(liar).or_insert(Seen { round });
        }
    }

    /// The network was healed at a time when rounds were at `round`: only from
    /// here on nodes can tell each other.
    pub(crate) fn healed(&mut self, round: u64) {
        for seen in self.seen.values_mut() {
            seen.round = seen.round.max(round);
        }
    }

    /// Whom a node that has come to this round must have proven to fork.
    pub(crate) fn due(&self, round: u64) -> impl Iterator<Item = Seat> + '_ {
        let due = move |seen: &Seen| round > seen.round + ROUNDS_TO_EVIDENCE;
        self.seen.iter().filter(move |(_, seen)| due(seen)).map(|(liar, _)| *liar)
    }
}
