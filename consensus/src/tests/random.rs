//! Random graphs: gossip with chosen parents, late and silent creators, skewed
//! clocks, and creators that fork.

use std::collections::BTreeSet;

use super::drawing::Drawing;
use crate::dag::Dag;
use crate::event::Event;
use crate::id::Digest;
use crate::limits::Limits;
use crate::weights::Weights;

/// A small generator of its own, so that a failing seed says it all.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }
}

/// What a random graph is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) members: usize,
    pub(super) events: usize,
    /// How many creators fork, the first ones. Each has up to three branches.
    pub(super) forkers: usize,
}

/// Limits that leave a random graph alone.
pub(super) fn loose() -> Limits {
    Limits {
        layer_events_max: 1000,
        ..Limits::STANDARD
    }
}

/// Valid events of this shape. Every creator names only what its ancestry
/// allows, as the graph checks.
pub(super) fn graph(seed: u64, shape: Shape) -> Drawing {
    let members = shape.members;
    let mut chance = Chance(seed);
    let mut drawing = Drawing::default();
    let mut lines: Vec<Vec<Vec<String>>> = vec![vec![Vec::new()]; members];
    let mut check = Dag::new(Weights::equal(members), &loose());
    // All tips, about half of them, or one: the fewer, the later the agreement.
    let density = chance.below(3);
    // In some graphs one creator says nothing for a while, and comes back.
    let absent = chance.below(2 * members);
    let away = shape.events / 4..shape.events * 2 / 3;
    for number in 0..shape.events * 4 {
        let made = drawing.events.len();
        if made >= shape.events {
            break;
        }
        let creator = chance.below(members);
        if creator == absent && members > 3 && away.contains(&made) {
            continue;
        }
        let letter = char::from(b'A' + u8::try_from(creator).unwrap());
        let line = chance.below(lines[creator].len());
        let mut cut = lines[creator][line].len();
        let forks = creator < shape.forkers && lines[creator].len() < 4;
        if forks && cut > 0 && chance.below(6) == 0 {
            cut = chance.below(cut);
        }
        let own = lines[creator][line][..cut].last().cloned();
        let mut parents: Vec<String> = own.into_iter().collect();
        let only = chance.below(members);
        for other in (0..members).filter(|&other| other != creator) {
            let wanted = match density {
                0 => true,
                1 => chance.below(2) == 0,
                _ => other == only,
            };
            let branch = chance.below(lines[other].len());
            if let (Some(tip), true) = (lines[other][branch].last(), wanted) {
                parents.push(tip.clone());
            }
        }
        let coin = if chance.below(2) == 0 { "~" } else { "" };
        let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
        // Each creator's clock is off, and times repeat.
        let time = (made * 2 + creator * 5 + chance.below(4)) as u64;
        drawing.add_at(&format!("{letter}{number}{coin}"), &parents, time);
        let (name, event) = drawing.events.last().cloned().unwrap();
        if check.insert(event).is_err() {
            drawing.remove_last();
            continue;
        }
        if cut == lines[creator][line].len() {
            lines[creator][line].push(name);
        } else {
            let mut branch = lines[creator][line][..cut].to_vec();
            branch.push(name);
            lines[creator].push(branch);
        }
    }
    drawing
}

/// Another order in which each event follows its parents.
pub(super) fn shuffled(events: &[(String, Event)], chance: &mut Chance) -> Vec<Event> {
    let mut left: Vec<Event> = events.iter().map(|(_, event)| event.clone()).collect();
    let mut there: BTreeSet<Digest> = BTreeSet::new();
    let mut order = Vec::new();
    while !left.is_empty() {
        let start = chance.below(left.len());
        let ready = |event: &Event| {
            let header = event.header();
            header
                .self_parent
                .iter()
                .chain(header.other_parents.iter().map(|p| &p.id))
                .all(|id| there.contains(id))
        };
        let found = (0..left.len())
            .map(|step| (start + step) % left.len())
            .find(|&at| ready(&left[at]))
            .unwrap();
        let event = left.remove(found);
        there.insert(event.id());
        order.push(event);
    }
    order
}
