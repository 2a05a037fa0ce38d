//! Which processes fall when, and what is on their disks when they come back.

use super::{Cast, MILLISECOND, Part, pick, span};
use crate::disk::Fate;
use crate::engine::Seat;
use crate::prng::Prng;

/// Crashes of one run at most.
const CRASHES_MAX: usize = 8;

/// One process falls, and comes back unless `back_at` is `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) seat: Seat,
    pub(crate) at: u64,
    pub(crate) back_at: Option<u64>,
    pub(crate) fate: Fate,
}

/// All that fall.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures {
    pub(crate) crashes: Vec<Failure>,
    /// When all fall at once, if they do.
    pub(crate) power_cut: Option<u64>,
}

impl Failures {
    /// Crashes of any number of sound nodes, and the losses of bad disks.
    pub(crate) fn storm(chance: &mut Prng, cast: &Cast, end: u64) -> Self {
        let mut failures = Self::default();
        while chance.chance(550) && failures.crashes.len() < CRASHES_MAX {
            let seat = pick(chance, cast.parts.len());
            let (at, back_at) = span(chance, end);
            failures.fall(chance, seat, at, Some(back_at));
        }
        for (seat, part) in cast.parts.iter().enumerate() {
            let (at, back_at) = span(chance, end);
            match part {
                Part::BadDisk => {
                    let fate = if chance.chance(500) {
                        Fate::Wiped
                    } else {
                        Fate::Older(chance.between(0, 990))
                    };
                    let back_at = Some(back_at);
                    failures.crashes.push(Failure {
                        seat,
                        at,
                        back_at,
                        fate,
                    });
                }
                Part::Mortal => failures.fall(chance, seat, at, None),
                Part::Sound | Part::BadClock | Part::Liar(_) => {}
            }
        }
        if chance.chance(80) {
            let at = chance.below(end);
            failures.power_cut = Some(at);
            for seat in 0..cast.parts.len() {
                let back_at = chance.between(at, end.min(at + 100 * MILLISECOND));
                failures.fall(chance, seat, at, Some(back_at));
            }
        }
        failures.crashes.retain(|failure| cast.honest(failure.seat));
        failures
    }

    /// One node more than may be missing falls for a long time.
    pub(crate) fn quorum_lost(chance: &mut Prng, nodes: usize, from: u64, until: u64) -> Self {
        let mut failures = Self::default();
        let first = pick(chance, nodes);
        for offset in 0..=(nodes - 1) / 3 {
            failures.fall(chance, (first + offset) % nodes, from, Some(until));
        }
        failures
    }

    fn fall(&mut self, chance: &mut Prng, seat: Seat, at: u64, back_at: Option<u64>) {
        let fate = if chance.chance(500) {
            Fate::Prefix
        } else {
            Fate::Subset
        };
        self.crashes.push(Failure {
            seat,
            at,
            back_at,
            fate,
        });
    }
}
