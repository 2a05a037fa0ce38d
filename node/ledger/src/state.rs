//! State as keys and values: how it is read, and how changes are collected.
//!
//! The ledger never writes. It reads through [`StateRead`] and hands back a
//! [`ChangeSet`], which the store applies in one batch. [`Changed`] shows a
//! state with such changes on top; it is a state itself, so that several sets
//! lie on top of each other. While a block is applied, an [`Overlay`] collects
//! its changes and shows them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Read access to one version of the state, in the order of the keys' bytes.
pub trait StateRead {
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// At most `limit` entries whose key starts with `prefix`, ascending;
    /// only keys greater than `after` where it is given.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// Changes to the state: a new value, or `None` where the key goes away.
pub type ChangeSet = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A state in memory, for tests and the simulator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryState {
    /// Carries out `changes`.
    pub fn apply(&mut self, changes: &ChangeSet) {
        for (key, value) in changes {
            match value {
                Some(value) => self.entries.insert(key.clone(), value.clone()),
                None => self.entries.remove(key),
            };
        }
    }
}

impl StateRead for MemoryState {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.entries.get(key).cloned()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        range(&self.entries, prefix, after)
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// The entries of `map` under `prefix` and beyond `after`.
fn range<'m, V>(
    map: &'m BTreeMap<Vec<u8>, V>,
    prefix: &[u8],
    after: Option<&[u8]>,
) -> impl Iterator<Item = (&'m Vec<u8>, &'m V)> {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
        _ => Bound::Included(prefix.to_vec()),
    };
    let prefix = prefix.to_vec();
    map.range((start, Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(&prefix))
}

/// A state with changes on top, which are not yet carried out. Changes that
/// have been carried out in the meantime change nothing.
#[derive(Clone, Copy)]
pub struct Changed<'s> {
    base: &'s dyn StateRead,
    changes: &'s ChangeSet,
}

impl<'s> Changed<'s> {
    /// `base` with `changes` on top.
    #[must_use]
    pub fn new(base: &'s dyn StateRead, changes: &'s ChangeSet) -> Self {
        Self { base, changes }
    }
}

impl StateRead for Changed<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.changes.get(key) {
            Some(change) => change.clone(),
            None => self.base.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let changed: Vec<_> = range(self.changes, prefix, after).collect();
        // Each change hides at most one entry of the base, so that at least
        // `limit` of these remain where the base has more.
        let below = self.base.scan(prefix, after, limit + changed.len());
        if changed.is_empty() {
            return below;
        }
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = below.into_iter().collect();
        for (key, value) in changed {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        merged.into_iter().take(limit).collect()
    }
}

/// A state whose rows are read once each: a block asks for the same ones again
/// and again, and its digest for what they were before. It lives as long as a
/// block, which bounds it.
pub(crate) struct Remembered<'s> {
    base: &'s dyn StateRead,
    rows: RefCell<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl StateRead for Remembered<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(value) = self.rows.borrow().get(key) {
            return value.clone();
        }
        let value = self.base.get(key);
        self.rows.borrow_mut().insert(key.to_vec(), value.clone());
        value
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.base.scan(prefix, after, limit)
    }
}

/// A state, and the changes that are collected on top of it.
pub struct Overlay<'s> {
    base: Remembered<'s>,
    changes: ChangeSet,
}

impl<'s> Overlay<'s> {
    /// `base` without changes.
    #[must_use]
    pub fn new(base: &'s dyn StateRead) -> Self {
        Self {
            base: Remembered {
                base,
                rows: RefCell::default(),
            },
            changes: ChangeSet::new(),
        }
    }

    /// The state below the changes.
    #[must_use]
    pub fn base(&self) -> &dyn StateRead {
        &self.base
    }

    /// Sets the value at `key`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// The changes so far.
    #[must_use]
    pub fn changes(&self) -> &ChangeSet {
        &self.changes
    }

    /// At the end, the changes and the state below them.
    pub(crate) fn into_parts(self) -> (ChangeSet, Remembered<'s>) {
        (self.changes, self.base)
    }
}

impl StateRead for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        Changed::new(&self.base, &self.changes).get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        Changed::new(&self.base, &self.changes).scan(prefix, after, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(97u8..100, 1..4)
    }

    fn changes() -> impl Strategy<Value = ChangeSet> {
        let value = proptest::option::of((0u8..9).prop_map(|value| vec![value]));
        proptest::collection::btree_map(key(), value, 0..20)
    }

    proptest! {
        #[test]
        fn changes_on_top_of_each_other_read_like_the_state_they_will_make(
            base in proptest::collection::btree_map(key(), 0u8..9, 0..20),
            layers in proptest::collection::vec(changes(), 3),
            prefix in proptest::collection::vec(97u8..100, 0..3),
            after in proptest::option::of(key()),
            limit in 1usize..8,
        ) {
            let mut below = MemoryState::default();
            below.apply(&base.into_iter().map(|(k, v)| (k, Some(vec![v]))).collect());
            let oldest = Changed::new(&below, &layers[0]);
            let older = Changed::new(&oldest, &layers[1]);
            let mut overlay = Overlay::new(&older);
            for (key, value) in &layers[2] {
                match value {
                    Some(value) => overlay.put(key.clone(), value.clone()),
                    None => overlay.delete(key.clone()),
                }
            }
            let mut after_all = below.clone();
            layers.iter().for_each(|layer| after_all.apply(layer));
            prop_assert_eq!(
                overlay.scan(&prefix, after.as_deref(), limit),
                after_all.scan(&prefix, after.as_deref(), limit)
            );
            for key in layers.iter().flat_map(|layer| layer.keys()) {
                prop_assert_eq!(overlay.get(key), after_all.get(key));
            }
            // Their being carried out is not seen.
            let mut carried_out = below.clone();
            carried_out.apply(&layers[0]);
            let again = Changed::new(&carried_out, &layers[0]);
            prop_assert_eq!(
                again.scan(&prefix, after.as_deref(), limit),
                carried_out.scan(&prefix, after.as_deref(), limit)
            );
        }
    }

    /// Counts how often it is asked for a row.
    struct Counted {
        state: MemoryState,
        asked: RefCell<usize>,
    }

    impl StateRead for Counted {
        fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
            *self.asked.borrow_mut() += 1;
            self.state.get(key)
        }

        fn scan(&self, _: &[u8], _: Option<&[u8]>, _: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
            Vec::new()
        }
    }

    #[test]
    fn an_overlay_reads_each_row_of_its_base_once_whether_it_is_there_or_not() {
        let mut state = MemoryState::default();
        let row = ChangeSet::from([(b"there".to_vec(), Some(b"1".to_vec()))]);
        state.apply(&row);
        let counted = Counted {
            state,
            asked: RefCell::default(),
        };
        let mut overlay = Overlay::new(&counted);
        for _ in 0..3 {
            assert_eq!(overlay.get(b"there"), Some(b"1".to_vec()));
            assert_eq!(overlay.get(b"absent"), None);
        }
        overlay.put(b"absent".to_vec(), b"2".to_vec());
        assert_eq!(overlay.get(b"absent"), Some(b"2".to_vec()));
        assert_eq!(overlay.base().get(b"absent"), None, "below the change");
        assert_eq!(*counted.asked.borrow(), 2);
    }
}
