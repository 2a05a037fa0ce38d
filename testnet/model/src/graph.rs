//! A small graph of events with the relations of the design, written down as
//! they are defined: ancestor, fork, see, strongly see, layer.
//!
//! Sets of events and of creators are bit words, so a graph holds at most
//! [`EVENTS_MAX`] events. Nothing here votes or decides.

use crate::rules::Rules;

/// A set of events by index, or of creators by index.
pub type Set = u128;

/// Most events of one graph: the width of a [`Set`].
pub const EVENTS_MAX: usize = Set::BITS as usize;

/// Most creators of a graph.
pub const NODES_MAX: usize = 8;

/// Most layers of a graph.
pub const LAYERS_MAX: usize = 64;

/// What is known of one event once its parents are.
#[derive(Debug, Clone)]
pub struct Event {
    /// Who made it.
    pub creator: usize,
    /// The event of the same creator below it.
    pub self_parent: Option<usize>,
    /// Its layer.
    pub layer: usize,
    /// Self-parent and other-parents.
    pub parents: Set,
    /// Its ancestors and itself.
    pub past: Set,
    /// Its self-ancestors and itself.
    pub line: Set,
    /// Creators of whom it knows a fork.
    pub forked: Set,
    /// Events that see it, itself included.
    pub seers: Set,
}

/// Events in an order in which parents come first.
#[derive(Debug, Clone)]
pub struct Graph {
    rules: Rules,
    events: Vec<Event>,
    by_creator: [Set; NODES_MAX],
    by_layer: [Set; LAYERS_MAX],
    layers: usize,
}

/// The one-element set.
#[must_use]
pub const fn bit(index: usize) -> Set {
    1 << index
}

/// The elements of a set in rising order.
pub fn elements(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (set != 0).then(|| {
            let index = set.trailing_zeros() as usize;
            set &= set - 1;
            index
        })
    })
}

impl Graph {
    /// A graph without events.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            events: Vec::with_capacity(32),
            by_creator: [0; NODES_MAX],
            by_layer: [0; LAYERS_MAX],
            layers: 0,
        }
    }

    /// The rules it was made with.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// One event.
    #[must_use]
    pub fn event(&self, index: usize) -> &Event {
        &self.events[index]
    }

    /// All events of a creator.
    #[must_use]
    pub fn of_creator(&self, creator: usize) -> Set {
        self.by_creator[creator]
    }

    /// All events of a layer.
    #[must_use]
    pub fn of_layer(&self, layer: usize) -> Set {
        self.by_layer[layer]
    }

    /// The highest layer of any event.
    #[must_use]
    pub fn top_layer(&self) -> usize {
        self.layers.saturating_sub(1)
    }

    /// The creators of a set of events.
    #[must_use]
    pub fn creators(&self, events: Set) -> Set {
        let mut creators = 0;
        for (creator, own) in self.by_creator.iter().enumerate() {
            if own & events != 0 {
                creators |= bit(creator);
            }
        }
        creators
    }

    /// The layer that an event of this creator over these parents would have,
    /// and its past without itself.
    #[must_use]
    pub fn layer_over(&self, creator: usize, base: Option<usize>, others: Set) -> (usize, Set) {
        let parents = others | base.map_or(0, bit);
        if parents == 0 {
            return (0, 0);
        }
        let mut past = 0;
        let mut top = 0;
        for parent in elements(parents) {
            past |= self.events[parent].past;
            top = top.max(self.events[parent].layer);
        }
        let mut blind = self.forked_within(past);
        let line = base.map_or(0, |base| self.events[base].line);
        if self.rules.fork_aware && past & self.by_creator[creator] & !line != 0 {
            // It is itself a twin of what it knows.
            blind |= bit(creator);
        }
        let mut there = self.creators(past & self.by_layer[top]);
        if self.rules.layer_sees {
            there &= !blind;
        }
        let full = there.count_ones() as usize >= self.rules.quorum;
        (top + usize::from(full), past)
    }

    /// Appends an event and returns its index. The caller keeps within
    /// [`EVENTS_MAX`], and `self_parent` is of the same creator.
    pub fn push(&mut self, creator: usize, self_parent: Option<usize>, others: Set) -> usize {
        let index = self.events.len();
        assert!(index < EVENTS_MAX, "a graph of the model is full");
        let parents = others | self_parent.map_or(0, bit);
        let (layer, below) = self.layer_over(creator, self_parent, others);
        let past = below | bit(index);
        self.by_creator[creator] |= bit(index);
        let line = self_parent.map_or(0, |parent| self.events[parent].line) | bit(index);
        self.events.push(Event {
            creator,
            self_parent,
            layer,
            parents,
            past,
            line,
            forked: 0,
            seers: 0,
        });
        let forked = self.forked_within(past);
        self.events[index].forked = forked;
        self.layers = self.layers.max(layer + 1);
        self.by_layer[layer] |= bit(index);
        for seen in elements(past) {
            if forked & bit(self.events[seen].creator) == 0 {
                self.events[seen].seers |= bit(index);
            }
        }
        index
    }

    /// Creators with two events in the set, neither a self-ancestor of the
    /// other. The set is closed under ancestry.
    fn forked_within(&self, past: Set) -> Set {
        if !self.rules.fork_aware {
            return 0;
        }
        let mut forked = 0;
        for (creator, own) in self.by_creator.iter().enumerate() {
            let known = own & past;
            // A later event comes later in the order, so only the last one
            // can be the end of a line that holds all the others.
            if known != 0 {
                let last = EVENTS_MAX - 1 - known.leading_zeros() as usize;
                if self.events[last].line != known {
                    forked |= bit(creator);
                }
            }
        }
        forked
    }

    /// Whether y is an ancestor of x whose creator x knows no fork of.
    #[must_use]
    pub fn see(&self, x: usize, y: usize) -> bool {
        self.events[y].seers & bit(x) != 0
    }

    /// Creators of ancestors of x that see y: what later events inherit.
    #[must_use]
    pub fn paths(&self, x: usize, y: usize) -> Set {
        self.creators(self.events[x].past & self.events[y].seers)
    }

    /// Whether events of enough creators, each seen by x, see y.
    #[must_use]
    pub fn strongly_see(&self, x: usize, y: usize) -> bool {
        let through = self.paths(x, y) & !self.events[x].forked;
        through.count_ones() as usize >= self.rules.strongly
    }
}
