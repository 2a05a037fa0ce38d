//! The keys that may connect, shared by everyone who asks or changes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Domain;
use crate::error::NetError;
use crate::limits::ALLOWED_KEYS_MAX;

type Keys = BTreeMap<Domain, BTreeSet<[u8; 32]>>;

/// CURVE public keys by domain. Clones share one list.
#[derive(Clone, Default)]
pub struct AllowList(Arc<Shared>);

#[derive(Default)]
struct Shared {
    keys: RwLock<Keys>,
    revocations: [AtomicU64; Domain::ALL.len()],
    counters: Counters,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) unknown_key: AtomicU64,
    pub(super) mechanism: AtomicU64,
    pub(super) malformed: AtomicU64,
}

/// Connections that the authenticator refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedConnections {
    /// The key is not in the list of the socket's domain.
    pub unknown_key: u64,
    /// Not CURVE, or not with a key of 32 bytes.
    pub mechanism: u64,
    /// The question itself was not understood.
    pub malformed: u64,
}

impl AllowList {
    /// An empty list: nobody may connect.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `key` connect to `domain`.
    ///
    /// # Errors
    /// Where the domain already holds [`ALLOWED_KEYS_MAX`] keys.
    pub fn allow(&self, domain: Domain, key: [u8; 32]) -> Result<(), NetError> {
        let mut keys = self.write();
        let set = keys.entry(domain).or_default();
        if set.len() >= ALLOWED_KEYS_MAX && !set.contains(&key) {
            return Err(too_many());
        }
        set.insert(key);
        Ok(())
    }

    /// Takes `key` out of `domain`. Open connections of the key are cut or
    /// ignored by the services within a second.
    pub fn revoke(&self, domain: Domain, key: &[u8; 32]) {
        let removed = self.write().entry(domain).or_default().remove(key);
        if removed {
            self.0.revocations[domain as usize].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Makes `keys` the whole list of `domain`.
    ///
    /// # Errors
    /// Where there are more than [`ALLOWED_KEYS_MAX`]; the list then stays.
    pub fn replace(&self, domain: Domain, keys: BTreeSet<[u8; 32]>) -> Result<(), NetError> {
        if keys.len() > ALLOWED_KEYS_MAX {
            return Err(too_many());
        }
        let old = self.write().insert(domain, keys.clone());
        if old.is_some_and(|old| !old.is_subset(&keys)) {
            self.0.revocations[domain as usize].fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Whether `key` may connect to `domain` now.
    #[must_use]
    pub fn contains(&self, domain: Domain, key: &[u8; 32]) -> bool {
        self.read()
            .get(&domain)
            .is_some_and(|set| set.contains(key))
    }

    /// Refused connections so far, of all domains.
    #[must_use]
    pub fn refused(&self) -> RefusedConnections {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RefusedConnections {
            unknown_key: of(&self.0.counters.unknown_key),
            mechanism: of(&self.0.counters.mechanism),
            malformed: of(&self.0.counters.malformed),
        }
    }

    /// Grows whenever a key was taken out of `domain`.
    pub(crate) fn revocations(&self, domain: Domain) -> u64 {
        self.0.revocations[domain as usize].load(Ordering::SeqCst)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    // A list that a panicking thread left behind is still whole: every change
    // is one insertion or removal.
    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.0.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn too_many() -> NetError {
    NetError::TooMany {
        what: "allowed CURVE keys of one domain",
        max: ALLOWED_KEYS_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_list_counts_as_revocation_only_when_a_key_is_gone() {
        let list = AllowList::new();
        list.replace(Domain::Bus, BTreeSet::from([[1; 32]]))
            .unwrap();
        list.replace(Domain::Bus, BTreeSet::from([[1; 32], [2; 32]]))
            .unwrap();
        assert_eq!(list.revocations(Domain::Bus), 0);
        list.replace(Domain::Bus, BTreeSet::from([[2; 32]]))
            .unwrap();
        assert_eq!(list.revocations(Domain::Bus), 1);
        assert!(!list.contains(Domain::Bus, &[1; 32]));
        assert!(!list.contains(Domain::Gossip, &[2; 32]));
    }

    #[test]
    fn the_list_is_bounded() {
        let list = AllowList::new();
        for number in 0..ALLOWED_KEYS_MAX as u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            list.allow(Domain::Bus, key).unwrap();
        }
        assert!(list.allow(Domain::Bus, [255; 32]).is_err());
        assert!(list.allow(Domain::Bus, [0; 32]).is_ok());
    }
}
