//! Payments as the federation believes them, from what its nodes report.
//!
//! No node is believed alone: a payment is seen when f + 1 nodes see it, in a
//! block when f + 1 name the same block, gone when f + 1 say so and fewer
//! than f + 1 still see it. It belongs to the vend to which its address was
//! given, or to the member who tops up with it.

mod belief;
mod booking;
mod risk;
mod tip;

use dctrl_proto::v1::{Outpoint, Payment, PaymentObserve, PaymentState, PaymentVote, Vend};

pub(crate) use booking::account;
pub(crate) use tip::observe_tip;

use crate::StateRead;
use crate::scope::Scope;
use crate::vends::{is_open, reconsider, reschedule, save};
use crate::{facts, keys, payouts, tables, tabs};

/// Payments that one node alone may have reported: a liar's are bounded.
pub(crate) const REPORTED_PER_NODE_MAX: usize = 1000;

/// Takes in a node's view of a payment.
pub(crate) fn observe(scope: &mut Scope<'_>, node: u32, view: PaymentObserve) {
    let outpoint = view.outpoint.clone().unwrap_or_default();
    let known = tables::payment(scope, &outpoint);
    let first_report = known.is_none();
    let mut payment = known.unwrap_or_else(|| Payment {
        outpoint: Some(outpoint.clone()),
        address_index: view.address_index,
        amount_sats: view.amount_sats,
        coinbase: view.coinbase,
        state: PaymentState::Reported.into(),
        ..Payment::default()
    });
    let vote = PaymentVote {
        node,
        address_index: view.address_index,
        amount_sats: view.amount_sats,
        view: view.view,
        block_height: view.block_height,
        block_hash: view.block_hash,
        coinbase: view.coinbase,
        doubts: view.doubts,
    };
    match payment.votes.iter_mut().find(|vote| vote.node == node) {
        Some(before) => *before = vote,
        None => payment.votes.push(vote),
    }
    payment.votes.sort_by_key(|vote| vote.node);
    if first_report {
        scope.put(keys::reported(node, &outpoint), &outpoint);
    }
    conclude(scope, payment);
}

/// Drops the votes of nodes that have gone, and counts anew what is not
/// final. A payment that is final or gone keeps such votes until somebody
/// speaks of it again; they do not count.
pub(crate) fn realign(scope: &mut Scope<'_>) {
    tip::realign(scope);
    for (key, value) in tables::walk(scope, keys::REPORTED).collect::<Vec<_>>() {
        let outpoint: Outpoint = tables::decode(&key, &value);
        let payment = tables::payment(scope, &outpoint).expect("an indexed payment is there");
        if !scope.federation().has(keys::parse_reported(&key)) {
            scope.delete(key);
            let mut votes = payment.votes.iter().map(|vote| vote.node);
            if let Some(node) = votes.find(|node| scope.federation().has(*node)) {
                scope.put(keys::reported(node, &outpoint), &outpoint);
            }
        }
        conclude(scope, payment);
    }
    for table in [keys::SEEN, keys::CONFIRMING] {
        for outpoint in tables::rows::<Outpoint>(scope, table).collect::<Vec<_>>() {
            let payment = tables::payment(scope, &outpoint).expect("an indexed payment is there");
            conclude(scope, payment);
        }
    }
}

/// Draws the conclusions of a payment's votes and of the chain's tip.
fn conclude(scope: &mut Scope<'_>, mut payment: Payment) {
    payment
        .votes
        .retain(|vote| scope.federation().has(vote.node));
    let before = payment.clone();
    belief::update(&mut payment, scope.federation(), tables::tip(scope).height);
    belief::clamp_final(&mut payment, scope.policy().final_depth);
    belief::trust(&mut payment, scope.federation(), scope.time_ms());
    if payment.state() == PaymentState::Reported {
        keep_report(scope, &payment);
        return;
    }
    if before.state() == PaymentState::Reported {
        attach(scope, &mut payment);
    }
    keep_index(scope, &payment);
    if payment.vend_id.is_empty() {
        booking::follow_top_up(scope, &before, &mut payment);
        keep(scope, &before, payment);
        return;
    }
    let mut vend = tables::must(tables::vend(scope, &payment.vend_id));
    let vend_before = vend.clone();
    booking::follow(scope, &mut vend, &before, &mut payment);
    keep(scope, &before, payment);
    if is_open(vend.state()) {
        reconsider(scope, &mut vend);
    }
    if is_open(vend.state()) {
        vend.recheck_at_ms = risk::recheck_at_ms(scope, &vend);
        if vend.recheck_at_ms != vend_before.recheck_at_ms {
            reschedule(scope, &vend);
        }
        if vend.state() == vend_before.state() && vend != vend_before {
            save(scope, &vend);
        } else {
            scope.put(keys::vend(&vend.id), &vend);
        }
    }
}

/// Keeps the payment, and tells where more than its votes has changed.
fn keep(scope: &mut Scope<'_>, before: &Payment, payment: Payment) {
    scope.put(payment_key(&payment), &payment);
    payouts::payment_changed(scope, &payment);
    if is_changed(before, &payment) {
        scope.tell(facts::payment(payment));
    }
}

/// Payments to one vend that are looked at for what is on its way.
const PENDING_MAX: usize = 1000;

/// Payments to the vend that are not counted yet.
pub(crate) fn pending(scope: &Scope<'_>, vend: &Vend) -> Vec<Payment> {
    scope
        .scan(&keys::payments_of_vend(&vend.id), None, PENDING_MAX)
        .iter()
        .map(|(key, value)| tables::decode::<Outpoint>(key, value))
        .filter_map(|outpoint| tables::payment(scope, &outpoint))
        .filter(|payment| !payment.booked)
        .collect()
}

/// Looks again at what is on its way to a vend: time has passed.
pub(crate) fn recheck(scope: &mut Scope<'_>, vend: &Vend) {
    for payment in pending(scope, vend) {
        conclude(scope, payment);
    }
}

/// Keeps what too few nodes have reported, unless they have all withdrawn it.
fn keep_report(scope: &mut Scope<'_>, payment: &Payment) {
    if belief::is_forgotten(payment) {
        scope.delete(payment_key(payment));
        forget_reports(scope, payment);
    } else {
        scope.put(payment_key(payment), payment);
    }
}

fn forget_reports(scope: &mut Scope<'_>, payment: &Payment) {
    let outpoint = payment
        .outpoint
        .as_ref()
        .expect("a payment has its outpoint");
    for vote in &payment.votes {
        scope.delete(keys::reported(vote.node, outpoint));
    }
}

fn payment_key(payment: &Payment) -> Vec<u8> {
    keys::payment(
        payment
            .outpoint
            .as_ref()
            .expect("a payment has its outpoint"),
    )
}

/// Whether more than the votes changed.
fn is_changed(before: &Payment, after: &Payment) -> bool {
    (
        before.state,
        before.confirmations,
        before.booked,
        &before.block_hash,
    ) != (
        after.state,
        after.confirmations,
        after.booked,
        &after.block_hash,
    )
}

/// A payment that is believed for the first time finds its vend or member.
fn attach(scope: &mut Scope<'_>, payment: &mut Payment) {
    let outpoint = payment
        .outpoint
        .clone()
        .expect("a payment has its outpoint");
    let index = payment.address_index;
    if let Some(vend_id) = tables::vend_at_address(scope, index) {
        scope.put(keys::payment_of_vend(&vend_id, &outpoint), &outpoint);
        payment.vend_id = vend_id;
    } else {
        let top_up = tabs::top_up(scope, index).expect("only issued addresses are observed");
        tabs::used(scope, &top_up.member_id, index);
        payment.member_id = top_up.member_id;
    }
    forget_reports(scope, payment);
}

/// Payments whose confirmations still count are looked at with every tip,
/// and they and those that are only seen when the nodes change.
fn keep_index(scope: &mut Scope<'_>, payment: &Payment) {
    let outpoint = payment
        .outpoint
        .as_ref()
        .expect("a payment has its outpoint");
    for (key, states) in [
        (
            keys::seen(outpoint),
            &[PaymentState::Seen, PaymentState::Reorged][..],
        ),
        (keys::confirming(outpoint), &[PaymentState::Confirmed]),
    ] {
        if states.contains(&payment.state()) {
            scope.put(key, outpoint);
        } else {
            scope.delete(key);
        }
    }
}
