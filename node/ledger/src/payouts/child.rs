//! Children that pay for their parents (CPFP): the change of a payout's
//! transaction that waits, spent back to the wallet with a fee for both.
//!
//! A child is a payout of its own that pays nobody. It needs no approvals, since
//! nobody gains anything, but the copayers' signatures like every other one;
//! its fee is bounded and booked like every other one, and may be raised. Its
//! one coin is there only together with its parent: when another version of the
//! parent is mined, what made the coin is gone, and the child ends as invalid.
//!
//! Absent: children of children, whose own fee can be raised instead.

use dctrl_proto::v1::{
    PaymentView, Payout, PayoutInput, PayoutKind, PayoutMeta, PayoutOrigin, PayoutParent,
    PayoutVersion, Refusal,
};
use dctrl_wallet::{Coin, Parent, Terms};

use super::build::{refused, version};
use super::rules::rules;
use super::{OPEN_MAX, coins, current, fees, keep, money, version_of};
use crate::caller::Caller;
use crate::refuse::{ensure, exists, precond};
use crate::scope::{Scope, View};
use crate::{StateRead, address, keys, tables};

/// What of a payout waits in mempools and has change to lift it by.
///
/// # Errors
/// Nothing does, or a child lifts it already.
pub(crate) fn liftable(
    view: &View<'_>,
    payout: &Payout,
) -> Result<(PayoutParent, PayoutInput), Refusal> {
    ensure(payout.parent.is_none(), || {
        precond("payout.child", "It is a child itself: raise its own fee.")
    })?;
    let seen = payout.seen.as_ref();
    let waits = seen.filter(|seen| seen.view() == PaymentView::InMempool);
    let version = waits.and_then(|seen| version_of(payout, &seen.txid));
    let Some(version) = version.filter(|_| !super::is_over(payout)) else {
        let message = "None of its transactions waits in the mempools.";
        return Err(precond("payout.state", message));
    };
    ensure(version.change_sats > 0, || {
        let message = "It has no change that a child could spend: raise its own fee.";
        precond("payout.change", message)
    })?;
    let change = change_of(version);
    let outpoint = change.outpoint.clone().unwrap_or_default();
    let holder = view.state.get(&keys::coin_locked(&outpoint));
    ensure(holder.is_none(), || {
        let id = String::from_utf8_lossy(&holder.unwrap_or_default()).into_owned();
        let message = format!("{id} lifts it already: raise the fee of that.");
        exists("payout.child", message)
    })?;
    let parent = PayoutParent {
        payout_id: payout.id.clone(),
        version: version.number,
        txid: version.txid.clone(),
        fee_sats: version.fee_sats,
        virtual_size: version.virtual_size,
    };
    Ok((parent, change))
}

fn change_of(version: &PayoutVersion) -> PayoutInput {
    PayoutInput {
        outpoint: Some(coins::change(version)),
        amount_sats: version.change_sats,
        change: true,
        address_index: version.change_index,
    }
}

/// The first transaction of a child. `wanted` is the rate of both together; 0
/// for the agreed one, or a quarter more than the parent pays.
pub(crate) fn child(
    view: &View<'_>,
    parent: &PayoutParent,
    change: &PayoutInput,
    wanted: u64,
) -> Result<PayoutVersion, Refusal> {
    let rules = rules(view.genesis);
    let pays = parent.fee_sats.saturating_mul(1000) / u64::from(parent.virtual_size.max(1));
    let quarter_more = pays.saturating_add(pays.div_ceil(4));
    let (agreed, agreed_note) = fees::rate(view);
    let (fee_rate, note) = match wanted {
        0 if agreed > quarter_more => (agreed, agreed_note),
        0 => (quarter_more, "a quarter more than its parent".to_owned()),
        wanted => (wanted, "as asked for".to_owned()),
    };
    let most = rules.fee_rate_max;
    ensure(fee_rate > pays && fee_rate <= most, || {
        let message = format!("The rate must be above {pays} and at most {most}, not {fee_rate}.");
        precond("payout.fee_rate", message)
    })?;
    let meta: PayoutMeta = tables::read(view.state, keys::PAYOUT_META).unwrap_or_default();
    let terms = Terms {
        recipients: Vec::new(),
        fee_rate,
        fee_sats_min: 0,
        fee_sats_max: rules.fee_sats_max,
        fee_bps_max: rules.fee_bps_max,
        change_index: meta.next_change_index,
        lock_time: tables::tip(view.state).height,
    };
    let mut version = make(view, parent, coins::coin(change), &terms)?;
    version.number = 1;
    version.set_kind(PayoutKind::Child);
    version.fee_note = note;
    Ok(version)
}

/// A child of `parent` that spends `change` on these terms.
pub(super) fn make(
    view: &View<'_>,
    parent: &PayoutParent,
    change: Coin,
    terms: &Terms,
) -> Result<PayoutVersion, Refusal> {
    let wallet = address::wallet(view.genesis);
    let parent = Parent {
        change,
        fee_sats: parent.fee_sats,
        virtual_size: u64::from(parent.virtual_size),
    };
    let plan = dctrl_wallet::child(&wallet, &parent, terms).map_err(|error| refused(&error))?;
    let plan = plan.ok_or_else(|| {
        let rate = terms.fee_rate;
        precond("payout.fee_rate", format!("It pays {rate} by itself."))
    })?;
    Ok(version(&plan, terms))
}

/// Makes the child a payout that waits for its signatures.
pub(crate) fn order_child(
    scope: &mut Scope<'_>,
    caller: &Caller,
    lifted: &Payout,
    parent: PayoutParent,
    version: PayoutVersion,
) -> String {
    let (id, time_ms) = (super::id_of(caller), scope.time_ms());
    let detail = format!("Lifts version {} of {}.", parent.version, lifted.id);
    let mut payout = Payout {
        purpose: format!("lift {}", lifted.id),
        sign_from_ms: time_ms,
        origins: origins(lifted, &parent),
        parent: Some(parent),
        ..super::new(scope, caller)
    };
    super::rules::take_change_index(scope);
    coins::lock(scope, &mut payout, &version);
    money::reserve(scope, &mut payout, 0, version.fee_sats, &detail);
    payout.versions.push(version);
    scope.put_bytes(keys::payout_newest(time_ms, &id), id.as_bytes());
    keep::save(scope, payout, &detail);
    id
}

/// What made the parent's inputs, and the parent.
fn origins(lifted: &Payout, parent: &PayoutParent) -> Vec<PayoutOrigin> {
    let inputs = version_of(lifted, &parent.txid).map(|version| &version.inputs);
    let spends = inputs.into_iter().flatten();
    let own = PayoutOrigin {
        txid: parent.txid.clone(),
        spends: spends.filter_map(|input| input.outpoint.clone()).collect(),
        ..PayoutOrigin::default()
    };
    let before = lifted.origins.iter().cloned();
    before.chain([own]).collect()
}

/// What a replacement of any version must outbid: its fee, and that of a child
/// that goes with it.
pub(super) fn fee_to_outbid(state: &dyn StateRead, payout: &Payout) -> u64 {
    let open = state.scan(keys::PAYOUTS_OPEN, None, OPEN_MAX);
    let children: Vec<Payout> = open
        .iter()
        .map(|(key, _)| {
            let id = String::from_utf8_lossy(&key[keys::PAYOUTS_OPEN.len()..]);
            tables::must(keep::find(state, &id))
        })
        .filter(|child| child.parent.is_some())
        .collect();
    let with_child = |version: &PayoutVersion| {
        let of = |child: &&Payout| {
            let parent = child.parent.as_ref();
            parent.is_some_and(|parent| parent.txid == version.txid)
        };
        let fees = children.iter().filter(of);
        version.fee_sats + fees.map(|child| current(child).fee_sats).sum::<u64>()
    };
    payout.versions.iter().map(with_child).max().unwrap_or(0)
}
