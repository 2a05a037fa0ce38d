//! Consensus times, and the order within a round.
//!
//! Received order. For each judge, an event has the time of the judge's
//! earliest self-ancestor that descends from it. Its consensus time is the
//! lower median of these, by the judges' weights. Where few judges are left,
//! liars might be the upper half: so the time is lowered to one that judges of
//! weight F + 1 reach, of whom one is honest; if there are not even so many
//! judges, the time is that of the transaction before. (The published rules
//! know no such guard.) Sorted by (time, the next value above it, depth, whitened id).
//!
//! Direct order. A round's time is the lower median of its judges' times, with
//! the same guard, but above that of the round before. An event's time is its
//! own, clamped to the span between these two, and not below its parents'.
//! Sorted by (time, depth, whitened id).
//!
//! All times rise along an edge, and the depth rises strictly: parents come
//! first. The whitened id is the id XOR a digest of the judges' ids, which
//! nobody knows when they sign.

use super::Ordered;
use crate::dag::{Dag, Slot};
use crate::id::{Digest, Timestamp};
use crate::weights::Weights;

type Key = (Timestamp, Timestamp, u64, Digest);

/// Received order: `guard` is the weight of judges that must reach a time.
pub(super) fn by_median(
    dag: &Dag,
    weights: &Weights,
    guard: u32,
    judges: &[Slot],
    fresh: &[Slot],
    whitening: &Digest,
) -> Vec<Ordered> {
    let weigh = |&judge: &Slot| (judge, weights.one(dag.vertex(judge).creator()));
    let judges: Vec<(Slot, u32)> = judges.iter().map(weigh).collect();
    let total: u32 = judges.iter().map(|&(_, weight)| weight).sum();
    let half = total / 2;
    let mut times = Vec::with_capacity(judges.len());
    let mut keyed: Vec<(Key, Slot)> = Vec::with_capacity(fresh.len());
    for &slot in fresh {
        times.clear();
        times.extend(judges.iter().map(|&(judge, weight)| {
            let knew = dag.first_self_ancestor_over(judge, slot);
            (dag.vertex(knew).event.header().timestamp, weight)
        }));
        times.sort_unstable();
        let median = reached_by(&times, (half + 1).max(guard));
        let above = reached_by(&times, half.max(1));
        let vertex = dag.vertex(slot);
        let id = whitened(vertex.event.id(), whitening);
        keyed.push(((median, above, vertex.lamport, id), slot));
    }
    keyed.sort_unstable();
    let ordered = keyed.into_iter();
    ordered
        .map(|((time, ..), slot)| Ordered { slot, time })
        .collect()
}

/// Direct order in a round whose time is not below `after`; gives that time too.
pub(super) fn by_clamp(
    dag: &Dag,
    weights: &Weights,
    after: Timestamp,
    judges: &[Slot],
    fresh: &[Slot],
    whitening: &Digest,
) -> (Timestamp, Vec<Ordered>) {
    let time_of = |slot: Slot| dag.vertex(slot).event.header().timestamp;
    let weigh = |&judge: &Slot| (time_of(judge), weights.one(dag.vertex(judge).creator()));
    let mut times: Vec<(Timestamp, u32)> = judges.iter().map(weigh).collect();
    times.sort_unstable();
    let half: u32 = times.iter().map(|&(_, weight)| weight).sum::<u32>() / 2;
    let guard = weights.fault_bound() + 1;
    let until = reached_by(&times, (half + 1).max(guard)).max(after);
    // Parents stand before their children in `fresh`.
    let mut own: Vec<Timestamp> = Vec::with_capacity(fresh.len());
    for &slot in fresh {
        let vertex = dag.vertex(slot);
        let parents = vertex
            .parents()
            .filter_map(|parent| fresh[..own.len()].binary_search(&parent).ok());
        let parents = parents.map(|at| own[at]).max();
        let clamped = time_of(slot).clamp(after, until);
        own.push(parents.map_or(clamped, |parents| parents.max(clamped)));
    }
    let key = |(&slot, &time): (&Slot, &Timestamp)| {
        let vertex = dag.vertex(slot);
        let id = whitened(vertex.event.id(), whitening);
        (time, vertex.lamport, id, slot)
    };
    let mut keyed: Vec<_> = fresh.iter().zip(&own).map(key).collect();
    keyed.sort_unstable();
    let ordered = keyed.into_iter();
    let ordered = ordered.map(|(time, _, _, slot)| Ordered { slot, time });
    (until, ordered.collect())
}

/// The highest time such that judges of at least this weight have it or a later
/// one; 0 where there are not so many. `times` ascend.
fn reached_by(times: &[(Timestamp, u32)], weight: u32) -> Timestamp {
    let mut reached = 0;
    for &(time, of_judge) in times.iter().rev() {
        reached += of_judge;
        if reached >= weight {
            return time;
        }
    }
    Timestamp(0)
}

fn whitened(mut id: Digest, whitening: &Digest) -> Digest {
    for (byte, white) in id.0.iter_mut().zip(whitening.0) {
        *byte ^= white;
    }
    id
}
