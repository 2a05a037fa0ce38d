//! What the bus tells an effect, and when it has told all of the past.

use std::{
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use dctrl_follow::{Follower, Position, Verified};

use crate::{
    Health,
    common::{AT_REST, Stop},
};

/// How often an effect looks whether its follower has caught up.
const CATCH_UP_LOOK: Duration = Duration::from_millis(250);

/// Tells when a follower has handed out what there was before it began.
#[derive(Debug)]
pub(crate) struct CatchUp {
    done: bool,
    give_up_at: Instant,
}

impl CatchUp {
    /// An effect that hears nothing begins with what it knows after this.
    const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

    pub(crate) fn new() -> Self {
        Self {
            done: false,
            give_up_at: Instant::now() + Self::GIVE_UP_AFTER,
        }
    }

    /// To be asked when the follower has had nothing for a while; stays true.
    pub(crate) fn idle(&mut self, follower: &Follower) -> bool {
        self.done |= follower.settled() > Position::default() || Instant::now() >= self.give_up_at;
        self.done
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// How long to wait for the next frame, where nothing else happens for
    /// `rest`.
    pub(crate) fn wait(&self, rest: Duration) -> Duration {
        if self.done { rest } else { CATCH_UP_LOOK }
    }
}

/// Hands on what `event_of` makes of frames, and `caught_up` once the past has
/// come, until the effect stops.
pub(crate) fn pass<E>(
    mut follower: Follower,
    events: &SyncSender<E>,
    stop: &Stop,
    health: &Health,
    event_of: impl Fn(Verified) -> Option<E>,
    caught_up: impl Fn() -> E,
) {
    let mut catch_up = CatchUp::new();
    stop.wakes_follower(&follower);
    while !stop.is_set() {
        let event = match follower.next(catch_up.wait(AT_REST)) {
            Ok(Some(frame)) => event_of(frame),
            Ok(None) if catch_up.is_done() || !catch_up.idle(&follower) => None,
            Ok(None) => Some(caught_up()),
            Err(error) => {
                health.raise("bus", format!("the bus cannot be followed: {error}"));
                return;
            }
        };
        if event.is_some_and(|event| events.send(event).is_err()) {
            return;
        }
    }
}
