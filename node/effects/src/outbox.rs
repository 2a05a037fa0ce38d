//! Hands signed actions in at a node's door until the ledger has them.
//!
//! One entry for each subject (a payment, the tip, a currency): a newer view
//! of the same subject takes the place of the older one, so the queue is as
//! short as the list of subjects. An action that was taken is asked for after
//! a while and handed in again, the same bytes, until it has a receipt; the
//! ledger answers a repeated request id with the first answer.

use std::{collections::BTreeMap, time::Duration};

use dctrl_follow::{Door, DoorError};
use dctrl_proto::{
    action::{Payload, action_id},
    v1::{Receipt, Refusal, RefusalCode, SignedAction},
};

use crate::Common;

/// Most subjects at a time.
pub const SUBJECTS_MAX: usize = 10_000;
/// Actions handed in before the caller looks at its other work.
const CALLS_PER_TURN: usize = 64;
/// How long one call at the door may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an action may wait for its order before it is void.
const EXPIRY_MS: u64 = 120_000;
/// When a taken action is first asked for.
const CONFIRM_AFTER_MS: u64 = 10_000;
const BACKOFF_MS_MIN: u64 = 500;
const BACKOFF_MS_MAX: u64 = 30_000;

/// How an action ended.
#[derive(Debug, PartialEq)]
pub enum Ended {
    /// The ledger has applied it.
    Applied,
    /// A node or the ledger refused it for good.
    Refused(Refusal),
    /// It was never ordered and is void now: the caller may say it again.
    Expired,
}

#[derive(Debug)]
struct Entry {
    action: SignedAction,
    expires_at_ms: u64,
    taken: bool,
    attempts: u32,
    due_ms: u64,
}

/// What the outbox needs of a node's door.
pub trait Desk {
    /// Hands an action in; its receipt, where it was applied before.
    ///
    /// # Errors
    /// The node's refusal, or that there is no node.
    fn submit(&self, action: &SignedAction) -> Result<Option<Receipt>, DoorError>;
    /// The receipt of an action, where it was applied.
    ///
    /// # Errors
    /// That there is no node.
    fn receipt(&self, id: &[u8; 32]) -> Result<Option<Receipt>, DoorError>;
}

impl Desk for Door {
    fn submit(&self, action: &SignedAction) -> Result<Option<Receipt>, DoorError> {
        Door::submit(self, action, CALL_TIMEOUT).map(|submitted| submitted.receipt)
    }

    fn receipt(&self, id: &[u8; 32]) -> Result<Option<Receipt>, DoorError> {
        Door::receipt(self, id, CALL_TIMEOUT)
    }
}

/// Actions on their way.
#[derive(Debug)]
pub struct Outbox<K> {
    entries: BTreeMap<K, Entry>,
    /// While the door is unreachable, nothing is tried before this.
    closed_until_ms: u64,
    failures: u32,
}

impl<K> Default for Outbox<K> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            closed_until_ms: 0,
            failures: 0,
        }
    }
}

impl<K: Ord + Clone> Outbox<K> {
    /// Signs `payload` as the newest view of `subject`. False when there are
    /// too many subjects; the caller keeps it and comes back.
    pub fn put<P: Payload>(&mut self, common: &Common, subject: K, payload: &P) -> bool {
        self.put_signed(subject, (common.clock)(), |expires_at_ms| {
            common.identity.sign_action(
                &common.federation.cluster,
                dctrl_access::fresh_request_id(),
                expires_at_ms,
                payload,
            )
        })
    }

    /// [`Self::put`] for whoever signs otherwise: `sign` is given the expiry.
    pub fn put_signed(
        &mut self,
        subject: K,
        now_ms: u64,
        sign: impl FnOnce(u64) -> SignedAction,
    ) -> bool {
        if self.entries.len() >= SUBJECTS_MAX && !self.entries.contains_key(&subject) {
            return false;
        }
        let expires_at_ms = now_ms + EXPIRY_MS;
        let entry = Entry {
            action: sign(expires_at_ms),
            expires_at_ms,
            taken: false,
            attempts: 0,
            due_ms: now_ms,
        };
        self.entries.insert(subject, entry);
        true
    }

    /// Whether something said of `subject` may have been taken and has not
    /// ended; it is asked for soon then. What takes it back must wait, since
    /// it would be refused by a ledger that does not know it yet.
    pub fn hurries(&mut self, subject: &K, now_ms: u64) -> bool {
        let entry = self.entries.get_mut(subject);
        let Some(entry) = entry.filter(|entry| entry.attempts > 0) else {
            return false;
        };
        entry.due_ms = entry.due_ms.min(now_ms + BACKOFF_MS_MIN);
        true
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets what is on its way for `subject`.
    pub fn cancel(&mut self, subject: &K) {
        self.entries.remove(subject);
    }

    /// How many actions are on their way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether something is on its way for `subject`.
    #[must_use]
    pub fn holds(&self, subject: &K) -> bool {
        self.entries.contains_key(subject)
    }

    /// How many turns in a row found no door.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When there is work again; `None` when nothing is on its way.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let earliest = self.entries.values().map(|entry| entry.due_ms).min()?;
        Some(earliest.max(self.closed_until_ms))
    }

    /// Hands in what is due and tells what has ended.
    pub fn work(&mut self, now_ms: u64, desk: &dyn Desk) -> Vec<(K, Ended)> {
        let mut ended = Vec::new();
        if now_ms < self.closed_until_ms {
            return ended;
        }
        let due = self.entries.iter().filter(|(_, one)| one.due_ms <= now_ms);
        let due: Vec<K> = due
            .map(|(key, _)| key.clone())
            .take(CALLS_PER_TURN)
            .collect();
        for subject in due {
            let Some(entry) = self.entries.get_mut(&subject) else {
                continue;
            };
            if now_ms > entry.expires_at_ms {
                self.entries.remove(&subject);
                ended.push((subject, Ended::Expired));
                continue;
            }
            match entry.attempt(now_ms, desk) {
                Attempt::Ended(how) => {
                    self.failures = 0;
                    self.entries.remove(&subject);
                    ended.push((subject, how));
                }
                Attempt::Later => self.failures = 0,
                Attempt::NoDoor(error) => {
                    self.failures += 1;
                    self.closed_until_ms = now_ms + backoff_ms(self.failures);
                    tracing::debug!(%error, "the door does not answer");
                    break;
                }
            }
        }
        ended
    }
}

enum Attempt {
    Ended(Ended),
    Later,
    NoDoor(DoorError),
}

impl Entry {
    fn attempt(&mut self, now_ms: u64, desk: &dyn Desk) -> Attempt {
        self.attempts += 1;
        if self.taken {
            match desk.receipt(&action_id(&self.action)) {
                Ok(Some(receipt)) => return Attempt::Ended(ended(receipt)),
                // Perhaps lost on its way to the others: hand it in again.
                Ok(None) => {}
                Err(DoorError::Refused(_)) => {}
                Err(error) => return Attempt::NoDoor(error),
            }
        }
        match desk.submit(&self.action) {
            Ok(Some(receipt)) => Attempt::Ended(ended(receipt)),
            Ok(None) => {
                self.taken = true;
                self.due_ms = now_ms + CONFIRM_AFTER_MS;
                Attempt::Later
            }
            Err(DoorError::Refused(refusal)) if passes(&refusal) => {
                self.due_ms = now_ms + backoff_ms(self.attempts);
                Attempt::Later
            }
            Err(DoorError::Refused(refusal)) => Attempt::Ended(Ended::Refused(refusal)),
            Err(error) => Attempt::NoDoor(error),
        }
    }
}

fn ended(receipt: Receipt) -> Ended {
    match receipt.refusal {
        None => Ended::Applied,
        Some(refusal) => Ended::Refused(refusal),
    }
}

/// Whether a refusal is only for now.
fn passes(refusal: &Refusal) -> bool {
    matches!(
        refusal.code(),
        RefusalCode::Exhausted | RefusalCode::Unavailable
    )
}

fn backoff_ms(attempts: u32) -> u64 {
    let doubled = BACKOFF_MS_MIN << attempts.saturating_sub(1).min(10);
    doubled.min(BACKOFF_MS_MAX)
}

#[cfg(test)]
mod tests;
