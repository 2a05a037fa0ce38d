//! What is wrong with an effect at present, one sentence for each cause.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A shared list of present troubles; empty means healthy.
#[derive(Clone, Debug, Default)]
pub struct Health {
    troubles: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Health {
    /// The present troubles, each as one sentence.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    /// Whether there is no trouble.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.lock().is_empty()
    }

    /// Notes a trouble under `cause`; says it in the log only when it is news.
    pub(crate) fn raise(&self, cause: &str, sentence: impl Into<String>) {
        let sentence = sentence.into();
        let before = self.lock().insert(cause.to_owned(), sentence.clone());
        if before.as_ref() != Some(&sentence) {
            tracing::warn!(cause, "{sentence}");
        }
    }

    /// The trouble under `cause` is over.
    pub(crate) fn clear(&self, cause: &str) {
        if let Some(sentence) = self.lock().remove(cause) {
            tracing::info!(cause, "over: {sentence}");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_stays_until_it_is_cleared() {
        let health = Health::default();
        health.raise("rpc", "the chain is unreachable");
        assert_eq!(health.troubles(), ["the chain is unreachable"]);
        health.clear("rpc");
        assert!(health.is_ok());
    }
}
