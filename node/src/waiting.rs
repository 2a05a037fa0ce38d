//! The actions that this node has taken and that are not ordered yet, so that
//! whoever asks by id hears RECEIVED and not that there is no such action.
//!
//! Kept in memory only: RECEIVED promises nothing, and a restart forgets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Actions remembered at a time: more than the pool and the undecided events
/// hold in a flood. What comes beyond is ordered like the rest, but unknown here
/// until then.
const WAITING_MAX: usize = 262_144;

/// The list. An action leaves it when it has a receipt or when its expiry has
/// passed.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    expiry: BTreeMap<[u8; 32], u64>,
    by_expiry: BTreeSet<(u64, [u8; 32])>,
}

impl Waiting {
    /// Notes an action that is about to be handed on; whether it is new here.
    pub(crate) fn add(&self, id: [u8; 32], expires_at_ms: u64) -> bool {
        let mut lists = self.lock();
        if lists.expiry.len() >= WAITING_MAX || lists.expiry.contains_key(&id) {
            return false;
        }
        lists.expiry.insert(id, expires_at_ms);
        lists.by_expiry.insert((expires_at_ms, id));
        true
    }

    /// The action was not taken after all.
    pub(crate) fn withdraw(&self, id: &[u8; 32]) {
        self.lock().remove(id);
    }

    /// Whether the action waits here.
    pub(crate) fn has(&self, id: &[u8; 32]) -> bool {
        self.lock().expiry.contains_key(id)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().expiry.is_empty()
    }

    /// A block at this consensus time is durable in which these actions ended.
    pub(crate) fn ordered<'i>(&self, ids: impl IntoIterator<Item = &'i [u8]>, now_ms: u64) {
        let mut lists = self.lock();
        if lists.expiry.is_empty() {
            return;
        }
        for id in ids {
            lists.remove(id);
        }
        while let Some((expires_at_ms, id)) = lists.by_expiry.first().copied()
            && expires_at_ms <= now_ms
        {
            lists.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    fn remove(&mut self, id: &[u8]) {
        if let Some((id, expires_at_ms)) = self.expiry.remove_entry(id) {
            self.by_expiry.remove(&(expires_at_ms, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_waits_until_it_is_ordered_or_void() {
        let waiting = Waiting::default();
        waiting.add([1; 32], 100);
        waiting.add([2; 32], 200);
        waiting.add([3; 32], 300);
        waiting.ordered([[1; 32].as_slice()], 50);
        assert!(!waiting.has(&[1; 32]));
        waiting.ordered([[9; 32].as_slice()], 200);
        assert!(!waiting.has(&[2; 32]), "its expiry has passed");
        assert!(waiting.has(&[3; 32]));
    }

    #[test]
    fn what_was_not_taken_is_waited_for_no_more_and_a_second_copy_is_not_new() {
        let waiting = Waiting::default();
        assert!(waiting.add([1; 32], 100));
        assert!(!waiting.add([1; 32], 100), "it waits already");
        waiting.withdraw(&[1; 32]);
        assert!(waiting.is_empty() && waiting.lock().by_expiry.is_empty());
    }

    #[test]
    fn the_list_is_bounded_and_loses_nothing_that_it_holds() {
        let waiting = Waiting::default();
        let id = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        for number in 0..=WAITING_MAX {
            waiting.add(id(number), 1);
        }
        assert!(waiting.has(&id(0)) && !waiting.has(&id(WAITING_MAX)));
        waiting.ordered([], 1);
        assert!(!waiting.has(&id(0)));
        assert!(waiting.lock().by_expiry.is_empty());
    }
}
