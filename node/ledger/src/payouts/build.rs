//! The transactions of a payout: pure functions of the state.

use dctrl_proto::v1::{
    Payout, PayoutKind, PayoutMeta, PayoutRecipient, PayoutRules, PayoutVersion, Refusal,
};
use dctrl_wallet::{Coin, Plan, PlanError, Recipient, Terms, fee_sats, parse_address, plan_over};
use prost::Message;

use super::{
    VERSION_BYTES_MAX, VERSIONS_BYTES_MAX, VERSIONS_MAX, child, coins, current, fees, rules::rules,
};
use crate::refuse::{ensure, exhausted, invalid, precond};
use crate::scope::View;
use crate::{address, keys, tables};

/// What nodes demand for passing on a replacement, for 1000 virtual bytes of
/// it (BIP-125, Bitcoin Core's incremental relay fee).
const INCREMENT_RATE: u64 = 1000;
/// A replacement is first taken to be larger than what it replaces by so much,
/// virtual bytes.
const GROWTH_BYTES: u64 = 400;

/// The first transaction of a payout. `draw` is drawn from its action's id.
pub(crate) fn first(
    view: &View<'_>,
    recipients: &[PayoutRecipient],
    draw: [u8; 2],
) -> Result<PayoutVersion, Refusal> {
    let (mut terms, note) = first_terms(view, draw);
    terms.recipients = outputs(view, recipients)?;
    let mut version = make(view, &[], &terms)?;
    version.number = 1;
    version.set_kind(PayoutKind::Payment);
    version.fee_note = note;
    Ok(version)
}

/// The first transaction of a payout that makes one coin of many small ones.
pub(crate) fn consolidation(view: &View<'_>, draw: [u8; 2]) -> Result<PayoutVersion, Refusal> {
    let (terms, note) = first_terms(view, draw);
    let wallet = address::wallet(view.genesis);
    let plan = dctrl_wallet::consolidate(&wallet, &coins::free(view.state), &terms);
    let mut version = version(&plan.map_err(|error| refused(&error))?, &terms);
    version.number = 1;
    version.set_kind(PayoutKind::Consolidation);
    version.fee_note = note;
    Ok(version)
}

/// The terms of a payout that begins now, without recipients, and how their fee
/// rate was found.
fn first_terms(view: &View<'_>, draw: [u8; 2]) -> (Terms, String) {
    let (fee_rate, note) = fees::rate(view);
    let meta: PayoutMeta = tables::read(view.state, keys::PAYOUT_META).unwrap_or_default();
    let rules = rules(view.genesis);
    let terms = Terms {
        recipients: Vec::new(),
        fee_rate,
        fee_sats_min: 0,
        fee_sats_max: rules.fee_sats_max,
        fee_bps_max: rules.fee_bps_max,
        change_index: meta.next_change_index,
        lock_time: lock_time(tables::tip(view.state).height, draw),
    };
    (terms, note)
}

/// The same payment with a higher fee: all inputs of the version before, and
/// more where they do not suffice.
pub(crate) fn again(
    view: &View<'_>,
    payout: &Payout,
    fee_rate: u64,
) -> Result<PayoutVersion, Refusal> {
    let recipients = outputs(view, &payout.recipients)?;
    let kind = match current(payout).kind() {
        kind @ (PayoutKind::Child | PayoutKind::Consolidation) => kind,
        _ => PayoutKind::Bump,
    };
    next(view, payout, recipients, fee_rate, kind)
}

/// Everything that the version before spends, back to the wallet.
pub(crate) fn cancellation(view: &View<'_>, payout: &Payout) -> Result<PayoutVersion, Refusal> {
    next(view, payout, Vec::new(), 0, PayoutKind::Cancel)
}

fn next(
    view: &View<'_>,
    payout: &Payout,
    recipients: Vec<Recipient>,
    wanted: u64,
    kind: PayoutKind,
) -> Result<PayoutVersion, Refusal> {
    let cancels = kind == PayoutKind::Cancel;
    require_another(payout, cancels)?;
    let before = current(payout);
    let rules = rules(view.genesis);
    let (fee_rate, fee_note) = if cancels {
        replacing(view, &rules, before)
    } else {
        raised(view, &rules, before, wanted)?
    };
    let outbids = child::fee_to_outbid(view.state, payout);
    let must: Vec<Coin> = before.inputs.iter().map(coins::coin).collect();
    let mut terms = Terms {
        recipients,
        fee_rate,
        fee_sats_min: 0,
        fee_sats_max: rules.fee_sats_max,
        fee_bps_max: rules.fee_bps_max,
        change_index: before.change_index,
        lock_time: tables::tip(view.state).height,
    };
    let mut size = u64::from(before.virtual_size) + GROWTH_BYTES;
    let mut version = loop {
        terms.fee_sats_min = outbids + fee_sats(size, INCREMENT_RATE);
        if cancels {
            // Whatever a version before was made to pay, it can be taken back, if
            // not always as fast.
            terms.fee_sats_max = rules.fee_sats_max.max(terms.fee_sats_min);
            terms.fee_rate = fee_rate.min(rate_within(terms.fee_sats_max, size));
        }
        let version = match (&payout.parent, &must[..]) {
            (Some(parent), [change]) => child::make(view, parent, *change, &terms)?,
            _ => make(view, &must, &terms)?,
        };
        // The coins that pay for it may make it larger than that.
        let needed = u64::from(version.virtual_size);
        if needed <= size {
            break version;
        }
        size = needed + GROWTH_BYTES;
    };
    let listed = u32::try_from(payout.versions.len()).expect("a payout has few versions");
    version.number = listed + payout.versions_dropped + 1;
    version.set_kind(kind);
    version.fee_note = if terms.fee_rate < fee_rate {
        "the highest fee that taking back may have".to_owned()
    } else {
        fee_note
    };
    Ok(version)
}

/// The highest rate at which so many virtual bytes cost no more than this.
fn rate_within(fee_sats: u64, size: u64) -> u64 {
    fee_sats.saturating_mul(1000) / size
}

/// Refuses more transactions than a payout may have, or more bytes of them. The
/// last one is kept for taking everything back, which is never too long.
fn require_another(payout: &Payout, cancels: bool) -> Result<(), Refusal> {
    let count = payout.versions.len() + usize::from(!cancels);
    ensure(count < VERSIONS_MAX, || {
        let message = format!("A payout has at most {VERSIONS_MAX} transactions.");
        exhausted("payout.versions", message)
    })?;
    let bytes: usize = payout.versions.iter().map(Message::encoded_len).sum();
    let fits = bytes + 2 * VERSION_BYTES_MAX <= VERSIONS_BYTES_MAX;
    ensure(cancels || fits, || {
        let message = format!(
            "Its transactions have {bytes} bytes already, since they spend many coins: \
             lift it by a child, or cancel it where it pays somebody."
        );
        exhausted("payout.versions", message)
    })
}

/// The rate with which everything is taken back: a quarter more than before,
/// within the bounds. Where the version before pays the highest rate already,
/// the least fee of a replacement makes it enough.
fn replacing(view: &View<'_>, rules: &PayoutRules, before: &PayoutVersion) -> (u64, String) {
    let quarter_more = before.fee_rate.saturating_add(before.fee_rate.div_ceil(4));
    let (agreed, note) = fees::rate(view);
    if agreed > quarter_more {
        return (agreed, note);
    }
    let rate = quarter_more.min(rules.fee_rate_max);
    (rate, "a quarter more than before".to_owned())
}

/// The rate of a replacement: what was asked for, or at least a quarter more
/// than before.
fn raised(
    view: &View<'_>,
    rules: &PayoutRules,
    before: &PayoutVersion,
    wanted: u64,
) -> Result<(u64, String), Refusal> {
    let quarter_more = before.fee_rate.saturating_add(before.fee_rate.div_ceil(4));
    let (agreed, note) = fees::rate(view);
    let (rate, note) = match wanted {
        0 if agreed > quarter_more => (agreed, note),
        0 => (quarter_more, "a quarter more than before".to_owned()),
        wanted => (wanted, "as asked for".to_owned()),
    };
    let (least, most) = (before.fee_rate, rules.fee_rate_max);
    ensure(rate > least && rate <= most, || {
        let message = format!("The rate must be above {least} and at most {most}, not {rate}.");
        precond("payout.fee_rate", message)
    })?;
    Ok((rate, note))
}

fn make(view: &View<'_>, must: &[Coin], terms: &Terms) -> Result<PayoutVersion, Refusal> {
    let wallet = address::wallet(view.genesis);
    let coins = coins::spendable(view.state);
    let plan = plan_over(&wallet, must, &coins, terms).map_err(|error| refused(&error))?;
    Ok(version(&plan, terms))
}

/// Why there is no such transaction, as a refusal.
pub(super) fn refused(error: &PlanError) -> Refusal {
    let message = error.to_string();
    match error {
        PlanError::NoChange => precond("payout.change", message),
        PlanError::Address { .. } => invalid("payout.address", "recipients", message),
        PlanError::Dust { .. } => invalid("payout.dust", "recipients", message),
        PlanError::Funds { .. } => precond("payout.funds", message),
        PlanError::Few { .. } => precond("payout.coins", message),
        PlanError::Fee { .. } => precond("payout.fee", message),
        PlanError::Size => precond("payout.size", message),
    }
}

/// A plan as a version of a payout.
pub(super) fn version(plan: &Plan, terms: &Terms) -> PayoutVersion {
    let (change_sats, change_vout) = plan.change.unwrap_or_default();
    PayoutVersion {
        txid: coins::display(&plan.txid),
        psbt: plan.psbt.serialize(),
        inputs: plan.inputs.iter().map(coins::input).collect(),
        fee_sats: plan.fee_sats,
        fee_rate: terms.fee_rate,
        virtual_size: u32::try_from(plan.virtual_size).expect("a transaction has few inputs"),
        change_sats,
        change_index: terms.change_index,
        change_vout,
        ..PayoutVersion::default()
    }
}

fn outputs(view: &View<'_>, recipients: &[PayoutRecipient]) -> Result<Vec<Recipient>, Refusal> {
    let network = address::network(view.genesis)?;
    recipients
        .iter()
        .map(|one| {
            let script = parse_address(&one.address, network)
                .map_err(|error| invalid("payout.address", "recipients", error.to_string()))?;
            Ok(Recipient {
                script,
                sats: one.amount_sats,
            })
        })
        .collect()
}

/// The agreed tip, so that a miner gains nothing by going back; one in ten
/// goes back up to 99 blocks, as Bitcoin Core's do, so that late ones look
/// like others.
fn lock_time(tip: u32, draw: [u8; 2]) -> u32 {
    if draw[0].is_multiple_of(10) {
        tip.saturating_sub(u32::from(draw[1] % 100))
    } else {
        tip
    }
}
