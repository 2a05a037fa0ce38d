//! A node's hands in payouts, which are the product's own: what it broadcasts
//! and says of them. The chain takes what satisfies the wallet's scripts.

use bitcoin::consensus::deserialize;
use bitcoin::{Amount, Transaction, TxOut};
use dctrl_effects::chain::model::SimError;
use dctrl_effects::chain::{self, Hash};
use dctrl_effects::payout::view::Order;
use dctrl_ledger::{facts, query};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BusBody, FeeObserve, PaymentView, Payout, PayoutObserve};

use super::liars::Mouth;
use super::market::Backend;
use super::notifier::About;
use super::plan::Planted;
use super::world::World;
use crate::copayer_keys::{Spent, reduced};
use crate::engine::Seat;
use crate::scenario::SECOND;

/// The backend is asked this often while a payout is open,
const ASK_EVERY: u64 = 2 * SECOND;
/// and left alone for so long after an error.
const AFTER_ERROR: u64 = 10 * SECOND;
/// A fee rate is said this often.
const FEE_EVERY: u64 = 60 * SECOND;
/// Fee rates that nodes see, satoshi for 1000 virtual bytes.
const FEE_RATES: (u64, u64) = (1_000, 4_000);

/// The payout that an event of the bus tells of.
pub(super) fn payout_of(body: &BusBody) -> Option<Payout> {
    match &body.event {
        Some(Event::Payout(changed)) => changed.payout.clone(),
        _ => None,
    }
}

impl World {
    /// What the state says of payouts is read once in each life: votes alone
    /// are not told on the bus.
    pub(super) fn read_payouts(&mut self, seat: Seat) {
        let node = &mut self.nodes[seat];
        if self.plan.payouts == 0 || node.notifier.payouts_from.is_some() {
            return;
        }
        let topics = ["payout".to_owned()];
        let mut cursor = Vec::new();
        // It reads its own cursors, which fit.
        while let Ok(page) = facts::page(&node.store.state, &topics, &cursor, 0) {
            for payout in page.events.iter().filter_map(payout_of) {
                node.notifier.payouts.told(payout);
            }
            cursor = page.next;
            if cursor.is_empty() {
                break;
            }
        }
        node.notifier.payouts_from = Some(query::meta(&node.store.state).height);
    }

    /// The backend of this node now.
    pub(super) fn backend(&self, seat: Seat) -> Backend<'_> {
        let (down_until, lags_until, height) = self.market.backends[seat];
        Backend {
            chain: &self.market.chain,
            down: self.now < down_until,
            height_max: (self.now < lags_until).then_some(height),
        }
    }

    /// A turn of the broadcaster; false where the process died of it.
    pub(super) fn broadcast_due(&mut self, seat: Seat) -> bool {
        if self.plan.payouts == 0 || self.now < self.nodes[seat].notifier.pay_at {
            return true;
        }
        self.nodes[seat].notifier.pay_at = self.now + ASK_EVERY;
        self.say_fee(seat);
        if self.nodes[seat].notifier.payouts.is_empty() {
            return true;
        }
        if !self.look_at_payouts(seat) {
            return true;
        }
        let now_ms = self.nodes[seat].now_ms(self.now);
        for order in self.nodes[seat].notifier.payouts.take_due(now_ms) {
            if self.plan.mouths[seat] == Mouth::Censor {
                self.seen.hit("broadcasts_withheld");
                continue;
            }
            if self.passes("payout.before_broadcast") {
                self.strike_follower(seat);
                return false;
            }
            self.broadcast(&order);
            if self.passes("payout.broadcast") {
                self.strike_follower(seat);
                return false;
            }
        }
        self.tell_of_the_chain();
        if self.look_at_payouts(seat) {
            self.say_of_payouts(seat);
        }
        true
    }

    fn look_at_payouts(&mut self, seat: Seat) -> bool {
        let mut payouts = std::mem::replace(
            &mut self.nodes[seat].notifier.payouts,
            super::notifier::payouts(seat),
        );
        let seen = payouts.look(&self.backend(seat)).is_ok();
        if !seen {
            payouts.interrupted();
            self.nodes[seat].notifier.pay_at = self.now + AFTER_ERROR;
        }
        self.nodes[seat].notifier.payouts = payouts;
        seen
    }

    fn say_of_payouts(&mut self, seat: Seat) {
        if self.plan.planted == Some(Planted::MutePayouts) {
            return;
        }
        for (id, said) in self.nodes[seat].notifier.payouts.unsaid() {
            let said = self.twisted_payout(seat, said);
            self.put(seat, About::Payout(id.clone()), &said);
            self.nodes[seat].notifier.payouts.said(&id);
        }
    }

    fn say_fee(&mut self, seat: Seat) {
        if self.now < self.nodes[seat].notifier.fee_at {
            return;
        }
        self.nodes[seat].notifier.fee_at = self.now + FEE_EVERY;
        let mut fee_rate = self.chance.between(FEE_RATES.0, FEE_RATES.1);
        if self.plan.mouths[seat] == Mouth::Price {
            self.seen.hit("fee_lies");
            fee_rate = [1, 99_999_999][usize::from(self.chance.chance(500))];
        }
        self.put(seat, About::Fee, &FeeObserve { fee_rate });
    }

    /// What this node says in place of what it sees of a payout.
    fn twisted_payout(&mut self, seat: Seat, said: PayoutObserve) -> PayoutObserve {
        if self.plan.mouths[seat] != Mouth::Chain {
            return said;
        }
        self.seen.hit("payout_lies");
        let mut lie = PayoutObserve {
            payout_id: said.payout_id,
            ..PayoutObserve::default()
        };
        if self.chance.chance(500) {
            lie.set_view(PaymentView::Absent);
        } else {
            lie.set_view(PaymentView::InBlock);
            lie.txid = vec![0xcc; 32];
            lie.block_height = 7;
            lie.block_hash = vec![0x77; 32];
        }
        lie
    }

    fn broadcast(&mut self, order: &Order) {
        let id = &order.payout;
        let raw: Transaction = match deserialize(&order.transaction) {
            Ok(raw) => raw,
            Err(error) => return self.violation(format!("{id} cannot be read: {error}")),
        };
        let slim = reduced(&raw);
        if let Err(what) = self.satisfies(id, &raw, &slim) {
            return self.violation(what);
        }
        self.seen.hit(match self.market.chain.submit(slim) {
            Ok(_) if order.rank == 0 => "payouts_sent",
            Ok(_) => "payouts_sent_by_others",
            Err(SimError::Known(_)) => "payouts_sent_again",
            Err(_) => "payouts_in_conflict",
        });
    }

    /// Whether each input has the signatures that its output asks for. One that
    /// the chain does not have is the chain's to refuse.
    fn satisfies(
        &self,
        id: &str,
        raw: &Transaction,
        slim: &chain::Transaction,
    ) -> Result<(), String> {
        let versions = self.checks.books.payouts.get(id).map(|one| &one.versions);
        let versions = versions.into_iter().flatten();
        let inputs = versions.clone().flat_map(|one| &one.inputs);
        for (position, place) in slim.inputs.iter().enumerate() {
            let Some(output) = self.market.output(place) else {
                continue;
            };
            let is = |outpoint: &dctrl_proto::v1::Outpoint| {
                (Hash::from_slice(&outpoint.txid), outpoint.vout) == (Some(place.0), place.1)
            };
            let input = inputs
                .clone()
                .find(|one| one.outpoint.as_ref().is_some_and(is));
            let input = input.ok_or(format!("{id} spends what it does not hold"))?;
            let leaf = self
                .copayers
                .keys
                .leaf(u32::from(input.change), input.address_index);
            if leaf.output.as_bytes() != output.script {
                return Err(format!("{id} names another address of its coin"));
            }
            let spent = Spent {
                output: TxOut {
                    value: Amount::from_sat(output.amount_sats),
                    script_pubkey: output.script.into(),
                },
                leaf,
            };
            if !self.copayers.keys.holds(raw, position, &spent) {
                return Err(format!("{id}: the chain refuses its signatures"));
            }
        }
        Ok(())
    }
}
