//! What one seed stands for: links, faults, liars, load. All is decided before
//! the run begins; the run's own chance only scatters it. Times in nanoseconds.

mod cast;
mod churn;
mod failures;
mod links;
mod load;
mod strike;

pub(crate) use cast::{Cast, Part};
pub(crate) use churn::Churn;
pub(crate) use failures::Failures;
pub(crate) use links::{Cut, CutKind, Links};
pub(crate) use load::Submission;
pub(crate) use strike::{Blow, FLOOD, Strike, places};

use crate::engine::Seat;
use crate::prng::Prng;

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;
const HOUR: u64 = 3_600 * SECOND;

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Nothing goes wrong.
    Calm,
    /// Network, disks, processes, clocks and liars go wrong together.
    Storm,
    /// The same, while members come and go.
    Churn,
    /// So many nodes are down for an hour that nothing can be ordered.
    QuorumLost,
    /// More than f nodes lie together. No order can be safe then, but it must
    /// come out.
    Collusion,
}

/// Everything that the seed decides beforehand.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Members at the start.
    pub(crate) nodes: usize,
    /// Members and others.
    pub(crate) seats: usize,
    /// Whether members may change.
    pub(crate) churns: bool,
    pub(crate) theme: Theme,
    pub(crate) real_signatures: bool,
    /// Whether nodes keep only the blocks behind their oldest seal.
    pub(crate) prunes: bool,
    /// Whether all bounds that may be small are.
    pub(crate) tight: bool,
    /// The layer in which an epoch is sealed, if one is.
    pub(crate) seal_layers: Option<u64>,
    pub(crate) links: Links,
    /// The longest sync of a disk.
    pub(crate) sync_max: u64,
    pub(crate) cast: Cast,
    pub(crate) failures: Failures,
    pub(crate) submissions: Vec<Submission>,
    pub(crate) churn: Option<Churn>,
    /// Faults of network and processes end here; from here on all must come
    /// right, while liars go on lying.
    pub(crate) heal_at: u64,
    /// A fault that begins at a given layer, in directed runs.
    pub(crate) strike: Option<Strike>,
}

impl Scenario {
    pub(crate) fn of(seed: u64, nodes: usize) -> Self {
        let mut chance = Prng::new(seed ^ (nodes as u64) << 48);
        let theme = match chance.below(1000) {
            0..60 => Theme::Calm,
            60..70 => Theme::QuorumLost,
            70..80 if nodes >= 4 => Theme::Collusion,
            80..230 if nodes >= 2 => Theme::Churn,
            _ => Theme::Storm,
        };
        let stormy = matches!(theme, Theme::Storm | Theme::Churn);
        let real_signatures = chance.chance(10);
        let longer = if theme == Theme::Churn { 3 } else { 1 };
        let busy_until = longer * chance.between(300 * MILLISECOND, 1_200 * MILLISECOND);
        let heal_at = if theme == Theme::QuorumLost {
            busy_until + HOUR
        } else {
            busy_until
        };
        let faulty = if stormy { (nodes - 1) / 3 } else { 0 };
        let cast = if theme == Theme::Collusion {
            Cast::colluding(&mut chance, nodes)
        } else {
            Cast::of(&mut chance, nodes, faulty)
        };
        let churn = (theme == Theme::Churn).then(|| Churn::of(&mut chance, nodes, busy_until));
        let spares = churn.as_ref().map_or(0, |churn| churn.spares);
        let cast = cast.and_sound(&mut chance, spares);
        let seats = nodes + spares;
        let failures = match theme {
            Theme::Calm | Theme::Collusion => Failures::default(),
            Theme::Storm | Theme::Churn => Failures::storm(&mut chance, &cast, heal_at),
            Theme::QuorumLost => Failures::quorum_lost(&mut chance, nodes, busy_until, heal_at),
        };
        Self {
            nodes,
            seats,
            churns: churn.is_some(),
            churn,
            theme,
            real_signatures,
            tight: stormy && chance.chance(150),
            seal_layers: (chance.chance(500) && stormy).then(|| chance.between(2, 24)),
            links: Links::of(&mut chance, seats, stormy, heal_at).cut_along(cast.sides(), heal_at),
            sync_max: chance.between(MILLISECOND / 10, 6 * MILLISECOND),
            submissions: load::submissions(&mut chance, &cast, busy_until, heal_at),
            cast,
            failures,
            heal_at,
            strike: None,
            prunes: Prng::new(seed ^ 0x0009_4e5e).chance(500),
        }
    }
}

/// One of the seats.
pub(crate) fn pick(chance: &mut Prng, seats: usize) -> Seat {
    usize::try_from(chance.below(seats as u64)).unwrap_or(0)
}

/// A span of time within `0..end`, rarely longer than a third of it.
fn span(chance: &mut Prng, end: u64) -> (u64, u64) {
    let from = chance.below(end);
    let longest = if chance.chance(200) { end } else { end / 3 };
    (
        from,
        from.saturating_add(chance.between(1, longest)).min(end),
    )
}
