//! Counting many votes at once.
//!
//! A word holds one vote on each of 128 questions. The counts are kept as
//! planes: plane i holds bit i of all 128 counts, so adding a word is a
//! ripple of carries that ends after two planes on average, and comparing all
//! counts with a number takes one step per plane.

/// Weighted counts of 128 questions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    planes: Vec<u128>,
}

impl Tally {
    /// Back to zero; the memory is kept.
    pub(crate) fn clear(&mut self) {
        self.planes.clear();
    }

    /// Adds `weight` to the counts whose bits are set.
    pub(crate) fn add(&mut self, votes: u128, weight: u32) {
        let mut left = weight;
        while left != 0 {
            let mut plane = left.trailing_zeros() as usize;
            left &= left - 1;
            let mut carry = votes;
            while carry != 0 {
                if self.planes.len() <= plane {
                    self.planes.resize(plane + 1, 0);
                }
                let before = self.planes[plane];
                self.planes[plane] = before ^ carry;
                carry &= before;
                plane += 1;
            }
        }
    }

    /// The questions whose counts are at least this.
    pub(crate) fn at_least(&self, bound: u32) -> u128 {
        let planes = self.planes.len();
        if planes < 32 && bound >> planes != 0 {
            return 0;
        }
        let (mut above, mut equal) = (0, u128::MAX);
        for (bit, &plane) in self.planes.iter().enumerate().rev() {
            if bit < 32 && bound >> bit & 1 == 1 {
                equal &= plane;
            } else {
                above |= equal & plane;
                equal &= !plane;
            }
        }
        above | equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_plain_addition() {
        let mut seed = 7_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            seed >> 32
        };
        for round in 0..40 {
            let mut tally = Tally::default();
            let mut plain = [0_u32; 128];
            for _ in 0..random() % 130 {
                let votes = (0..4).fold(0, |word, _| word << 32 | u128::from(random()));
                let weight = if round % 2 == 0 {
                    1
                } else {
                    u32::try_from(random() % 1000).unwrap()
                };
                tally.add(votes, weight);
                for (question, count) in plain.iter_mut().enumerate() {
                    *count += weight * u32::from(votes >> question & 1 == 1);
                }
            }
            for bound in [0, 1, 2, 3, 64, 65, plain[0], plain[0] + 1, 40_000, u32::MAX] {
                let expected = (0..128)
                    .filter(|&question| plain[question] >= bound)
                    .fold(0_u128, |word, question| word | 1 << question);
                assert_eq!(tally.at_least(bound), expected, "{bound} in round {round}");
            }
            tally.clear();
            assert_eq!((tally.at_least(1), tally.at_least(0)), (0, u128::MAX));
        }
    }
}
