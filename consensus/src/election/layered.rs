//! The layered profile: one election per layer.
//!
//! An event's layer is in the graph (`Vertex::layer`). With W the weight of all
//! nodes, F the most that may lie and Q a quorum:
//! - The candidates of layer L are the first events of their chains in layer L,
//!   of creators with weight; a chain that jumps over L has none.
//! - V1, a voter of the first step: a chain's first event of layer L+1 or above.
//! - V(k+1): a chain's first event, not before its V(k), that strongly sees V(k)
//!   of a quorum of creators.
//! - The votes are those of `ballot`, with a coin in each `coin_frequency`-th
//!   step. So the proof of the hashgraph carries over: only that strongly seen
//!   voters are fork-free and that two quorums meet in an honest node is used.
//! - L is closed when all its known candidates are decided and no unknown one
//!   can be elected: a V2 is known, or the shortcut says so.
//!
//! The shortcut, where `unanimity` is on: known V1 of all creators but weight u
//! say the same about a candidate. Every V2 anywhere counts V1 of weight s >= Q,
//! at most F + u of which say otherwise: u by what is not known or says so, and
//! F by the twins of liars. Yes stands if 2(F + u) <= Q, for a tie is yes, and
//! no if 2(F + u) < Q: every V2 votes so, and hence every later voter. No
//! candidate that is unknown here is below those V1: that is the case of all no.
//!
//! A creator with twins counts for all that they say. So what is known can only
//! grow, and nodes that know the same decide the same, in whatever order it
//! came. That yes and no both stand would take liars of more weight than F.

use std::collections::VecDeque;

use super::ballot::{Ballot, Count, Enough};
use super::firsts::{Firsts, Scratch};
use crate::dag::{Dag, Slot};
use crate::id::NodeIndex;
use crate::node_set::NodeSet;
use crate::ordering::Ordering;
use crate::tally::Tally;

/// The elections of all open layers.
#[derive(Debug)]
pub(super) struct Layered {
    coin_frequency: usize,
    unanimity: bool,
    /// The layer of `open[0]`: all below are handed out.
    first_open: u64,
    open: VecDeque<Layer>,
    scratch: Scratch,
    tally: Tally,
    seen: Vec<(usize, u32)>,
}

/// The election of one layer.
#[derive(Debug)]
struct Layer {
    ballot: Ballot,
    /// V1, V2, and so on; the i-th member's votes are the ballot's i-th.
    steps: Vec<Firsts>,
    /// The first event that can be in `reached`.
    base: Slot,
    /// Per event, the highest k such that it or a self-ancestor is V(k).
    reached: Vec<u16>,
    closed: bool,
}

impl Layered {
    pub(super) fn new(ordering: &Ordering) -> Self {
        Self {
            coin_frequency: ordering.coin_frequency as usize,
            unanimity: ordering.unanimity,
            first_open: 0,
            open: VecDeque::new(),
            scratch: Scratch::default(),
            tally: Tally::default(),
            seen: Vec::new(),
        }
    }

    pub(super) fn first_open(&self) -> u64 {
        self.first_open
    }

    /// Takes the event inserted last: a candidate, a voter, or neither.
    pub(super) fn insert(&mut self, dag: &Dag, slot: Slot) {
        let vertex = dag.vertex(slot);
        let layer = vertex.layer;
        let before = vertex.self_parent.map(|parent| dag.vertex(parent).layer);
        for index in 0..self.open.len() as u64 {
            let below = self.first_open + index;
            if below >= layer {
                break;
            }
            if !self.open[index as usize].closed {
                let first_vote = before.is_none_or(|before| before <= below);
                self.take_voter(dag, slot, index as usize, first_vote);
            }
        }
        let Some(index) = layer.checked_sub(self.first_open) else {
            return;
        };
        while self.open.len() as u64 <= index {
            self.open.push_back(Layer::new(slot));
        }
        let open = &mut self.open[index as usize];
        if before != Some(layer) && !open.closed && dag.weights().one(vertex.creator()) > 0 {
            open.ballot.nominate(slot);
            open.settle(dag, self.unanimity, &mut self.tally);
        }
    }

    /// Lets the event vote on one layer, in all the steps that it reaches.
    fn take_voter(&mut self, dag: &Dag, slot: Slot, index: usize, first_vote: bool) {
        let layer = &mut self.open[index];
        layer.steps.iter_mut().for_each(|step| step.note(dag, slot));
        let before = dag.vertex(slot).self_parent;
        let mut reached = before.map_or(0, |parent| layer.reached(parent));
        if first_vote {
            reached = 1;
            layer.ballot.first_vote(dag, slot);
            layer.admit(dag, slot, reached);
        }
        // Ends: each step needs voters of the one before, of a quorum; a node
        // alone, which needs nobody, decides all in the second step.
        while !layer.ballot.complete() && layer.sees_step(dag, slot, reached, &mut self.scratch) {
            let voters = &layer.steps[reached - 1];
            let weigh = |&position: &usize| (position, dag.weights().one(voters.creator(position)));
            self.seen.clear();
            self.seen.extend(self.scratch.seen.iter().map(weigh));
            reached += 1;
            let coin = dag.vertex(slot).event.header().coin & 1 == 1;
            let count = Count {
                step: reached,
                seen: &self.seen,
                coin: reached.is_multiple_of(self.coin_frequency).then_some(coin),
            };
            let ballot = &mut layer.ballot;
            ballot.later_vote(&count, dag.weights(), &mut self.tally);
            layer.admit(dag, slot, reached);
        }
        layer.set_reached(slot, reached);
        layer.settle(dag, self.unanimity && first_vote, &mut self.tally);
    }

    /// The next layer in order that is closed, with its judges.
    pub(super) fn next_done(&mut self, dag: &Dag) -> Option<(u64, Ballot, Vec<Slot>)> {
        if !self.open.front()?.closed {
            return None;
        }
        let layer = self.open.pop_front()?;
        self.first_open += 1;
        let judges = layer.ballot.judges(dag);
        Some((self.first_open - 1, layer.ballot, judges))
    }

    /// The verdict on a candidate. One that came when its layer was closed is
    /// not elected.
    pub(super) fn verdict(&self, layer: u64, slot: Slot) -> Option<bool> {
        let Some(index) = layer.checked_sub(self.first_open) else {
            return Some(false);
        };
        let open = self.open.get(usize::try_from(index).ok()?)?;
        open.ballot.verdict(slot).or(open.closed.then_some(false))
    }
}

impl Layer {
    fn new(base: Slot) -> Self {
        Self {
            ballot: Ballot::default(),
            steps: Vec::new(),
            base,
            reached: Vec::new(),
            closed: false,
        }
    }

    fn reached(&self, slot: Slot) -> usize {
        let offset = slot.checked_sub(self.base);
        offset
            .and_then(|offset| self.reached.get(offset as usize))
            .map_or(0, |&step| usize::from(step))
    }

    fn set_reached(&mut self, slot: Slot, step: usize) {
        let offset = (slot - self.base) as usize;
        self.reached.resize(offset + 1, 0);
        self.reached[offset] = u16::try_from(step).unwrap_or(u16::MAX);
    }

    /// Whether the event strongly sees the voters of a quorum in this step.
    fn sees_step(&self, dag: &Dag, slot: Slot, step: usize, scratch: &mut Scratch) -> bool {
        let voters = step.checked_sub(1).and_then(|index| self.steps.get(index));
        voters.is_some_and(|voters| voters.strongly_seen(dag, dag.weights(), slot, scratch))
    }

    /// Makes the event, whose vote is cast, a voter of the step.
    fn admit(&mut self, dag: &Dag, slot: Slot, step: usize) {
        if self.steps.len() < step {
            self.steps.push(Firsts::new(dag.members(), slot));
        }
        self.steps[step - 1].admit(dag, slot);
    }

    /// Decides what the first votes show, where that counts, and closes the
    /// layer if nothing is left to be decided.
    fn settle(&mut self, dag: &Dag, unanimity: bool, tally: &mut Tally) {
        let unknown_is_no = unanimity && self.shortcut(dag, tally);
        if self.ballot.complete() || unknown_is_no && self.ballot.all_decided() {
            self.ballot.close();
            (self.steps, self.reached) = (Vec::new(), Vec::new());
            self.closed = true;
        }
    }

    /// Decides what enough first votes say; true where they are enough to say
    /// no about a candidate that is unknown here, which none of them knows.
    fn shortcut(&mut self, dag: &Dag, tally: &mut Tally) -> bool {
        let Some(voters) = self.steps.first() else {
            return false;
        };
        let weights = dag.weights();
        // 2(F + u) <= Q with u = W - least, and < Q for a no.
        let doubled = 2 * (weights.total() + weights.fault_bound()) - weights.quorum();
        let enough = Enough {
            yes: doubled.div_ceil(2),
            no: doubled / 2 + 1,
        };
        let creators: Vec<NodeIndex> = (0..voters.len())
            .map(|position| voters.creator(position))
            .collect();
        let heard = creators.iter().fold(NodeSet::default(), |mut set, &node| {
            set.insert(node);
            set
        });
        let heard = weights.set(heard);
        if heard >= enough.yes {
            self.ballot.agree(&creators, weights, &enough, tally);
        }
        heard >= enough.no
    }
}
