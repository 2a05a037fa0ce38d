//! What one seed stands for: links, faults, load. All times in nanoseconds.

use crate::prng::Prng;

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;

/// One node is down for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash {
    pub(crate) node: usize,
    pub(crate) at: u64,
    pub(crate) back_at: u64,
}

/// The nodes of `side` and the rest do not hear each other for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partition {
    pub(crate) side: u32,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// Everything that the seed decides beforehand.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) nodes: usize,
    /// The shortest delay of each directed link, and what jitter adds at most.
    pub(crate) delays: Vec<Vec<(u64, u64)>>,
    pub(crate) loss_per_mille: u64,
    pub(crate) duplicate_per_mille: u64,
    pub(crate) sync_max: u64,
    pub(crate) crashes: Vec<Crash>,
    pub(crate) partitions: Vec<Partition>,
    /// A node of which two copies run with one key.
    pub(crate) twin: Option<usize>,
    /// When each transaction is submitted, and where.
    pub(crate) submissions: Vec<(u64, usize)>,
    /// Faults end here; from here on all must come right.
    pub(crate) heal_at: u64,
}

impl Scenario {
    pub(crate) fn of(seed: u64, nodes: usize) -> Self {
        let mut chance = Prng::new(seed ^ (nodes as u64) << 48);
        let heal_at = 3 * SECOND;
        let mut faulty = (nodes - 1) / 3;
        let twin = (faulty > 0 && chance.chance(350)).then(|| pick(&mut chance, nodes));
        faulty -= usize::from(twin.is_some());
        let slow = chance.chance(300);
        let longest = if slow {
            60 * MILLISECOND
        } else {
            5 * MILLISECOND
        };
        let link = |chance: &mut Prng| {
            (
                chance.between(MILLISECOND / 10, longest),
                chance.below(longest),
            )
        };
        let delays = (0..nodes)
            .map(|_| (0..nodes).map(|_| link(&mut chance)).collect())
            .collect();
        let calm = chance.chance(150);
        let loss_per_mille = if calm { 0 } else { chance.below(200) };
        let duplicate_per_mille = if calm { 0 } else { chance.below(100) };
        let sync_max = chance.between(MILLISECOND / 10, 6 * MILLISECOND);
        let crashes = crashes(&mut chance, nodes, faulty, twin, heal_at);
        let partitions = partitions(&mut chance, nodes, heal_at);
        let count = chance.between(10, 60);
        let submissions = (0..count)
            .map(|_| (chance.below(heal_at), pick(&mut chance, nodes)))
            .collect();
        Self {
            nodes,
            delays,
            loss_per_mille,
            duplicate_per_mille,
            sync_max,
            crashes,
            partitions,
            twin,
            submissions,
            heal_at,
        }
    }
}

fn pick(chance: &mut Prng, nodes: usize) -> usize {
    usize::try_from(chance.below(nodes as u64)).unwrap_or(0)
}

/// Each of at most f nodes falls once or several times, never more at once.
fn crashes(
    chance: &mut Prng,
    nodes: usize,
    faulty: usize,
    twin: Option<usize>,
    end: u64,
) -> Vec<Crash> {
    let mut crashes = Vec::new();
    for _ in 0..faulty {
        let mut at = 0;
        while chance.chance(700) && at < end {
            at = chance.between(at, end);
            let back_at = chance.between(at, end);
            let node = pick(chance, nodes);
            if Some(node) != twin {
                crashes.push(Crash { node, at, back_at });
            }
            at = back_at + 1;
        }
    }
    crashes
}

fn partitions(chance: &mut Prng, nodes: usize, end: u64) -> Vec<Partition> {
    let mut partitions = Vec::new();
    while chance.chance(500) && partitions.len() < 4 {
        let from = chance.below(end);
        let until = chance.between(from, end);
        let side = u32::try_from(chance.between(1, (1 << nodes) - 2)).unwrap_or(1);
        partitions.push(Partition { side, from, until });
    }
    partitions
}
