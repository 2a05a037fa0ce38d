//! The graph as it is, for people to look at.

use super::Core;
use crate::explain::{Running, Window};

impl Core {
    /// The latest events of the present graph, `events_max` at most, and never
    /// more than [`WINDOW_EVENTS_MAX`](crate::explain::WINDOW_EVENTS_MAX).
    #[must_use]
    pub fn window(&self, events_max: usize) -> Window {
        Running {
            dag: &self.epoch.dag,
            election: &self.epoch.election,
            order: &self.epoch.order,
            ordering: &self.config.ordering,
        }
        .window(events_max)
    }
}
