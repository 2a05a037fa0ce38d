//! The one table of actions: it drives dispatch, permissions and documents.

use dctrl_proto::action::Payload;
use dctrl_proto::v1::{
    ChainObserve, ClaimRedeem, FeeObserve, MachineAccept, MachineHeartbeat, MachineReceipt,
    MachineReport, MachineReset, MachineSet, MemberSet, NodeApprove, NodeLeave, NodePropose,
    NodeRenew, NodeWithdraw, PaymentObserve, PayoutAllow, PayoutApprove, PayoutBump, PayoutCancel,
    PayoutLift, PayoutObserve, PayoutPropose, PayoutReject, PayoutSign, PriceObserve, ProductSet,
    RefundRequest, RefundWithdraw, Refusal, SlotRestock, SlotSet, TabCash, TabLimit, TabTopUp,
    TabTransfer, TimeTick, VendQuote, VendResolve,
};

use crate::caller::Caller;
pub use crate::caller::Role;
use crate::refuse::{invalid, not_found};
use crate::scope::{Scope, View};

/// What one action is: checks that need no state, checks against the state,
/// and what it does. An action without a guard does not build.
pub(crate) trait Action: Payload {
    /// What the guard found out and the execution needs.
    type Plan;

    /// Whether the input is right in itself.
    fn check(&self) -> Result<(), Refusal>;

    /// Whether the state allows it.
    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Self::Plan, Refusal>;

    /// Carries it out; returns the id of what it made or changed.
    fn execute(self, plan: Self::Plan, scope: &mut Scope<'_>, caller: &Caller) -> String;
}

/// How long the answer to an action is kept, and with it the request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Whoever asks years later gets the same answer: money, machines, members.
    ForEver,
    /// Signs of life and views that the next one replaces: for a while behind
    /// the expiry.
    Passing,
}

/// One row of the registry.
pub struct ActionKind {
    /// Such as `vend.quote`.
    pub name: &'static str,
    /// Message of package `dctrl.v1` that the payload is.
    pub payload: &'static str,
    /// Any of these may sign it.
    pub roles: &'static [Role],
    /// One sentence for people.
    pub doc: &'static str,
    /// How long its answer is kept; see [`crate::receipts`].
    pub answer: Answer,
    guard: fn(&View<'_>, &Caller, &[u8]) -> Result<(), Refusal>,
    run: fn(&mut Scope<'_>, &Caller, &[u8]) -> Result<String, Refusal>,
}

const OPERATOR: &[Role] = &[Role::Operator];
const STAFF: &[Role] = &[Role::Operator, Role::Staff];
const NODE: &[Role] = &[Role::Node];
const FOUNDER: &[Role] = &[Role::Node, Role::Operator];
const MACHINE: &[Role] = &[Role::Machine];
const COPAYER: &[Role] = &[Role::Copayer];
const TREASURY: &[Role] = &[Role::Operator, Role::Copayer];
const MEMBER: &[Role] = &[Role::Member];
const BUYER: &[Role] = &[Role::Member, Role::Machine, Role::Node];

/// All actions, by name.
#[rustfmt::skip]
pub static ACTIONS: &[ActionKind] = &[
    passing::<ChainObserve>("ChainObserve", NODE, "A node's present best block."),
    row::<ClaimRedeem>("ClaimRedeem", MEMBER, "Put a guest's credit onto the own tab."),
    passing::<FeeObserve>("FeeObserve", NODE, "A node's present view of the right fee rate."),
    row::<MachineAccept>("MachineAccept", MACHINE, "The agent has journalled an order and will carry it out."),
    passing::<MachineHeartbeat>("MachineHeartbeat", MACHINE, "The agent is alive, ready or not, and asks for the consensus time."),
    row::<MachineReceipt>("MachineReceipt", MACHINE, "How an order ended."),
    row::<MachineReport>("MachineReport", MACHINE, "A numbered sensor event of a machine."),
    row::<MachineReset>("MachineReset", OPERATOR, "A machine that lost its journal starts a new incarnation."),
    row::<MachineSet>("MachineSet", OPERATOR, "Register a machine or change its site, keys or whether it sells."),
    row::<MemberSet>("MemberSet", OPERATOR, "Register a member or change name, key, roles or status."),
    row::<NodeApprove>("NodeApprove", NODE, "A node approves a proposed change of the nodes."),
    row::<NodeLeave>("NodeLeave", NODE, "A node leaves the federation by itself."),
    row::<NodePropose>("NodePropose", FOUNDER, "Propose to add, remove, replace or update a node, or to let it start anew."),
    row::<NodeRenew>("NodeRenew", NODE, "A node that lost or changed its disk counts with the new one only."),
    row::<NodeWithdraw>("NodeWithdraw", FOUNDER, "Take back a proposal, or the own approval of another's."),
    row::<PaymentObserve>("PaymentObserve", NODE, "A node's present view of one payment to a federation address."),
    row::<PayoutAllow>("PayoutAllow", TREASURY, "Put an address onto the list of those that may be paid, or take it off."),
    row::<PayoutApprove>("PayoutApprove", COPAYER, "A copayer finds a payout right."),
    row::<PayoutBump>("PayoutBump", TREASURY, "The same payout with a higher fee, to be signed anew."),
    row::<PayoutCancel>("PayoutCancel", TREASURY, "Drop a payout; once approved, by a transaction back to the wallet."),
    row::<PayoutLift>("PayoutLift", TREASURY, "A child of a payout's waiting transaction, back to the wallet, with a fee for both."),
    row::<PayoutObserve>("PayoutObserve", NODE, "A node's present view of what spends a payout's inputs."),
    row::<PayoutPropose>("PayoutPropose", TREASURY, "Propose to pay from the federation's wallet."),
    row::<PayoutReject>("PayoutReject", COPAYER, "A copayer does not want a payout."),
    row::<PayoutSign>("PayoutSign", TREASURY, "Hand in copayers' signatures for a payout."),
    passing::<PriceObserve>("PriceObserve", NODE, "A node's present view of the price of a bitcoin."),
    row::<ProductSet>("ProductSet", STAFF, "Add a product or change its name or price."),
    row::<RefundRequest>("RefundRequest", BUYER, "Set a balance or claim aside, to be paid to a signed address."),
    row::<RefundWithdraw>("RefundWithdraw", BUYER, "Take back a refund that nobody has paid yet."),
    row::<SlotRestock>("SlotRestock", STAFF, "Goods put into a slot, or found missing."),
    row::<SlotSet>("SlotSet", STAFF, "Say which product a machine's slot sells."),
    row::<TabCash>("TabCash", STAFF, "Record that a member has paid in cash, or was paid."),
    row::<TabLimit>("TabLimit", OPERATOR, "Set what a member may owe, and risk with unconfirmed payments."),
    row::<TabTopUp>("TabTopUp", MEMBER, "Ask for an address of one's own, whose payments are credited."),
    row::<TabTransfer>("TabTransfer", MEMBER, "Give another member what one has."),
    passing::<TimeTick>("TimeTick", NODE, "A reason to order a block, so that a passed deadline is noticed."),
    row::<VendQuote>("VendQuote", BUYER, "Ask for a price and an address for one unit, or buy it on the tab."),
    row::<VendResolve>("VendResolve", OPERATOR, "Decide an uncertain vend."),
];

const fn row<A: Action>(
    payload: &'static str,
    roles: &'static [Role],
    doc: &'static str,
) -> ActionKind {
    ActionKind {
        name: A::NAME,
        payload,
        roles,
        doc,
        answer: Answer::ForEver,
        guard: guard::<A>,
        run: run::<A>,
    }
}

/// [`row`] of an action of which the next one takes the place.
const fn passing<A: Action>(
    payload: &'static str,
    roles: &'static [Role],
    doc: &'static str,
) -> ActionKind {
    ActionKind {
        answer: Answer::Passing,
        ..row::<A>(payload, roles, doc)
    }
}

/// The row with this name, if there is one.
#[must_use]
pub(crate) fn find_known(name: &str) -> Option<&'static ActionKind> {
    ACTIONS.iter().find(|kind| kind.name == name)
}

/// The row with this name; a wrong name is answered with the nearest right one.
///
/// # Errors
/// NOTFOUND.
pub fn find(name: &str) -> Result<&'static ActionKind, Refusal> {
    if let Some(kind) = find_known(name) {
        return Ok(kind);
    }
    let nearest = ACTIONS
        .iter()
        .map(|kind| kind.name)
        .min_by_key(|known| strsim::levenshtein(known, name))
        .unwrap_or_default();
    let message = format!("There is no action {name:?}. The nearest is {nearest:?}.");
    Err(not_found("action.name", message))
}

impl ActionKind {
    /// Whether the action would be carried out.
    pub(crate) fn guard(
        &self,
        view: &View<'_>,
        caller: &Caller,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        caller.require(self.roles)?;
        (self.guard)(view, caller, payload)
    }

    /// Guards the action again and carries it out.
    pub(crate) fn run(
        &self,
        scope: &mut Scope<'_>,
        caller: &Caller,
        payload: &[u8],
    ) -> Result<String, Refusal> {
        caller.require(self.roles)?;
        (self.run)(scope, caller, payload)
    }
}

fn parse<A: Action>(payload: &[u8]) -> Result<A, Refusal> {
    let action = A::decode(payload).map_err(|error| {
        let message = format!("Not a payload of {}: {error}.", A::NAME);
        invalid("action.payload", "payload", message)
    })?;
    action.check()?;
    Ok(action)
}

fn guard<A: Action>(view: &View<'_>, caller: &Caller, payload: &[u8]) -> Result<(), Refusal> {
    parse::<A>(payload)?.guard(view, caller).map(drop)
}

fn run<A: Action>(
    scope: &mut Scope<'_>,
    caller: &Caller,
    payload: &[u8],
) -> Result<String, Refusal> {
    let action = parse::<A>(payload)?;
    let plan = action.guard(&scope.view(), caller)?;
    Ok(action.execute(plan, scope, caller))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_row_roles_and_a_document() {
        for pair in ACTIONS.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{} is out of order",
                pair[1].name
            );
        }
        for kind in ACTIONS {
            assert!(
                !kind.roles.is_empty() && kind.doc.ends_with('.'),
                "{}",
                kind.name
            );
        }
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_nearest_one() {
        let refusal = find("vend.qoute").err().unwrap();
        assert_eq!(refusal.rule, "action.name");
        assert!(refusal.message.contains("vend.quote"));
    }
}
