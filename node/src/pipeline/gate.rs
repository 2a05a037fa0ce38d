//! Whether consensus takes more actions now: told by the pipeline, asked by
//! everyone who hands one in, so that nothing is promised that would be dropped.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use dctrl_consensus::{Limits, RefusalReason};

/// What waits on the way to an event, and why nothing more is taken.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Handed in and not yet counted as part of the pool: actions and bytes.
    on_the_way: Load,
    /// In the pool of consensus.
    pool: Load,
    closed: Mutex<Option<RefusalReason>>,
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
            actions_max: limits.pool_transactions_max,
            bytes_max: limits.pool_bytes_max,
        }
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
    fn what_is_on_the_way_and_what_the_pool_holds_count_together() {
        let limits = Limits::default();
        let gate = Gate::new(&limits);
        let half = limits.pool_bytes_max / 2;
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
