//! Unconfirmed payments: which may count at once, and from when.
//!
//! It is credit that the site gives: within its own limit and the member's,
//! only for what a quorum has seen without a doubt for a while, and only so
//! much for one machine in an hour. What counts is the whole payment and not the
//! price, since what goes beyond the price is the payer's to spend at once.

use dctrl_proto::v1::PaymentState::{Confirmed, Seen};
use dctrl_proto::v1::{Payment, Vend};

use super::pending;
use crate::money::{self, DUST_SATS};
use crate::purse::{self, Purse};
use crate::scope::Scope;
use crate::spent::Cap;
use crate::vends::{is_open, missing_sats};
use crate::{keys, tables, tabs};

/// A minute of consensus time, milliseconds.
const MINUTE_MS: u64 = 60 * 1000;

/// Whether the payment counts now, though it is not deep.
pub(super) fn is_taken(scope: &Scope<'_>, vend: &Vend, payment: &Payment) -> bool {
    let due = from_ms(scope, vend, payment);
    let key = keys::at_risk(&vend.machine_id);
    due.is_some_and(|due_ms| due_ms <= scope.time_ms())
        && cap(scope).allows(scope, &key, scope.time_ms(), payment.amount_sats)
}

/// Counts the payment against its machine's cap.
pub(super) fn take(scope: &mut Scope<'_>, vend: &Vend, payment: &Payment) {
    let key = keys::at_risk(&vend.machine_id);
    cap(scope).add(scope, key, payment.amount_sats);
}

/// When the first of a vend's payments may count; 0 where none will by itself.
pub(super) fn recheck_at_ms(scope: &Scope<'_>, vend: &Vend) -> u64 {
    if scope.policy().zero_conf_sats_max == 0 {
        return 0;
    }
    pending(scope, vend)
        .iter()
        .filter_map(|payment| from_ms(scope, vend, payment))
        .filter(|due_ms| *due_ms > scope.time_ms())
        .min()
        .unwrap_or_default()
}

/// From when the payment may count; `None` where only its depth counts.
fn from_ms(scope: &Scope<'_>, vend: &Vend, payment: &Payment) -> Option<u64> {
    let fits = matches!(payment.state(), Seen | Confirmed)
        && payment.trusted_since_ms > 0
        && !payment.coinbase
        && payment.amount_sats >= DUST_SATS
        && payment.amount_sats >= missing_sats(scope.policy(), vend)
        && is_open(vend.state())
        && scope.time_ms() < vend.expires_at_ms
        && payment.amount_sats <= sats_max(scope, vend);
    fits.then(|| payment.trusted_since_ms + money::zero_conf_wait_ms(scope.policy()))
}

/// Largest payment of this payer that counts unconfirmed.
fn sats_max(scope: &Scope<'_>, vend: &Vend) -> u64 {
    let machine = tables::must(tables::machine(scope, &vend.machine_id));
    let site = money::site_zero_conf_sats_max(scope.policy(), &machine.site);
    let purse = Purse::of(vend);
    if purse::debt_sats(scope, &purse) > 0 {
        return 0;
    }
    let Purse::Tab(member_id) = &purse else {
        return site;
    };
    let tab = tabs::tab(scope, member_id);
    match tab.zero_conf_sats_max {
        _ if tab.zero_conf_withdrawn => 0,
        Some(own) => own.min(site),
        None => site,
    }
}

fn cap(scope: &Scope<'_>) -> Cap {
    Cap {
        period_ms: MINUTE_MS,
        before: 60,
        sats_max: money::zero_conf_hour_sats_max(scope.policy()),
    }
}
