//! What two backends show of payments, side by side.
//!
//! The one that is followed and a second one walk the same blocks. A vote on a
//! payment in a block is cast when both show it there; where they contradict
//! each other for longer than a grace, the [`Board`](super::Board) says so and
//! payouts are held. Without a second healthy backend the first one is believed.
//!
//! Blocks below where either of the two began to walk are not compared, and
//! neither are mempools, which differ by nature.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dctrl_proto::v1::{PaymentObserve, PaymentView};

use super::{Hash, Tip, watch::Key};

/// The payments that one backend shows in a range of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Blocks above this height have been looked through, up to `tip`.
    pub(super) above: u32,
    pub(super) tip: u32,
    pub(super) found: BTreeMap<Key, Tip>,
}

impl View {
    fn covers(&self, height: u32) -> bool {
        height > self.above && height <= self.tip
    }

    /// Payments on which the two contradict each other, within the blocks that
    /// both have looked through.
    pub(super) fn contradicts(&self, other: &Self) -> BTreeMap<Key, Tip> {
        let only = |one: &Self, other: &Self| {
            let found = one.found.iter();
            found
                .filter(|(key, tip)| {
                    let both = one.covers(tip.height) && other.covers(tip.height);
                    both && other.found.get(key) != Some(tip)
                })
                .map(|(key, tip)| (*key, *tip))
                .collect::<BTreeMap<_, _>>()
        };
        let mut all = only(self, other);
        all.extend(only(other, self));
        all
    }

    /// Whether a vote on a payment fits what is shown here.
    fn confirms(&self, said: &PaymentObserve) -> bool {
        let outpoint = said.outpoint.as_ref();
        let Some(key) = outpoint.and_then(|one| Some((Hash::from_slice(&one.txid)?, one.vout)))
        else {
            return false;
        };
        let shown = self.found.get(&key);
        match said.view() {
            PaymentView::InBlock if said.block_height <= self.above => true,
            PaymentView::InBlock => shown.is_some_and(|tip| {
                tip.height == said.block_height && tip.hash.0.as_slice() == said.block_hash
            }),
            PaymentView::Absent => shown.is_none(),
            PaymentView::InMempool | PaymentView::Unspecified => true,
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Scripts that the second backend has not been told of.
    scripts: Vec<(Vec<u8>, u32)>,
    first: View,
    /// None while there is no second healthy backend.
    second: Option<View>,
    /// Above this height the first one has looked again, and the second one has not.
    back: Option<u32>,
}

/// Both views, shared by who follows a backend and who checks it.
#[derive(Clone, Debug, Default)]
pub(super) struct Cross(Arc<Mutex<Inner>>);

impl Cross {
    /// What the followed backend shows now, the scripts that are new, and above
    /// which height it was looked through again for them.
    pub(super) fn show_first(
        &self,
        scripts: Vec<(Vec<u8>, u32)>,
        view: View,
        went_back: Option<u32>,
    ) {
        let mut inner = self.lock();
        inner.scripts.extend(scripts);
        inner.back = inner.back.into_iter().chain(went_back).min();
        inner.first = view;
    }

    /// Above which height the second backend must be looked through again.
    pub(super) fn take_back(&self) -> Option<u32> {
        self.lock().back.take()
    }

    /// The scripts that are new to the second backend.
    pub(super) fn take_scripts(&self) -> Vec<(Vec<u8>, u32)> {
        std::mem::take(&mut self.lock().scripts)
    }

    /// What the second backend shows now; whether that is news.
    pub(super) fn show_second(&self, view: Option<View>) -> bool {
        let mut inner = self.lock();
        let news = inner.second != view;
        inner.second = view;
        news
    }

    /// Payments on which the two contradict each other at present.
    pub(super) fn contradictions(&self) -> BTreeMap<Key, Tip> {
        let inner = self.lock();
        let second = inner.second.as_ref();
        second.map_or_else(BTreeMap::new, |second| inner.first.contradicts(second))
    }

    /// Whether the second backend, where there is one, shows what a vote says.
    pub(super) fn confirms(&self, said: &PaymentObserve) -> bool {
        let inner = self.lock();
        let second = inner.second.as_ref();
        second.is_none_or(|second| second.confirms(said))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use dctrl_proto::v1::Outpoint;

    use super::*;

    fn tip(height: u32, name: u8) -> Tip {
        let hash = Hash([name; 32]);
        Tip { height, hash }
    }

    fn view(above: u32, to: u32, found: &[(u8, Tip)]) -> View {
        let found = found.iter().map(|(id, at)| ((Hash([*id; 32]), 0), *at));
        View {
            above,
            tip: to,
            found: found.collect(),
        }
    }

    #[test]
    fn a_payment_that_only_one_has_contradicts_once_both_have_seen_its_block() {
        let has = view(5, 10, &[(1, tip(9, 9))]);
        assert!(
            has.contradicts(&view(5, 8, &[])).is_empty(),
            "not there yet"
        );
        assert!(has.contradicts(&view(9, 12, &[])).is_empty(), "began later");
        assert_eq!(has.contradicts(&view(0, 9, &[])).len(), 1);
        assert_eq!(view(0, 9, &[]).contradicts(&has).len(), 1);
        assert!(has.contradicts(&has).is_empty());
        let elsewhere = view(5, 10, &[(1, tip(9, 8))]);
        assert_eq!(has.contradicts(&elsewhere).len(), 1);
    }

    #[test]
    fn a_vote_is_cast_when_both_show_what_it_says() {
        let cross = Cross::default();
        let mut said = PaymentObserve {
            outpoint: Some(Outpoint {
                txid: vec![1; 32],
                vout: 0,
            }),
            block_height: 9,
            block_hash: vec![9; 32],
            ..PaymentObserve::default()
        };
        said.set_view(PaymentView::InBlock);
        assert!(cross.confirms(&said), "there is no second backend");
        cross.show_second(Some(view(5, 8, &[])));
        assert!(!cross.confirms(&said), "the second one waits for the block");
        cross.show_second(Some(view(5, 9, &[])));
        assert!(!cross.confirms(&said), "it does not have the payment");
        cross.show_second(Some(view(5, 9, &[(1, tip(9, 9))])));
        assert!(cross.confirms(&said));
        said.set_view(PaymentView::Absent);
        assert!(!cross.confirms(&said), "the second one has it");
        cross.show_second(Some(view(9, 12, &[])));
        assert!(cross.confirms(&said));
        said.set_view(PaymentView::InBlock);
        assert!(cross.confirms(&said), "below what the second one looks at");
    }
}
