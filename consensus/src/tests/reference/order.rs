//! Both orders, and their times.

use std::collections::BTreeMap;

use super::Reference;
use crate::crypto::sha256;
use crate::id::{Digest, Timestamp};
use crate::ordering::{OrderRule, Profile};

impl Reference {
    fn time(&self, x: usize) -> Timestamp {
        self.events[x].header().timestamp
    }

    /// All received events in their final order, with their times.
    pub(in crate::tests) fn ordered(&self) -> Vec<(usize, Timestamp)> {
        let mut ordered: Vec<(usize, Timestamp)> = Vec::new();
        let mut passed = false;
        let mut last = Timestamp(0);
        for judges in self.judges() {
            let weight = self.weigh(judges.iter().map(|&judge| self.creator(judge)));
            let received = self.ordering.order == OrderRule::Received;
            let layered = self.ordering.profile == Profile::Layered;
            let few = received && layered && weight < self.quorum() && !passed;
            passed = few || judges.is_empty();
            if passed {
                continue;
            }
            let fresh: Vec<usize> = (0..self.events.len())
                .filter(|x| !ordered.iter().any(|(before, _)| before == x))
                .filter(|x| {
                    let mut over = judges.iter().map(|&judge| self.ancestor(judge, *x));
                    if received {
                        over.all(|over| over)
                    } else {
                        over.any(|over| over)
                    }
                })
                .collect();
            if received {
                ordered.extend(self.by_median(&judges, &fresh));
            } else {
                let (until, events) = self.by_clamp(&judges, &fresh, last);
                last = until;
                ordered.extend(events);
            }
        }
        ordered
    }

    /// The latest time that judges of this weight reach.
    fn reached(&self, times: &[(Timestamp, u32)], weight: u32) -> Timestamp {
        let by = |time: Timestamp| -> u32 {
            times
                .iter()
                .filter(|(t, _)| *t >= time)
                .map(|(_, w)| w)
                .sum()
        };
        let candidates = times.iter().map(|(time, _)| *time);
        candidates
            .filter(|&time| by(time) >= weight)
            .max()
            .unwrap_or_default()
    }

    fn guard(&self) -> u32 {
        match self.ordering.profile {
            Profile::Classic => 0,
            Profile::Layered => self.faults() + 1,
        }
    }

    fn by_median(&self, judges: &[usize], fresh: &[usize]) -> Vec<(usize, Timestamp)> {
        let mut keyed: Vec<_> = fresh
            .iter()
            .map(|&x| {
                let times: Vec<(Timestamp, u32)> = judges
                    .iter()
                    .map(|&judge| (self.time(self.knew_first(judge, x)), self.weight_of(judge)))
                    .collect();
                let half = times.iter().map(|(_, w)| w).sum::<u32>() / 2;
                let median = self.reached(&times, (half + 1).max(self.guard()));
                let above = self.reached(&times, half.max(1));
                ((median, above, self.depth(x), self.whitened(x, judges)), x)
            })
            .collect();
        keyed.sort();
        keyed.into_iter().map(|((time, ..), x)| (x, time)).collect()
    }

    /// The judge's earliest self-ancestor that descends from x.
    fn knew_first(&self, judge: usize, x: usize) -> usize {
        let mut first = judge;
        while let Some(before) = self.self_parent(first).filter(|&b| self.ancestor(b, x)) {
            first = before;
        }
        first
    }

    fn by_clamp(
        &self,
        judges: &[usize],
        fresh: &[usize],
        last: Timestamp,
    ) -> (Timestamp, Vec<(usize, Timestamp)>) {
        let times: Vec<_> = judges
            .iter()
            .map(|&j| (self.time(j), self.weight_of(j)))
            .collect();
        let half = times.iter().map(|(_, w)| w).sum::<u32>() / 2;
        let after = Timestamp(last.0 + 1);
        let guard = self.faults() + 1;
        let until = self.reached(&times, (half + 1).max(guard)).max(after);
        let mut own: BTreeMap<usize, Timestamp> = BTreeMap::new();
        for &x in fresh {
            let parents = self.parents[x].iter().filter_map(|parent| own.get(parent));
            let highest = parents.max().copied().unwrap_or_default();
            own.insert(x, self.time(x).max(after).min(until).max(highest));
        }
        let mut keyed: Vec<_> = fresh
            .iter()
            .map(|&x| ((own[&x], self.depth(x), self.whitened(x, judges)), x))
            .collect();
        keyed.sort();
        (
            until,
            keyed.into_iter().map(|((time, ..), x)| (x, time)).collect(),
        )
    }

    fn whitened(&self, x: usize, judges: &[usize]) -> Vec<u8> {
        let ids: Vec<Digest> = judges.iter().map(|&judge| self.id(judge)).collect();
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
        let white = sha256(b"dctrl/whitening/1\0", &ids);
        let bytes = self.id(x).0.into_iter().zip(white.0);
        bytes.map(|(a, b)| a ^ b).collect()
    }

    /// The longest path down, from the bottom up: events stand behind their parents.
    fn depth(&self, x: usize) -> usize {
        let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
        for &event in &self.ancestors[x] {
            let below = self.parents[event].iter().map(|parent| depths[parent] + 1);
            depths.insert(event, below.max().unwrap_or(0));
        }
        depths[&x]
    }
}
