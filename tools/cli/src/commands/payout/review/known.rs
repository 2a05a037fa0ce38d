//! What the federation knows of each recipient: whether it is on the allow-list,
//! and whether it was paid before.
//!
//! It stands in the payout that the nodes have signed, so a machine without
//! network has it proven like the rest; as of the block of that frame, which is
//! named beside it. A payout of a ledger that does not say it is shown as such.

use dctrl_proto::v1::{Payout, PayoutRules, PayoutStanding};
use serde::Serialize;

use crate::{
    table::printable,
    text::time,
    verify::{Signatures, Verified},
};

/// The block whose frame tells of the payout, and who signed it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(in crate::commands::payout) struct AsOf {
    pub(in crate::commands::payout) height: u64,
    /// Consensus time of the block.
    pub(in crate::commands::payout) time_ms: u64,
    #[serde(skip)]
    pub(in crate::commands::payout) signatures: Signatures,
}

impl AsOf {
    pub(in crate::commands::payout) fn of(verified: &Verified) -> Self {
        Self {
            height: verified.body.height,
            time_ms: verified.body.time_ms,
            signatures: verified.signatures,
        }
    }

    /// In words, for whoever is about to sign.
    pub(super) fn words(&self) -> String {
        format!(
            "  as of    block {} of {}: what came later is not in it\n",
            self.height,
            time(self.time_ms)
        )
    }
}

/// What is known of one recipient.
#[derive(Debug, Serialize)]
pub(super) struct Known {
    /// None where it is not on the list.
    allow_list: Option<Listed>,
    paid_before: bool,
}

/// A row of the allow-list.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    added_by: String,
    since_ms: u64,
    usable_from_ms: u64,
    /// As of the block.
    usable: bool,
}

impl Known {
    fn new(standing: &PayoutStanding, rules: &PayoutRules, as_of: &AsOf) -> Self {
        let listed = standing.allowed.as_ref().map(|row| Listed {
            name: row.name.clone(),
            added_by: row.added_by.clone(),
            // The waiting time is the genesis's, for good.
            since_ms: row.usable_from_ms.saturating_sub(rules.allow_delay_ms),
            usable_from_ms: row.usable_from_ms,
            usable: row.usable_from_ms <= as_of.time_ms,
        });
        Self {
            allow_list: listed,
            paid_before: standing.paid_before,
        }
    }

    fn list_words(&self) -> String {
        let Some(listed) = &self.allow_list else {
            return "not on the allow-list".to_owned();
        };
        let mut text = "on the allow-list".to_owned();
        if !listed.name.is_empty() {
            text += &format!(" as {}", printable(&listed.name));
        }
        if listed.usable {
            text += &format!(" since {}", time(listed.since_ms));
        } else {
            text += &format!(", usable from {}", time(listed.usable_from_ms));
        }
        text
    }

    fn paid_words(&self) -> &'static str {
        if self.paid_before {
            "has been paid by this federation before"
        } else {
            "has never been paid by this federation"
        }
    }
}

/// In words, for whoever is about to sign; `None` for what the ledger did not say.
pub(super) fn words(known: Option<&Known>) -> String {
    known.map_or_else(
        || "the nodes did not sign what they know of this address".to_owned(),
        |known| format!("{}; {}", known.list_words(), known.paid_words()),
    )
}

/// What the payout says of its recipients, by position; nothing where its
/// ledger did not say it of each.
pub(super) fn of(payout: &Payout, rules: &PayoutRules, as_of: &AsOf) -> Vec<Option<Known>> {
    if payout.standings.len() != payout.recipients.len() {
        return payout.recipients.iter().map(|_| None).collect();
    }
    let standings = payout.standings.iter();
    standings
        .map(|one| Some(Known::new(one, rules, as_of)))
        .collect()
}

/// What is worth a second look. Whom the ledger itself names, for a refund or a
/// share, is not expected on the list, and is mostly paid for the first time.
pub(super) fn unusual(payout: &Payout, known: &[Option<Known>]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, (one, known)) in payout.recipients.iter().zip(known).enumerate() {
        let typed = payout.accounts.get(at).is_none_or(String::is_empty);
        let address = printable(&one.address);
        let Some(known) = known else {
            found.push(format!("{address}: {}", words(None)));
            continue;
        };
        let waits = known.allow_list.as_ref().is_some_and(|row| !row.usable);
        if waits || (typed && known.allow_list.is_none()) {
            found.push(format!("{address} is {}", known.list_words()));
        }
        if typed && !known.paid_before {
            found.push(format!("{address} {}", known.paid_words()));
        }
    }
    found
}
