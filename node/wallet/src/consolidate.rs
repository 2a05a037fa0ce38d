//! Consolidation: many small coins of the wallet become one.

use crate::size::Sizes;
use crate::{Coin, Plan, PlanError, Terms, Wallet, plan_over};

/// The smallest of `coins`, as many as one transaction may spend, back to the
/// wallet as one. Those that are not worth what it costs to spend them are left
/// alone. Of the terms, recipients do not matter: all goes to `change_index`.
///
/// # Errors
/// Fewer than two are worth their fee, together they are dust, or the fee is
/// out of bounds.
pub fn consolidate(wallet: &Wallet, coins: &[Coin], terms: &Terms) -> Result<Plan, PlanError> {
    let input_fee = Sizes::of(wallet).input_fee(terms.fee_rate);
    let worth_it = coins.iter().filter(|coin| coin.sats > input_fee);
    let mut smallest: Vec<Coin> = worth_it.copied().collect();
    smallest.sort_by_key(|coin| (coin.sats, coin.place()));
    smallest.truncate(wallet.inputs_max());
    if smallest.len() < 2 {
        return Err(PlanError::Few { input_fee });
    }
    let terms = Terms {
        recipients: Vec::new(),
        ..terms.clone()
    };
    plan_over(wallet, &smallest, &[], &terms)
}
