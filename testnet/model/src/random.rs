//! Random graphs far beyond what can be enumerated: any parents, late and
//! early ones, several branches of several liars, more layers.
//!
//! A graph has a hostile part, in which the scheduler and the liars do what
//! the seed says, and a fair part, in which the honest nodes hear each other
//! in every layer: after it every layer of the hostile part must be closed.

use crate::{
    graph::{EVENTS_MAX, Graph, Set, bit, elements},
    prng::Prng,
    rules::Rules,
};

/// Layers of the fair part: what an election that the hostile part left
/// undecided, even one whose voters appear only then, needs to end.
pub const FAIR_LAYERS: usize = 12;

/// Most branches of one liar.
const BRANCHES_MAX: usize = 4;
/// Most events of one line in one layer, as the design allows.
const LAYER_EVENTS_MAX: usize = 8;

/// A random graph, and what is needed to judge it.
#[derive(Debug)]
pub struct Sample {
    /// The events.
    pub graph: Graph,
    /// Each event's coin.
    pub coins: Vec<bool>,
    /// Creators from here on lie.
    pub liars_from: usize,
    /// The number of events of the hostile part.
    pub hostile: usize,
}

/// The habits of scheduler and liars in one graph, in percent.
struct Habits {
    /// How often a parent is the newest event of its creator.
    newest: usize,
    /// How often a creator's events are left out as a parent.
    deaf: usize,
    /// How often it is a liar's turn.
    liar: usize,
    /// How often a liar begins a branch.
    fork: usize,
    /// How often an honest node makes a second event in a layer.
    again: usize,
}

/// Makes the graph of a seed.
#[must_use]
pub fn sample(rules: Rules, seed: u64) -> Sample {
    let mut prng = Prng::new(seed);
    let liars_from = rules.nodes - rules.faulty();
    let habits = Habits {
        newest: 20 + prng.below(80),
        deaf: prng.below(60),
        liar: 10 + prng.below(40),
        fork: prng.below(40),
        again: prng.below(4),
    };
    let mut sample = Sample {
        graph: Graph::new(rules),
        coins: Vec::new(),
        liars_from,
        hostile: 0,
    };
    let fair = FAIR_LAYERS * liars_from;
    let events = 30 + prng.below((EVENTS_MAX - fair).min(34 + 8 * rules.nodes) - 30);
    for _ in 0..20 * events {
        if sample.graph.events().len() >= events {
            break;
        }
        sample.hostile_event(&mut prng, &habits);
    }
    sample.hostile = sample.graph.events().len();
    sample.fair_part(&mut prng);
    sample
}

impl Sample {
    fn push(&mut self, prng: &mut Prng, creator: usize, base: Option<usize>, others: Set) {
        self.graph.push(creator, base, others);
        self.coins.push(prng.percent(50));
    }

    /// The ends of a creator's lines.
    fn tips(&self, creator: usize) -> Vec<usize> {
        let own = self.graph.of_creator(creator);
        let below = elements(own).fold(0, |set, event| {
            set | self.graph.event(event).line & !bit(event)
        });
        elements(own & !below).collect()
    }

    fn hostile_event(&mut self, prng: &mut Prng, habits: &Habits) {
        let nodes = self.graph.rules().nodes;
        let lies = self.liars_from < nodes && prng.percent(habits.liar);
        let creator = if lies {
            self.liars_from + prng.below(nodes - self.liars_from)
        } else {
            prng.below(self.liars_from)
        };
        let tips = self.tips(creator);
        let base = if tips.is_empty() {
            None
        } else if lies && tips.len() < BRANCHES_MAX && prng.percent(habits.fork) {
            let own: Vec<usize> = elements(self.graph.of_creator(creator)).collect();
            let event = own[prng.below(own.len())];
            self.graph.event(event).self_parent
        } else {
            Some(tips[prng.below(tips.len())])
        };
        let others = self.other_parents(prng, habits, creator, base);
        let (layer, _) = self.graph.layer_over(creator, base, others);
        if base.is_none() && others != 0 && !lies {
            return;
        }
        if self.is_due(prng, habits, base, layer, lies) {
            self.push(prng, creator, base, others);
        }
    }

    /// Honest nodes make one event for each layer, rarely a second one; liars
    /// as many as the spam bound allows.
    fn is_due(
        &self,
        prng: &mut Prng,
        habits: &Habits,
        base: Option<usize>,
        layer: usize,
        lies: bool,
    ) -> bool {
        let Some(base) = base else {
            return true;
        };
        if self.graph.event(base).layer < layer {
            return true;
        }
        let same = self.graph.event(base).line & self.graph.of_layer(layer);
        let few = (same.count_ones() as usize) < LAYER_EVENTS_MAX;
        few && prng.percent(if lies { 15 } else { habits.again })
    }

    fn other_parents(
        &self,
        prng: &mut Prng,
        habits: &Habits,
        creator: usize,
        base: Option<usize>,
    ) -> Set {
        let known = base.map_or(0, |base| self.graph.event(base).past);
        let mut others = 0;
        for other in (0..self.graph.rules().nodes).filter(|other| *other != creator) {
            let fresh: Vec<usize> = elements(self.graph.of_creator(other) & !known).collect();
            let Some(newest) = fresh.last() else {
                continue;
            };
            if prng.percent(habits.deaf) {
                continue;
            }
            others |= bit(if prng.percent(habits.newest) {
                *newest
            } else {
                fresh[prng.below(fresh.len())]
            });
        }
        others
    }

    /// The honest nodes hear each other's newest events in each layer, after
    /// one round in which all catch up with whoever is ahead.
    fn fair_part(&mut self, prng: &mut Prng) {
        for _ in 0..FAIR_LAYERS {
            let tips: Vec<Vec<usize>> = (0..self.liars_from)
                .map(|honest| self.tips(honest))
                .collect();
            for honest in 0..self.liars_from {
                let base = tips[honest].first().copied();
                let others = tips
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != honest)
                    .flat_map(|(_, tips)| tips.first())
                    .fold(0, |set, tip| set | bit(*tip));
                let known = base.map_or(0, |base| self.graph.event(base).past);
                if self.graph.events().len() < EVENTS_MAX {
                    self.push(
                        prng,
                        honest,
                        base,
                        if base.is_none() { 0 } else { others & !known },
                    );
                }
            }
        }
    }
}
