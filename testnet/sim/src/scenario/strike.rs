//! One fault that begins at a given layer around the seal of an epoch.

use super::{Cast, Cut, CutKind, Failures, Links, MILLISECOND, Part, Scenario, Submission, Theme};
use crate::disk::Fate;
use crate::engine::Seat;
use crate::prng::Prng;

/// The layer in which epochs end.
pub(crate) const SEAL_LAYERS: u64 = 6;
/// Layers before the seal's at which the first faults begin.
const BEFORE: u64 = 4;
/// Layers from the seal's on, in the same epoch.
const BEHIND: u64 = 6;
/// Layers of the next epoch.
const NEXT: u64 = 5;
/// Users submit up to here.
const BUSY_UNTIL: u64 = 900 * MILLISECOND;
/// How long a fault lasts.
const LASTS: u64 = 120 * MILLISECOND;
/// Actions of a flood.
pub(crate) const FLOOD: u32 = 300;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Crash,
    PowerCut,
    Wipe,
    OlderDisk,
    CutWhole,
    CutOneWay,
    CutFlickering,
    Flood,
}

impl Blow {
    pub(crate) const ALL: [Self; 8] = [
        Self::Crash,
        Self::PowerCut,
        Self::Wipe,
        Self::OlderDisk,
        Self::CutWhole,
        Self::CutOneWay,
        Self::CutFlickering,
        Self::Flood,
    ];

    fn spoils_a_disk(self) -> bool {
        matches!(self, Self::Wipe | Self::OlderDisk)
    }
}

/// A fault and where it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strike {
    pub(crate) blow: Blow,
    /// The first sound node whose own events reach this epoch and layer
    /// brings it on.
    pub(crate) epoch: u64,
    pub(crate) layer: u64,
    /// Whom it strikes, where it strikes one.
    pub(crate) seat: Seat,
    /// The side of a partition, one bit a seat.
    pub(crate) side: u32,
}

/// All places around the first seal.
pub(crate) fn places() -> Vec<(u64, u64)> {
    let before = SEAL_LAYERS - BEFORE..SEAL_LAYERS + BEHIND;
    let next = 0..NEXT;
    let before = before.map(|layer| (0, layer));
    before.chain(next.map(|layer| (1, layer))).collect()
}

impl Strike {
    pub(crate) fn of(seed: u64, nodes: usize, blow: Blow, place: (u64, u64)) -> Self {
        let mut chance = Prng::new(seed ^ 0x5ea1);
        let everyone = (1_u64 << nodes) - 1;
        Self {
            blow,
            epoch: place.0,
            layer: place.1,
            seat: super::pick(&mut chance, nodes),
            side: u32::try_from(chance.between(1, everyone.max(2) - 1)).unwrap_or(1),
        }
    }

    /// The partition, where it is one, from now on.
    pub(crate) fn cut(&self, now: u64) -> Option<Cut> {
        let kind = match self.blow {
            Blow::CutWhole => CutKind::Whole,
            Blow::CutOneWay => CutKind::OneWay,
            Blow::CutFlickering => CutKind::Flickering {
                period: 7 * MILLISECOND,
            },
            _ => return None,
        };
        Some(Cut::new(self.side, now, now + LASTS, kind))
    }

    /// Who falls, how, and when it is back.
    pub(crate) fn falls(&self, nodes: usize, now: u64) -> Vec<(Seat, Fate, u64)> {
        let back = now + LASTS;
        match self.blow {
            Blow::Crash => vec![(self.seat, Fate::Subset, back)],
            Blow::Wipe => vec![(self.seat, Fate::Wiped, back)],
            Blow::OlderDisk => vec![(self.seat, Fate::Older(600), back)],
            Blow::PowerCut => {
                let one = |seat| (seat, Fate::Prefix, now + MILLISECOND + seat as u64);
                (0..nodes).map(one).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Scenario {
    /// A steady load over short epochs, and one fault.
    pub(crate) fn at_a_seal(seed: u64, nodes: usize, strike: Strike) -> Self {
        let mut chance = Prng::new(seed ^ (nodes as u64) << 48 ^ 0x5ea1_0000);
        let mut cast = Cast::of(&mut chance, nodes, 0);
        if strike.blow.spoils_a_disk() {
            cast.parts[strike.seat] = Part::BadDisk;
        }
        let mut submissions = Vec::new();
        let mut at = 0;
        while at < BUSY_UNTIL {
            at += chance.between(MILLISECOND, 6 * MILLISECOND);
            let seat = super::pick(&mut chance, nodes);
            submissions.push(Submission { at, seat });
        }
        Self {
            nodes,
            seats: nodes,
            churns: false,
            churn: None,
            theme: Theme::Calm,
            real_signatures: seed.is_multiple_of(4),
            tight: seed.is_multiple_of(3),
            seal_layers: Some(SEAL_LAYERS),
            links: Links::of(&mut chance, nodes, false, BUSY_UNTIL),
            sync_max: chance.between(MILLISECOND / 10, 6 * MILLISECOND),
            cast,
            failures: Failures::default(),
            submissions,
            heal_at: BUSY_UNTIL + LASTS,
            strike: Some(strike),
            prunes: seed.is_multiple_of(2),
        }
    }
}
