//! The wallet's coins: what may be spent, what is held, what is gone.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use dctrl_proto::v1::{
    ChangeCoin, Outpoint, Payment, PaymentState, Payout, PayoutInput, PayoutOrigin, PayoutSpend,
    PayoutVersion,
};
use dctrl_wallet::{Chain, Coin};

use super::DEPTH;
use crate::scope::Scope;
use crate::{StateRead, keys, tables};

/// Coins that are looked at, the first by outpoint: so many that it is dear to
/// hide others behind many small ones.
const COINS_LOOKED_AT: usize = 50_000;
/// Coins that a payout chooses among: the largest of those.
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

/// The coins that a payout chooses among.
pub(super) fn spendable(state: &dyn StateRead) -> Vec<Coin> {
    let mut coins = free(state);
    coins.sort_by_key(|coin| (Reverse(coin.sats), coin.outpoint));
    coins.truncate(COINS_MAX);
    coins
}

/// The coins that are deep enough and held by no payout.
pub(super) fn free(state: &dyn StateRead) -> Vec<Coin> {
    let tip = tables::tip(state).height;
    let deep = |height: u32| (tip + 1).saturating_sub(height) >= DEPTH;
    let is_free = |outpoint: &Outpoint| state.get(&keys::coin_locked(outpoint)).is_none();
    let payments = state.scan(keys::COINS, None, COINS_LOOKED_AT);
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
    let change = state.scan(keys::CHANGE_COINS, None, COINS_LOOKED_AT);
    let change = change
        .iter()
        .map(|(key, value)| tables::decode::<ChangeCoin>(key, value))
        .filter(|coin| deep(coin.block_height) && !coin.block_hash.is_empty())
        .map(|coin| PayoutInput {
            outpoint: coin.outpoint,
            amount_sats: coin.amount_sats,
            change: true,
            address_index: coin.address_index,
        });
    payments
        .chain(change)
        .filter(|input| input.outpoint.as_ref().is_some_and(is_free))
        .map(|input| coin(&input))
        .collect()
}

/// The output that leads back to the wallet.
pub(super) fn change(version: &PayoutVersion) -> Outpoint {
    Outpoint {
        txid: version.txid.clone(),
        vout: version.change_vout,
    }
}

/// The change of a settled transaction is where that is now; while that is in no
/// block, it waits.
pub(super) fn move_change(
    scope: &mut Scope<'_>,
    version: &PayoutVersion,
    seen: Option<&PayoutSpend>,
) {
    let key = keys::change_coin(&change(version));
    let Some(mut coin) = tables::read::<ChangeCoin>(scope, &key) else {
        return;
    };
    let block = seen.map(|seen| (seen.block_height, seen.block_hash.clone()));
    let (height, hash) = block.unwrap_or_default();
    if coin.block_hash != hash {
        (coin.block_height, coin.block_hash) = (height, hash);
        scope.put(key, &coin);
    }
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

/// Holds the inputs of a transaction for its payout, and keeps what made them.
///
/// # Panics
/// When another payout holds one.
pub(crate) fn lock(scope: &mut Scope<'_>, payout: &mut Payout, version: &PayoutVersion) {
    for input in &version.inputs {
        let outpoint = input.outpoint.clone().unwrap_or_default();
        let key = keys::coin_locked(&outpoint);
        let holder = scope.get(&key);
        assert!(
            holder.is_none_or(|holder| holder == payout.id.as_bytes()),
            "two payouts want one coin"
        );
        scope.put_bytes(key, payout.id.as_bytes());
        let known = payout.origins.iter().any(|one| one.txid == outpoint.txid);
        if !known {
            payout.origins.extend(origin(scope, input, &outpoint));
        }
    }
    payout.origins.sort_by(|a, b| a.txid.cmp(&b.txid));
}

/// Where the transaction that made a coin is.
fn origin(state: &dyn StateRead, input: &PayoutInput, outpoint: &Outpoint) -> Option<PayoutOrigin> {
    let (block_height, block_hash) = if input.change {
        let coin: ChangeCoin = tables::read(state, &keys::change_coin(outpoint))?;
        (coin.block_height, coin.block_hash)
    } else {
        let payment = tables::payment(state, outpoint)?;
        (payment.block_height, payment.block_hash)
    };
    Some(PayoutOrigin {
        txid: outpoint.txid.clone(),
        block_height,
        block_hash,
        spends: Vec::new(),
    })
}

/// Lets go of every coin of the payout.
pub(super) fn unlock(scope: &mut Scope<'_>, payout: &Payout) {
    inputs(payout)
        .values()
        .for_each(|input| release(scope, input));
}

/// Lets go of one coin.
pub(super) fn release(scope: &mut Scope<'_>, input: &PayoutInput) {
    let outpoint = input.outpoint.clone().unwrap_or_default();
    scope.delete(keys::coin_locked(&outpoint));
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

/// A coin is not there any more, because the chain has undone what made it.
/// Whether the books still count it: a payment's money follows the payment
/// itself, and comes back with it, but settled change has nothing else.
pub(super) fn vanish(scope: &mut Scope<'_>, payout_id: &str, input: &PayoutInput) -> bool {
    let outpoint = input.outpoint.clone().unwrap_or_default();
    let counted = scope.get(&keys::change_coin(&outpoint)).is_some();
    if counted {
        spend(scope, payout_id, std::iter::once(input));
    } else {
        scope.delete(keys::coin(&outpoint));
    }
    counted
}

#[cfg(test)]
mod tests {
    use dctrl_proto::v1::ChainTip;
    use prost::Message;

    use super::*;
    use crate::{ChangeSet, MemoryState};

    fn change_of(txid: [u8; 32], amount_sats: u64) -> (Vec<u8>, Option<Vec<u8>>) {
        let outpoint = Outpoint {
            txid: txid.to_vec(),
            vout: 0,
        };
        let coin = ChangeCoin {
            outpoint: Some(outpoint.clone()),
            amount_sats,
            block_hash: vec![1; 32],
            ..ChangeCoin::default()
        };
        (keys::change_coin(&outpoint), Some(coin.encode_to_vec()))
    }

    #[test]
    fn dust_with_low_ids_hides_no_larger_coin() {
        let dust = (0..COINS_MAX).map(|number| {
            let mut txid = [0; 32];
            txid[..8].copy_from_slice(&(number as u64).to_be_bytes());
            change_of(txid, 330)
        });
        let tip = ChainTip {
            height: 100,
            ..ChainTip::default()
        };
        let mut rows: ChangeSet = dust.collect();
        rows.extend([change_of([0xff; 32], 70_000)]);
        rows.insert(keys::TIP.to_vec(), Some(tip.encode_to_vec()));
        let mut state = MemoryState::default();
        state.apply(&rows);
        let coins = spendable(&state);
        assert_eq!((coins.len(), coins[0].sats), (COINS_MAX, 70_000));
    }
}
