//! Payments that the federation believes and of which this node has said nothing:
//! it may have been away while they were there.
//!
//! Where they are gone again, its silence would count for them for ever. So it
//! looks for them itself, and says where they are or that they are nowhere: for one
//! that is believed in a block once its own chain has another block in that one's
//! place, for one that waits once another block has come, since what others have
//! seen has come to its mempool by then. Until then, and where its chain has that
//! block too, it knows nothing against the payment.

use std::collections::BTreeMap;

use dctrl_proto::v1::{Payment, PaymentDoubts, PaymentState};

use super::{Hash, Key, Known, NEVER_SAID, Place, Tip, Watch};

/// Strays that are kept; those in the oldest blocks go first.
const STRAYS_MAX: usize = 10_000;

/// By the height at which something is known of them, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Strays {
    all: BTreeMap<(u32, Key), Stray>,
    heights: BTreeMap<Key, u32>,
}

#[derive(Debug)]
struct Stray {
    /// Where it is believed; `None` while it waits.
    block: Option<Hash>,
    address_index: u32,
    amount_sats: u64,
    coinbase: bool,
    is_final: bool,
}

impl Strays {
    fn insert(&mut self, height: u32, key: Key, stray: Stray) {
        self.heights.insert(key, height);
        self.all.insert((height, key), stray);
        if self.all.len() > STRAYS_MAX
            && let Some(((_, oldest), _)) = self.all.pop_first()
        {
            self.heights.remove(&oldest);
        }
    }

    fn remove(&mut self, key: Key) -> Option<Stray> {
        let height = self.heights.remove(&key)?;
        self.all.remove(&(height, key))
    }

    /// Takes out those of one height.
    fn take_at(&mut self, height: u32) -> Vec<(Key, Stray)> {
        let lowest = (Hash([0; 32]), 0);
        let highest = (Hash([0xff; 32]), u32::MAX);
        let at = self.all.range((height, lowest)..=(height, highest));
        let keys: Vec<Key> = at.map(|((_, key), _)| *key).collect();
        let taken = keys.into_iter();
        taken
            .filter_map(|key| Some((key, self.remove(key)?)))
            .collect()
    }

    /// Takes out the lowest one below a height.
    fn take_below(&mut self, height: u32) -> Option<(Key, Stray)> {
        let first = self.all.first_entry()?;
        if first.key().0 >= height {
            return None;
        }
        let ((_, key), stray) = first.remove_entry();
        self.heights.remove(&key);
        Some((key, stray))
    }
}

impl Watch {
    /// Takes note of a payment of which this node has said nothing.
    pub(super) fn note_stray(&mut self, key: Key, payment: &Payment) {
        self.strays.remove(key);
        let (height, block) = match payment.state() {
            PaymentState::Confirmed | PaymentState::Final => {
                (payment.block_height, Hash::from_slice(&payment.block_hash))
            }
            PaymentState::Seen | PaymentState::Reorged => {
                let next = self.tip().map(|tip| tip.height.saturating_add(1));
                (next.unwrap_or(0), None)
            }
            _ => return,
        };
        let stray = Stray {
            block,
            address_index: payment.address_index,
            amount_sats: payment.amount_sats,
            coinbase: payment.coinbase,
            is_final: payment.state() == PaymentState::Final,
        };
        let first = self.blocks.front().map(|first| first.height);
        let place = first.and_then(|first| height.checked_sub(first));
        match place.and_then(|place| self.blocks.get(place as usize)) {
            Some(own) => self.compare(*own, key, stray),
            None => self.strays.insert(height, key, stray),
        }
    }

    /// Sees to the strays that the newest block of this node's chain concerns.
    pub(super) fn find_strays(&mut self) {
        let (Some(first), Some(own)) = (self.blocks.front(), self.tip()) else {
            return;
        };
        let first = first.height;
        while let Some((key, stray)) = self.strays.take_below(first) {
            // Nothing can be said of a block before the walk.
            if stray.block.is_none() {
                self.look_for(key, &stray);
            }
        }
        for (key, stray) in self.strays.take_at(own.height) {
            self.compare(own, key, stray);
        }
    }

    /// Looks for a stray unless `own`, a block of this node's chain, is the one in
    /// which it is believed.
    fn compare(&mut self, own: Tip, key: Key, stray: Stray) {
        if stray.block == Some(own.hash) {
            self.strays.insert(own.height, key, stray);
        } else {
            self.look_for(key, &stray);
        }
    }

    /// Has the mempool asked for it; where it is not there either, that is said.
    fn look_for(&mut self, key: Key, stray: &Stray) {
        self.make_room();
        let known = self.payments.entry(key).or_insert(Known {
            address_index: stray.address_index,
            amount_sats: stray.amount_sats,
            coinbase: stray.coinbase,
            place: Place::Unchecked,
            doubts: PaymentDoubts::default(),
            said: None,
            told: None,
            said_here: false,
            is_final: stray.is_final,
        });
        // What was said meanwhile stands, unless it was too early.
        known.told.get_or_insert(NEVER_SAID);
        known.said.get_or_insert(NEVER_SAID);
    }
}
