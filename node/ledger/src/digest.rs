//! Digest of the whole state, kept up with each change: LtHash.
//!
//! The state is a set of (key, value) entries. Each entry is expanded by
//! BLAKE3 to 1024 lanes of 16 bits, and the accumulator is the lane-wise sum
//! of all entries: adding or removing one costs the same however large the
//! state is, and the order of changes does not matter. Bellare and Micciancio,
//! "A new paradigm for collision-free hashing" (1997); Lewi, Kim, Maykov and
//! Weis, "Securing update propagation with homomorphic hashing" (2019).
//!
//! The accumulator itself is kept under [`keys::DIGEST`], which it does not cover.

use crate::{ChangeSet, Overlay, StateRead, keys, tables};

/// Lanes of the accumulator; 1024 of 16 bits give 200 bits of security.
const LANES: usize = 1024;

/// Sum of the expansions of all entries.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Accumulator([u16; LANES]);

impl Accumulator {
    const EMPTY: Self = Self([0; LANES]);

    fn load(state: &dyn StateRead) -> Self {
        let Some(bytes) = state.get(keys::DIGEST) else {
            return Self::EMPTY;
        };
        assert_eq!(
            bytes.len(),
            2 * LANES,
            "the digest's accumulator is damaged"
        );
        let mut lanes = Self::EMPTY;
        for (lane, pair) in lanes.0.iter_mut().zip(bytes.chunks_exact(2)) {
            *lane = u16::from_le_bytes([pair[0], pair[1]]);
        }
        lanes
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|lane| lane.to_le_bytes()).collect()
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        for (lane, term) in self.0.iter_mut().zip(expand(key, value)) {
            *lane = lane.wrapping_add(term);
        }
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        for (lane, term) in self.0.iter_mut().zip(expand(key, value)) {
            *lane = lane.wrapping_sub(term);
        }
    }

    fn digest(&self) -> [u8; 32] {
        blake3::derive_key("dctrl 2026 state digest", &self.to_bytes())
    }
}

/// An entry's lanes. The key's length comes first, so that no two entries
/// share their bytes.
fn expand(key: &[u8], value: &[u8]) -> [u16; LANES] {
    let mut hasher = blake3::Hasher::new_derive_key("dctrl 2026 state entry");
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let mut bytes = [0; 2 * LANES];
    hasher.finalize_xof().fill(&mut bytes);
    let mut lanes = [0; LANES];
    for (lane, pair) in lanes.iter_mut().zip(bytes.chunks_exact(2)) {
        *lane = u16::from_le_bytes([pair[0], pair[1]]);
    }
    lanes
}

/// The changes of a block, with the new accumulator among them, and the digest
/// of the state with all of them carried out.
pub(crate) fn close(overlay: Overlay<'_>) -> (ChangeSet, [u8; 32]) {
    // What the block has read is not read again.
    let (mut changes, base) = overlay.into_parts();
    let digest = advance(&base, &mut changes);
    (changes, digest)
}

/// Digest of `base` with `changes` carried out; adds the new accumulator to
/// `changes`.
fn advance(base: &dyn StateRead, changes: &mut ChangeSet) -> [u8; 32] {
    let mut accumulator = Accumulator::load(base);
    for (key, value) in changes.iter() {
        debug_assert_ne!(key, keys::DIGEST);
        let before = base.get(key);
        if before == *value {
            continue;
        }
        if let Some(before) = before {
            accumulator.remove(key, &before);
        }
        if let Some(after) = value {
            accumulator.add(key, after);
        }
    }
    changes.insert(keys::DIGEST.to_vec(), Some(accumulator.to_bytes()));
    accumulator.digest()
}

/// Digest of the whole state as its accumulator has it.
pub(crate) fn kept(state: &dyn StateRead) -> [u8; 32] {
    Accumulator::load(state).digest()
}

/// Digest of the whole state, from every entry.
pub(crate) fn from_scratch(state: &dyn StateRead) -> [u8; 32] {
    let mut accumulator = Accumulator::EMPTY;
    for (key, value) in tables::walk(state, b"") {
        if key != keys::DIGEST {
            accumulator.add(&key, &value);
        }
    }
    accumulator.digest()
}

/// Digest of a state that comes entry by entry, as a node takes it over from
/// other nodes. The entries' order does not matter; each must come once.
#[derive(Clone)]
pub struct StateDigest {
    sum: Accumulator,
    /// The accumulator that the state says it has.
    kept: Option<Vec<u8>>,
}

impl Default for StateDigest {
    fn default() -> Self {
        Self {
            sum: Accumulator::EMPTY,
            kept: None,
        }
    }
}

impl StateDigest {
    /// Takes in one entry of the state.
    pub fn entry(&mut self, key: &[u8], value: &[u8]) {
        if key == keys::DIGEST {
            self.kept = Some(value.to_vec());
        } else {
            self.sum.add(key, value);
        }
    }

    /// The entry under which a state of these entries keeps its accumulator.
    #[must_use]
    pub fn kept_entry(&self) -> (Vec<u8>, Vec<u8>) {
        (keys::DIGEST.to_vec(), self.sum.to_bytes())
    }

    /// The digest of all entries; `None` where the accumulator among them is
    /// not theirs, so that the next block would lead elsewhere.
    #[must_use]
    pub fn finish(self) -> Option<[u8; 32]> {
        let kept = self.kept.unwrap_or_else(|| Accumulator::EMPTY.to_bytes());
        (kept == self.sum.to_bytes()).then(|| self.sum.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryState;
    use proptest::prelude::*;

    fn changes() -> impl Strategy<Value = ChangeSet> {
        let key = proptest::collection::vec(97u8..100, 1..4);
        let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4));
        proptest::collection::btree_map(key, value, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_kept_digest_is_the_digest_of_all_entries(
            blocks in proptest::collection::vec(changes(), 0..6)
        ) {
            let mut state = MemoryState::default();
            for mut block in blocks {
                let digest = advance(&state, &mut block);
                state.apply(&block);
                prop_assert_eq!(digest, from_scratch(&state));
                prop_assert_eq!(digest, kept(&state));
                let mut arriving = StateDigest::default();
                for (key, value) in tables::walk(&state, b"") {
                    arriving.entry(&key, &value);
                }
                prop_assert_eq!(Some(digest), arriving.finish());
            }
        }
    }

    #[test]
    fn bytes_moved_between_key_and_value_change_the_digest() {
        let of = |key: &[u8], value: &[u8]| {
            let mut changes = ChangeSet::from([(key.to_vec(), Some(value.to_vec()))]);
            advance(&MemoryState::default(), &mut changes)
        };
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
        assert_ne!(of(b"a", b""), from_scratch(&MemoryState::default()));
    }
}
