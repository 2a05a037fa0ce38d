//! What an effect is told: the facts of its node first, then what happens.
//!
//! A [`Feed`] reads the ledger's present state at its node's door, page by page,
//! and follows the frames from the height of the first page on. So a start does
//! not grow with the blocks there have been, and needs none that the nodes have
//! forgotten. Pages may come from later states, and the frames between tell
//! again of what came before: whoever takes the newest that is told of each thing
//! ends with the state, and acts only from [`Feed::is_caught_up`] on. Where the
//! nodes have forgotten what comes next (a node that took over a state, an effect
//! that ran alone and stood still), the facts are read again.
//!
//! No certificate covers facts. An effect speaks for its own node, so it may
//! believe that one; where it runs alone, it believes the nodes it is told to
//! follow.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use dctrl_follow::{Door, Follower, Position, Verified, Waker};
use dctrl_proto::v1::{BusBody, GetFacts};

use crate::{
    Health,
    common::{AT_REST, Stop},
};

/// How often an effect looks whether it has been told everything.
const CATCH_UP_LOOK: Duration = Duration::from_millis(250);
/// How long a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause before a page is asked for again that did not come.
const PAGE_AGAIN: Duration = Duration::from_millis(500);
/// Pages that did not come after which it is said.
const PAGE_FAILURES: u32 = 6;
/// Where frames up to the last page do not come for so long, because the nodes
/// cannot certify them now, an effect acts on the facts alone.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// One thing that an effect is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// How something is; its height is that of the state.
    Fact(BusBody),
    /// What has happened.
    Frame(Verified),
}

impl Told {
    pub(crate) fn body(&self) -> &BusBody {
        match self {
            Self::Fact(body) => body,
            Self::Frame(frame) => &frame.body,
        }
    }

    pub(crate) fn into_body(self) -> BusBody {
        match self {
            Self::Fact(body) => body,
            Self::Frame(frame) => frame.body,
        }
    }
}

/// The bus cannot be followed any more; the health says why.
#[derive(Debug)]
pub(crate) struct Lost;

/// Facts that are being read.
#[derive(Debug, Default)]
struct Reading {
    cursor: Vec<u8>,
    /// A state before this height is of no use.
    height_min: u64,
    /// Heights of the first and of the last page.
    heights: Option<(u64, u64)>,
    failures: u32,
}

/// Facts and frames of some topics.
pub(crate) struct Feed {
    topics: Vec<String>,
    door: Door,
    follower: Follower,
    health: Health,
    stop: Arc<Stop>,
    page: VecDeque<BusBody>,
    reading: Option<Reading>,
    /// What stands up to here may contradict the facts, and comes before they
    /// are acted on.
    until: Position,
    give_up_at: Option<Instant>,
    caught_up: bool,
}

impl Feed {
    /// `follower` follows these topics and was not asked for anything yet.
    pub(crate) fn new(
        topics: Vec<String>,
        door: Door,
        follower: Follower,
        health: Health,
        stop: Arc<Stop>,
    ) -> Self {
        Self {
            topics,
            door,
            follower,
            health,
            stop,
            page: VecDeque::new(),
            reading: Some(Reading::default()),
            until: Position::default(),
            give_up_at: None,
            caught_up: false,
        }
    }

    /// Ends a wait in [`Self::next`] from another thread.
    pub(crate) fn waker(&self) -> Waker {
        self.follower.waker()
    }

    /// Everything up to the present has been told once. Stays true.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// What is told next; nothing after `rest`, when woken, and now and then
    /// before everything has been told.
    ///
    /// # Errors
    /// ZeroMQ is gone.
    pub(crate) fn next(&mut self, rest: Duration) -> Result<Option<Told>, Lost> {
        if self.page.is_empty() && self.reading.is_some() {
            self.read_page();
        }
        if let Some(fact) = self.page.pop_front() {
            return Ok(Some(Told::Fact(fact)));
        }
        // On a busy bus there is never nothing.
        if self.reading.is_none() && !self.caught_up {
            self.look();
            if self.caught_up {
                return Ok(None);
            }
        }
        if self.reading.is_some() {
            return Ok(None);
        }
        let wait = match self.caught_up {
            true => rest,
            false => rest.min(CATCH_UP_LOOK),
        };
        let next = self.follower.next(wait).map_err(|error| {
            let sentence = format!("the bus cannot be followed: {error}");
            self.health.raise("bus", sentence);
            Lost
        })?;
        if next.is_none() {
            self.look();
        }
        Ok(next.map(Told::Frame))
    }

    /// Whether what has come is all, or the way on is lost.
    fn look(&mut self) {
        if let Some(forgotten) = self.follower.forgotten() {
            tracing::info!(
                height = forgotten.height,
                kept_after = forgotten.go_on.height,
                "frames are forgotten: reading the node's state instead"
            );
            self.reading = Some(Reading {
                height_min: forgotten.go_on.height,
                ..Reading::default()
            });
            return;
        }
        let over = self.give_up_at.is_some_and(|at| Instant::now() >= at);
        self.caught_up |= over || self.follower.settled() >= self.until;
    }

    fn read_page(&mut self) {
        let Some(reading) = &mut self.reading else {
            return;
        };
        let wanted = GetFacts {
            topics: self.topics.clone(),
            cursor: reading.cursor.clone(),
            events_max: 0,
        };
        let least = reading.heights.map_or(0, |(first, _)| first);
        let least = least.max(reading.height_min);
        let page = match self.door.facts(&wanted, PAGE_TIMEOUT) {
            Ok(page) if page.height >= least => page,
            other => {
                let why = match other {
                    Ok(page) => format!("its state is at {}, not yet at {least}", page.height),
                    Err(error) => error.to_string(),
                };
                self.page_failed(&why);
                return;
            }
        };
        reading.failures = 0;
        self.health.clear("facts");
        let (first, _) = *reading.heights.get_or_insert((page.height, page.height));
        reading.heights = Some((first, page.height));
        reading.cursor = page.cursor;
        self.page = page.events.into();
        if !page.more {
            self.reading = None;
            self.follower.skip_to(Position::end_of(first));
            self.until = Position::end_of(page.height);
            self.give_up_at = Some(Instant::now() + GIVE_UP_AFTER);
        }
    }

    /// The node may be starting, or be too far behind; another one, or a later
    /// try, may answer. Then the facts are read from the first page on.
    fn page_failed(&mut self, why: &str) {
        let Some(reading) = &mut self.reading else {
            return;
        };
        reading.failures += 1;
        if reading.failures >= PAGE_FAILURES {
            let sentence = format!("the node does not tell its state: {why}");
            self.health.raise("facts", sentence);
        }
        *reading = Reading {
            failures: reading.failures,
            height_min: reading.height_min,
            ..Reading::default()
        };
        self.door.prefer_next();
        self.stop.wait(PAGE_AGAIN);
    }
}

/// Hands on what `event_of` makes of what is told, and `caught_up` once that is
/// all there was, until the effect stops.
pub(crate) fn pass<E>(
    mut feed: Feed,
    events: &SyncSender<E>,
    event_of: impl Fn(Told) -> Option<E>,
    caught_up: impl Fn() -> E,
) {
    let mut said = false;
    let stop = feed.stop.clone();
    while !stop.is_set() {
        let event = match feed.next(AT_REST) {
            Ok(Some(told)) => event_of(told),
            Ok(None) if said || !feed.is_caught_up() => None,
            Ok(None) => {
                said = true;
                Some(caught_up())
            }
            Err(Lost) => return,
        };
        if event.is_some_and(|event| events.send(event).is_err()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
