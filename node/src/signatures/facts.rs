//! What a node remembers of signatures: which held, and the keys' points.

use std::collections::HashMap;

use dctrl_consensus::{Digest, PublicKey, crypto::PreparedKey};

/// Verified signatures remembered at least: more than are on their way from
/// admission to their block at any rate. At most twice as many are held, in a
/// few megabytes.
const VERIFIED_MIN: usize = 32_768;

/// Keys remembered at least, of 200 bytes; at most twice as many are held.
const KEYS_MIN: usize = 4096;

/// A map that forgets what was not asked for during its last filling.
struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    size: usize,
}

impl<K: std::hash::Hash + Eq + Copy, V: Copy> Recent<K, V> {
    fn new(size: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            size,
        }
    }

    fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.size {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// Signatures that held.
pub(super) struct Verified(Recent<Digest, ()>);

impl Default for Verified {
    fn default() -> Self {
        Self(Recent::new(VERIFIED_MIN))
    }
}

impl Verified {
    pub(super) fn contains(&self, fact: &Digest) -> bool {
        self.0.young.contains_key(fact) || self.0.old.contains_key(fact)
    }

    pub(super) fn insert(&mut self, fact: Digest) {
        self.0.insert(fact, ());
    }
}

/// Keys that signed lately, with their points.
pub(super) struct Keys(Recent<PublicKey, PreparedKey>);

impl Default for Keys {
    fn default() -> Self {
        Self(Recent::new(KEYS_MIN))
    }
}

impl Keys {
    /// The key made ready; `None` where the bytes are no key.
    pub(super) fn prepare(&mut self, key: PublicKey) -> Option<PreparedKey> {
        if let Some(known) = self.0.young.get(&key) {
            return Some(*known);
        }
        let prepared = match self.0.old.remove(&key) {
            Some(known) => known,
            None => PreparedKey::new(&key)?,
        };
        self.0.insert(key, prepared);
        Some(prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_facts_stay_and_memory_is_bounded() {
        let fact = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            Digest(digest)
        };
        let mut verified = Verified::default();
        for number in 0..5 * VERIFIED_MIN {
            verified.insert(fact(number));
            assert!(verified.contains(&fact(number)));
            let oldest = number.saturating_sub(VERIFIED_MIN - 1);
            assert!(verified.contains(&fact(oldest)));
        }
        assert!(verified.0.young.len() + verified.0.old.len() <= 2 * VERIFIED_MIN);
        assert!(!verified.contains(&fact(0)));
    }
}
