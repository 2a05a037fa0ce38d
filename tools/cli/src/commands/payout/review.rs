//! What would be signed, checked in every field and said in words.

mod known;
mod lifts;

use std::{collections::BTreeSet, str::FromStr};

use bitcoin::{Network, OutPoint, Psbt, Txid, hashes::Hash};
use dctrl_proto::v1::{Genesis, Payout, PayoutKind, PayoutRules, PayoutVersion};
use dctrl_wallet::{Chain, Coin, Plan, Recipient, Terms, Wallet, parse_address};
use known::Known;
use lifts::Lifts;
use serde::Serialize;

pub(super) use known::AsOf;

use super::{dossier::Dossier, show::state};
use crate::{
    failure::Failure,
    table::printable,
    text::{sats, time},
    verify::Signatures,
};

/// A fee above this part of what is paid is worth a word: 1 in 20.
const FEE_PART: u64 = 20;

/// Of our own addresses so many are recognised as recipients.
const OWN_ADDRESSES: u32 = 20;

/// A payout whose transaction was made anew and found the same.
#[derive(Debug, Serialize)]
pub(super) struct Review {
    payout: String,
    purpose: String,
    state: String,
    as_of: AsOf,
    version: u32,
    txid: String,
    /// Of a child that pays for another transaction: that one.
    lifts: Option<Lifts>,
    /// Of a consolidation: the coins of which it makes one.
    consolidates: Option<usize>,
    pays: Vec<Pays>,
    spends: Vec<Spends>,
    /// Comes back to the wallet, at the address derived here.
    change: Option<Change>,
    fee_sats: u64,
    /// Satoshi for 1000 virtual bytes of the largest it can become.
    fee_rate: u64,
    fee_note: String,
    approved_by: Vec<String>,
    approvals_needed: u32,
    signed_by: Vec<String>,
    signatures_needed: u32,
    unusual: Vec<String>,
    #[serde(rename = "final")]
    signatures: Signatures,
}

#[derive(Debug, Serialize)]
struct Pays {
    address: String,
    sats: u64,
    /// None where the payout's ledger did not say it.
    known: Option<Known>,
}

#[derive(Debug, Serialize)]
struct Spends {
    outpoint: String,
    address: String,
    sats: u64,
}

#[derive(Debug, Serialize)]
struct Change {
    address: String,
    index: u32,
    sats: u64,
}

fn wrong(rule: &'static str, message: impl Into<String>) -> Failure {
    Failure::Unverified {
        rule,
        message: message.into(),
    }
}

/// The version that would be signed now.
pub(super) fn newest(payout: &Payout) -> Result<&PayoutVersion, Failure> {
    let newest = payout.versions.last();
    newest.ok_or_else(|| wrong("payout.version", "the payout has no transaction"))
}

/// The wallet of the genesis.
///
/// # Errors
/// Its descriptor is no wallet of our kind.
pub(crate) fn wallet(genesis: &Genesis) -> Result<Wallet, Failure> {
    let bad = |message: String| Failure::usage("genesis.descriptor", message);
    let network = Network::from_str(&genesis.network).map_err(|error| bad(error.to_string()))?;
    Wallet::parse(&genesis.descriptor, network).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bad(problems.join(" "))
    })
}

/// Checks a certified payout against the genesis.
///
/// # Errors
/// UNVERIFIED: something in it is not what its words say.
pub(super) fn review(genesis: &Genesis, dossier: &Dossier) -> Result<Review, Failure> {
    check(genesis, &dossier.payout, dossier.as_of)
}

fn check(genesis: &Genesis, payout: &Payout, as_of: AsOf) -> Result<Review, Failure> {
    let wallet = wallet(genesis)?;
    let version = newest(payout)?;
    let plan = remade(&wallet, payout, version)?;
    let rules = genesis.payouts.clone().unwrap_or_default();
    shares_inputs(payout)?;
    let fee_rate = plan
        .fee_sats
        .saturating_mul(1000)
        .checked_div(plan.virtual_size)
        .unwrap_or_default();
    let mut known = known::of(payout, &rules, &as_of);
    known.truncate(recipients(payout, version).len());
    let mut unusual = unusual(&rules, &wallet, payout, version, &plan);
    unusual.extend(known::unusual(payout, &known));
    let pays = recipients(payout, version).iter().zip(known);
    let pays = pays.map(|(one, known)| Pays {
        address: one.address.clone(),
        sats: one.amount_sats,
        known,
    });
    let spends = plan.inputs.iter().map(|coin| Spends {
        outpoint: coin.outpoint.to_string(),
        address: wallet.address(coin.chain, coin.index).to_string(),
        sats: coin.sats,
    });
    let change = plan.change.map(|(sats, _)| Change {
        address: wallet
            .address(Chain::Change, version.change_index)
            .to_string(),
        index: version.change_index,
        sats,
    });
    Ok(Review {
        payout: payout.id.clone(),
        purpose: payout.purpose.clone(),
        state: state(payout.state()),
        as_of,
        version: version.number,
        txid: plan.txid.to_string(),
        lifts: Lifts::of(payout, version, &plan)?,
        consolidates: consolidates(payout, version, &plan)?,
        spends: spends.collect(),
        change,
        fee_sats: plan.fee_sats,
        fee_rate,
        fee_note: version.fee_note.clone(),
        approved_by: payout
            .approvals
            .iter()
            .map(|one| one.member_id.clone())
            .collect(),
        approvals_needed: payout.approvals_needed,
        signed_by: version
            .signers
            .iter()
            .map(|one| one.member_id.clone())
            .collect(),
        signatures_needed: payout.signatures_needed,
        unusual,
        pays: pays.collect(),
        signatures: as_of.signatures,
    })
}

/// Who is paid: nobody by a cancellation.
fn recipients<'p>(
    payout: &'p Payout,
    version: &PayoutVersion,
) -> &'p [dctrl_proto::v1::PayoutRecipient] {
    match version.kind() {
        PayoutKind::Cancel => &[],
        _ => &payout.recipients,
    }
}

/// Of a consolidation, how many coins become one.
///
/// # Errors
/// UNVERIFIED: it pays somebody.
fn consolidates(
    payout: &Payout,
    version: &PayoutVersion,
    plan: &Plan,
) -> Result<Option<usize>, Failure> {
    if version.kind() != PayoutKind::Consolidation {
        return Ok(None);
    }
    if !payout.recipients.is_empty() || plan.change.is_none() {
        let message = "a consolidation pays somebody else than the wallet";
        return Err(wrong("payout.consolidation", message));
    }
    Ok(Some(plan.inputs.len()))
}

/// Builds the transaction anew from the descriptor: it must be the same bytes.
fn remade(wallet: &Wallet, payout: &Payout, version: &PayoutVersion) -> Result<Plan, Failure> {
    let ordered = Psbt::deserialize(&version.psbt)
        .map_err(|error| wrong("payout.psbt", format!("the PSBT cannot be read: {error}")))?;
    let outputs = recipients(payout, version)
        .iter()
        .map(|one| {
            let script = parse_address(&one.address, wallet.network())
                .map_err(|error| wrong("payout.address", error.to_string()))?;
            Ok(Recipient {
                script,
                sats: one.amount_sats,
            })
        })
        .collect::<Result<_, Failure>>()?;
    let terms = Terms {
        recipients: outputs,
        fee_rate: version.fee_rate,
        fee_sats_min: 0,
        fee_sats_max: u64::MAX,
        fee_bps_max: u32::MAX,
        change_index: version.change_index,
        lock_time: ordered.unsigned_tx.lock_time.to_consensus_u32(),
    };
    let inputs = version
        .inputs
        .iter()
        .map(coin)
        .collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::again(wallet, &inputs, &terms, version.change_sats)
        .map_err(|error| wrong("payout.plan", error.to_string()))?;
    if plan.psbt.serialize() != version.psbt {
        let message = "the PSBT is not the one that inputs, recipients and change make";
        return Err(wrong("payout.psbt", message));
    }
    let mut txid: [u8; 32] = plan.txid.to_byte_array();
    txid.reverse();
    let change = (version.change_sats, version.change_vout);
    if txid[..] != version.txid[..]
        || plan.fee_sats != version.fee_sats
        || plan.change.unwrap_or_default() != change
    {
        let message = "transaction id, fee or change are not those of the PSBT";
        return Err(wrong("payout.txid", message));
    }
    Ok(plan)
}

fn coin(input: &dctrl_proto::v1::PayoutInput) -> Result<Coin, Failure> {
    let bad = || wrong("payout.input", "an input is no outpoint");
    let outpoint = input.outpoint.as_ref().ok_or_else(bad)?;
    let mut txid = <[u8; 32]>::try_from(outpoint.txid.as_slice()).map_err(|_| bad())?;
    txid.reverse();
    if input.address_index >= 1 << 31 {
        return Err(bad());
    }
    Ok(Coin {
        outpoint: OutPoint::new(Txid::from_byte_array(txid), outpoint.vout),
        sats: input.amount_sats,
        chain: if input.change {
            Chain::Change
        } else {
            Chain::Payments
        },
        index: input.address_index,
    })
}

/// Every transaction of the payout spends all that the one before spends, so
/// that no two of them can ever be mined.
fn shares_inputs(payout: &Payout) -> Result<(), Failure> {
    for pair in payout.versions.windows(2) {
        let kept = pair[0]
            .inputs
            .iter()
            .all(|one| pair[1].inputs.contains(one));
        if !kept {
            let message = format!(
                "version {} leaves an input of version {} out: both could be mined",
                pair[1].number, pair[0].number
            );
            return Err(wrong("payout.inputs", message));
        }
    }
    Ok(())
}

/// Whether one of these is an early address of the wallet itself.
fn pays_us(wallet: &Wallet, recipients: &[dctrl_proto::v1::PayoutRecipient]) -> bool {
    let own = (0..OWN_ADDRESSES).flat_map(|index| {
        let address = |chain| wallet.address(chain, index).to_string();
        [address(Chain::Payments), address(Chain::Change)]
    });
    let own: BTreeSet<String> = own.collect();
    recipients.iter().any(|one| own.contains(&one.address))
}

fn unusual(
    rules: &PayoutRules,
    wallet: &Wallet,
    payout: &Payout,
    version: &PayoutVersion,
    plan: &Plan,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |holds: bool, what: String| {
        if holds {
            found.push(what);
        }
    };
    let paid: u64 = recipients(payout, version)
        .iter()
        .map(|one| one.amount_sats)
        .sum();
    let part = paid / FEE_PART;
    say(
        paid > 0 && plan.fee_sats > part,
        format!("the fee is more than 1 in {FEE_PART} of what is paid"),
    );
    say(
        plan.fee_sats > rules.fee_sats_max,
        format!(
            "the fee is above the genesis's limit of {} sats",
            rules.fee_sats_max
        ),
    );
    say(
        version.kind() == PayoutKind::Cancel,
        "this cancels the payout: everything goes back to the wallet".to_owned(),
    );
    say(
        version.number > 1,
        format!(
            "{} earlier version(s) may have been signed",
            version.number - 1
        ),
    );
    say(
        payout.sign_from_ms == 0,
        "it is not approved yet".to_owned(),
    );
    say(payout.frozen, "the chain contradicts the books".to_owned());
    let own = rules
        .copayers
        .iter()
        .any(|copayer| copayer.member_id == payout.creator);
    say(
        !own,
        format!(
            "it was proposed by {}, who is no copayer",
            printable(&payout.creator)
        ),
    );
    say(
        pays_us(wallet, recipients(payout, version)),
        "a recipient is one of the wallet's own first addresses".to_owned(),
    );
    let mut addresses: Vec<&str> = payout
        .recipients
        .iter()
        .map(|one| one.address.as_str())
        .collect();
    addresses.sort_unstable();
    say(
        addresses.windows(2).any(|pair| pair[0] == pair[1]),
        "a recipient stands twice".to_owned(),
    );
    found
}

impl Review {
    /// In words, for whoever is about to sign.
    pub(super) fn words(&self) -> String {
        let mut text = format!(
            "payout {} version {}: {}, {}\n",
            self.payout, self.version, self.state, self.signatures
        );
        text += &self.as_of.words();
        if !self.purpose.is_empty() {
            text += &format!("  for      {}\n", printable(&self.purpose));
        }
        if let Some(lifts) = &self.lifts {
            text += &lifts.words();
        }
        if let Some(coins) = self.consolidates {
            text += &format!("  joins    {coins} coins of the wallet into one\n");
        }
        if self.lifts.is_some() || self.consolidates.is_some() {
            text += "  pays     nobody but the wallet itself\n";
        }
        for one in &self.pays {
            text += &format!("  pays     {} to {}\n", sats(one.sats), one.address);
            text += &format!("           {}\n", known::words(one.known.as_ref()));
        }
        for one in &self.spends {
            text += &format!("  spends   {} of {}\n", sats(one.sats), one.outpoint);
        }
        text += &match &self.change {
            Some(change) => format!(
                "  change   {} back to us at {} (derived from the descriptor: change {})\n",
                sats(change.sats),
                change.address,
                change.index
            ),
            None => "  change   none\n".to_owned(),
        };
        text += &format!(
            "  fee      {}, {} sats for 1000 virtual bytes ({})\n",
            sats(self.fee_sats),
            self.fee_rate,
            printable(&self.fee_note)
        );
        text += &format!("  txid     {}\n", self.txid);
        text += &format!(
            "  approved by {} of {}: {}\n",
            self.approved_by.len(),
            self.approvals_needed,
            printable(&self.approved_by.join(", "))
        );
        text += &format!(
            "  signed by   {} of {}: {}\n",
            self.signed_by.len(),
            self.signatures_needed,
            printable(&self.signed_by.join(", "))
        );
        for one in &self.unusual {
            text += &format!("  UNUSUAL  {one}\n");
        }
        text
    }
}

/// When a payout was proposed, for people.
pub(super) fn since(payout: &Payout) -> String {
    time(payout.proposed_at_ms)
}

#[cfg(test)]
pub(super) mod tests;
