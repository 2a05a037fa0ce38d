//! `payment.observe`: a node's present view of one payment.

use dctrl_proto::v1::{PaymentObserve, PaymentView, Refusal};

use crate::caller::Caller;
use crate::rates::SATS_MAX;
use crate::refuse::{ensure, exhausted, invalid, not_found};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, payments, tables, tabs};

impl Action for PaymentObserve {
    type Plan = ();

    fn check(&self) -> Result<(), Refusal> {
        let txid = self.outpoint.as_ref().map_or(&[][..], |o| &o.txid);
        ids::bytes32("outpoint.txid", txid)?;
        ensure((1..=SATS_MAX).contains(&self.amount_sats), || {
            let message = "An amount is 1 to 21 million bitcoin in satoshi.";
            invalid("payment.amount", "amount_sats", message)
        })?;
        ensure(
            self.doubts.is_none() || self.view() == PaymentView::InMempool,
            || {
                let message = "Only an unconfirmed payment is in doubt.";
                invalid("payment.doubts", "doubts", message)
            },
        )?;
        match self.view() {
            PaymentView::InBlock => ids::bytes32("block_hash", &self.block_hash),
            PaymentView::InMempool | PaymentView::Absent => {
                ensure(self.block_hash.is_empty() && self.block_height == 0, || {
                    let message = "Only a payment in a block has one.";
                    invalid("payment.block", "block_hash", message)
                })
            }
            PaymentView::Unspecified => {
                Err(invalid("payment.view", "view", "The view is missing."))
            }
        }
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
        let index = self.address_index;
        let issued = tables::vend_at_address(view.state, index).is_some()
            || tabs::top_up(view.state, index).is_some();
        ensure(issued, || {
            let message = format!("Address {index} has not been issued.");
            not_found("payment.address", message)
        })?;
        let outpoint = self.outpoint.clone().unwrap_or_default();
        if tables::payment(view.state, &outpoint).is_some() {
            return Ok(());
        }
        ensure(self.view() != PaymentView::Absent, || {
            not_found("payment.outpoint", "Nobody has seen this payment.")
        })?;
        let alone = keys::reported_by(caller.node());
        let reported = view
            .state
            .scan(&alone, None, payments::REPORTED_PER_NODE_MAX);
        ensure(reported.len() < payments::REPORTED_PER_NODE_MAX, || {
            let message = "Too many payments that no other node has seen.";
            exhausted("payment.reported", message)
        })
    }

    fn execute(self, (): (), scope: &mut Scope<'_>, caller: &Caller) -> String {
        let index = self.address_index;
        payments::observe(scope, caller.node(), self);
        tables::vend_at_address(scope, index)
            .or_else(|| tabs::top_up(scope, index).map(|top_up| top_up.member_id))
            .unwrap_or_default()
    }
}
