//! A child that pays for its parent (CPFP): it spends the change of a
//! transaction that waits, back to the wallet, with a fee that lifts both.

use crate::size::{Sizes, fee_sats, virtual_size};
use crate::{Coin, Plan, PlanError, Terms, Wallet, plan_over};

/// A transaction of ours that waits in the mempools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its output that comes back to us.
    pub change: Coin,
    /// What it pays.
    pub fee_sats: u64,
    /// As it was planned: an upper bound.
    pub virtual_size: u64,
}

/// The child with which both together pay `terms.fee_rate`; none where the
/// parent pays as much by itself. Of the terms, recipients do not matter: all
/// goes to `change_index`. It never pays less than that rate for itself, since
/// nodes would then have no reason to mine it with the parent.
///
/// # Errors
/// The change is too little for the fee, or the fee is out of bounds.
pub fn child(wallet: &Wallet, parent: &Parent, terms: &Terms) -> Result<Option<Plan>, PlanError> {
    let rate = terms.fee_rate;
    if parent.fee_sats >= fee_sats(parent.virtual_size, rate) {
        return Ok(None);
    }
    let own = virtual_size(Sizes::of(wallet).weight(1, std::iter::empty(), true));
    let both = fee_sats(own.saturating_add(parent.virtual_size), rate);
    let lifting = both.saturating_sub(parent.fee_sats);
    let terms = Terms {
        recipients: Vec::new(),
        fee_sats_min: terms.fee_sats_min.max(lifting),
        ..terms.clone()
    };
    plan_over(wallet, &[parent.change], &[], &terms).map(Some)
}
