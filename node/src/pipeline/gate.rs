//! The way of actions to the pipeline: how much consensus takes now, and what
//! waits for the pipeline's next turn.
//!
//! The pipeline tells and everyone who hands in an action asks, so that nothing
//! is promised that would be dropped. While consensus is at work the pipeline
//! has a turn before each event anyway, so it is woken only when it rests.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use dctrl_consensus::{Limits, RefusalReason};

use crate::space::Space;

/// What waits on the way to an event, and why nothing more is taken.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Handed in and not yet counted as part of the pool: actions and bytes.
    on_the_way: Load,
    /// In the pool of consensus.
    pool: Load,
    closed: Mutex<Option<RefusalReason>>,
    waiting: Mutex<Vec<Bytes>>,
    /// The pipeline looks here only when it is woken.
    rests: AtomicBool,
    /// The disk; nothing where nobody looks after it.
    space: OnceLock<Space>,
    actions_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Load {
    actions: AtomicUsize,
    bytes: AtomicUsize,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            on_the_way: Load::default(),
            pool: Load::default(),
            closed: Mutex::new(None),
            waiting: Mutex::default(),
            rests: AtomicBool::new(true),
            space: OnceLock::new(),
            // What a sealed epoch did not order goes back to the pool, and
            // must find room beside what has been taken since.
            actions_max: limits.pool_transactions_max / 2,
            bytes_max: limits.pool_bytes_max / 2,
        }
    }

    /// Takes nothing new from now on while this disk is nearly full.
    pub(super) fn watch(&self, space: Space) {
        // There is one disk, so a second call says the same.
        let _ = self.space.set(space);
    }

    /// Whether the disk is nearly full.
    pub(super) fn disk_is_full(&self) -> bool {
        self.space.get().is_some_and(Space::is_full)
    }

    /// Takes a place for an action of so many bytes.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn enter(&self, bytes: usize) -> Result<(), RefusalReason> {
        if let Some(reason) = *self.closed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(reason);
        }
        let actions = 1 + self.on_the_way.actions.fetch_add(1, Ordering::Relaxed);
        let ahead = bytes + self.on_the_way.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = actions + self.pool.actions.load(Ordering::Relaxed) <= self.actions_max
            && ahead + self.pool.bytes.load(Ordering::Relaxed) <= self.bytes_max;
        if fits {
            Ok(())
        } else {
            self.leave(1, bytes);
            Err(RefusalReason::PoolFull)
        }
    }

    /// Leaves an action for the pipeline's next turn; true where the pipeline
    /// must be woken for it.
    pub(super) fn put(&self, action: Bytes) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(action);
        drop(waiting);
        self.rests.load(Ordering::SeqCst)
    }

    /// What waits.
    pub(super) fn take(&self) -> Vec<Bytes> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting)
    }

    /// The pipeline goes to rest, or not; false where something waits already.
    pub(super) fn rest(&self, rests: bool) -> bool {
        self.rests.store(rests, Ordering::SeqCst);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        !rests || waiting.is_empty()
    }

    /// So many actions of so many bytes are no longer on the way.
    pub(super) fn leave(&self, actions: usize, bytes: usize) {
        self.on_the_way
            .actions
            .fetch_sub(actions, Ordering::Relaxed);
        self.on_the_way.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What the pool holds now.
    pub(super) fn pool_holds(&self, actions: usize, bytes: usize) {
        self.pool.actions.store(actions, Ordering::Relaxed);
        self.pool.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Why nothing is taken at all, where that is so.
    pub(super) fn close(&self, reason: Option<RefusalReason>) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_at_rest_is_woken_and_one_at_work_is_not() {
        let gate = Gate::new(&Limits::default());
        assert!(gate.put(Bytes::from_static(b"one")));
        assert!(!gate.rest(true), "something waits");
        assert_eq!(gate.take().len(), 1);
        assert!(gate.rest(true));
        gate.rest(false);
        assert!(!gate.put(Bytes::from_static(b"two")));
        assert_eq!(gate.take(), ["two"]);
    }

    #[test]
    fn what_is_on_the_way_and_what_the_pool_holds_count_together() {
        let limits = Limits::default();
        let gate = Gate::new(&limits);
        let half = limits.pool_bytes_max / 4;
        assert_eq!(gate.enter(half), Ok(()));
        assert_eq!(gate.enter(half), Ok(()));
        assert_eq!(gate.enter(1), Err(RefusalReason::PoolFull));
        gate.pool_holds(1, half);
        gate.leave(1, half);
        assert_eq!(gate.enter(1), Err(RefusalReason::PoolFull));
        gate.pool_holds(0, 0);
        assert_eq!(gate.enter(1), Ok(()));
        gate.pool_holds(limits.pool_transactions_max, 1);
        assert_eq!(gate.enter(1), Err(RefusalReason::PoolFull));
    }
}
