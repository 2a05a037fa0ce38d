//! `payout.observe`: a node's present view of what spends a payout's inputs.

use dctrl_proto::v1::{PaymentView, Payout, PayoutObserve, Refusal};

use crate::caller::Caller;
use crate::refuse::{ensure, invalid};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payouts};

impl Action for PayoutObserve {
    type Plan = Payout;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("payout_id", &self.payout_id)?;
        match self.view() {
            PaymentView::Absent => ensure(self.txid.is_empty(), || {
                invalid("payout.txid", "txid", "What is absent has no id.")
            })?,
            _ => ids::bytes32("txid", &self.txid)?,
        }
        match self.view() {
            PaymentView::InBlock => ids::bytes32("block_hash", &self.block_hash),
            PaymentView::InMempool | PaymentView::Absent => {
                ensure(self.block_hash.is_empty() && self.block_height == 0, || {
                    let message = "Only a transaction in a block has one.";
                    invalid("payout.block", "block_hash", message)
                })
            }
            PaymentView::Unspecified => Err(invalid("payout.view", "view", "The view is missing.")),
        }
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Payout, Refusal> {
        let payout = payouts::find(view.state, &self.payout_id)?;
        payouts::check_observation(&payout, self)?;
        Ok(payout)
    }

    fn execute(self, payout: Payout, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let id = self.payout_id.clone();
        payouts::observe(scope, caller.node(), self, payout);
        id
    }
}
