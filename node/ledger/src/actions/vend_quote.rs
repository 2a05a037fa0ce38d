//! `vend.quote`: a price and a fresh address for one unit, or the price held
//! on the buyer's tab.
//!
//! Whatever could keep the machine from dispensing is a refusal here, before
//! any payment is asked for.

use dctrl_proto::v1::VendState::{Quoted, Reserved};
use dctrl_proto::v1::product::Price;
use dctrl_proto::v1::{MemberStatus, Product, Refusal, Vend, VendQuote};
use dctrl_wallet::Chain;

use crate::caller::{Caller, Role};
use crate::refuse::{denied, ensure, invalid, not_found, precond, unavailable};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, public_key, quotes, rates, sellable, stock, tables, tabs, vends};

/// What was found out about the sale.
pub(crate) struct Plan {
    product: Product,
    price_sats: u64,
}

/// A vend's id, from the id of the action that asked for it.
fn vend_id(caller: &Caller) -> String {
    format!("v{}", hex::encode(&caller.action_id[..8]))
}

impl Action for VendQuote {
    type Plan = Plan;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("machine_id", &self.machine_id)?;
        ids::slot("slot", &self.slot)?;
        if self.member_id.is_empty() {
            ensure(!self.from_tab, || {
                let message = "A guest has no tab.";
                invalid("vend.from_tab", "from_tab", message)
            })?;
            if self.claim_key.is_empty() {
                return Ok(());
            }
            return public_key::check("claim_key", &self.claim_key);
        }
        ensure(self.claim_key.is_empty(), || {
            let message = "A member is credited on the tab, without a claim.";
            invalid("vend.claim_key", "claim_key", message)
        })?;
        ids::id("member_id", &self.member_id)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Plan, Refusal> {
        caller.require_own(&self.machine_id)?;
        let machine = tables::machine(view.state, &self.machine_id)?;
        let slot = tables::slot(view.state, &self.machine_id, &self.slot)?;
        buyer(view, caller, &self.member_id)?;
        sellable::require(view, &machine)?;
        ensure(slot.stock > 0, || {
            let message = format!("Slot {} of {} is empty.", slot.slot, machine.id);
            precond("slot.stock", message)
        })?;
        quotes::require_room(view, caller, &self.machine_id)?;
        let product = tables::product(view.state, &slot.product_id)
            .ok_or_else(|| not_found("product", "The slot's product is gone."))?;
        let price_sats = price_sats(view, &product)?;
        if self.from_tab {
            own_tab(caller, &self.member_id)?;
            tabs::can_spend(view.state, &self.member_id, price_sats)?;
        }
        let free = tables::vend(view.state, &vend_id(caller)).is_err();
        ensure(free, || {
            precond("vend.id", "Ask again with another request id.")
        })?;
        quotes::require_address(view)?;
        Ok(Plan {
            product,
            price_sats,
        })
    }

    fn execute(self, plan: Plan, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let rate = match &plan.product.price {
            Some(Price::PriceFiat(fiat)) => rates::agree(scope, &fiat.currency),
            _ => None,
        };
        let address_index = scope.take_address_index();
        // Nobody is to pay where the tab pays, so that no address is shown.
        let address = if self.from_tab {
            String::new()
        } else {
            scope
                .wallet()
                .address(Chain::Payments, address_index)
                .to_string()
        };
        let mut vend = Vend {
            id: vend_id(caller),
            machine_id: self.machine_id,
            slot: self.slot,
            product_id: plan.product.id,
            member_id: self.member_id,
            price_sats: plan.price_sats,
            rate,
            address_index,
            address,
            expires_at_ms: scope.time_ms() + u64::from(scope.policy().quote_ms),
            quoted_by: caller.principal.encode(),
            claim_key: self.claim_key,
            ..Vend::default()
        };
        scope.put_bytes(keys::vend_newest(address_index), vend.id.as_bytes());
        vends::step(scope, &mut vend, Quoted, "A price was quoted.");
        stock::hold(scope, &mut vend);
        vends::step(scope, &mut vend, Reserved, "One unit is held.");
        if self.from_tab {
            vends::pay_from_tab(scope, &mut vend);
        } else {
            quotes::opened(scope, &vend, caller);
        }
        vend.id
    }
}

/// Refuses to sell on somebody else's tab, or on that of a member who may not buy.
fn buyer(view: &View<'_>, caller: &Caller, member_id: &str) -> Result<(), Refusal> {
    if member_id.is_empty() {
        return Ok(());
    }
    let own = caller
        .member
        .as_ref()
        .is_some_and(|own| own.id == member_id);
    let may_name_others = [Role::Operator, Role::Staff, Role::Machine, Role::Node]
        .iter()
        .any(|role| caller.has(*role));
    ensure(own || may_name_others, || {
        denied("vend.member", "You can buy for yourself or as a guest.")
    })?;
    let member = tables::member(view.state, member_id)
        .ok_or_else(|| not_found("member", format!("There is no member {member_id}.")))?;
    ensure(member.status() == MemberStatus::Active, || {
        let status = member.status().as_str_name().to_lowercase();
        denied("member.status", format!("The membership is {status}."))
    })
}

/// Only the member spends what is on the tab: a machine or operator that could
/// name any member would otherwise hold everybody's money.
fn own_tab(caller: &Caller, member_id: &str) -> Result<(), Refusal> {
    let own = caller.member.as_ref().map(|own| own.id.as_str());
    ensure(own == Some(member_id), || {
        denied("vend.tab", "You can buy on your own tab only.")
    })
}

fn price_sats(view: &View<'_>, product: &Product) -> Result<u64, Refusal> {
    let fiat = match &product.price {
        Some(Price::PriceSats(sats)) => return Ok(*sats),
        Some(Price::PriceFiat(fiat)) => fiat,
        None => return Err(precond("product.price", "The product has no price.")),
    };
    let currency = &fiat.currency;
    let rate = rates::fresh_median(view, currency).ok_or_else(|| {
        let message = format!("There is no fresh price of a bitcoin in {currency}.");
        unavailable("price.stale", message)
    })?;
    rates::in_sats(fiat, rate, view.policy().price_spread_bps)
        .ok_or_else(|| precond("product.price", "The price is more than there is."))
}
