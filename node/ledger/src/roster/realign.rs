//! The first deed under a new roster: the stored votes are brought in line.

use crate::scope::Scope;
use crate::{payments, payouts, rates};

/// Drops the votes of nodes that have gone and counts anew what depends on
/// the number of nodes, where that was not done since the roster changed.
pub(crate) fn realign(scope: &mut Scope<'_>) {
    if scope.votes_are_in_line() {
        return;
    }
    rates::realign(scope);
    payments::realign(scope);
    payouts::tip_moved(scope);
    scope.bring_votes_in_line();
}
