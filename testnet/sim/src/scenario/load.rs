//! What users submit: bursts, with rests in between in which a federation may
//! come to a stop, as real ones do.

use super::{Cast, MILLISECOND, pick};
use crate::engine::Seat;
use crate::prng::Prng;

/// One action of a user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Submission {
    pub(crate) at: u64,
    pub(crate) seat: Seat,
}

/// Submissions up to `busy_until`, and a few between there and the healing.
pub(crate) fn submissions(
    chance: &mut Prng,
    cast: &Cast,
    busy_until: u64,
    heal_at: u64,
) -> Vec<Submission> {
    let seats = cast.parts.len();
    let mut submissions = Vec::new();
    for _ in 0..chance.between(1, 6) {
        let begin = chance.below(busy_until);
        let longest = chance.between(1, 80 * MILLISECOND);
        let seat = chance.chance(300).then(|| pick(chance, seats));
        for _ in 0..chance.between(1, 40) {
            let seat = seat.unwrap_or_else(|| pick(chance, seats));
            let at = (begin + chance.below(longest)).min(busy_until);
            submissions.push(Submission { at, seat });
        }
    }
    if heal_at > busy_until {
        let late = chance.between(10, 100);
        submissions.extend((0..late).map(|_| Submission {
            at: chance.between(busy_until, heal_at),
            seat: pick(chance, seats),
        }));
    }
    submissions
}
