//! What each account may be, and that the money on the chain is what the
//! counted payments say.

use dctrl_proto::v1::Payment;

use crate::payments::account;
use crate::{StateRead, books, keys, tables, tabs};

/// Refuses a balance that its account cannot have. A liability is a credit, so
/// that it is not above 0; a tab may be as far as its credit limit.
///
/// # Panics
/// When it does not hold.
pub(super) fn assert_allowed(state: &dyn StateRead, name: &str, balance_sats: i64) {
    if let Some(problem) = problem(state, name, balance_sats) {
        panic!("{problem}");
    }
}

/// What is wrong with an account's balance, if anything.
pub(super) fn problem(state: &dyn StateRead, name: &str, balance_sats: i64) -> Option<String> {
    let holds = if let Some(member_id) = name.strip_prefix(books::TABS) {
        let limit = tabs::tab(state, member_id).credit_limit_sats;
        balance_sats <= books::signed(limit)
    } else if name.starts_with("liability:") || name.starts_with("income:") {
        balance_sats <= 0
    } else {
        balance_sats >= 0 || !name.starts_with("asset:")
    };
    (!holds).then(|| format!("Account {name} cannot be at {balance_sats} sats."))
}

/// What a block changed of the money on the chain, by payments and by books.
#[derive(Default)]
pub(super) struct Chain {
    bitcoin: i64,
    unconfirmed: i64,
}

impl Chain {
    pub(super) fn payment(&mut self, before: Option<&Payment>, now: &Payment) {
        self.add(Some(now), 1);
        self.add(before, -1);
    }

    fn add(&mut self, payment: Option<&Payment>, sign: i64) {
        let Some(payment) = payment.filter(|payment| payment.booked) else {
            return;
        };
        let sats = sign * books::signed(payment.amount_sats);
        match account(payment.state()) {
            Some(books::BITCOIN) => self.bitcoin += sats,
            Some(books::UNCONFIRMED) => self.unconfirmed += sats,
            _ => {}
        }
    }

    /// What a payout has taken from the wallet in this block.
    pub(super) fn spent(&mut self, sats: i64) {
        self.bitcoin -= sats;
    }

    pub(super) fn account(&mut self, name: &str, change: i64) {
        match name {
            books::BITCOIN => self.bitcoin -= change,
            books::UNCONFIRMED => self.unconfirmed -= change,
            _ => {}
        }
    }

    /// # Panics
    /// When the books say something else.
    pub(super) fn assert_follows_from_the_payments(&self) {
        assert_eq!(
            (self.bitcoin, self.unconfirmed),
            (0, 0),
            "the books of the chain do not follow from the payments"
        );
    }
}

/// The whole account of the chain, from every payment: in blocks, and waiting.
pub(super) fn on_the_chain(state: &dyn StateRead) -> (i64, i64) {
    let mut all = Chain::default();
    for payment in tables::rows::<Payment>(state, keys::PAYMENTS) {
        all.payment(None, &payment);
    }
    (all.bitcoin, all.unconfirmed)
}
