//! When two graphs have the same future: the canonical description of what
//! later events, votes and decisions can still depend on.
//!
//! What is kept of a graph: of the events that later ones may have as parents
//! (the *frontier*) their layers, their ancestry among each other, which of
//! the liar's branches they know, how far their lines have come in the
//! election, and from which creators they have paths to the votes that are
//! still *open*, beside those votes and the decisions drawn so far. A vote
//! V_k is open while some line that can still grow lacks V_{k+1}. Every rule
//! reads only that and composes by union over the parents, so graphs with the
//! same description have the same continuations and the same decisions there.
//!
//! Honest lines are interchangeable (but for that of the candidate), and so
//! are the liar's branches (unless the candidate stands on one of them): the
//! least description over these renamings is taken.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    election::STEPS_MAX,
    graph::{Set, bit, elements},
    world::{Electee, Family, HONEST, LIAR, LINES, World},
};

/// Where an event stands: honest lines 0 to 2, then the liar's common stem
/// and its two branches.
const PLACES: usize = 6;
const STEM: usize = 3;
const BRANCH: usize = 4;
/// Steps whose path sets (4 bits for each place) fit into a word.
const STEPS_IN_WORD: usize = 5;
const WORDS: usize = STEPS_MAX.div_ceil(STEPS_IN_WORD);
/// All honest creators, as a set.
const ALL_HONEST: u8 = 0b111;

/// An open vote.
struct Voter {
    event: usize,
    step: usize,
    place: usize,
    yes: bool,
}

/// What is known of a frontier event before the renaming.
struct Front {
    event: usize,
    place: usize,
    /// What no renaming changes.
    fixed: u64,
    /// Which of the liar's branches it knows.
    branches: u64,
    /// For each open vote, the creators from which there is a path to it.
    paths: Vec<u8>,
}

/// The canonical description of a world, hashed.
#[must_use]
pub fn fingerprint(world: &World, family: &Family) -> u64 {
    let mut hasher = DefaultHasher::new();
    describe(world, family).hash(&mut hasher);
    hasher.finish()
}

/// Whether nothing can be decided any more but what the votes already say:
/// every line that can still grow has voted in some step, and all votes of
/// that step are equal. Whatever set of them an event sees strongly, its vote
/// and its decision are theirs, and so on for all later steps; no threshold
/// matters to that.
#[must_use]
pub fn is_settled(world: &World, family: &Family) -> bool {
    let open = open_steps(world, family);
    let election = &world.election;
    (1..=STEPS_MAX).any(|step| {
        let (all, yes) = (election.voters(step), election.yes(step));
        open & 1 << (step - 1) == 0 && all != 0 && (yes == 0 || yes == all)
    })
}

/// The canonical description of a world.
#[must_use]
pub fn describe(world: &World, family: &Family) -> Vec<u128> {
    if world.graph.top_layer() + 1 == family.layers {
        // Nothing comes after the last layer.
        return vec![u128::from(world.election.verdicts)];
    }
    let open = open_steps(world, family);
    let voters = voters(world, open);
    let fronts = fronts(world, family, open, &voters, Set::MAX);
    let swaps = swaps(world, family);
    let mut least: Vec<u128> = Vec::new();
    let mut words = Vec::with_capacity(64);
    for order in orders(family, &fronts) {
        for swap in swaps {
            words.clear();
            render(world, &fronts, &voters, order, *swap, &mut words);
            if least.is_empty() || words < least {
                std::mem::swap(&mut least, &mut words);
            }
        }
    }
    least.push(u128::from(world.election.verdicts) | u128::from(open) << 8);
    least
}

type Order = [usize; HONEST];
const ORDERS: [Order; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// The renamings of honest lines that put what no renaming changes into rising
/// order; more of them only where lines are equal in that.
fn orders(family: &Family, fronts: &[Front]) -> impl Iterator<Item = &'static Order> {
    let mut rank = [0_u64; HONEST];
    for front in fronts.iter().filter(|front| front.place < HONEST) {
        let paths: u32 = front.paths.iter().map(|set| set.count_ones()).sum();
        let seen = front.paths.iter().filter(|set| **set != 0).count() as u64;
        rank[front.place] = rank[front.place]
            .wrapping_mul(0x0100_0000_01b3)
            .wrapping_add(front.fixed << 16 | u64::from(paths) << 4)
            .wrapping_add(u64::from(front.branches.count_ones()) << 12 | seen);
    }
    if family.electee == Electee::Honest {
        rank[0] = 0;
    }
    ORDERS.iter().filter(move |order| {
        // order[line] is the new name of a line.
        let fixed = family.electee != Electee::Honest || order[0] == 0;
        fixed && (0..HONEST).all(|a| (0..HONEST).all(|b| rank[a] >= rank[b] || order[a] < order[b]))
    })
}

/// Whether the liar's branches may be renamed: if it has two and the candidate
/// is not on one of them.
fn swaps(world: &World, family: &Family) -> &'static [bool] {
    let stem = stem(world);
    let on_branch = family.electee == Electee::Liar
        && world
            .election
            .candidate
            .event
            .is_none_or(|w| stem & bit(w) == 0);
    if world.tips[LINES - 1].is_none() || on_branch {
        &[false]
    } else {
        &[false, true]
    }
}

/// The liar's events that are on both of its branches, or all of them while
/// there is but one.
fn stem(world: &World) -> Set {
    world.tips[LIAR..]
        .iter()
        .flatten()
        .fold(Set::MAX, |stem, tip| stem & world.graph.event(*tip).line)
}

/// The steps whose votes some line that can still grow has not gone beyond.
#[must_use]
pub fn open_steps(world: &World, family: &Family) -> u16 {
    let mut open = 0;
    for line in 0..LINES {
        if let Some(tip) = world.tips[line]
            && world.is_live(family, line)
        {
            open |= !(world.election.reached(tip) >> 1);
        }
    }
    open & ((1 << STEPS_MAX) - 1)
}

/// The votes of the open steps.
fn voters(world: &World, open: u16) -> Vec<Voter> {
    let stem = stem(world);
    let mut voters = Vec::with_capacity(12);
    for step in (1..STEPS_MAX).filter(|step| open & 1 << step != 0) {
        let yes = world.election.yes(step);
        voters.extend(elements(world.election.voters(step)).map(|event| Voter {
            event,
            step,
            place: place(world, stem, event),
            yes: yes & bit(event) != 0,
        }));
    }
    voters
}

/// The frontier, as far as it lies in `only`.
fn fronts(world: &World, family: &Family, open: u16, voters: &[Voter], only: Set) -> Vec<Front> {
    let graph = &world.graph;
    let stem = stem(world);
    let branch = |line: usize| world.tips[line].map_or(0, |tip| graph.event(tip).line & !stem);
    let branches = [branch(LIAR), branch(LIAR + 1)];
    let candidate = world.election.candidate.event.map_or(0, bit);
    let (frontier, tips) = frontier(world, family);
    elements(frontier & only)
        .map(|event| {
            let x = graph.event(event);
            let knows = |set: Set| u64::from(x.past & set != 0);
            let is_tip = tips & bit(event) != 0;
            let reached = if is_tip {
                world.election.reached(event)
            } else {
                0
            };
            let known = if open & 0b11 != 0 {
                knows(candidate)
            } else {
                0
            };
            let rank = graph.top_layer() - x.layer;
            Front {
                event,
                place: place(world, stem, event),
                fixed: rank as u64
                    | u64::from(is_tip) << 4
                    | known << 5
                    | u64::from(reached & (open << 1)) << 6,
                branches: knows(branches[0]) | knows(branches[1]) << 1,
                paths: voters
                    .iter()
                    .map(|voter| paths(world, event, voter.event))
                    .collect(),
            }
        })
        .collect()
}

/// The events that later ones may have as parents, and those of them on which
/// a line can still grow.
fn frontier(world: &World, family: &Family) -> (Set, Set) {
    let graph = &world.graph;
    let lowest = (graph.top_layer() + 1).saturating_sub(family.lag);
    let recent = (lowest..=graph.top_layer()).fold(0, |set, l| set | graph.of_layer(l));
    let tips = (0..LINES)
        .filter(|line| world.is_live(family, *line))
        .filter_map(|line| world.tips[line])
        .fold(0, |set, tip| set | bit(tip));
    (recent | tips, tips)
}

/// What the newest event of a world decides, alone or with the other lines'
/// first votes.
#[must_use]
pub fn decisions(world: &World) -> Vec<u128> {
    let election = &world.election;
    let x = bit(world.graph.events().len() - 1);
    let first = u128::from(election.voters(1) & x != 0) | u128::from(election.yes(1) & x != 0) << 1;
    vec![u128::from(election.verdicts), first]
}

/// What follows from the newest event of a world for its line, beside what
/// all events of the line share, if these steps are open.
#[must_use]
pub fn consequences(world: &World, family: &Family, open: u16) -> Vec<u128> {
    let x = world.graph.events().len() - 1;
    let voters = voters(world, open);
    let mut words = vec![u128::from(world.election.verdicts)];
    for front in fronts(world, family, open, &voters, bit(x)) {
        words.push(u128::from(front.fixed) | u128::from(front.branches) << 64);
        words.extend(front.paths.iter().map(|set| u128::from(*set)));
    }
    words.push(world.graph.event(x).past & frontier(world, family).0);
    let own = |step: usize| world.election.yes(step) & bit(x) != 0;
    words.push((1..=STEPS_MAX).fold(0, |set, step| set | u128::from(own(step)) << step));
    words
}

fn place(world: &World, stem: Set, event: usize) -> usize {
    let creator = world.graph.event(event).creator;
    if creator < HONEST {
        creator
    } else if stem & bit(event) != 0 {
        STEM
    } else {
        let first = world.tips[LIAR].map_or(0, |tip| world.graph.event(tip).line);
        BRANCH + usize::from(first & bit(event) == 0)
    }
}

/// From which creators an event has paths to a vote.
fn paths(world: &World, event: usize, voter: usize) -> u8 {
    let graph = &world.graph;
    if graph.event(event).past & bit(voter) == 0 {
        return 0;
    }
    let through = graph.paths(event, voter) & !graph.event(event).forked;
    let through = u8::try_from(through).unwrap_or(u8::MAX);
    // With all honest creators the liar's path adds nothing, for no threshold
    // is above them.
    if through & ALL_HONEST == ALL_HONEST {
        ALL_HONEST
    } else {
        through
    }
}

fn render(
    world: &World,
    fronts: &[Front],
    voters: &[Voter],
    order: &Order,
    swap: bool,
    words: &mut Vec<u128>,
) {
    let renamed = |place: usize| match place {
        0..=2 => order[place],
        BRANCH.. if swap => 2 * BRANCH + 1 - place,
        _ => place,
    };
    let mut sorted: Vec<(usize, &Front)> = fronts.iter().map(|f| (renamed(f.place), f)).collect();
    sorted.sort_unstable_by_key(|(place, front)| (*place, front.event));
    for (place, front) in &sorted {
        let past = world.graph.event(front.event).past;
        let mut ancestry: u128 = 0;
        for (position, (_, other)) in sorted.iter().enumerate() {
            ancestry |= (past >> other.event & 1) << position;
        }
        let branches = match (swap, front.branches) {
            (true, 1) => 2,
            (true, 2) => 1,
            (_, branches) => u128::from(branches),
        };
        words.push(*place as u128 | branches << 4 | u128::from(front.fixed) << 8 | ancestry << 64);
        let mut paths = [0_u128; WORDS];
        for (voter, set) in voters.iter().zip(&front.paths) {
            let mut creators = set & !ALL_HONEST;
            for (creator, name) in order.iter().enumerate() {
                creators |= (set >> creator & 1) << name;
            }
            let slot = (voter.step - 1) % STEPS_IN_WORD * PLACES + renamed(voter.place);
            paths[(voter.step - 1) / STEPS_IN_WORD] |= u128::from(creators) << (4 * slot);
        }
        words.extend(paths);
    }
    words.push(voters.iter().fold(0, |word, voter| {
        let slot = (voter.step - 1) * PLACES + renamed(voter.place);
        word | (1 | u128::from(voter.yes) << 1) << (2 * slot)
    }));
}
