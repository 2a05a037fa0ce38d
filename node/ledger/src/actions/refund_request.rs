//! `refund.request`: set a balance or a claim aside, to be paid on the chain to
//! an address that the payer has signed for. A payout carries it out.

use dctrl_proto::claim::refund_bytes;
use dctrl_proto::v1::{Refund, RefundRequest, RefundState, Refusal};
use dctrl_wallet::parse_address;

use crate::caller::Caller;
use crate::purse::{self, Purse};
use crate::refuse::{ensure, invalid, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{address, books, claims, ids, keys, payouts, refunds, tables, tabs};

/// Less is dust for some kind of address, and is not relayed, satoshi.
const REFUND_SATS_MIN: u64 = 546;
/// Longest address, bytes: bech32 has at most 90.
const ADDRESS_BYTES_MAX: usize = 90;

impl Action for RefundRequest {
    /// Whose credit it is, and where it would be written down.
    type Plan = (Purse, String);

    fn check(&self) -> Result<(), Refusal> {
        if !self.vend_id.is_empty() {
            ids::id("vend_id", &self.vend_id)?;
        }
        tabs::amount(self.sats)?;
        ensure(self.sats >= REFUND_SATS_MIN, || {
            let message = format!("Less than {REFUND_SATS_MIN} sats cannot be sent.");
            invalid("refund.dust", "sats", message)
        })?;
        ensure(self.address.len() <= ADDRESS_BYTES_MAX, || {
            invalid("refund.address", "address", "This is not an address.")
        })
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Self::Plan, Refusal> {
        let network = address::network(view.genesis)?;
        parse_address(&self.address, network)
            .map_err(|error| invalid("refund.address", "address", error.to_string()))?;
        let most = payouts::most(&payouts::rules(view.genesis));
        ensure(self.sats <= most || most == 0, || {
            let message = format!("At most {most} sats are paid out at once: ask for parts.");
            precond("refund.tier", message)
        })?;
        let purse = if self.vend_id.is_empty() {
            Purse::tab(caller.member_id()?)
        } else {
            let vend = tables::vend(view.state, &self.vend_id)?;
            claims::is_claim(&vend)?;
            let cluster = tables::meta(view.state).cluster;
            let bytes = refund_bytes(&cluster, &vend.id, self.sats, &self.address);
            claims::is_theirs(&vend, caller, &bytes, &self.signature)?;
            Purse::of(&vend)
        };
        tabs::owns(view.state, &purse, self.sats)?;
        let id = format!("r{}", hex::encode(&caller.action_id[..8]));
        let free = view.state.get(&keys::refund(&id)).is_none();
        ensure(free, || {
            precond("refund.id", "Ask again with another request id.")
        })?;
        Ok((purse, id))
    }

    fn execute(self, (purse, id): Self::Plan, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let member_id = match &purse {
            Purse::Tab(member_id) => member_id.clone(),
            Purse::Claim(_) => String::new(),
        };
        let to = books::refund(&id);
        purse::spend(scope, &id, "set aside for a refund", &purse, &to, self.sats);
        let refund = Refund {
            id: id.clone(),
            member_id,
            vend_id: self.vend_id,
            sats: self.sats,
            address: self.address,
            action_id: caller.action_id.to_vec(),
            proof: self.signature,
            state: RefundState::RefundOpen.into(),
            height: scope.height(),
            time_ms: scope.time_ms(),
            asked_by: caller.principal.encode(),
            ..Refund::default()
        };
        refunds::save(scope, refund);
        id
    }
}
