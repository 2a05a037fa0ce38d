//! Asks for a block when a deadline of the ledger has passed: an idle
//! federation orders nothing, and so would never notice.
//!
//! Every node does this, each a little later than the one before it in the
//! roster. The block that the first `time.tick` brings moves the deadline,
//! which cancels the ticks of the others.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use dctrl_follow::Door;
use dctrl_proto::v1::TimeTick;

use crate::{
    Common, Health, Running, StartError,
    common::Stop,
    outbox::{Desk, Outbox},
};

/// How much later than the node before it a node ticks.
pub const STAGGER_MS: u64 = 500;
/// A deadline that stands although this node ticked is ticked for again.
const AGAIN_AFTER_MS: u64 = 5_000;
/// The clock may jump, so no wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Turns without a door after which it is said.
const DOOR_FAILURES: u32 = 3;

/// Tells the effect when the ledger's next deadline is.
#[derive(Clone, Debug, Default)]
pub struct DeadlineHandle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Deadline>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Deadline {
    next_ms: Option<u64>,
    /// Somebody wants to see this time pass.
    wanted_ms: Option<u64>,
    /// Grows with each change.
    version: u64,
}

impl Deadline {
    fn first_ms(&self) -> Option<u64> {
        self.next_ms.into_iter().chain(self.wanted_ms).min()
    }
}

impl DeadlineHandle {
    /// The ledger's next deadline, consensus milliseconds since the Unix
    /// epoch; `None` when there is none.
    pub fn set_next_deadline(&self, next_ms: Option<u64>) {
        let mut state = self.lock();
        if state.next_ms != next_ms || state.wanted_ms.is_some() {
            state.next_ms = next_ms;
            // A block has passed; whoever still waits asks again.
            state.wanted_ms = None;
            state.version += 1;
            self.shared.changed.notify_all();
        }
    }

    /// Asks for a block behind this consensus time, for somebody who waits to
    /// see it pass. One such wish stands at a time, so that askers cannot make
    /// the federation busier than a block after the other.
    pub fn want(&self, at_ms: u64) {
        let mut state = self.lock();
        if state.wanted_ms.is_none() {
            state.wanted_ms = Some(at_ms);
            state.version += 1;
            self.shared.changed.notify_all();
        }
    }

    /// Ends a wait as a changed deadline does.
    fn wake(&self) {
        self.lock().version += 1;
        self.shared.changed.notify_all();
    }

    fn get(&self) -> Deadline {
        *self.lock()
    }

    fn wait(&self, known: Deadline, timeout: Duration) {
        let state = self.lock();
        if *state == known {
            // A wake-up without cause only costs one look at the clock.
            let _ = self.shared.changed.wait_timeout(state, timeout);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Deadline> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// When to tick; knows no clock and no door.
#[derive(Debug, Default)]
struct Ticker {
    stagger_ms: u64,
    deadline: Deadline,
    ticked_at_ms: Option<u64>,
}

impl Ticker {
    /// When the next tick is due.
    fn due_ms(&self) -> Option<u64> {
        let first_ms = self.deadline.first_ms()?.saturating_add(self.stagger_ms);
        Some(match self.ticked_at_ms {
            Some(at_ms) => first_ms.max(at_ms.saturating_add(AGAIN_AFTER_MS)),
            None => first_ms,
        })
    }

    /// Takes the present deadline; whether it has moved.
    fn moved(&mut self, deadline: Deadline) -> bool {
        let moved = self.deadline != deadline;
        if moved {
            self.deadline = deadline;
            self.ticked_at_ms = None;
        }
        moved
    }

    /// Whether to tick now; counts as ticked.
    fn tick(&mut self, now_ms: u64) -> bool {
        // A deadline is passed only after its last millisecond.
        let due = self.due_ms().is_some_and(|due_ms| now_ms > due_ms);
        if due {
            self.ticked_at_ms = Some(now_ms);
        }
        due
    }
}

/// Starts the effect.
///
/// # Errors
/// The system refused a thread.
pub fn start(common: Common) -> Result<(Running, DeadlineHandle), StartError> {
    let handle = DeadlineHandle::default();
    let health = Health::default();
    let mut running = Running::new("deadlines", health.clone());
    let (stop, deadlines) = (running.stop_flag(), handle.clone());
    let door = common.door();
    running.spawn(move || run(&common, &door, &deadlines, &health, &stop))?;
    Ok((running, handle))
}

fn run(common: &Common, door: &Door, handle: &DeadlineHandle, health: &Health, stop: &Stop) {
    let mut ticker = Ticker::default();
    let mut outbox = Outbox::default();
    let woken = handle.clone();
    stop.wakes(move || woken.wake());
    while !stop.is_set() {
        let deadline = handle.get();
        // The node may have joined meanwhile, or others gone.
        ticker.stagger_ms = STAGGER_MS * u64::from(common.own_index().unwrap_or(0));
        turn(common, door, &mut ticker, &mut outbox, deadline);
        if outbox.failures() >= DOOR_FAILURES {
            health.raise("door", "no node takes ticks");
        } else {
            health.clear("door");
        }
        let due_ms = [ticker.due_ms(), outbox.due_ms()]
            .into_iter()
            .flatten()
            .min();
        let wait = due_ms.map_or(WAIT_MAX, |due_ms| {
            Duration::from_millis(due_ms.saturating_add(1).saturating_sub((common.clock)()))
        });
        handle.wait(deadline, wait.min(WAIT_MAX));
    }
}

/// One look at the clock and the deadline.
fn turn(
    common: &Common,
    desk: &dyn Desk,
    ticker: &mut Ticker,
    outbox: &mut Outbox<()>,
    deadline: Deadline,
) {
    if ticker.moved(deadline) {
        outbox.cancel(&());
    }
    let now_ms = (common.clock)();
    if ticker.tick(now_ms) {
        outbox.put(common, (), &TimeTick {});
    }
    // Whatever becomes of a tick shows in the deadline.
    outbox.work(now_ms, desk);
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::atomic::{AtomicU64, Ordering},
    };

    use dctrl_follow::DoorError;
    use dctrl_proto::v1::{Receipt, SignedAction};

    use super::*;

    #[derive(Default)]
    struct Count(Cell<u32>);

    impl Desk for Count {
        fn submit(&self, _: &SignedAction) -> Result<Option<Receipt>, DoorError> {
            self.0.set(self.0.get() + 1);
            Ok(Some(Receipt::default()))
        }

        fn receipt(&self, _: &[u8; 32]) -> Result<Option<Receipt>, DoorError> {
            Ok(None)
        }
    }

    /// How many ticks a node with this stagger hands in at each of `times_ms`.
    fn ticks(stagger_ms: u64, deadlines: &[(u64, Option<u64>)]) -> Vec<u32> {
        let now = Arc::new(AtomicU64::new(0));
        let clock = now.clone();
        let common = crate::common::tests::common(Arc::new(move || clock.load(Ordering::SeqCst)));
        let (desk, handle) = (Count::default(), DeadlineHandle::default());
        let mut ticker = Ticker {
            stagger_ms,
            ..Ticker::default()
        };
        let mut outbox = Outbox::default();
        let mut counts = Vec::new();
        for (now_ms, next_ms) in deadlines {
            now.store(*now_ms, Ordering::SeqCst);
            handle.set_next_deadline(*next_ms);
            turn(&common, &desk, &mut ticker, &mut outbox, handle.get());
            counts.push(desk.0.get());
        }
        counts
    }

    #[test]
    fn a_node_ticks_once_when_the_deadline_and_its_own_stagger_have_passed() {
        let at = [
            (900, Some(1_000)),
            (1_000, Some(1_000)),
            (1_001, Some(1_000)),
            (1_400, Some(1_000)),
            (1_501, Some(1_000)),
            (1_600, Some(1_000)),
        ];
        assert_eq!(ticks(0, &at), [0, 0, 1, 1, 1, 1]);
        assert_eq!(ticks(500, &at), [0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_deadline_that_moves_in_time_cancels_the_tick() {
        let at = [
            (1_001, Some(1_000)),
            (1_300, Some(60_000)),
            (1_600, Some(60_000)),
            (2_000, None),
        ];
        assert_eq!(ticks(500, &at), [0, 0, 0, 0]);
    }

    #[test]
    fn a_wish_to_see_a_time_pass_is_ticked_for_once_and_ends_with_the_next_block() {
        let handle = DeadlineHandle::default();
        handle.set_next_deadline(Some(9_000));
        handle.want(1_000);
        handle.want(500);
        assert_eq!(handle.get().first_ms(), Some(1_000), "one at a time");
        handle.set_next_deadline(Some(9_000));
        assert_eq!(handle.get().first_ms(), Some(9_000));
        handle.want(500);
        assert_eq!(handle.get().first_ms(), Some(500));
    }

    #[test]
    fn a_deadline_that_stands_is_ticked_for_again() {
        let at = [
            (1_001, Some(1_000)),
            (6_000, Some(1_000)),
            (6_002, Some(1_000)),
        ];
        assert_eq!(ticks(0, &at), [1, 1, 2]);
    }

    #[test]
    fn the_effect_stops_soon_though_it_waits_for_a_far_deadline() {
        let common = crate::common::tests::common(Arc::new(|| 0));
        let (running, handle) = start(common).unwrap();
        handle.set_next_deadline(Some(u64::MAX));
        let begin = std::time::Instant::now();
        running.join();
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
