//! Payouts as tables and lines.

use dctrl_proto::v1::{PaymentView, Payout, PayoutKind, PayoutList, PayoutState};

use super::review::since;
use crate::{
    args::more,
    table::{Table, printable},
    text::{or_dash, sats, words},
};

/// A state in the words of the screen.
pub(crate) fn state(state: PayoutState) -> String {
    words(state.as_str_name().trim_start_matches("PAYOUT_STATE_"))
}

/// What a transaction of a payout is for.
pub(crate) fn kind(kind: PayoutKind) -> String {
    words(kind.as_str_name().trim_start_matches("PAYOUT_KIND_"))
}

/// A payout's event, in one line.
pub(crate) fn line(payout: &Payout) -> String {
    let detail = payout.history.last().map_or("", |step| &step.detail);
    format!(
        "{} {} {}: {}",
        payout.id,
        state(payout.state()),
        sats(payout.amount_sats),
        printable(detail)
    )
}

pub(super) fn list(list: &PayoutList) -> String {
    let mut table = Table::new(&["ID", "STATE", ">AMOUNT", "CREATOR", "SINCE", "WAITS FOR"]);
    for payout in &list.payouts {
        table.row([
            // Whole, because other commands take it.
            payout.id.clone(),
            state(payout.state()),
            sats(payout.amount_sats),
            payout.creator.clone(),
            since(payout),
            or_dash(&payout.awaits).to_owned(),
        ]);
    }
    format!("{table}at height {}\n{}", list.height, more(&list.next))
}

pub(super) fn one(payout: &Payout) -> String {
    let mut text = format!(
        "payout {}: {}, {}\n",
        payout.id,
        state(payout.state()),
        sats(payout.amount_sats)
    );
    let settled = if payout.settled { ", settled" } else { "" };
    if let Some(seen) = &payout.seen {
        let place = match seen.view() {
            PaymentView::InBlock => format!("in block {}", seen.block_height),
            _ => "in the mempools".to_owned(),
        };
        text += &format!(
            "  chain    {} {place}, {} confirmation(s){settled}\n",
            hex::encode(&seen.txid),
            seen.confirmations
        );
    }
    for one in &payout.recipients {
        let address = printable(&one.address);
        text += &format!("  pays     {} to {address}\n", sats(one.amount_sats));
    }
    for version in &payout.versions {
        let kind = kind(version.kind());
        text += &format!(
            "  version {} {kind} {}, fee {}, signed by {} of {}\n",
            version.number,
            hex::encode(&version.txid),
            sats(version.fee_sats),
            version.signers.len(),
            payout.signatures_needed
        );
    }
    for one in &payout.approvals {
        text += &format!("  approved by {}\n", one.member_id);
    }
    for one in &payout.rejections {
        let reason = printable(&one.reason);
        text += &format!("  rejected by {}: {reason}\n", one.member_id);
    }
    if !payout.awaits.is_empty() {
        let who = payout.awaited.join(", ");
        text += &format!("  waits for {}: {who}\n", payout.awaits);
    }
    text
}
