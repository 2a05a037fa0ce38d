//! Transactions of this node's users that wait for an event. Bounded in count
//! and bytes; what does not fit is refused, never dropped silently.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::interface::RefusalReason;
use crate::limits::{EVENT_OVERHEAD_BYTES_MAX, Limits};

/// Waiting transactions in the order of submission.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

impl Pool {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn admits(&self, bytes: usize, limits: &Limits) -> Result<(), RefusalReason> {
        if bytes == 0 {
            Err(RefusalReason::TransactionEmpty)
        } else if bytes > limits.transaction_bytes_max {
            Err(RefusalReason::TransactionTooLarge)
        } else if self.bytes + bytes > limits.pool_bytes_max
            || self.waiting.len() >= limits.pool_transactions_max
        {
            Err(RefusalReason::PoolFull)
        } else {
            Ok(())
        }
    }

    pub(crate) fn push(
        &mut self,
        transaction: Bytes,
        limits: &Limits,
    ) -> Result<(), RefusalReason> {
        self.admits(transaction.len(), limits)?;
        self.bytes += transaction.len();
        self.waiting.push_back(transaction);
        Ok(())
    }

    /// Takes back what was submitted before all that waits here, oldest first.
    /// It was admitted once, so no bound holds it off.
    pub(crate) fn put_back(&mut self, transactions: Vec<Bytes>) {
        for transaction in transactions.into_iter().rev() {
            self.bytes += transaction.len();
            self.waiting.push_front(transaction);
        }
    }

    /// Takes what fits one event, oldest first.
    pub(crate) fn take_for_event(&mut self, limits: &Limits) -> Vec<Bytes> {
        let mut room = limits.event_bytes_max - EVENT_OVERHEAD_BYTES_MAX;
        let mut taken = Vec::new();
        while let Some(next) = self.waiting.front() {
            let size = next.len() + 4;
            if size > room || taken.len() >= limits.event_transactions_max {
                break;
            }
            room -= size;
            self.bytes -= next.len();
            taken.extend(self.waiting.pop_front());
        }
        taken
    }
}
