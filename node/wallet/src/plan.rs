//! A transaction of the wallet, from coins and terms: a pure function.

use std::str::FromStr;

use bitcoin::{Address, Network, Psbt, Script, ScriptBuf, Txid, address::NetworkUnchecked};

use crate::room::{SIGNED_BYTES_MAX, signatures_bytes};
use crate::select::{Order, Target, select};
use crate::size::{DUST_SATS, Sizes, fee_sats, virtual_size};
use crate::{Coin, Wallet, psbt};

/// Whole of a part in basis points.
const BPS: u64 = 10_000;

/// Who is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Of the output.
    pub script: ScriptBuf,
    /// What it gets.
    pub sats: u64,
}

/// What a transaction must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Nobody where everything goes back to the wallet.
    pub recipients: Vec<Recipient>,
    /// Satoshi for 1000 virtual bytes.
    pub fee_rate: u64,
    /// The fee is at least this: what replacing another transaction takes.
    pub fee_sats_min: u64,
    /// The fee is at most this,
    pub fee_sats_max: u64,
    /// and at most this part of what recipients get, in basis points.
    pub fee_bps_max: u32,
    /// Where change goes.
    pub change_index: u32,
    /// Earliest block.
    pub lock_time: u32,
}

/// Why there is no such transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The descriptor's keys do not end in `/0/*`.
    #[error("The wallet has no chain for change: its keys must end in /0/*.")]
    NoChange,
    /// An address that cannot be paid.
    #[error("{address:?} is not an address of this network: {problem}.")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An output that nodes do not pass on.
    #[error("{sats} sats are dust for this address: at least {least} are needed.")]
    Dust {
        /// What was asked for.
        sats: u64,
        /// What is needed.
        least: u64,
    },
    /// Not enough, or in too many pieces.
    #[error(
        "The wallet can spend {have} sats in at most {coins_max} coins, {need} and the fee are needed."
    )]
    Funds {
        /// The largest coins' sum.
        have: u64,
        /// Most coins of one transaction of this wallet.
        coins_max: usize,
        /// What recipients get.
        need: u64,
    },
    /// There is nothing to make one coin of.
    #[error(
        "Fewer than two coins are worth more than the {input_fee} sats that spending one costs."
    )]
    Few {
        /// What one input costs at the rate.
        input_fee: u64,
    },
    /// The fee is out of bounds.
    #[error("The fee would be {fee} sats, {most} are the most.")]
    Fee {
        /// What it would be.
        fee: u64,
        /// What it may be.
        most: u64,
    },
    /// Its PSBT with one copayer's signatures does not fit into an action.
    #[error("The transaction would be too large; pay fewer recipients at once.")]
    Size,
}

/// A transaction that may be signed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As BIP-174 says, without signatures.
    pub psbt: Psbt,
    /// Known before anybody signs: all inputs are segwit.
    pub txid: Txid,
    /// In their order.
    pub inputs: Vec<Coin>,
    /// What comes back, and as which output.
    pub change: Option<(u64, u32)>,
    /// Inputs less outputs.
    pub fee_sats: u64,
    /// Upper bound for the signed transaction.
    pub virtual_size: u64,
}

/// The script of an address of `network`, written as its network writes it.
///
/// # Errors
/// [`PlanError::Address`].
pub fn parse_address(text: &str, network: Network) -> Result<ScriptBuf, PlanError> {
    let wrong = |problem: String| PlanError::Address {
        address: text.to_owned(),
        problem,
    };
    let address = Address::<NetworkUnchecked>::from_str(text)
        .map_err(|error| wrong(error.to_string()))?
        .require_network(network)
        .map_err(|error| wrong(error.to_string()))?;
    if address.to_string() != text {
        return Err(wrong(format!("write it as {address}")));
    }
    Ok(address.script_pubkey())
}

/// Pays `terms` from `coins`.
///
/// # Errors
/// There is no such transaction.
pub fn plan(wallet: &Wallet, coins: &[Coin], terms: &Terms) -> Result<Plan, PlanError> {
    plan_over(wallet, &[], coins, terms)
}

/// Pays `terms` from all of `must`, and from `coins` where that is too little:
/// the result shares its inputs with whatever spends `must`.
///
/// # Errors
/// There is no such transaction.
pub fn plan_over(
    wallet: &Wallet,
    must: &[Coin],
    coins: &[Coin],
    terms: &Terms,
) -> Result<Plan, PlanError> {
    if !wallet.has_change() {
        return Err(PlanError::NoChange);
    }
    match ordered(wallet, must, coins, terms, Order::ExactFirst) {
        // Many small coins may make the sum for a higher fee than the rules allow,
        // and a few large ones with change for a lower one.
        Err(PlanError::Fee { .. }) => ordered(wallet, must, coins, terms, Order::LargestFirst),
        planned => planned,
    }
}

fn ordered(
    wallet: &Wallet,
    must: &[Coin],
    coins: &[Coin],
    terms: &Terms,
    order: Order,
) -> Result<Plan, PlanError> {
    let sizes = Sizes::of(wallet);
    let coins_max = wallet.inputs_max();
    let pays = recipients_sum(&terms.recipients, coins_max)?;
    let target = target(sizes, must.len(), terms, pays, coins_max);
    let inputs = select(must, coins, target, order).ok_or_else(|| {
        let mut sats: Vec<u64> = must.iter().chain(coins).map(|coin| coin.sats).collect();
        sats.sort_unstable_by(|a, b| b.cmp(a));
        PlanError::Funds {
            have: sats.iter().take(coins_max).sum(),
            coins_max,
            need: pays,
        }
    })?;
    let have: u64 = inputs.iter().map(|coin| coin.sats).sum();
    let split = Split::of(sizes, inputs.len(), have, pays, terms).ok_or(PlanError::Funds {
        have,
        coins_max,
        need: pays,
    })?;
    let most = fee_most(terms, pays);
    if split.fee_sats > most {
        return Err(PlanError::Fee {
            fee: split.fee_sats,
            most,
        });
    }
    let change = (split.change_sats > 0).then_some((terms.change_index, split.change_sats));
    let (psbt, inputs, change_vout) = psbt::build(wallet, inputs, terms, change);
    if psbt.serialize().len() as u64 + signatures_bytes(inputs.len()) > SIGNED_BYTES_MAX {
        return Err(PlanError::Size);
    }
    Ok(Plan {
        txid: psbt.unsigned_tx.compute_txid(),
        psbt,
        inputs,
        change: change_vout.map(|vout| (split.change_sats, vout)),
        fee_sats: split.fee_sats,
        virtual_size: split.virtual_size,
    })
}

fn recipients_sum(recipients: &[Recipient], coins_max: usize) -> Result<u64, PlanError> {
    let mut sum: u64 = 0;
    for one in recipients {
        let least = one.script.minimal_non_dust().to_sat();
        if one.sats < least {
            return Err(PlanError::Dust {
                sats: one.sats,
                least,
            });
        }
        sum = sum.checked_add(one.sats).ok_or(PlanError::Funds {
            have: 0,
            coins_max,
            need: u64::MAX,
        })?;
    }
    Ok(sum)
}

fn scripts(terms: &Terms) -> impl Iterator<Item = &Script> {
    terms.recipients.iter().map(|one| one.script.as_script())
}

fn target(sizes: Sizes, must: usize, terms: &Terms, pays: u64, inputs_max: usize) -> Target {
    let rate = terms.fee_rate;
    let input_fee = sizes.input_fee(rate);
    // With nobody to pay there is nothing but change, which must not be dust.
    let alone = terms.recipients.is_empty();
    let frame = fee_sats(virtual_size(sizes.weight(0, scripts(terms), alone)), rate);
    let replacing = terms
        .fee_sats_min
        .saturating_sub(input_fee.saturating_mul(must as u64));
    let outputs = if alone { DUST_SATS } else { pays };
    Target {
        sats: outputs.saturating_add(frame.max(replacing)),
        change_cost: sizes.change_cost(rate),
        input_fee,
        inputs_max,
    }
}

/// What of the inputs comes back, and what is the fee.
struct Split {
    change_sats: u64,
    fee_sats: u64,
    virtual_size: u64,
}

impl Split {
    /// None where the inputs do not suffice.
    fn of(sizes: Sizes, inputs: usize, have: u64, pays: u64, terms: &Terms) -> Option<Self> {
        let rate = terms.fee_rate;
        let fee = |change: bool| {
            let size = virtual_size(sizes.weight(inputs, scripts(terms), change));
            (fee_sats(size, rate).max(terms.fee_sats_min), size)
        };
        let (fee_sats, virtual_size) = fee(true);
        let change_sats = have
            .checked_sub(pays)
            .and_then(|it| it.checked_sub(fee_sats));
        let least = DUST_SATS.max(sizes.input_fee(rate));
        if let Some(change_sats) = change_sats.filter(|sats| *sats >= least) {
            return Some(Self {
                change_sats,
                fee_sats,
                virtual_size,
            });
        }
        let (needed, virtual_size) = fee(false);
        let surplus = have.checked_sub(pays).filter(|left| *left >= needed);
        // Without recipients there would be no output at all.
        let fee_sats = surplus.filter(|_| !terms.recipients.is_empty())?;
        Some(Self {
            change_sats: 0,
            fee_sats,
            virtual_size,
        })
    }
}

fn fee_most(terms: &Terms, pays: u64) -> u64 {
    if terms.recipients.is_empty() {
        return terms.fee_sats_max;
    }
    let part = u128::from(pays) * u128::from(terms.fee_bps_max) / u128::from(BPS);
    let part = u64::try_from(part).unwrap_or(u64::MAX);
    terms.fee_sats_max.min(part)
}

impl Plan {
    /// The plan of a transaction whose inputs and change are given, for
    /// whoever checks it: its PSBT must be the very same bytes. The fee is what
    /// is left over.
    ///
    /// # Errors
    /// The outputs are more than the inputs, or there is nothing to do.
    pub fn again(
        wallet: &Wallet,
        inputs: &[Coin],
        terms: &Terms,
        change_sats: u64,
    ) -> Result<Self, PlanError> {
        if !wallet.has_change() {
            return Err(PlanError::NoChange);
        }
        let coins_max = wallet.inputs_max();
        let pays = recipients_sum(&terms.recipients, coins_max)?;
        let have = inputs
            .iter()
            .try_fold(0u64, |sum, coin| sum.checked_add(coin.sats));
        let need = pays.checked_add(change_sats);
        let fee_sats = have
            .zip(need)
            .and_then(|(have, need)| have.checked_sub(need))
            .ok_or(PlanError::Funds {
                have: have.unwrap_or(0),
                coins_max,
                need: pays,
            })?;
        let change = (change_sats > 0).then_some((terms.change_index, change_sats));
        let weight = Sizes::of(wallet).weight(inputs.len(), scripts(terms), change.is_some());
        let (psbt, inputs, vout) = psbt::build(wallet, inputs.to_vec(), terms, change);
        Ok(Self {
            txid: psbt.unsigned_tx.compute_txid(),
            psbt,
            inputs,
            change: vout.map(|vout| (change_sats, vout)),
            fee_sats,
            virtual_size: virtual_size(weight),
        })
    }
}
