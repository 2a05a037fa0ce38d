//! The election of one candidate of one layer, as the design defines it, and
//! every decision that anybody holding a part of the graph could draw from it.
//!
//! A decision is a function of the ancestry of the events it rests on, so the
//! decisions of all observers of all causally closed parts of the graph are
//! those collected here: event by event for the tallies, and for the shortcut
//! over every choice of one first vote for each creator.

use crate::graph::{Graph, Set, bit, elements};

/// Most voting steps that are followed; later ones are not computed.
pub const STEPS_MAX: usize = 10;

/// YES by a tally of strongly seen votes.
pub const YES_BY_TALLY: u8 = 1;
/// NO by a tally of strongly seen votes.
pub const NO_BY_TALLY: u8 = 2;
/// YES by the unanimity shortcut.
pub const YES_BY_SHORTCUT: u8 = 4;
/// NO by the unanimity shortcut.
pub const NO_BY_SHORTCUT: u8 = 8;
/// NO because a second vote closes a layer without knowing the candidate.
pub const NO_BY_CLOSING: u8 = 16;
/// NO because first votes close a layer without knowing the candidate.
pub const NO_BY_EARLY_CLOSING: u8 = 32;
/// Every way to YES.
pub const YES: u8 = YES_BY_TALLY | YES_BY_SHORTCUT;
/// Every way to NO.
pub const NO: u8 = NO_BY_TALLY | NO_BY_SHORTCUT | NO_BY_CLOSING | NO_BY_EARLY_CLOSING;
/// The ways that need first votes alone: the shortcut.
pub const AT_ONCE: u8 = YES_BY_SHORTCUT | NO_BY_SHORTCUT | NO_BY_EARLY_CLOSING;

/// Whose first event of which layer is elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Its layer.
    pub layer: usize,
    /// The event, once it exists.
    pub event: Option<usize>,
}

/// The votes on one candidate, and what they decide.
#[derive(Debug, Clone)]
pub struct Election {
    /// What is voted on.
    pub candidate: Candidate,
    /// `voters[k]` are the V_k events; `voters[0]` stays empty.
    voters: [Set; STEPS_MAX + 1],
    /// Which of them vote YES.
    yes: [Set; STEPS_MAX + 1],
    /// For each event, the steps its line has reached, as bits.
    reached: Vec<u16>,
    /// The decisions that some observer can draw.
    pub verdicts: u8,
}

impl Election {
    /// An election without votes.
    #[must_use]
    pub fn new(layer: usize) -> Self {
        Self {
            candidate: Candidate { layer, event: None },
            voters: [0; STEPS_MAX + 1],
            yes: [0; STEPS_MAX + 1],
            reached: Vec::with_capacity(32),
            verdicts: 0,
        }
    }

    /// Whether two observers can decide differently, with the shortcut or
    /// if nobody takes it.
    #[must_use]
    pub fn is_split(&self, shortcut: bool) -> bool {
        let mask = if shortcut { u8::MAX } else { !AT_ONCE };
        self.verdicts & mask & YES != 0 && self.verdicts & mask & NO != 0
    }

    /// The V_k events.
    #[must_use]
    pub fn voters(&self, step: usize) -> Set {
        self.voters[step]
    }

    /// The V_k events that vote YES.
    #[must_use]
    pub fn yes(&self, step: usize) -> Set {
        self.yes[step]
    }

    /// The steps that the line that ends in this event has reached: bit k for
    /// V_k.
    #[must_use]
    pub fn reached(&self, event: usize) -> u16 {
        self.reached[event]
    }

    /// Takes the newest event of the graph into account. Returns whether its
    /// coin was used, so that a caller can try the other side of it.
    pub fn insert(&mut self, graph: &Graph, x: usize, coin: bool) -> bool {
        let event = graph.event(x);
        let inherited = event.self_parent.map_or(0, |parent| self.reached[parent]);
        let mut reached = inherited;
        let mut coin_used = false;
        if inherited & 0b10 == 0 && event.layer > self.candidate.layer {
            reached |= 0b10;
            self.first_vote(graph, x);
        }
        for step in 2..=STEPS_MAX {
            if inherited & (1 << step) != 0 || self.voters[step - 1] == 0 {
                continue;
            }
            let (seen, yes) = self.strongly_seen(graph, x, step - 1);
            if seen < graph.rules().quorum {
                continue;
            }
            reached |= 1 << step;
            coin_used |= self.vote(graph, x, step, (seen, yes), coin);
        }
        self.reached.push(reached);
        coin_used
    }

    fn first_vote(&mut self, graph: &Graph, x: usize) {
        self.voters[1] |= bit(x);
        if let Some(candidate) = self.candidate.event
            && graph.see(x, candidate)
        {
            self.yes[1] |= bit(x);
        }
        self.decide_at_once(graph);
    }

    /// How many creators' V_k events x strongly sees, and how many say YES.
    /// Should x strongly see twins, both count for one creator with either
    /// vote, which only a lowered threshold allows.
    fn strongly_seen(&self, graph: &Graph, x: usize, step: usize) -> (usize, usize) {
        let mut all = 0;
        let mut yes = 0;
        for voter in elements(self.voters[step] & graph.event(x).past) {
            if graph.strongly_see(x, voter) {
                let creator = bit(graph.event(voter).creator);
                all |= creator;
                if self.yes[step] & bit(voter) != 0 {
                    yes |= creator;
                }
            }
        }
        (all.count_ones() as usize, yes.count_ones() as usize)
    }

    fn vote(
        &mut self,
        graph: &Graph,
        x: usize,
        step: usize,
        (seen, yes): (usize, usize),
        coin: bool,
    ) -> bool {
        let rules = graph.rules();
        let no = seen - yes;
        let mut choice = yes >= no;
        let mut coin_used = false;
        if rules.is_coin_step(step) {
            if yes < rules.tally && no < rules.tally {
                choice = coin;
                coin_used = true;
            }
        } else {
            if yes >= rules.tally {
                self.verdicts |= YES_BY_TALLY;
            }
            if no >= rules.tally {
                self.verdicts |= NO_BY_TALLY;
            }
        }
        self.voters[step] |= bit(x);
        if choice {
            self.yes[step] |= bit(x);
        }
        let knows = |w: usize| graph.event(x).past & bit(w) != 0;
        if step == 2 && !self.candidate.event.is_some_and(knows) {
            self.verdicts |= NO_BY_CLOSING;
        }
        coin_used
    }

    /// The decisions that need nothing but first votes.
    fn decide_at_once(&mut self, graph: &Graph) {
        let rules = graph.rules();
        let creators = |events: Set| graph.creators(events).count_ones() as usize;
        let no = self.voters[1] & !self.yes[1];
        if rules
            .shortcut_yes
            .is_some_and(|known| creators(self.yes[1]) >= known)
        {
            self.verdicts |= YES_BY_SHORTCUT;
        }
        if rules.shortcut_no.is_some_and(|known| creators(no) >= known) {
            self.verdicts |= NO_BY_SHORTCUT;
        }
        if let Some(threshold) = rules.closing {
            let ignorant = elements(self.voters[1])
                .filter(|voter| {
                    self.candidate
                        .event
                        .is_none_or(|w| graph.event(*voter).past & bit(w) == 0)
                })
                .fold(0, |set, voter| set | bit(voter));
            if creators(ignorant) >= threshold {
                self.verdicts |= NO_BY_EARLY_CLOSING;
            }
        }
    }
}
