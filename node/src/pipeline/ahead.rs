//! The state with changes on top that are not durable yet.
//!
//! A block is executed while the batch of the one before is still being
//! synced. Nobody but the next execution sees the state like this.

use std::collections::BTreeMap;

use dctrl_ledger::{ChangeSet, StateRead};

/// A durable state and, above it, the changes of blocks after it, oldest
/// first. A layer that has become durable in the meantime changes nothing.
pub(super) struct Ahead<'s> {
    base: &'s dyn StateRead,
    layers: [&'s ChangeSet; 2],
}

impl<'s> Ahead<'s> {
    pub(super) fn new(base: &'s dyn StateRead, older: &'s ChangeSet, newer: &'s ChangeSet) -> Self {
        Self {
            base,
            layers: [older, newer],
        }
    }
}

impl StateRead for Ahead<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let newest_first = self.layers.iter().rev();
        match newest_first.filter_map(|layer| layer.get(key)).next() {
            Some(change) => change.clone(),
            None => self.base.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut changed: BTreeMap<&Vec<u8>, &Option<Vec<u8>>> = BTreeMap::new();
        for layer in self.layers {
            let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
            changed.extend(
                layer
                    .range(from.to_vec()..)
                    .take_while(|(key, _)| key.starts_with(prefix))
                    .filter(|(key, _)| after != Some(key.as_slice())),
            );
        }
        // Each change hides at most one entry of the base.
        let below = self.base.scan(prefix, after, limit + changed.len());
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

#[cfg(test)]
mod tests {
    use dctrl_ledger::MemoryState;

    use super::*;

    fn changes(entries: &[(&str, Option<&str>)]) -> ChangeSet {
        let entry = |(key, value): &(&str, Option<&str>)| {
            let value = value.map(|value| value.as_bytes().to_vec());
            (key.as_bytes().to_vec(), value)
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn it_reads_like_the_state_that_the_layers_will_make() {
        let mut base = MemoryState::default();
        base.apply(&changes(&[
            ("a1", Some("base")),
            ("a2", Some("base")),
            ("a3", Some("base")),
            ("b", Some("base")),
        ]));
        let older = changes(&[("a1", Some("old")), ("a2", None), ("a4", Some("old"))]);
        let newer = changes(&[("a2", Some("new")), ("a4", None), ("a0", Some("new"))]);
        let mut after_all = base.clone();
        after_all.apply(&older);
        after_all.apply(&newer);
        let ahead = Ahead::new(&base, &older, &newer);
        for key in ["a0", "a1", "a2", "a3", "a4", "b", "c"] {
            assert_eq!(
                ahead.get(key.as_bytes()),
                after_all.get(key.as_bytes()),
                "{key}"
            );
        }
        for after in [None, Some(b"a1".as_slice()), Some(b"a2")] {
            for limit in 1..6 {
                assert_eq!(
                    ahead.scan(b"a", after, limit),
                    after_all.scan(b"a", after, limit)
                );
            }
        }
    }
}
