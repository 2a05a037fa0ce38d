//! Where the transaction is that spends a payout's inputs, or stands against it.

use std::collections::BTreeSet;

use dctrl_proto::v1::{Outpoint, PaymentView, Payout, PayoutSpend, PayoutVersion};

use super::{
    lineage::Lineage,
    view::{Place, inputs},
    walk::{Found, Walk},
};
use crate::chain::{ChainError, ChainSource, Hash};

/// What the chain shows of a payout: its own transaction in a block, another
/// one there that leaves no room for it, its own in the mempool, another one
/// there; or nothing.
///
/// # Errors
/// The backend gives no answer.
pub(super) fn place(
    payout: &Payout,
    walk: &Walk,
    lineage: &Lineage,
    adaptor: &dyn ChainSource,
) -> Result<Option<PayoutSpend>, ChainError> {
    let mut found = walk.found();
    let own = |found: &&Found| payout.versions.iter().any(|one| one.txid == found.txid.0);
    if let Some(found) = found.find(own) {
        return Ok(Some(in_block(found, PayoutSpend::default())));
    }
    let inputs: BTreeSet<Place> = inputs(payout).collect();
    if let Some(conflict) = conflict_in_block(payout, &inputs, walk, lineage) {
        return Ok(Some(conflict));
    }
    for version in payout.versions.iter().rev() {
        let Some(txid) = Hash::from_slice(&version.txid) else {
            continue;
        };
        if adaptor.in_mempool(txid)?.is_some() {
            let mut spend = PayoutSpend {
                txid: version.txid.clone(),
                ..PayoutSpend::default()
            };
            spend.set_view(PaymentView::InMempool);
            return Ok(Some(spend));
        }
    }
    spender_in_mempool(payout, &inputs, adaptor)
}

/// Of several transactions that leave no room, the one that the books count;
/// else the one that leaves the fewest versions possible, and the first of
/// those in the chain. So all nodes name the same one.
fn conflict_in_block(
    payout: &Payout,
    inputs: &BTreeSet<Place>,
    walk: &Walk,
    lineage: &Lineage,
) -> Option<PayoutSpend> {
    let conflicts = walk.found().filter_map(|found| {
        let spends: BTreeSet<Place> = spent_of(inputs, &found.inputs);
        let gone = lineage.gone(inputs, found.txid, &found.inputs);
        let taken = |version: &PayoutVersion| {
            let mut all = outpoints(version);
            all.any(|one| spends.contains(&one) || gone.contains(&one))
        };
        let possible = payout.versions.iter().position(taken)?;
        let counted = payout.settled && payout.settled_txid == found.txid.0;
        let spend = PayoutSpend {
            spends: named(&spends),
            gone: named(&gone),
            ..PayoutSpend::default()
        };
        Some(((!counted, possible), in_block(found, spend)))
    });
    let first = conflicts.min_by_key(|(rank, _)| *rank);
    first.map(|(_, conflict)| conflict)
}

/// What waits and spends the inputs, the first by its id where there is more than
/// one: none of ours, but for one that was broadcast since they were asked for.
fn spender_in_mempool(
    payout: &Payout,
    inputs: &BTreeSet<Place>,
    adaptor: &dyn ChainSource,
) -> Result<Option<PayoutSpend>, ChainError> {
    let all: Vec<Place> = inputs.iter().copied().collect();
    let Some(txid) = adaptor.mempool_spenders(&all)?.into_iter().min() else {
        return Ok(None);
    };
    let Some(transaction) = adaptor.mempool_transaction(txid)? else {
        return Ok(None);
    };
    let spends = spent_of(inputs, &transaction.inputs);
    if spends.is_empty() {
        return Ok(None);
    }
    let own = payout.versions.iter().any(|one| one.txid == txid.0);
    let mut spend = PayoutSpend {
        txid: txid.0.to_vec(),
        // Of one of ours no inputs are named.
        spends: if own { Vec::new() } else { named(&spends) },
        ..PayoutSpend::default()
    };
    spend.set_view(PaymentView::InMempool);
    Ok(Some(spend))
}

/// What a version spends.
pub(super) fn outpoints(version: &PayoutVersion) -> impl Iterator<Item = Place> {
    let inputs = version.inputs.iter();
    inputs.filter_map(|input| of(input.outpoint.as_ref()?))
}

/// An output as the chain's adaptor names it.
pub(super) fn of(outpoint: &Outpoint) -> Option<Place> {
    Some((Hash::from_slice(&outpoint.txid)?, outpoint.vout))
}

/// Which of the inputs a transaction spends.
fn spent_of(inputs: &BTreeSet<Place>, spends: &[Place]) -> BTreeSet<Place> {
    let spent = spends.iter().filter(|one| inputs.contains(one));
    spent.copied().collect()
}

/// Outputs in the words of the federation's messages, ascending.
fn named(places: &BTreeSet<Place>) -> Vec<Outpoint> {
    let outpoint = |(txid, vout): &Place| Outpoint {
        txid: txid.0.to_vec(),
        vout: *vout,
    };
    places.iter().map(outpoint).collect()
}

/// A transaction in its block, with the inputs that `spend` names.
fn in_block(found: &Found, spend: PayoutSpend) -> PayoutSpend {
    let mut spend = PayoutSpend {
        txid: found.txid.0.to_vec(),
        block_height: found.tip.height,
        block_hash: found.tip.hash.0.to_vec(),
        ..spend
    };
    spend.set_view(PaymentView::InBlock);
    spend
}
