//! Which missing events to ask whom for, and when.
//!
//! For each creator this keeps how far every peer has come, as far as their
//! messages show it. Where a peer is ahead of the graph, the gap is asked for
//! by range: after a short grace (it may be on its way), first from whoever
//! showed it last, then in turn from all who have it. Memory: n x n counters.

use crate::id::{NodeIndex, Timestamp};
use crate::limits::Pace;

#[derive(Debug, Clone, Copy, Default)]
struct Want {
    /// When to ask; `None` while nothing is missing.
    ask_at: Option<Timestamp>,
    /// How often was asked since there was progress.
    asked: u32,
    /// What was there when last asked, and what there would be if the answer
    /// is full.
    had: u64,
    upto: u64,
    /// Who showed last that there is more.
    shown_by: usize,
}

/// What peers have, and what was asked for.
#[derive(Debug)]
pub(crate) struct Repair {
    /// `peers[p][c]`: how many events of creator c peer p has.
    peers: Vec<Vec<u64>>,
    wants: Vec<Want>,
}

impl Repair {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            peers: vec![vec![0; members]; members],
            wants: vec![Want::default(); members],
        }
    }

    /// The peer showed that it has this many events of the creator.
    pub(crate) fn shown(&mut self, peer: NodeIndex, creator: NodeIndex, count: u64) {
        let known = &mut self.peers[peer.position()][creator.position()];
        if count > *known {
            *known = count;
            self.wants[creator.position()].shown_by = peer.position();
        }
    }

    /// The peer says itself what it has; it may have lost what it had before.
    pub(crate) fn stated(&mut self, peer: NodeIndex, counts: &[u64]) {
        for (creator, &count) in counts.iter().enumerate().take(self.wants.len()) {
            if count > self.peers[peer.position()][creator] {
                self.wants[creator].shown_by = peer.position();
            }
            self.peers[peer.position()][creator] = count;
        }
    }

    /// Whom to ask now for which range of the creator's events, `have` of
    /// which are there; `None` where nothing is to be asked now.
    pub(crate) fn ask(
        &mut self,
        creator: NodeIndex,
        have: u64,
        now: Timestamp,
        pace: &Pace,
        events_max: u64,
    ) -> Option<(NodeIndex, u64, u64)> {
        let column = creator.position();
        let want = &mut self.wants[column];
        let holders = || (0..self.peers.len()).filter(|&peer| self.peers[peer][column] > have);
        if holders().next().is_none() {
            *want = Want {
                shown_by: want.shown_by,
                ..Want::default()
            };
            return None;
        }
        if want.asked > 0 && have > want.had {
            want.asked = 0;
            if have >= want.upto {
                // Answered in full, and there is more: go on at once.
                want.ask_at = Some(now);
            }
        }
        let ask_at = *want.ask_at.get_or_insert(now.after(pace.request_grace));
        if now < ask_at {
            return None;
        }
        let first = want.shown_by;
        let peer = if want.asked == 0 && self.peers[first][column] > have {
            first
        } else {
            let count = holders().count();
            holders().nth(want.asked as usize % count.max(1))?
        };
        let upto = self.peers[peer][column].min(have.saturating_add(events_max));
        // In vain again and again: ask ever more rarely.
        want.ask_at = Some(now.after(pace.request_retry << want.asked.min(4)));
        want.asked = want.asked.saturating_add(1);
        want.had = have;
        want.upto = upto;
        u16::try_from(peer)
            .ok()
            .map(|peer| (NodeIndex(peer), have, upto))
    }

    /// Nothing of this creator is asked for by range any more.
    pub(crate) fn forget(&mut self, creator: NodeIndex) {
        self.wants[creator.position()] = Want::default();
    }

    /// When the next request is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.wants.iter().filter_map(|want| want.ask_at).min()
    }
}
