//! What the federation believes of a payout's coins, from what its nodes see.

use std::collections::BTreeMap;

use dctrl_proto::v1::{
    Outpoint, PaymentView, Payout, PayoutObserve, PayoutSpend, PayoutVote, Refusal,
};

use super::{INPUTS_SEEN_MAX, coins, current, keep, settle, version_of};
use crate::refuse::{ensure, invalid};
use crate::scope::Scope;
use crate::votes::Federation;
use crate::{StateRead, keys, tables};

/// Whether a node may say this of a payout.
pub(crate) fn check_observation(payout: &Payout, said: &PayoutObserve) -> Result<(), Refusal> {
    let own = version_of(payout, &said.txid).is_some();
    let foreign = said.view() != PaymentView::Absent && !own;
    let inputs = coins::inputs(payout);
    let key = |outpoint: &Outpoint| (outpoint.txid.clone(), outpoint.vout);
    let are_inputs = |named: &[Outpoint]| {
        let known = |outpoint: &Outpoint| inputs.contains_key(&key(outpoint));
        let ascending = |pair: &[Outpoint]| key(&pair[0]) < key(&pair[1]);
        named.iter().all(known) && named.windows(2).all(ascending) && named.len() <= INPUTS_SEEN_MAX
    };
    let names = !said.spends.is_empty() || !said.gone.is_empty();
    ensure(
        are_inputs(&said.spends) && are_inputs(&said.gone) && foreign == names,
        || {
            let message =
                "A transaction that is none of ours names the inputs that it spends or undoes.";
            invalid("payout.spends", "spends", message)
        },
    )
}

/// Takes in what a node sees.
pub(crate) fn observe(scope: &mut Scope<'_>, node: u32, said: PayoutObserve, mut payout: Payout) {
    let spend = PayoutSpend {
        view: said.view,
        txid: said.txid,
        block_height: said.block_height,
        block_hash: said.block_hash,
        spends: said.spends,
        confirmations: 0,
        gone: said.gone,
    };
    payout.votes.retain(|vote| vote.node != node);
    payout.votes.push(PayoutVote {
        node,
        spend: Some(spend),
    });
    payout.votes.sort_by_key(|vote| vote.node);
    conclude(scope, payout);
}

/// The agreed tip or the nodes have changed: confirmations are counted anew.
pub(crate) fn tip_moved(scope: &mut Scope<'_>) {
    for (key, _) in scope.scan(keys::PAYOUTS_OPEN, None, super::OPEN_MAX) {
        let id = String::from_utf8_lossy(&key[keys::PAYOUTS_OPEN.len()..]).into_owned();
        let payout = tables::must(keep::find(scope, &id));
        conclude(scope, payout);
    }
}

/// Draws the conclusions of a payout's votes and of the chain's tip.
fn conclude(scope: &mut Scope<'_>, mut payout: Payout) {
    let federation = scope.federation().clone();
    payout.votes.retain(|vote| federation.has(vote.node));
    let tip = tables::tip(scope).height;
    let before = payout.seen.clone();
    payout.seen = believed(&payout, &federation).map(|mut seen| {
        if seen.view() == PaymentView::InBlock {
            seen.confirmations = tip.saturating_add(1).saturating_sub(seen.block_height);
        }
        seen
    });
    let detail = told(&payout, before.as_ref());
    settle::settle(scope, payout, &detail);
}

/// A step of the history where a transaction comes or goes.
fn told(payout: &Payout, before: Option<&PayoutSpend>) -> String {
    let place = |seen: Option<&PayoutSpend>| {
        seen.map(|seen| (seen.view, seen.txid.clone(), seen.block_hash.clone()))
    };
    let now = payout.seen.as_ref();
    if place(before) == place(now) {
        return String::new();
    }
    let Some(seen) = now else {
        return "The transaction is gone from blocks and mempools.".to_owned();
    };
    let txid = hex::encode(&seen.txid);
    let own = version_of(payout, &seen.txid);
    let whose = match own {
        Some(version) if version.transaction.is_empty() => "was broadcast outside: version",
        Some(_) => "is seen: version",
        None if seen.spends.is_empty() => "stands against what made the inputs: conflict",
        None => "is none of ours and spends the inputs: conflict",
    };
    let number = own.map_or(0, |version| version.number);
    format!("{txid} {whose} {number}.")
}

/// Outputs, by transaction and position.
type Outputs = Vec<(Vec<u8>, u32)>;
/// What must be alike in votes that count together: the transaction, its block,
/// and the inputs that it spends and undoes.
type Place = (Vec<u8>, u32, Vec<u8>, Outputs, Outputs);

fn place(spend: &PayoutSpend) -> Place {
    let outputs = |named: &[Outpoint]| -> Outputs {
        let named = named.iter();
        named.map(|one| (one.txid.clone(), one.vout)).collect()
    };
    let (txid, hash) = (spend.txid.clone(), spend.block_hash.clone());
    let (spends, gone) = (outputs(&spend.spends), outputs(&spend.gone));
    (txid, spend.block_height, hash, spends, gone)
}

fn spends(payout: &Payout) -> impl Iterator<Item = &PayoutSpend> {
    payout.votes.iter().flat_map(|vote| &vote.spend)
}

/// Nodes that see it in exactly this block.
pub(super) fn votes_for(payout: &Payout, seen: &PayoutSpend) -> usize {
    let wanted = place(seen);
    spends(payout)
        .filter(|one| one.view() == PaymentView::InBlock && place(one) == wanted)
        .count()
}

/// What enough nodes see: a block before a mempool, and what was believed
/// before while it still has enough votes or too few speak against it.
fn believed(payout: &Payout, federation: &Federation) -> Option<PayoutSpend> {
    let enough = federation.one_honest();
    let mut blocks: BTreeMap<Place, (usize, &PayoutSpend)> = BTreeMap::new();
    for one in spends(payout).filter(|one| one.view() == PaymentView::InBlock) {
        blocks.entry(place(one)).or_insert((0, one)).0 += 1;
    }
    blocks.retain(|_, (votes, _)| *votes >= enough);
    let before = payout.seen.as_ref();
    if let Some(seen) = before
        && let Some((_, kept)) = blocks.get(&place(seen))
        && seen.view() == PaymentView::InBlock
    {
        return Some((*kept).clone());
    }
    let best = blocks
        .into_iter()
        .max_by_key(|(place, (votes, _))| (*votes, place.clone()));
    if let Some((_, (_, seen))) = best {
        return Some(seen.clone());
    }
    if let Some(seen) = before.filter(|seen| seen.view() == PaymentView::InBlock) {
        let others = payout.votes.len() - votes_for(payout, seen);
        if others < enough {
            return Some(seen.clone());
        }
    }
    in_mempools(payout, enough)
}

/// The transaction that enough nodes see waiting or mined; the newest version
/// where there are two.
fn in_mempools(payout: &Payout, enough: usize) -> Option<PayoutSpend> {
    let mut waiting: BTreeMap<&[u8], (usize, &PayoutSpend)> = BTreeMap::new();
    for one in spends(payout).filter(|one| one.view() != PaymentView::Absent) {
        waiting.entry(&one.txid).or_insert((0, one)).0 += 1;
    }
    let newest = current(payout).txid.as_slice();
    let best = waiting
        .into_iter()
        .filter(|(_, (votes, _))| *votes >= enough)
        .max_by_key(|(txid, (votes, _))| (*txid == newest, *votes, *txid));
    if let Some((_, (_, seen))) = best {
        let mut seen = PayoutSpend {
            block_height: 0,
            block_hash: Vec::new(),
            ..seen.clone()
        };
        seen.set_view(PaymentView::InMempool);
        return Some(seen);
    }
    // Until enough nodes miss it, it is where it was.
    let before = payout.seen.as_ref()?;
    let absent = spends(payout).filter(|one| one.view() == PaymentView::Absent);
    let waits = before.view() == PaymentView::InMempool && absent.count() < enough;
    waits.then(|| before.clone())
}
