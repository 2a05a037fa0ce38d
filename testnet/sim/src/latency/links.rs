//! Links of several kinds, all with the same mean delay.

use super::MESSAGE_DELAY;
use crate::prng::Prng;

/// How the delays of links are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// All alike.
    Constant,
    /// From half the mean to one and a half.
    Uniform,
    /// Each pair of sites has its own distance; little jitter.
    Geographic,
    /// A long tail: the logarithm is normal with a deviation of a half.
    Lognormal,
}

impl LinkKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Constant,
        Self::Uniform,
        Self::Geographic,
        Self::Lognormal,
    ];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Uniform => "uniform",
            Self::Geographic => "geographic",
            Self::Lognormal => "lognormal",
        }
    }

    pub(super) fn delays(self, nodes: usize, chance: &mut Prng) -> Delays {
        Delays {
            kind: self,
            distances: distances(nodes, chance),
        }
    }
}

/// The delays of one federation.
pub(super) struct Delays {
    kind: LinkKind,
    /// Nanoseconds from site to site, for the geographic kind.
    distances: Vec<Vec<u64>>,
}

impl Delays {
    pub(super) fn draw(&self, from: usize, to: usize, chance: &mut Prng) -> u64 {
        match self.kind {
            LinkKind::Constant => MESSAGE_DELAY,
            LinkKind::Uniform => chance.between(MESSAGE_DELAY / 2, MESSAGE_DELAY * 3 / 2),
            LinkKind::Geographic => {
                let distance = self.distances[from][to];
                distance + chance.below(distance / 20 + 1) - distance / 40
            }
            LinkKind::Lognormal => lognormal(chance),
        }
    }
}

/// Sites at random places of a square, scaled so that the mean distance of two
/// is one message delay.
fn distances(nodes: usize, chance: &mut Prng) -> Vec<Vec<u64>> {
    let place = |chance: &mut Prng| (chance.below(1000), chance.below(1000));
    let places: Vec<_> = (0..nodes).map(|_| place(chance)).collect();
    // A tenth of the square's side is what equipment adds on any way.
    let far = |a: (u64, u64), b: (u64, u64)| 100 + a.0.abs_diff(b.0) + a.1.abs_diff(b.1);
    let pairs = (nodes * nodes.saturating_sub(1)).max(1) as u64;
    let all = || (0..nodes).flat_map(move |a| (0..nodes).map(move |b| (a, b)));
    let between = all().filter(|(a, b)| a != b);
    let sum: u64 = between.map(|(a, b)| far(places[a], places[b])).sum();
    let scaled =
        |a: usize, b: usize| far(places[a], places[b]) * MESSAGE_DELAY * pairs / sum.max(1);
    (0..nodes)
        .map(|a| (0..nodes).map(|b| scaled(a, b)).collect())
        .collect()
}

/// A normal deviate from twelve uniform ones, and an exponential by squaring:
/// nothing that could come out differently on another machine.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "delays are far below 2^52 and positive"
)]
fn lognormal(chance: &mut Prng) -> u64 {
    const DEVIATION: f64 = 0.5;
    let sum: f64 = (0..12)
        .map(|_| chance.below(1 << 20) as f64 / 1_048_576.0)
        .sum();
    let exponent = DEVIATION * (sum - 6.0) - DEVIATION * DEVIATION / 2.0;
    let mut power = 1.0 + exponent / 4096.0;
    for _ in 0..12 {
        power *= power;
    }
    (power * MESSAGE_DELAY as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_links_have_the_same_mean_delay() {
        for kind in LinkKind::ALL {
            let mut chance = Prng::new(3);
            let delays = kind.delays(7, &mut chance);
            let (mut sum, mut count) = (0, 0);
            for _ in 0..300 {
                for (from, to) in (0..7).flat_map(|a| (0..7).map(move |b| (a, b))) {
                    if from != to {
                        sum += delays.draw(from, to, &mut chance);
                        count += 1;
                    }
                }
            }
            let mean = sum / count;
            let near = MESSAGE_DELAY * 98 / 100..MESSAGE_DELAY * 102 / 100;
            assert!(near.contains(&mean), "{kind:?}: {mean}");
        }
    }
}
