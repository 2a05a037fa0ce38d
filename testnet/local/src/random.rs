//! Seeded numbers: the same seed, the same campaign.

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A source that depends on `seed` alone.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A source of its own for one part of a whole, so that parts that draw
    /// more or less do not change the others.
    pub(crate) fn part(seed: u64, name: &str) -> Self {
        let mut mixed = Self(seed);
        for byte in name.bytes() {
            mixed.0 = mixed.next() ^ u64::from(byte);
        }
        mixed
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True `percent` times of a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A position below `count`, which is not 0.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }

    /// One of `choices`, which are not empty.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// `count` of the positions below `all`, in ascending order.
    pub(crate) fn some(&mut self, count: usize, all: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..all).collect();
        while left.len() > count {
            let at = self.index(left.len());
            left.remove(at);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_give_the_same_numbers_again_and_others_give_others() {
        let draw = |seed, name| Random::part(seed, name).next();
        assert_eq!(draw(7, "links"), draw(7, "links"));
        assert_ne!(draw(7, "links"), draw(7, "disks"));
        assert_ne!(draw(7, "links"), draw(8, "links"));
    }

    #[test]
    fn some_are_distinct_positions_in_ascending_order() {
        let mut random = Random::new(1);
        for _ in 0..100 {
            let some = random.some(3, 7);
            assert_eq!(some.len(), 3);
            assert!(some.windows(2).all(|pair| pair[0] < pair[1]) && some[2] < 7);
        }
    }
}
