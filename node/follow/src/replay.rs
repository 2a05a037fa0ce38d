//! What to ask which node for.
//!
//! Three needs: *catch up* with a node, from where it last claimed that we have
//! everything to its newest height, *fill a gap* in one topic, and the *rosters*
//! after the last known one, of a node that has used one; what it has to say is
//! of no use before. A claim of
//! completeness is one node's word, so it is kept per node; what f+1 nodes
//! claim, an honest one claims.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::position::Position;

/// A replay that is not answered after this is asked of another node.
pub(crate) const REPLAY_TIMEOUT: Duration = Duration::from_secs(2);
/// A node that failed to answer is left alone for this long.
const BACK_OFF: Duration = Duration::from_millis(250);
/// A node that has forgotten what was asked for is asked again after this.
const FORGOTTEN_PAUSE: Duration = Duration::from_secs(1);
/// Catch-ups that run at once; a third one would mostly bring duplicates.
/// More run where so many nodes may lie, or the liars could keep the honest
/// ones from their turn for ever.
const CATCH_UPS_MIN: usize = 2;
/// Gaps that are being filled at once.
const GAPS_MAX: usize = 16;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    CatchUp,
    Gap { topic: String },
    Rosters,
}

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) id: u64,
    pub(crate) node: usize,
    pub(crate) need: Need,
    pub(crate) after: Position,
}

/// The nodes no longer have what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// The height that would come next, or in which a frame is missing.
    pub height: u64,
    /// Where there is something to follow again, behind what is lost: an honest
    /// node keeps what comes after it.
    pub go_on: Position,
    /// As many nodes say so as any two sets of share an honest one (2f+1). One
    /// who follows fewer nodes is told when all of those say it.
    pub by_quorum: bool,
}

#[derive(Debug)]
struct Flight {
    node: usize,
    need: Need,
    after: Position,
    deadline: Instant,
}

#[derive(Debug)]
struct Source {
    /// Everything up to here came, by this node's word.
    covered: Position,
    /// Newest height that it speaks of.
    tip: u64,
    not_before: Instant,
    /// It has once sent everything it had.
    completed: bool,
    /// It keeps no frames of the heights before this one, by its word.
    first: u64,
    /// It has shown certificates of a roster that is not known.
    rosters_wanted: bool,
}

/// Who is asked, and what has been promised.
#[derive(Debug)]
pub(crate) struct Replays {
    sources: Vec<Source>,
    /// This many equal claims include an honest one.
    honest: usize,
    /// This many share an honest one with any others that are as many.
    quorum: usize,
    fault_bound: usize,
    flights: BTreeMap<u64, Flight>,
    next_id: u64,
    turn: usize,
}

impl Replays {
    /// No node has claimed anything beyond `after`. `nodes` are followed of a
    /// roster of so many `members`.
    pub(crate) fn new(nodes: usize, members: usize, after: Position, now: Instant) -> Self {
        let fault_bound = members.saturating_sub(1) / 3;
        let source = || Source {
            covered: after,
            tip: 0,
            not_before: now,
            completed: false,
            first: 0,
            rosters_wanted: false,
        };
        Self {
            sources: (0..nodes).map(|_| source()).collect(),
            honest: (fault_bound + 1).min(nodes),
            quorum: members - fault_bound,
            fault_bound,
            flights: BTreeMap::new(),
            next_id: 1,
            turn: 0,
        }
    }

    /// Everything up to here came, by the word of enough nodes.
    pub(crate) fn agreed(&self) -> Position {
        let mut claims: Vec<Position> = self.sources.iter().map(|node| node.covered).collect();
        claims.sort_unstable_by(|a, b| b.cmp(a));
        claims.get(self.honest - 1).copied().unwrap_or_default()
    }

    /// A node says that it has `height`.
    pub(crate) fn hint(&mut self, node: usize, height: u64) {
        self.sources[node].tip = height;
    }

    /// A node uses a roster that is not known.
    pub(crate) fn want_rosters(&mut self, node: usize) {
        self.sources[node].rosters_wanted = true;
    }

    /// Later rosters are known since a node was asked for them: what it has
    /// shown can be believed now, and is asked for again.
    pub(crate) fn learned_rosters(&mut self, node: usize, now: Instant) {
        self.sources[node].not_before = now;
        self.sources[node].completed = false;
    }

    /// The requests to send now, given the topics with gaps and the last
    /// position of each.
    pub(crate) fn due<'a>(
        &mut self,
        now: Instant,
        gaps: impl Iterator<Item = (&'a str, Position)>,
    ) -> Vec<Ask> {
        let mut asks = self.due_rosters(now);
        for (topic, after) in gaps {
            let need = Need::Gap {
                topic: topic.to_owned(),
            };
            let running = self.flights.values();
            if running.clone().any(|flight| flight.need == need)
                || running
                    .filter(|flight| matches!(flight.need, Need::Gap { .. }))
                    .count()
                    >= GAPS_MAX
            {
                continue;
            }
            if let Some(node) = self.next_node(now) {
                // What is missing may be newer than the topic's last frame.
                let kept = self.sources[node].first.saturating_sub(1);
                let after = after.max(Position::end_of(kept));
                asks.push(self.launch(node, need, after, now));
            }
        }
        let agreed = self.agreed();
        for node in 0..self.sources.len() {
            let source = &self.sources[node];
            let after = source.covered.max(agreed);
            // The start is a reason to ask: nobody knows what was missed.
            let behind = !source.completed || source.tip > after.height;
            let catching = |flight: &&Flight| flight.need == Need::CatchUp;
            let running = self.flights.values().filter(catching);
            if behind
                && source.not_before <= now
                && !self.waits_for_rosters(node)
                && running.clone().all(|flight| flight.node != node)
                && running.count() < self.honest.max(CATCH_UPS_MIN)
            {
                asks.push(self.launch(node, Need::CatchUp, after, now));
            }
        }
        asks
    }

    fn due_rosters(&mut self, now: Instant) -> Vec<Ask> {
        let mut asks = Vec::new();
        for node in 0..self.sources.len() {
            let source = &mut self.sources[node];
            if source.rosters_wanted && source.not_before <= now {
                source.rosters_wanted = false;
                asks.push(self.launch(node, Need::Rosters, Position::default(), now));
            }
        }
        asks
    }

    fn waits_for_rosters(&self, node: usize) -> bool {
        let asked = |flight: &Flight| flight.node == node && flight.need == Need::Rosters;
        self.sources[node].rosters_wanted || self.flights.values().any(asked)
    }

    /// The nodes take turns, so that one that withholds is soon passed over.
    fn next_node(&mut self, now: Instant) -> Option<usize> {
        let count = self.sources.len();
        let start = self.turn;
        let node = (0..count)
            .map(|step| (start + step) % count)
            .find(|node| self.sources[*node].not_before <= now && !self.waits_for_rosters(*node))?;
        self.turn = (node + 1) % count;
        Some(node)
    }

    fn launch(&mut self, node: usize, need: Need, after: Position, now: Instant) -> Ask {
        let id = self.next_id;
        self.next_id += 1;
        self.flights.insert(
            id,
            Flight {
                node,
                need: need.clone(),
                after,
                deadline: now + REPLAY_TIMEOUT,
            },
        );
        Ask {
            id,
            node,
            need,
            after,
        }
    }

    /// Takes the request that a reply of `node` answers, if it is one of ours:
    /// what it was for, and from where on.
    pub(crate) fn answered(&mut self, node: usize, id: u64) -> Option<(Need, Position)> {
        if self.flights.get(&id)?.node != node {
            return None;
        }
        let flight = self.flights.remove(&id)?;
        Some((flight.need, flight.after))
    }

    /// A node says from which height on it keeps frames; true where it cannot
    /// have answered what was asked for from `after` on.
    pub(crate) fn keeps(&mut self, node: usize, first: u64, after: Position, now: Instant) -> bool {
        let source = &mut self.sources[node];
        source.first = first;
        let forgotten = after.next_height() < first;
        if forgotten {
            source.not_before = now + FORGOTTEN_PAUSE;
        }
        forgotten
    }

    /// Whether too many nodes to be believed otherwise have forgotten `height`.
    /// Of what they name the largest are left out, as many as may lie.
    pub(crate) fn forgotten(&self, height: u64) -> Option<Forgotten> {
        let firsts = self.sources.iter().map(|source| source.first);
        let mut firsts: Vec<u64> = firsts.filter(|first| *first > height).collect();
        if firsts.is_empty() || firsts.len() < self.quorum.min(self.sources.len()) {
            return None;
        }
        firsts.sort_unstable();
        let honest = firsts.len().saturating_sub(1 + self.fault_bound);
        Some(Forgotten {
            height,
            go_on: Position::end_of(firsts[honest] - 1),
            by_quorum: firsts.len() >= self.quorum,
        })
    }

    /// Everything up to `to` counts as sent by all nodes.
    pub(crate) fn skip(&mut self, to: Position, now: Instant) {
        for source in &mut self.sources {
            source.covered = source.covered.max(to);
            source.completed = false;
            source.not_before = now;
        }
    }

    /// A node has sent everything up to `position`, and has more; false where
    /// it has not gone on.
    pub(crate) fn went_on(&mut self, node: usize, position: Position) -> bool {
        let source = &mut self.sources[node];
        let goes_on = position > source.covered;
        source.covered = source.covered.max(position);
        goes_on
    }

    /// A node has sent everything up to `position`, and has nothing newer.
    pub(crate) fn completed(&mut self, node: usize, position: Position) {
        let source = &mut self.sources[node];
        source.covered = source.covered.max(position);
        source.tip = source.covered.height;
        source.completed = true;
    }

    /// Nothing is asked for, and nothing needs to be asked for, until a node
    /// says something new.
    pub(crate) fn at_rest(&self) -> bool {
        let agreed = self.agreed();
        self.flights.is_empty()
            && self.sources.iter().all(|source| {
                source.completed
                    && !source.rosters_wanted
                    && source.tip <= source.covered.max(agreed).height
            })
    }

    /// Enough nodes have once sent everything that they had.
    pub(crate) fn caught_up(&self) -> bool {
        let completed = self.sources.iter().filter(|node| node.completed);
        completed.count() >= self.honest
    }

    /// A request failed: the node is left alone for a while.
    pub(crate) fn failed(&mut self, id: u64, node: usize, now: Instant) {
        self.flights.remove(&id);
        self.sources[node].not_before = now + BACK_OFF;
    }

    /// A node answered badly.
    pub(crate) fn distrust(&mut self, node: usize, now: Instant) {
        self.sources[node].not_before = now + BACK_OFF;
    }

    /// Gives up what is overdue; returns how many requests that were.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let overdue: Vec<(u64, usize)> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.deadline <= now)
            .map(|(id, flight)| (*id, flight.node))
            .collect();
        for (id, node) in &overdue {
            self.failed(*id, *node, now);
        }
        overdue.len() as u64
    }
}

#[cfg(test)]
mod tests;
