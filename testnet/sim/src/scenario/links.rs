//! The network: delays of each directed link, and what goes wrong on it.

use super::{MILLISECOND, span};
use crate::engine::Seat;
use crate::prng::Prng;

/// Partitions and clogs of one run at most.
const CUTS_MAX: usize = 5;

/// All links of one run.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    /// The shortest delay of each directed link, and what jitter adds at most.
    pub(crate) delays: Vec<Vec<(u64, u64)>>,
    /// Lost messages of each directed link, in thousandths: 0 to 300.
    pub(crate) loss: Vec<Vec<u64>>,
    /// Messages that come twice, in thousandths: 0 to 500.
    pub(crate) duplicate: u64,
    /// Messages after which an old one comes again, in thousandths: 0 to 500.
    pub(crate) replay: u64,
    /// Messages that take many times as long, in thousandths.
    pub(crate) straggle: u64,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) clogs: Vec<Clog>,
}

/// How a partition cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutKind {
    /// Both directions.
    Whole,
    /// Only from the side to the rest.
    OneWay,
    /// Both directions, on and off with this period.
    Flickering { period: u64 },
}

/// The nodes of `side` and the rest do not hear each other for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// One bit a seat.
    side: u32,
    /// Seats that the cut does not touch, one bit each.
    spared: u32,
    from: u64,
    until: u64,
    pub(crate) kind: CutKind,
}

/// What goes to or from this node waits until the end, and then comes at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clog {
    seat: Seat,
    from: u64,
    until: u64,
}

impl Cut {
    /// The seats of a side are cut off from the others.
    pub(crate) fn new(side: u32, from: u64, until: u64, kind: CutKind) -> Self {
        Self {
            side,
            spared: 0,
            from,
            until,
            kind,
        }
    }

    pub(crate) fn stops(&self, now: u64, from: Seat, to: Seat) -> bool {
        let on = |seat: Seat| (self.side >> seat) & 1 == 1;
        let spared = |seat: Seat| (self.spared >> seat) & 1 == 1;
        (self.from..self.until).contains(&now)
            && !spared(from)
            && !spared(to)
            && match self.kind {
                CutKind::Whole => on(from) != on(to),
                CutKind::OneWay => on(from) && !on(to),
                CutKind::Flickering { period } => {
                    on(from) != on(to) && ((now - self.from) / period).is_multiple_of(2)
                }
            }
    }
}

impl Links {
    pub(crate) fn of(chance: &mut Prng, nodes: usize, stormy: bool, end: u64) -> Self {
        let longest = if chance.chance(250) {
            40 * MILLISECOND
        } else {
            5 * MILLISECOND
        };
        let delay = |chance: &mut Prng| {
            (
                chance.between(MILLISECOND / 10, longest),
                chance.below(longest),
            )
        };
        let delays = table(chance, nodes, delay);
        let worst_loss = rate(chance, stormy, 300);
        Self {
            delays,
            loss: table(chance, nodes, |chance| chance.between(0, worst_loss)),
            duplicate: rate(chance, stormy, 500),
            replay: rate(chance, stormy, 500),
            straggle: rate(chance, stormy, 50),
            cuts: if stormy {
                cuts(chance, nodes, end)
            } else {
                Vec::new()
            },
            clogs: if stormy {
                swizzle(chance, nodes, end)
            } else {
                Vec::new()
            },
        }
    }

    /// Cut in two until the end, where there are sides; whoever is spared
    /// reaches both.
    pub(crate) fn cut_along(mut self, sides: Option<(u32, u32)>, until: u64) -> Self {
        let cut = |(side, spared)| Cut {
            side,
            spared,
            from: 0,
            until,
            kind: CutKind::Whole,
        };
        self.cuts.extend(sides.map(cut));
        self
    }

    /// No link is faster than this.
    pub(crate) fn slow_down(&mut self, shortest: u64) {
        let delays = self.delays.iter_mut().flatten();
        delays.for_each(|(least, _)| *least = (*least).max(shortest));
    }

    /// When what is sent now from one node to another can begin its way.
    pub(crate) fn unclogged(&self, now: u64, from: Seat, to: Seat) -> u64 {
        let holds = |clog: &&Clog| {
            (clog.seat == from || clog.seat == to) && (clog.from..clog.until).contains(&now)
        };
        self.clogs
            .iter()
            .filter(holds)
            .map(|clog| clog.until)
            .max()
            .unwrap_or(now)
    }
}

fn table<T>(chance: &mut Prng, nodes: usize, one: impl Fn(&mut Prng) -> T) -> Vec<Vec<T>> {
    (0..nodes)
        .map(|_| (0..nodes).map(|_| one(chance)).collect())
        .collect()
}

/// Often nothing, mostly little, sometimes the worst.
fn rate(chance: &mut Prng, stormy: bool, worst: u64) -> u64 {
    match chance.below(10) {
        _ if !stormy => 0,
        0..5 => 0,
        5..8 => chance.below(worst / 6 + 1),
        _ => chance.below(worst + 1),
    }
}

fn cuts(chance: &mut Prng, nodes: usize, end: u64) -> Vec<Cut> {
    let mut cuts = Vec::new();
    while chance.chance(450) && cuts.len() < CUTS_MAX {
        let (from, until) = span(chance, end);
        let everyone = (1_u64 << nodes) - 1;
        let side = u32::try_from(chance.between(1, everyone.max(2) - 1)).unwrap_or(1);
        let kind = match chance.below(3) {
            0 => CutKind::Whole,
            1 => CutKind::OneWay,
            _ => CutKind::Flickering {
                period: chance.between(MILLISECOND, 60 * MILLISECOND),
            },
        };
        cuts.push(Cut {
            side,
            spared: 0,
            from,
            until,
            kind,
        });
    }
    cuts
}

/// Nodes are clogged one after the other, and freed in another order.
fn swizzle(chance: &mut Prng, nodes: usize, end: u64) -> Vec<Clog> {
    if !chance.chance(250) {
        return Vec::new();
    }
    let (begin, over) = span(chance, end);
    let mut clogs = Vec::new();
    for seat in 0..nodes {
        if chance.chance(500) && clogs.len() < CUTS_MAX {
            let from = chance.between(begin, over);
            clogs.push(Clog {
                seat,
                from,
                until: chance.between(from, over),
            });
        }
    }
    clogs
}
