//! What a payer has to their credit, and what they owe.
//!
//! A member's purse is the tab, a guest's the claim on the vend. What a
//! vanished payment leaves behind is taken from the purse first and owed for
//! the rest; whatever comes in pays off what is owed before it is a credit.

use dctrl_proto::v1::Vend;

use crate::scope::Scope;
use crate::{StateRead, books, tables, tabs};

/// Whose credit it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purse {
    /// A member's, by id.
    Tab(String),
    /// A guest's, by the vend.
    Claim(String),
}

impl Purse {
    /// Who is credited for a vend.
    pub(crate) fn of(vend: &Vend) -> Self {
        let member = [&vend.member_id, &vend.redeemed_by]
            .into_iter()
            .find(|id| !id.is_empty());
        match member {
            Some(id) => Self::Tab(id.clone()),
            None => Self::Claim(vend.id.clone()),
        }
    }

    pub(crate) fn tab(member_id: &str) -> Self {
        Self::Tab(member_id.to_owned())
    }

    /// The account of the credit.
    pub(crate) fn credit(&self) -> String {
        match self {
            Self::Tab(id) => format!("{}{id}", books::TABS),
            Self::Claim(id) => format!("{}{id}", books::CLAIMS),
        }
    }

    /// The account of what is owed for vanished payments.
    pub(crate) fn debt(&self) -> String {
        match self {
            Self::Tab(id) => format!("{}tab:{id}", books::DEBTS),
            Self::Claim(id) => format!("{}claim:{id}", books::DEBTS),
        }
    }
}

/// The credit; below 0 where a member's credit limit is used.
pub(crate) fn balance_sats(state: &dyn StateRead, purse: &Purse) -> i64 {
    -tables::account(state, &purse.credit()).balance_sats
}

/// What is owed for vanished payments.
pub(crate) fn debt_sats(state: &dyn StateRead, purse: &Purse) -> u64 {
    let debt = tables::account(state, &purse.debt()).balance_sats;
    u64::try_from(debt).expect("nobody owes less than nothing")
}

/// What can be given away: credit that is really there, of one who owes nothing.
pub(crate) fn own_sats(state: &dyn StateRead, purse: &Purse) -> u64 {
    if debt_sats(state, purse) > 0 {
        return 0;
    }
    u64::try_from(balance_sats(state, purse)).unwrap_or_default()
}

/// Gives `sats`, which lie in the account `from`.
pub(crate) fn give(
    scope: &mut Scope<'_>,
    reference: &str,
    text: &str,
    from: &str,
    purse: &Purse,
    sats: u64,
) {
    let owed = debt_sats(scope, purse).min(sats);
    let postings = [
        (from, books::signed(sats)),
        (&*purse.debt(), -books::signed(owed)),
        (&*purse.credit(), -books::signed(sats - owed)),
    ];
    books::post(scope, reference, text, &postings);
    tabs::tell(scope, purse);
}

/// Takes `sats` back into the account `to`: from the credit as far as there
/// is any, the rest is owed.
pub(crate) fn take_back(
    scope: &mut Scope<'_>,
    reference: &str,
    text: &str,
    to: &str,
    purse: &Purse,
    sats: u64,
) {
    let has = u64::try_from(balance_sats(scope, purse)).unwrap_or_default();
    let taken = has.min(sats);
    let postings = [
        (to, -books::signed(sats)),
        (&*purse.credit(), books::signed(taken)),
        (&*purse.debt(), books::signed(sats - taken)),
    ];
    books::post(scope, reference, text, &postings);
    tabs::tell(scope, purse);
}

/// Moves `sats` of the credit to the account `to`; a guard saw that it is there.
pub(crate) fn spend(
    scope: &mut Scope<'_>,
    reference: &str,
    text: &str,
    purse: &Purse,
    to: &str,
    sats: u64,
) {
    books::transfer(scope, reference, text, &purse.credit(), to, sats);
    tabs::tell(scope, purse);
}
