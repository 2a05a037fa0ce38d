//! The concrete graph behind a state of the layer model, the election on it,
//! and the moves that the scheduler and the liar have there.
//!
//! Creators 0, 1 and 2 are honest, creator 3 may lie. A *line* is a chain of
//! events of one creator: lines 0 to 2 are the honest ones, lines 3 and 4 the
//! two branches of the liar.

use crate::{
    election::Election,
    graph::{Graph, Set, bit, elements},
    rules::Rules,
};

/// How many creators never lie.
pub const HONEST: usize = 3;
/// The creator that may lie.
pub const LIAR: usize = 3;
/// Three honest lines and two branches of the liar.
pub const LINES: usize = 5;

/// Whose event is elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Electee {
    /// That of an honest creator; by symmetry the first one.
    Honest,
    /// That of the liar's first branch.
    Liar,
}

impl Electee {
    /// The line on which the candidate stands.
    #[must_use]
    pub fn line(self) -> usize {
        match self {
            Self::Honest => 0,
            Self::Liar => LIAR,
        }
    }
}

/// Which graphs are explored: layer by layer, in each layer at most one event
/// of each line, with parents of lower layers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Family {
    /// Layers from 0 on.
    pub layers: usize,
    /// How many layers below its own an event's other-parents may be.
    pub lag: usize,
    /// How many layers in a row a line may leave out. A branch of the liar
    /// that leaves out more has stopped for good.
    pub pause: usize,
    /// Whether the liar may make twins.
    pub twins: bool,
    /// Whose event is elected.
    pub electee: Electee,
    /// The layer of the candidate.
    pub candidate_layer: usize,
}

/// One event more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Move {
    /// The line that grows.
    pub line: u8,
    /// The event below it.
    pub self_parent: Option<u8>,
    /// Its other-parents.
    pub others: Set,
    /// Its coin; it varies only where it is used.
    pub coin: bool,
}

/// A graph and the votes on it.
#[derive(Debug, Clone)]
pub struct World {
    /// The events.
    pub graph: Graph,
    /// The votes.
    pub election: Election,
    /// The last event of each line.
    pub tips: [Option<usize>; LINES],
    /// The events whose coin says yes.
    heads: Set,
    electee: Electee,
}

impl World {
    /// The world after these moves.
    #[must_use]
    pub fn replay(rules: Rules, family: &Family, moves: &[Move]) -> Self {
        let mut world = Self {
            graph: Graph::new(rules),
            election: Election::new(family.candidate_layer),
            tips: [None; LINES],
            heads: 0,
            electee: family.electee,
        };
        for step in moves {
            world.make(step);
        }
        world
    }

    /// Makes one event. Returns whether its coin was used.
    pub fn make(&mut self, step: &Move) -> bool {
        let line = usize::from(step.line);
        let below = step.self_parent.map(usize::from);
        let x = self.graph.push(line.min(LIAR), below, step.others);
        self.tips[line] = Some(x);
        if step.coin {
            self.heads |= bit(x);
        }
        if self.election.candidate.event.is_none()
            && line == self.electee.line()
            && self.graph.event(x).layer == self.election.candidate.layer
        {
            self.election.candidate.event = Some(x);
        }
        self.election.insert(&self.graph, x, step.coin)
    }

    /// The coin of each event.
    #[must_use]
    pub fn coins(&self) -> Vec<bool> {
        let events = 0..self.graph.events().len();
        events.map(|event| self.heads & bit(event) != 0).collect()
    }

    /// Whether the line can still grow.
    #[must_use]
    pub fn is_live(&self, family: &Family, line: usize) -> bool {
        self.tips[line]
            .is_some_and(|tip| self.graph.event(tip).layer + family.pause >= self.graph.top_layer())
    }

    /// The event on which a line would grow: its tip, or where the liar's
    /// second branch has not begun, the tip of the first.
    fn base(&self, family: &Family, line: usize) -> Option<usize> {
        match self.tips[line] {
            Some(tip) if self.is_live(family, line) => Some(tip),
            None if family.twins && self.is_live(family, LIAR) => self.tips[LIAR],
            _ => None,
        }
    }

    /// Every event that a line could make in the next layer, each set of known
    /// events once.
    #[must_use]
    pub fn moves(&self, family: &Family, line: usize) -> Vec<Move> {
        let next = self.graph.top_layer() + 1;
        let mut pasts: Vec<Set> = Vec::new();
        let mut moves = Vec::new();
        let Some(base) = self.base(family, line) else {
            return moves;
        };
        for others in self.choices(family, line.min(LIAR), base) {
            let (layer, past) = self.graph.layer_over(line.min(LIAR), Some(base), others);
            if layer == next && !pasts.contains(&past) {
                pasts.push(past);
                moves.push(Move {
                    line: u8::try_from(line).unwrap_or(u8::MAX),
                    self_parent: u8::try_from(base).ok(),
                    others,
                    coin: false,
                });
            }
        }
        moves
    }

    /// Whether a line may be without an event in the next layer.
    #[must_use]
    pub fn may_pause(&self, family: &Family, line: usize) -> bool {
        let behind = |tip: usize| self.graph.top_layer() + 1 - self.graph.event(tip).layer;
        line >= HONEST || self.tips[line].is_some_and(|tip| behind(tip) <= family.pause)
    }

    /// The sets of other-parents: of every other creator none, or one of its
    /// events that are recent enough and new to the line.
    fn choices(&self, family: &Family, creator: usize, base: usize) -> Vec<Set> {
        let known = self.graph.event(base).past;
        let lowest = (self.graph.top_layer() + 1).saturating_sub(family.lag);
        let mut choices = vec![0];
        for other in (0..=LIAR).filter(|other| *other != creator) {
            let fresh = self.graph.of_creator(other) & !known;
            let recent = elements(fresh).filter(|e| self.graph.event(*e).layer >= lowest);
            let one: Vec<Set> = recent.map(bit).collect();
            let longer: Vec<Set> = choices
                .iter()
                .flat_map(|choice| one.iter().map(move |event| choice | event))
                .collect();
            choices.extend(longer);
        }
        choices
    }
}

/// The first events: three honest ones and so many of the liar, 0, 1 or 2.
#[must_use]
pub fn beginning(liars: usize) -> Vec<Move> {
    (0..HONEST + liars)
        .map(|line| Move {
            line: u8::try_from(line).unwrap_or(u8::MAX),
            self_parent: None,
            others: 0,
            coin: false,
        })
        .collect()
}
