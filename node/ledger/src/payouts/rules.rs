//! The rules of the genesis: who may pay out how much to whom.

use std::collections::BTreeSet;

use dctrl_proto::v1::{
    AllowedAddress, Genesis, MemberStatus, Payout, PayoutMeta, PayoutRecipient, PayoutRules,
    PayoutSpent, PayoutState, PayoutTier, Refusal,
};
use dctrl_wallet::{Wallet, parse_address};

use super::source::Source;
use super::{OPEN_MAX, RECIPIENTS_MAX, UNAPPROVED_PER_MEMBER_MAX, is_over, keep};
use crate::caller::{Caller, Role};
use crate::rates::SATS_MAX;
use crate::refuse::{denied, ensure, exhausted, invalid, precond};
use crate::scope::{Scope, View};
use crate::{address, keys, shares, tables};

/// The time over which a day's limit counts.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Payouts that a day's limit remembers.
const DAY_ROWS_MAX: usize = 1_000;
/// Longest times in the rules: a year.
const TIME_MS_MAX: u64 = 365 * DAY_MS;

/// The rules; where the genesis has none, they allow nothing.
pub(crate) fn rules(genesis: &Genesis) -> PayoutRules {
    genesis.payouts.clone().unwrap_or_default()
}

/// What is wrong with a genesis's rules.
pub(crate) fn check_rules(genesis: &Genesis, wallet: &Wallet) -> Vec<Refusal> {
    let Some(rules) = &genesis.payouts else {
        return Vec::new();
    };
    let wrong =
        |field: &str, message: &str| invalid("payout.rules", format!("payouts.{field}"), message);
    let mut problems = check_copayers(genesis, rules, wallet);
    problems.extend(shares::check(genesis));
    let ascending = rules
        .tiers
        .windows(2)
        .all(|pair| pair[0].sats_max < pair[1].sats_max);
    let reachable = |tier: &PayoutTier| {
        let approvals = usize::try_from(tier.approvals).unwrap_or(usize::MAX);
        (1..=rules.copayers.len()).contains(&approvals) && tier.delay_ms <= TIME_MS_MAX
    };
    let fees = (1..=rules.fee_rate_max).contains(&rules.fee_rate_min);
    let times =
        (1..=TIME_MS_MAX).contains(&rules.proposal_ms) && rules.allow_delay_ms <= TIME_MS_MAX;
    for (holds, field, message) in [
        (
            wallet.has_change(),
            "copayers",
            "The descriptor's keys must end in /0/*: change goes to /1/*.",
        ),
        (
            rules.copayers.len() > 1,
            "copayers",
            "At least two copayers: nobody decides alone.",
        ),
        (
            !rules.tiers.is_empty() && ascending,
            "tiers",
            "At least one tier, ascending.",
        ),
        (
            rules.tiers.iter().all(reachable),
            "tiers",
            "Approvals are 1 to the number of copayers.",
        ),
        (
            fees,
            "fee_rate_min",
            "The fee rates are 1 or more, and ascend.",
        ),
        (
            rules.fee_sats_max <= SATS_MAX,
            "fee_sats_max",
            "More than there is.",
        ),
        (
            rules.day_sats_max <= SATS_MAX,
            "day_sats_max",
            "More than there is.",
        ),
        (
            times,
            "proposal_ms",
            "Times are at most a year, and a proposal waits for some time.",
        ),
    ] {
        if !holds {
            problems.push(wrong(field, message));
        }
    }
    problems
}

fn check_copayers(genesis: &Genesis, rules: &PayoutRules, wallet: &Wallet) -> Vec<Refusal> {
    let mut problems = Vec::new();
    let mut members = BTreeSet::new();
    let mut prints = BTreeSet::new();
    for (index, copayer) in rules.copayers.iter().enumerate() {
        let at = format!("payouts.copayers[{index}]");
        let is_copayer = genesis.members.iter().any(|member| {
            member.id == copayer.member_id && member.roles.iter().any(|role| role == "copayer")
        });
        if !is_copayer || !members.insert(&copayer.member_id) {
            let message = "Each is another member of the genesis with the role copayer.";
            problems.push(invalid("payout.rules", format!("{at}.member_id"), message));
        }
        let of_wallet =
            |key: &&dctrl_wallet::Key| key.fingerprint.as_bytes()[..] == copayer.fingerprint[..];
        let once = wallet.keys().iter().filter(of_wallet).count() == 1;
        if !once || !prints.insert(&copayer.fingerprint) {
            let message = "Each is the fingerprint of another key of the descriptor.";
            problems.push(invalid(
                "payout.rules",
                format!("{at}.fingerprint"),
                message,
            ));
        }
    }
    if rules.copayers.len() != wallet.keys().len() {
        let message = "Every key of the descriptor has its copayer.";
        problems.push(invalid("payout.rules", "payouts.copayers", message));
    }
    problems
}

/// Refuses whoever is no copayer of the genesis, under the key written there:
/// a member's key or role can be changed by one operator alone, and one
/// operator must not be able to approve alone.
pub(crate) fn require_approver(view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
    let member = caller.member.as_ref();
    let holds = member.is_some_and(|member| {
        let listed = rules(view.genesis)
            .copayers
            .iter()
            .any(|one| one.member_id == member.id);
        let same_key = view
            .genesis
            .members
            .iter()
            .any(|one| one.id == member.id && one.key == member.key);
        listed && same_key && member.status() == MemberStatus::Active
    });
    ensure(holds && caller.has(Role::Copayer), || {
        let message = "Only copayers of the genesis decide, with the keys written there.";
        denied("payout.copayer", message)
    })
}

/// Whether coins may be made one; the lowest tier, since nobody is paid.
pub(crate) fn require_consolidation(
    view: &View<'_>,
    caller: &Caller,
) -> Result<PayoutTier, Refusal> {
    let lowest = rules(view.genesis).tiers.first().copied();
    let tier = lowest.ok_or_else(no_rules)?;
    require_room(view, caller)?;
    Ok(tier)
}

/// Whether this may be proposed; the tier of its amount.
pub(crate) fn require_proposal(
    view: &View<'_>,
    caller: &Caller,
    source: &Source,
) -> Result<PayoutTier, Refusal> {
    let rules = rules(view.genesis);
    ensure(!rules.tiers.is_empty(), no_rules)?;
    let recipients = &source.recipients;
    ensure((1..=RECIPIENTS_MAX).contains(&recipients.len()), || {
        let message = format!("A payout has 1 to {RECIPIENTS_MAX} recipients.");
        invalid("payout.recipients", "recipients", message)
    })?;
    for (index, one) in recipients.iter().enumerate() {
        let field = format!("recipients[{index}].address");
        let listed = rules.allow_list && source.is_typed();
        require_payable(view, listed, &field, &one.address)?;
    }
    let sats = amount(recipients)?;
    let tier = rules.tiers.iter().find(|tier| sats <= tier.sats_max);
    let tier = tier.ok_or_else(|| {
        let most = most(&rules);
        precond(
            "payout.tier",
            format!("{sats} sats are more than {most} at once."),
        )
    })?;
    let today: u64 = day(view).iter().map(|one| one.sats).sum();
    ensure(today.saturating_add(sats) <= rules.day_sats_max, || {
        let most = rules.day_sats_max;
        let message = format!("{today} of {most} sats were proposed within 24 hours.");
        precond("payout.day", message)
    })?;
    require_room(view, caller)?;
    Ok(*tier)
}

fn no_rules() -> Refusal {
    precond("payout.rules", "The genesis has no rules for payouts.")
}

/// What recipients get together.
fn amount(recipients: &[PayoutRecipient]) -> Result<u64, Refusal> {
    let amounts = recipients.iter().map(|one| one.amount_sats);
    amounts
        .clone()
        .try_fold(0u64, u64::checked_add)
        .filter(|sats| *sats <= SATS_MAX && amounts.min().unwrap_or(0) > 0)
        .ok_or_else(|| {
            let message = "Amounts are 1 to 21 million bitcoin in satoshi, together.";
            invalid("payout.amount", "recipients", message)
        })
}

fn require_payable(
    view: &View<'_>,
    listed: bool,
    field: &str,
    address: &str,
) -> Result<(), Refusal> {
    let network = address::network(view.genesis)?;
    parse_address(address, network)
        .map_err(|error| invalid("payout.address", field, error.to_string()))?;
    if !listed {
        return Ok(());
    }
    let row: Option<AllowedAddress> = tables::read(view.state, &keys::payout_allowed(address));
    let row = row.ok_or_else(|| {
        precond(
            "payout.allow_list",
            format!("{address} is not on the allow-list."),
        )
    })?;
    ensure(row.usable_from_ms <= view.time_ms, || {
        let wait_ms = row.usable_from_ms - view.time_ms;
        let message = format!("{address} is on the allow-list, and may be paid in {wait_ms} ms.");
        precond("payout.allow_delay", message)
    })
}

/// Refuses more open payouts than there may be.
pub(crate) fn require_room(view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
    let open = view.state.scan(keys::PAYOUTS_OPEN, None, OPEN_MAX);
    let own = caller.member.as_ref().map(|member| member.id.as_str());
    let unapproved = open.iter().filter(|(key, _)| {
        let id = String::from_utf8_lossy(&key[keys::PAYOUTS_OPEN.len()..]);
        let payout = tables::must(keep::find(view.state, &id));
        payout.state() == PayoutState::Proposed && Some(payout.creator.as_str()) == own
    });
    let unapproved = unapproved.count();
    ensure(
        open.len() < OPEN_MAX && unapproved < UNAPPROVED_PER_MEMBER_MAX,
        || {
            let message = format!("{} payouts are open, {unapproved} of yours.", open.len());
            exhausted("payout.open", message)
        },
    )
}

/// What may still be proposed now, in one payout.
pub(super) fn left(view: &View<'_>) -> u64 {
    let rules = rules(view.genesis);
    let today: u64 = day(view).iter().map(|one| one.sats).sum();
    rules.day_sats_max.saturating_sub(today).min(most(&rules))
}

/// The largest payout that the tiers allow.
pub(crate) fn most(rules: &PayoutRules) -> u64 {
    rules.tiers.last().map_or(0, |tier| tier.sats_max)
}

/// Refuses whoever has neither proposed a payout nor is an operator: another
/// transaction voids the signatures on the one before, which is not sent again
/// either, and a single copayer must not hold up what enough others want.
pub(crate) fn require_own(payout: &Payout, caller: &Caller) -> Result<(), Refusal> {
    let member = caller.member.as_ref();
    let own = member.is_some_and(|one| one.id == payout.creator);
    ensure(own || caller.has(Role::Operator), || {
        let message = "Who proposed it or an operator changes it; others reject it or do not sign, or lift it by a child.";
        denied("payout.creator", message)
    })
}

/// What was proposed within 24 hours.
fn day(view: &View<'_>) -> Vec<PayoutSpent> {
    let meta: PayoutMeta = tables::read(view.state, keys::PAYOUT_META).unwrap_or_default();
    let since_ms = view.time_ms.saturating_sub(DAY_MS);
    let recent = |one: &PayoutSpent| one.at_ms > since_ms;
    meta.day.into_iter().filter(recent).collect()
}

/// Takes the next index for change; none is ever taken twice.
pub(super) fn take_change_index(scope: &mut Scope<'_>) {
    let mut meta: PayoutMeta = tables::read(scope, keys::PAYOUT_META).unwrap_or_default();
    meta.next_change_index += 1;
    scope.put(keys::PAYOUT_META.to_vec(), &meta);
}

/// Counts a new payout, and takes its index for change.
pub(crate) fn take_day(scope: &mut Scope<'_>, payout: &Payout) {
    let mut meta: PayoutMeta = tables::read(scope, keys::PAYOUT_META).unwrap_or_default();
    meta.day = day(&scope.view());
    // What pays nobody must not push out what counts.
    if payout.amount_sats > 0 {
        meta.day.push(PayoutSpent {
            payout_id: payout.id.clone(),
            at_ms: payout.proposed_at_ms,
            sats: payout.amount_sats,
        });
    }
    let surplus = meta.day.len().saturating_sub(DAY_ROWS_MAX);
    meta.day.drain(..surplus);
    scope.put(keys::PAYOUT_META.to_vec(), &meta);
    take_change_index(scope);
}

/// A payout that came to nothing does not count.
pub(super) fn give_back_day(scope: &mut Scope<'_>, payout: &Payout) {
    debug_assert!(!is_over(payout));
    let mut meta: PayoutMeta = tables::read(scope, keys::PAYOUT_META).unwrap_or_default();
    meta.day.retain(|one| one.payout_id != payout.id);
    scope.put(keys::PAYOUT_META.to_vec(), &meta);
}
