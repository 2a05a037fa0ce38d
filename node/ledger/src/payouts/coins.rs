//! The wallet's coins: what may be spent, what is held, what is gone.

use std::collections::BTreeMap;

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use dctrl_proto::v1::{
    ChangeCoin, Outpoint, Payment, PaymentState, Payout, PayoutInput, PayoutVersion,
};
use dctrl_wallet::{Chain, Coin};

use super::DEPTH;
use crate::scope::Scope;
use crate::{StateRead, keys, tables};

/// Coins that a payout chooses among: the first by outpoint of very many.
const COINS_MAX: usize = 2_000;

/// A payment has changed: it is a coin while it is counted and in a block.
pub(crate) fn payment_changed(scope: &mut Scope<'_>, payment: &Payment) {
    let outpoint = payment.outpoint.clone().unwrap_or_default();
    let in_block = matches!(
        payment.state(),
        PaymentState::Confirmed | PaymentState::Final
    );
    let spent = scope.get(&keys::coin_spent(&outpoint)).is_some();
    if payment.booked && in_block && !spent {
        scope.put(keys::coin(&outpoint), &outpoint);
    } else {
        scope.delete(keys::coin(&outpoint));
    }
}

/// The coins that are deep enough and held by no payout.
pub(super) fn spendable(state: &dyn StateRead) -> Vec<Coin> {
    let tip = tables::tip(state).height;
    let deep = |height: u32| (tip + 1).saturating_sub(height) >= DEPTH;
    let free = |outpoint: &Outpoint| state.get(&keys::coin_locked(outpoint)).is_none();
    let payments = state.scan(keys::COINS, None, COINS_MAX);
    let payments = payments
        .iter()
        .map(|(key, value)| tables::decode::<Outpoint>(key, value))
        .filter_map(|outpoint| tables::payment(state, &outpoint))
        .filter(|payment| deep(payment.block_height))
        .map(|payment| PayoutInput {
            outpoint: payment.outpoint,
            amount_sats: payment.amount_sats,
            change: false,
            address_index: payment.address_index,
        });
    let change = state.scan(keys::CHANGE_COINS, None, COINS_MAX);
    let change = change
        .iter()
        .map(|(key, value)| tables::decode::<ChangeCoin>(key, value))
        .filter(|coin| deep(coin.block_height))
        .map(|coin| PayoutInput {
            outpoint: coin.outpoint,
            amount_sats: coin.amount_sats,
            change: true,
            address_index: coin.address_index,
        });
    payments
        .chain(change)
        .filter(|input| input.outpoint.as_ref().is_some_and(free))
        .map(|input| coin(&input))
        .collect()
}

/// The wallet's own form of an input.
pub(super) fn coin(input: &PayoutInput) -> Coin {
    let outpoint = input.outpoint.clone().unwrap_or_default();
    let mut txid: [u8; 32] = outpoint
        .txid
        .try_into()
        .expect("an outpoint was checked for its length");
    txid.reverse();
    Coin {
        outpoint: OutPoint::new(Txid::from_byte_array(txid), outpoint.vout),
        sats: input.amount_sats,
        chain: if input.change {
            Chain::Change
        } else {
            Chain::Payments
        },
        index: input.address_index,
    }
}

/// An input in the words of the federation's messages.
pub(super) fn input(coin: &Coin) -> PayoutInput {
    PayoutInput {
        outpoint: Some(Outpoint {
            txid: display(&coin.outpoint.txid),
            vout: coin.outpoint.vout,
        }),
        amount_sats: coin.sats,
        change: coin.chain == Chain::Change,
        address_index: coin.index,
    }
}

/// A transaction's id in the order of display.
pub(super) fn display(txid: &Txid) -> Vec<u8> {
    let mut bytes = txid.to_byte_array().to_vec();
    bytes.reverse();
    bytes
}

/// Holds the inputs of a transaction for its payout.
///
/// # Panics
/// When another payout holds one.
pub(crate) fn lock(scope: &mut Scope<'_>, payout_id: &str, version: &PayoutVersion) {
    for outpoint in version.inputs.iter().flat_map(|input| &input.outpoint) {
        let key = keys::coin_locked(outpoint);
        let holder = scope.get(&key);
        assert!(
            holder.is_none_or(|holder| holder == payout_id.as_bytes()),
            "two payouts want one coin"
        );
        scope.put_bytes(key, payout_id.as_bytes());
    }
}

/// Lets go of every coin of the payout.
pub(super) fn unlock(scope: &mut Scope<'_>, payout: &Payout) {
    for input in inputs(payout).into_values() {
        let outpoint = input.outpoint.unwrap_or_default();
        scope.delete(keys::coin_locked(&outpoint));
    }
}

/// All coins that any of its transactions spends, by outpoint.
pub(super) fn inputs(payout: &Payout) -> BTreeMap<(Vec<u8>, u32), PayoutInput> {
    let all = payout.versions.iter().flat_map(|version| &version.inputs);
    all.map(|input| {
        let outpoint = input.outpoint.clone().unwrap_or_default();
        ((outpoint.txid, outpoint.vout), input.clone())
    })
    .collect()
}

/// These coins are gone for good.
pub(super) fn spend<'i>(
    scope: &mut Scope<'_>,
    payout_id: &str,
    inputs: impl Iterator<Item = &'i PayoutInput>,
) {
    for input in inputs {
        let outpoint = input.outpoint.clone().unwrap_or_default();
        scope.delete(keys::coin(&outpoint));
        scope.delete(keys::change_coin(&outpoint));
        scope.put_bytes(keys::coin_spent(&outpoint), payout_id.as_bytes());
    }
}
