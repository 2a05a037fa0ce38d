//! Events of the next epoch that came before this node is there.
//!
//! Nodes reach a seal one after the other. What the first ones send is kept
//! for the short while, bounded per creator; the rest is asked for later.

use crate::event::Event;
use crate::id::NodeIndex;

/// Events kept of one creator: it makes one per message delay.
const PER_CREATOR_MAX: usize = 8;

/// Events with the peers that sent them, by creator in this epoch's roster.
#[derive(Debug)]
pub(crate) struct Early {
    events: Vec<Vec<(Event, NodeIndex)>>,
}

impl Early {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            events: vec![Vec::new(); members],
        }
    }

    pub(crate) fn keep(&mut self, event: Event, from: NodeIndex) {
        let share = &mut self.events[event.header().creator.position()];
        let known = share.iter().any(|(kept, _)| kept.id() == event.id());
        if !known && share.len() < PER_CREATOR_MAX {
            share.push((event, from));
        }
    }

    /// Whether the creator is in the next epoch already.
    pub(crate) fn holds_of(&self, creator: NodeIndex) -> bool {
        !self.events[creator.position()].is_empty()
    }

    pub(crate) fn take(&mut self) -> Vec<(Event, NodeIndex)> {
        let all = std::mem::take(&mut self.events);
        all.into_iter().flatten().collect()
    }
}
