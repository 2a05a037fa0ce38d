//! The graph of events as a stateright model: every graph of a family, layer
//! by layer, up to equal futures.
//!
//! A state carries one concrete graph (the moves that make it) and is
//! compared by its description alone, see [`crate::key`].

use std::hash::{Hash, Hasher};

use stateright::{Model, Property};

use crate::{
    election::{NO_BY_CLOSING, NO_BY_SHORTCUT, NO_BY_TALLY, YES_BY_SHORTCUT, YES_BY_TALLY},
    key, outcome,
    product::compare,
    rules::Rules,
    world::{Family, Move, World, beginning},
};

/// The name of the property that no two observers decide differently.
pub const AGREEMENT: &str = "no two observers decide differently";

/// The same among observers that do not take the shortcut.
pub const PLAIN_AGREEMENT: &str = "no two observers without the shortcut decide differently";

/// The name of the property that the product decides what the model does.
pub const PRODUCT: &str = "the product decides what the model decides";

/// A family of graphs under rules.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The rules.
    pub rules: Rules,
    /// The graphs.
    pub family: Family,
    /// Whether the product's code judges the graph of every state too.
    pub product: bool,
}

/// A graph, known by its future.
#[derive(Debug, Clone)]
pub struct State {
    /// The graph that stands for all those with this future.
    pub world: World,
    /// What its future depends on.
    pub key: u64,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key);
    }
}

impl Layers {
    fn state(&self, world: World) -> State {
        State {
            key: key::fingerprint(&world, &self.family),
            world,
        }
    }
}

/// Whether an observer can decide so.
fn can(state: &State, verdict: u8) -> bool {
    state.world.election.verdicts & verdict != 0
}

impl Model for Layers {
    type State = State;
    type Action = Vec<Move>;

    fn init_states(&self) -> Vec<State> {
        (0..=1 + usize::from(self.family.twins))
            .map(|liars| self.state(World::replay(self.rules, &self.family, &beginning(liars))))
            .collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Vec<Move>>) {
        let world = &state.world;
        let full = world.graph.top_layer() + 1 >= self.family.layers;
        if !full && !key::is_settled(world, &self.family) {
            actions.extend(outcome::layers_over(world, &self.family));
        }
    }

    fn next_state(&self, state: &State, action: Vec<Move>) -> Option<State> {
        let mut world = state.world.clone();
        for step in &action {
            world.make(step);
        }
        Some(self.state(world))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AGREEMENT, |_, s: &State| !s.world.election.is_split(true)),
            Property::always(PLAIN_AGREEMENT, |_, s: &State| {
                !s.world.election.is_split(false)
            }),
            Property::always(PRODUCT, |model: &Self, s: &State| {
                let world = &s.world;
                !model.product || compare(&world.graph, &world.coins()).is_ok()
            }),
            Property::sometimes("YES by tally", |_, s| can(s, YES_BY_TALLY)),
            Property::sometimes("NO by tally", |_, s| can(s, NO_BY_TALLY)),
            Property::sometimes("YES by shortcut", |_, s| can(s, YES_BY_SHORTCUT)),
            Property::sometimes("NO by shortcut", |_, s| can(s, NO_BY_SHORTCUT)),
            Property::sometimes("NO by closing", |_, s| can(s, NO_BY_CLOSING)),
        ]
    }
}
