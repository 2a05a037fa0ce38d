//! Agreement between nodes that know different parts of the graph, while liars
//! run twice under one key and the network delivers what splits the votes.
//!
//! Each process has an engine of its own and learns of an event with all its
//! ancestors. Two processes of one key, the twins, each act as an honest node
//! would, in different company: their chains fork. All processes must hand out
//! the same judges and blocks, as far as each has come.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::drawing::Drawing;
use super::random::{Chance, loose};
use crate::block::Block;
use crate::crypto::NullSigner;
use crate::dag::Slot;
use crate::engine::Engine;
use crate::event::{Event, EventHeader, ParentRef};
use crate::id::{Digest, NodeIndex, PublicKey, Timestamp};
use crate::ordering::{OrderRule, Ordering, Profile};
use crate::weights::Weights;

struct Process {
    engine: Engine,
    key: NodeIndex,
    own: Option<Digest>,
    judges: Vec<Vec<Digest>>,
    blocks: Vec<Block>,
}

/// What a run came across.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Met {
    /// Layers decided, summed over processes.
    layers: usize,
    /// Those of them with less than all creators as judges.
    split: usize,
    /// Events that know a fork, in one process.
    forks: usize,
    /// Whether two processes disagree.
    violated: bool,
}

struct Campaign {
    ordering: Ordering,
    weights: Weights,
    forkers: usize,
    steps: usize,
}

impl Process {
    fn new(campaign: &Campaign, key: usize) -> Self {
        Self {
            engine: Engine::new(campaign.weights.clone(), &campaign.ordering, &loose()),
            key: NodeIndex(u16::try_from(key).unwrap()),
            own: None,
            judges: Vec::new(),
            blocks: Vec::new(),
        }
    }

    fn id(&self, slot: Slot) -> Digest {
        self.engine.dag.vertex(slot).event.id()
    }

    fn insert(&mut self, event: Event) -> bool {
        let Ok((_, done)) = self.engine.insert(event) else {
            return false;
        };
        for decided in done {
            let judges = decided.judges.iter().map(|&judge| self.id(judge)).collect();
            self.judges.push(judges);
            self.blocks.extend(decided.block);
        }
        true
    }

    /// Learns of one event of another process, with all its ancestors.
    fn learn(&mut self, from: &Self, event: Slot) {
        let mut lacking = BTreeSet::new();
        let mut open = vec![event];
        while let Some(slot) = open.pop() {
            let vertex = from.engine.dag.vertex(slot);
            if self.engine.dag.find(&vertex.event.id()).is_none() && lacking.insert(slot) {
                open.extend(vertex.parents());
            }
        }
        // A twin that knew of the other could make no valid event any more.
        let own = |slot: &Slot| from.engine.dag.vertex(*slot).creator() == self.key;
        if lacking.iter().any(own) {
            return;
        }
        for slot in lacking {
            self.insert(from.engine.dag.vertex(slot).event.clone());
        }
    }

    /// The parents that an own event would have: the last known event of each
    /// creator of whom no fork is known, and one branch where it is.
    fn parents(&self, chance: &mut Chance) -> Vec<Slot> {
        let dag = &self.engine.dag;
        let own = self.own.and_then(|own| dag.find(&own));
        let mut parents: Vec<Slot> = own.into_iter().collect();
        for creator in dag.creators().filter(|&creator| creator != self.key) {
            let known = own.is_some_and(|own| dag.vertex(own).forked.contains(creator));
            let ends: Vec<Slot> = (0..dag.columns())
                .filter_map(|column| dag.column_from(column, 0).last().copied())
                .filter(|&end| dag.vertex(end).creator() == creator)
                .collect();
            if !known && !ends.is_empty() {
                parents.push(ends[chance.below(ends.len())]);
            }
        }
        parents
    }

    /// Makes an event if that leads to a higher layer, or by chance.
    fn make(&mut self, chance: &mut Chance, time: u64) {
        let dag = &self.engine.dag;
        let parents = self.parents(chance);
        let own = self.own.and_then(|own| dag.find(&own));
        let (layer, _) = dag.layer_over(parents.iter());
        let rises = own.is_none_or(|own| layer > dag.vertex(own).layer);
        if !rises && chance.below(12) > 0 {
            return;
        }
        let before = own.map(|own| &dag.vertex(own).event);
        let others = parents.iter().filter(|&&slot| Some(slot) != own);
        let name = |&slot: &Slot| ParentRef {
            creator: dag.vertex(slot).creator(),
            seq: dag.vertex(slot).seq(),
            id: self.id(slot),
        };
        let earliest = before.map_or(0, |before| before.header().timestamp.0 + 1);
        let header = EventHeader {
            anchor: Digest::ZERO,
            epoch: 0,
            creator: self.key,
            seq: before.map_or(0, |before| before.header().seq + 1),
            timestamp: Timestamp(time.max(earliest)),
            coin: u32::try_from(chance.below(2)).unwrap(),
            self_parent: before.map(Event::id),
            other_parents: others.map(name).collect(),
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        let payload = [Bytes::copy_from_slice(&time.to_be_bytes())];
        let event = Event::create(header, &payload, &NullSigner(PublicKey([0; 32])));
        let id = event.id();
        if self.insert(event) {
            self.own = Some(id);
        }
    }
}

impl Campaign {
    fn run(&self, seed: u64) -> Met {
        let members = self.weights.members();
        let mut chance = Chance(seed);
        let keys = (0..members).chain(0..self.forkers);
        let mut processes: Vec<Process> = keys.map(|key| Process::new(self, key)).collect();
        let mut side = vec![0; processes.len()];
        for time in 0..self.steps as u64 {
            if time.is_multiple_of(processes.len() as u64) && chance.below(4) == 0 {
                side.iter_mut().for_each(|side| *side = chance.below(2));
            }
            let from = chance.below(processes.len());
            processes[from].make(&mut chance, time * 10);
            for to in (0..processes.len()).filter(|&to| to != from) {
                // Some messages leak to the other side, and some are lost.
                let arrives = chance.below(100) < if side[from] == side[to] { 80 } else { 4 };
                let Some(own) = processes[from].own.filter(|_| arrives) else {
                    continue;
                };
                let event = processes[from].engine.dag.find(&own).unwrap();
                let (low, high) = processes.split_at_mut(from.max(to));
                let (sender, receiver) = if from < to {
                    (&low[from], &mut high[0])
                } else {
                    (&high[0], &mut low[to])
                };
                receiver.learn(sender, event);
            }
        }
        judge(&processes, members)
    }

    /// Runs seeds until one shows a disagreement, or all are done.
    fn find(&self, seeds: std::ops::Range<u64>) -> Option<u64> {
        seeds.into_iter().find(|&seed| self.run(seed).violated)
    }
}

fn judge(processes: &[Process], members: usize) -> Met {
    let longest = |a: &&Process| a.judges.len();
    let ahead = processes.iter().max_by_key(longest).unwrap();
    let agrees = |process: &Process| {
        ahead.judges.starts_with(&process.judges)
            && process
                .blocks
                .iter()
                .zip(&ahead.blocks)
                .all(|(a, b)| a == b)
    };
    let all = || processes.iter().flat_map(|process| &process.judges);
    let dag = &ahead.engine.dag;
    let slots = 0..u32::try_from(dag.len()).unwrap();
    let forks = slots.filter(|&slot| dag.vertex(slot).forked != Default::default());
    Met {
        layers: all().count(),
        split: all().filter(|judges| judges.len() < members).count(),
        forks: forks.count(),
        violated: !processes.iter().all(agrees),
    }
}

const fn rules(profile: Profile, order: OrderRule, unanimity: bool) -> Ordering {
    Ordering {
        profile,
        order,
        unanimity,
        coin_frequency: 3,
    }
}

fn campaign(members: usize, ordering: Ordering) -> Campaign {
    Campaign {
        ordering,
        weights: Weights::equal(members),
        forkers: (members - 1) / 3,
        steps: 60 * members,
    }
}

/// Runs these seeds for each size and rule; none may show a disagreement.
fn all_agree(seeds: std::ops::Range<u64>, sizes: &[usize], ordering: &[Ordering]) {
    let mut sum = Met::default();
    for &members in sizes {
        for &ordering in ordering {
            let campaign = campaign(members, ordering);
            for seed in seeds.clone() {
                let met = campaign.run(seed);
                assert!(!met.violated, "{members} nodes, {ordering:?}, seed {seed}");
                sum.layers += met.layers;
                sum.split += met.split;
                sum.forks += met.forks;
            }
        }
    }
    let met = sum.layers > 1000 && sum.split > 500 && sum.forks > 1000;
    assert!(met, "{sizes:?}: {sum:?}");
}

const ALL: [Ordering; 5] = [
    rules(Profile::Classic, OrderRule::Received, false),
    rules(Profile::Layered, OrderRule::Received, false),
    rules(Profile::Layered, OrderRule::Received, true),
    rules(Profile::Layered, OrderRule::Direct, false),
    rules(Profile::Layered, OrderRule::Direct, true),
];

#[test]
fn nodes_that_know_different_parts_of_a_forked_graph_agree() {
    all_agree(0..60, &[4], &ALL);
    all_agree(0..12, &[1, 2, 3, 5, 6, 7, 10], &ALL);
}

#[test]
#[ignore = "minutes; run by cargo xtask campaign election"]
fn nodes_agree_in_many_more_runs() {
    all_agree(0..20_000, &[4], &ALL);
    all_agree(0..2_000, &[5, 6, 7], &ALL);
    all_agree(0..200, &[2, 3, 8, 10], &ALL);
}

/// The first seed that shows what is wrong with these thresholds.
fn fault_found(members: usize, quorum: u32, fault_bound: u32, seeds: std::ops::Range<u64>) -> bool {
    let planted = Campaign {
        weights: Weights::planted(members, quorum, fault_bound),
        ..campaign(members, rules(Profile::Layered, OrderRule::Received, true))
    };
    planted.find(seeds).is_some()
}

#[test]
fn a_quorum_too_small_is_found_out() {
    assert!(fault_found(4, 2, 1, 0..100));
    assert!(fault_found(7, 4, 2, 0..400));
}

#[test]
fn a_shortcut_that_forgets_the_liars_is_found_out() {
    // The first seed that shows it.
    assert!(fault_found(4, 3, 0, 325..326));
    assert!(!fault_found(4, 3, 1, 325..326));
}

/// D has two stories: in one it saw A0, in the other it did not.
const TORN: &str = "A0: []
    B0: []
    C0: []
    D0: []
    C1: [C0, A0, B0]
    A1: [A0, C0, D0]
    D1: [D0, A0, C0]
    B1: [B0, C0, D0]
    D1': [D0, B0, C0]
    B2: [B1, C1, D1']
    C2: [C1, B1, D1']
    D2': [D1', B1, C1]
    B3: [B2, C2, D2']
    C3: [C2, B2, D2']
    D3': [D2', B2, C2]
    B4: [B3, C3, D3']
    C4: [C3, B3, D3']
    D4': [D3', B3, C3]
    B5: [B4, C4, D4']
    C5: [C4, B4, D4']";

/// The judges of the first layer where A1 and D's first story come early or late.
fn torn(weights: Weights, early: bool) -> Vec<Digest> {
    let drawing = Drawing::parse(TORN);
    let ordering = Ordering {
        unanimity: true,
        ..Ordering::STANDARD
    };
    let mut engine = Engine::new(weights, &ordering, &loose());
    let told = |name: &str| name == "A1" || name == "D1";
    let (some, rest): (Vec<_>, Vec<_>) = drawing.events.iter().partition(|(name, _)| told(name));
    let (base, others) = rest.split_at(5);
    let order = match early {
        true => [base, &some[..], others].concat(),
        false => [base, others, &some[..]].concat(),
    };
    let mut done = Vec::new();
    for (_, event) in order {
        done.extend(engine.insert(event.clone()).unwrap().1);
    }
    let judges = done[0].judges.iter();
    judges
        .map(|&judge| engine.dag.vertex(judge).event.id())
        .collect()
}

#[test]
fn three_equal_first_votes_of_four_are_not_enough() {
    let right = || Weights::equal(4);
    assert_eq!(torn(right(), true), torn(right(), false));
    let wrong = || Weights::planted(4, 3, 0);
    assert_ne!(torn(wrong(), true), torn(wrong(), false), "found out");
}
