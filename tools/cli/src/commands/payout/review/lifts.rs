//! A child that pays for its parent: that it pays only ourselves, and what it lifts.

use dctrl_proto::v1::{Payout, PayoutKind, PayoutVersion};
use dctrl_wallet::Plan;
use serde::Serialize;

use super::wrong;
use crate::{failure::Failure, table::printable};

/// What a child lifts. The fee rates are for 1000 virtual bytes of the largest
/// that the transactions can become.
#[derive(Debug, Serialize)]
pub(super) struct Lifts {
    payout: String,
    version: u32,
    txid: String,
    fee_rate_before: u64,
    fee_rate_of_both: u64,
}

impl Lifts {
    /// What `payout` lifts, where it is a child.
    ///
    /// # Errors
    /// UNVERIFIED: it pays somebody, or spends something else than it says.
    pub(super) fn of(
        payout: &Payout,
        version: &PayoutVersion,
        plan: &Plan,
    ) -> Result<Option<Self>, Failure> {
        let bad = |message: &str| Err(wrong("payout.child", message));
        let Some(parent) = &payout.parent else {
            return match version.kind() {
                PayoutKind::Child => bad("a child names no transaction that it lifts"),
                _ => Ok(None),
            };
        };
        if !payout.recipients.is_empty() || plan.change.is_none() {
            return bad("a child pays somebody else than the wallet");
        }
        let outpoints = version.inputs.iter().flat_map(|input| &input.outpoint);
        let txids: Vec<&[u8]> = outpoints.map(|one| one.txid.as_slice()).collect();
        if txids != [parent.txid.as_slice()] {
            return bad("a child spends something else than what it lifts");
        }
        let rate = |fee_sats: u64, size: u64| {
            let thousands = fee_sats.saturating_mul(1000).checked_div(size);
            thousands.unwrap_or_default()
        };
        let size = u64::from(parent.virtual_size);
        Ok(Some(Self {
            payout: parent.payout_id.clone(),
            version: parent.version,
            txid: hex::encode(&parent.txid),
            fee_rate_before: rate(parent.fee_sats, size),
            fee_rate_of_both: rate(
                parent.fee_sats.saturating_add(plan.fee_sats),
                size.saturating_add(plan.virtual_size),
            ),
        }))
    }

    /// In words, for whoever is about to sign.
    pub(super) fn words(&self) -> String {
        format!(
            "  lifts    version {} of payout {} ({}), with it from {} to {} sats for 1000 virtual \
             bytes\n",
            self.version,
            printable(&self.payout),
            self.txid,
            self.fee_rate_before,
            self.fee_rate_of_both
        )
    }
}
