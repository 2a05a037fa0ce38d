//! Who comes and goes: people who are no members at the start, and changes of
//! the members that users ask for.

use super::{MILLISECOND, pick};
use crate::app::Change;
use crate::engine::Seat;
use crate::prng::Prng;

/// People who are no members at the start, at most.
const SPARES_MAX: u64 = 3;
/// Changes that users ask for in one run, at most.
const CHANGES_MAX: u64 = 12;

/// Who comes and goes in one run.
#[derive(Debug, Clone)]
pub(crate) struct Churn {
    /// People who are no members at the start, behind the members.
    pub(crate) spares: usize,
    /// When each of them is first started, with an empty disk.
    pub(crate) starts: Vec<u64>,
    /// Who asks for what, and when.
    pub(crate) changes: Vec<(u64, Seat, Change)>,
}

impl Churn {
    pub(crate) fn of(chance: &mut Prng, nodes: usize, end: u64) -> Self {
        let spares = usize::try_from(chance.between(1, SPARES_MAX)).unwrap_or(1);
        let start = |chance: &mut Prng| {
            let late = chance.chance(600);
            chance.below(if late { end } else { 1 })
        };
        let seats = nodes + spares;
        let starts = (0..spares).map(|_| start(chance)).collect();
        let mut changes: Vec<_> = (0..chance.between(3, CHANGES_MAX))
            .map(|_| {
                let at = chance.between(20 * MILLISECOND, end);
                let (a, b) = (pick(chance, seats), pick(chance, seats));
                let change = match chance.below(4) {
                    0 => Change::Leave(a),
                    1 => Change::Replace(a, b),
                    // Who is a spare joins rather than somebody at random.
                    2 => Change::Join(nodes + pick(chance, spares)),
                    _ => Change::Join(a),
                };
                (at, pick(chance, seats), change)
            })
            .collect();
        changes.sort_by_key(|(at, ..)| *at);
        Self {
            spares,
            starts,
            changes,
        }
    }
}
