//! What must be true behind each round, by the chain's own account.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{PaymentState, VendState};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    customers::{pulses, sats, sats_of},
    payouts::PAID_SATS,
    round::Campaign,
};
use crate::{
    federation::{SLOT_EMPTY, SLOT_SATS},
    wait::until,
};

/// How long the nodes may take to have the same block.
const LIMIT: Duration = Duration::from_secs(60);
/// Addresses of the wallet in which coins are looked for, of each chain.
const ADDRESSES: u32 = 500;

/// What was compared.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checked {
    dispensed: usize,
    credited: usize,
    /// Payments that stayed in the chain, and that were replaced.
    payments: usize,
    replaced: usize,
    payouts: usize,
    pulses: usize,
    /// What the books say that is in the chain, and what bitcoind finds there.
    books_sats: i64,
    chain_sats: i64,
    /// What customers have to their credit, less what they owe.
    credit_sats: i64,
}

/// Compares vends, payments, payouts, machine and books with the chain.
pub(super) async fn all(campaign: &Campaign<'_>) -> Result<Checked> {
    let mut checked = Checked {
        payments: campaign.kept.len(),
        replaced: campaign.replaced.len(),
        payouts: campaign.payouts.len(),
        ..Checked::default()
    };
    let sold_sats = vends(campaign, &mut checked).await?;
    payments(campaign).await?;
    let fees_sats = payouts(campaign).await?;
    books(campaign, sold_sats, fees_sats, &mut checked).await?;
    alike(campaign).await?;
    Ok(checked)
}

/// One pulse for each vend; what was sold.
async fn vends(campaign: &Campaign<'_>, checked: &mut Checked) -> Result<i64> {
    let client = campaign.federation.client()?;
    let mut sold_sats = 0;
    for id in &campaign.vends {
        let vend = client.vend(id).await?;
        match vend.state() {
            VendState::Dispensed => {
                checked.dispensed += 1;
                sold_sats += i64::try_from(vend.price_sats)?;
            }
            VendState::Credited => checked.credited += 1,
            _ => anyhow::bail!("vend {id} has not ended: {vend:?}"),
        }
    }
    let pulses = pulses(campaign.federation)?;
    let at = |slot: &str| pulses.iter().filter(|one| *one == slot).count();
    ensure!(
        at(SLOT_SATS) == checked.dispensed && at(SLOT_EMPTY) == checked.credited,
        "{} dispensed, {} credited, and the machine moved for {pulses:?}",
        checked.dispensed,
        checked.credited
    );
    checked.pulses = pulses.len();
    Ok(sold_sats)
}

/// Each payment stands once, with its amount, final or replaced.
async fn payments(campaign: &Campaign<'_>) -> Result<()> {
    let listed = campaign.federation.client()?.payments().await?;
    let mut expected: BTreeMap<[u8; 32], (PaymentState, Option<u64>)> = BTreeMap::new();
    for (txid, sats) in &campaign.kept {
        expected.insert(txid.0, (PaymentState::Final, Some(*sats)));
    }
    for txid in &campaign.replaced {
        expected.insert(txid.0, (PaymentState::Replaced, None));
    }
    ensure!(
        listed.len() == expected.len(),
        "{} payments are listed, {} were made",
        listed.len(),
        expected.len()
    );
    for payment in listed {
        let outpoint = payment.outpoint.as_ref().context("no outpoint")?;
        let found = expected.get(outpoint.txid.as_slice());
        let (state, sats) = found.with_context(|| format!("who paid {payment:?}?"))?;
        let as_paid = sats.is_none_or(|sats| payment.amount_sats == sats && payment.booked);
        ensure!(payment.state() == *state && as_paid, "{payment:?}");
    }
    Ok(())
}

/// Each recipient has the amount once; the fees of all.
async fn payouts(campaign: &Campaign<'_>) -> Result<i64> {
    let mut fees_sats = 0;
    for paying in &campaign.payouts {
        let arguments = ["getreceivedbyaddress", &paying.address, "1"];
        let received = sats(&campaign.chain.run(&arguments).await?)?;
        ensure!(
            received == i64::try_from(PAID_SATS)?,
            "{} has received {received} sats of payout {}",
            paying.address,
            paying.id
        );
        let payout = campaign.federation.payout(&paying.id).await?;
        ensure!(payout.settled && !payout.frozen, "{payout:?}");
        fees_sats += i64::try_from(payout.reserved_fee_sats)?;
    }
    Ok(fees_sats)
}

/// The books have what bitcoind finds for the wallet, and every satoshi that came
/// was sold for, paid out, spent on fees, or is somebody's credit.
async fn books(
    campaign: &Campaign<'_>,
    sold_sats: i64,
    fees_sats: i64,
    checked: &mut Checked,
) -> Result<()> {
    let (accounts, sum) = campaign.federation.client()?.balances().await?;
    ensure!(sum == 0, "the books sum to {sum}: {accounts:?}");
    let beginning = |words: &[&str]| -> i64 {
        let begins = |name: &str| words.iter().any(|word| name.starts_with(word));
        let all = accounts.iter().filter(|(name, _)| begins(name));
        all.map(|(_, sats)| *sats).sum()
    };
    checked.books_sats = beginning(&["asset:bitcoin"]);
    checked.credit_sats = -beginning(&["liability:tab:", "liability:claim:", "asset:debt:"]);
    checked.chain_sats = in_chain(campaign).await?;
    let paid_out = i64::try_from(PAID_SATS)? * i64::try_from(campaign.payouts.len())?;
    let came: u64 = campaign.kept.iter().map(|(_, sats)| *sats).sum();
    let came = i64::try_from(came)?;
    for (what, is, should) in [
        ("the chain", checked.chain_sats, checked.books_sats),
        (
            "the wallet",
            checked.books_sats,
            came - paid_out - fees_sats,
        ),
        ("waiting", beginning(&["asset:unconfirmed"]), 0),
        ("sales", beginning(&["income:sales"]), -sold_sats),
        ("credit", checked.credit_sats, came - sold_sats),
        ("payouts", beginning(&["expense:payouts"]), paid_out),
        ("fees", beginning(&["expense:network-fees"]), fees_sats),
        ("reserved", beginning(&["liability:payout:"]), 0),
    ] {
        ensure!(
            is == should,
            "{what}: {is} sats, not {should}: {accounts:?}"
        );
    }
    Ok(())
}

/// What bitcoind finds for the wallet's descriptor, in blocks.
async fn in_chain(campaign: &Campaign<'_>) -> Result<i64> {
    let genesis = fs::read_to_string(campaign.federation.dir().join("genesis.json"))?;
    let genesis: Value = serde_json::from_str(&genesis)?;
    let descriptor = genesis["descriptor"].as_str().context("no descriptor")?;
    let bare = descriptor.split('#').next().unwrap_or(descriptor);
    let payments = bare.replace("<0;1>", "0");
    let change = payments.replace("/0/*", "/1/*");
    let of = |descriptor: &str| json!({"desc": descriptor, "range": ADDRESSES});
    let wanted = json!([of(&payments), of(&change)]);
    let arguments = ["scantxoutset", "start", &wanted.to_string()];
    let found: Value = serde_json::from_str(&campaign.chain.run(&arguments).await?)?;
    ensure!(found["success"] == true, "{found}");
    sats_of(&found["total_amount"])
}

/// All nodes have the same state.
async fn alike(campaign: &Campaign<'_>) -> Result<()> {
    let federation = campaign.federation;
    let height = federation.client()?.status().await?.height;
    let digests = until(LIMIT, format!("all nodes to have {height}"), async || {
        let (at, digests) = federation.digests().await?;
        Ok((at >= height).then_some(digests))
    })
    .await?;
    let first = digests.values().next();
    ensure!(
        digests.values().all(|one| Some(one) == first),
        "the states differ: {digests:?}"
    );
    Ok(())
}
