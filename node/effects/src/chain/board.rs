//! What is known of a node's backends, shared by all who ask them: which
//! answer, which one is followed, and in what they contradict each other.
//!
//! Deliberately absent: any decision about money. Who votes and who sends
//! money asks [`Board::held`] first.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{ChainError, Tip};

/// A backend that failed is asked again after this.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How one backend stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not been asked.
    Unasked,
    /// It has answered; its newest block.
    Good(Tip),
    /// It failed.
    Bad(ChainError),
}

#[derive(Debug)]
struct Member {
    key: String,
    what: String,
    standing: Standing,
    since: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    members: Vec<Member>,
    followed: usize,
    /// Somebody asks failed backends again beside those who follow one.
    checked: bool,
    /// The backends are to be compared and have not been yet.
    uncompared: bool,
    /// The newest block that the federation has agreed on.
    agreed: Option<Tip>,
    /// In what backends contradict each other, one sentence for each cause.
    disputes: BTreeMap<String, String>,
}

/// What is known of a node's backends. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Inner>>);

impl Board {
    pub(super) fn new(names: impl IntoIterator<Item = (String, String)>) -> Self {
        let members = names.into_iter().map(|(key, what)| Member {
            key,
            what,
            standing: Standing::Unasked,
            since: Instant::now(),
        });
        Self(Arc::new(Mutex::new(Inner {
            members: members.collect(),
            ..Inner::default()
        })))
    }

    /// How each backend stands, in order of preference: the setting that names
    /// it, and its standing.
    #[must_use]
    pub fn standings(&self) -> Vec<(String, Standing)> {
        let inner = self.lock();
        let members = inner.members.iter();
        members
            .map(|one| (one.key.clone(), one.standing.clone()))
            .collect()
    }

    /// The position of the backend that is followed.
    #[must_use]
    pub fn followed(&self) -> usize {
        self.lock().followed
    }

    /// Each backend in one sentence, for people.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let inner = self.lock();
        let all = inner.members.iter().enumerate();
        all.map(|(index, one)| {
            let place = format!("{} ({})", one.key, one.what);
            let role = if index == inner.followed {
                ", followed"
            } else {
                ""
            };
            match &one.standing {
                Standing::Unasked => format!("{place}: not asked yet"),
                Standing::Good(tip) => format!("{place}: at block {}{role}", tip.height),
                Standing::Bad(error) => format!("{place}: {error}"),
            }
        })
        .collect()
    }

    /// What needs a person: backends that fail, and contradictions.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let held = self.held().map(|why| format!("payouts are held: {why}"));
        let inner = self.lock();
        let bad = inner.members.iter().filter_map(|one| match &one.standing {
            Standing::Bad(error) => Some(format!("{} ({}): {error}", one.key, one.what)),
            _ => None,
        });
        bad.chain(held).collect()
    }

    /// Why payouts are held: in what the backends contradict each other.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        let inner = self.lock();
        let mut all: Vec<&str> = inner.disputes.values().map(String::as_str).collect();
        if inner.uncompared {
            all.push("the backends have not been compared yet");
        }
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Whether backends contradict each other at present.
    pub(super) fn is_disputed(&self) -> bool {
        !self.lock().disputes.is_empty()
    }

    /// The setting that names a backend.
    pub(super) fn key(&self, index: usize) -> String {
        let inner = self.lock();
        let member = inner.members.get(index);
        member.map_or_else(String::new, |one| one.key.clone())
    }

    pub(super) fn good(&self, index: usize, tip: Tip) {
        self.set(index, Standing::Good(tip));
    }

    /// A backend failed, whoever asked it.
    pub(super) fn bad(&self, index: usize, error: &ChainError) {
        self.set(index, Standing::Bad(error.clone()));
    }

    fn set(&self, index: usize, standing: Standing) {
        let mut inner = self.lock();
        let Some(member) = inner.members.get_mut(index) else {
            return;
        };
        let worked = matches!(member.standing, Standing::Good(_));
        match &standing {
            Standing::Bad(error) if member.standing != standing => {
                tracing::warn!(backend = member.key, %error, "a chain backend fails");
            }
            Standing::Good(tip) if !worked => {
                tracing::info!(
                    backend = member.key,
                    height = tip.height,
                    "a chain backend answers"
                );
            }
            _ => {}
        }
        member.standing = standing;
        member.since = Instant::now();
    }

    pub(super) fn follow(&self, index: usize) {
        let mut inner = self.lock();
        if inner.followed == index {
            return;
        }
        inner.followed = index;
        if let Some(member) = inner.members.get(index) {
            tracing::warn!(
                backend = member.key,
                what = member.what,
                "follows another backend"
            );
        }
    }

    /// Whom to ask, in this order. Those that failed are asked again when all
    /// others fail as well, and otherwise after a while unless somebody else
    /// looks after them.
    pub(super) fn candidates(&self) -> Vec<usize> {
        let inner = self.lock();
        let all = inner.members.iter().enumerate();
        let (resting, ready): (Vec<_>, Vec<_>) = all.partition(|(_, one)| {
            let fresh = inner.checked || one.since.elapsed() < RETRY_AFTER;
            matches!(one.standing, Standing::Bad(_)) && fresh
        });
        let order = ready.into_iter().chain(resting);
        order.map(|(index, _)| index).collect()
    }

    /// From now on (or no longer) failed backends are asked by somebody else.
    pub(super) fn look_after(&self, checked: bool) {
        let mut inner = self.lock();
        inner.checked = checked;
        inner.uncompared = checked;
    }

    /// The backends have been compared, as far as they answer.
    pub(super) fn compared(&self) {
        self.lock().uncompared = false;
    }

    pub(super) fn len(&self) -> usize {
        self.lock().members.len()
    }

    pub(super) fn is_good(&self, index: usize) -> bool {
        let inner = self.lock();
        let member = inner.members.get(index);
        member.is_some_and(|one| matches!(one.standing, Standing::Good(_)))
    }

    /// Whether a backend failed so lately that it is left alone. One of
    /// another network is left alone for good.
    pub(super) fn rests(&self, index: usize) -> bool {
        let inner = self.lock();
        inner
            .members
            .get(index)
            .is_some_and(|one| match one.standing {
                Standing::Bad(ChainError::WrongChain { .. }) => true,
                Standing::Bad(_) => one.since.elapsed() < RETRY_AFTER,
                _ => false,
            })
    }

    /// Failed backends are asked again in the next round.
    #[cfg(test)]
    pub(super) fn end_rests(&self) {
        for one in &mut self.lock().members {
            one.since = one.since.checked_sub(RETRY_AFTER).unwrap();
        }
    }

    pub(super) fn agree(&self, agreed: Option<Tip>) {
        self.lock().agreed = agreed;
    }

    pub(super) fn agreed(&self) -> Option<Tip> {
        self.lock().agreed
    }

    /// Backends contradict each other.
    pub(super) fn dispute(&self, cause: &str, sentence: String) {
        let before = self
            .lock()
            .disputes
            .insert(cause.to_owned(), sentence.clone());
        if before.as_ref() != Some(&sentence) {
            tracing::error!(cause, "chain backends disagree: {sentence}");
        }
    }

    /// They agree again.
    pub(super) fn settle(&self, cause: &str) {
        if let Some(sentence) = self.lock().disputes.remove(cause) {
            tracing::info!(cause, "chain backends agree again: {sentence}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
