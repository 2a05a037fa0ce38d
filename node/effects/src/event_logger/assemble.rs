//! Frames arrive in order for each topic only; the log is in the order of the
//! ledger. This holds frames back until all before them are there. Pure.

use std::collections::BTreeMap;

use dctrl_follow::{Position, Verified};

/// Frames that are held back; beyond it the logger asks for a replay instead.
const HELD_MAX: usize = 50_000;

/// Frames on their way into the log.
#[derive(Debug)]
pub(super) struct Assembly {
    /// The last frame that was let through.
    last: Position,
    /// `last` was the last leaf of its block.
    ended: bool,
    held: BTreeMap<Position, Verified>,
}

impl Assembly {
    /// Goes on after `last`, which `ended` its block or did not.
    pub(super) fn after(last: Position, ended: bool) -> Self {
        Self {
            last,
            ended: ended || last.height == 0,
            held: BTreeMap::new(),
        }
    }

    /// Takes a frame; false when there is no more room for holes.
    pub(super) fn take(&mut self, frame: Verified) -> bool {
        if frame.position <= self.last {
            return true;
        }
        if self.held.len() >= HELD_MAX {
            return false;
        }
        self.held.insert(frame.position, frame);
        true
    }

    /// The next frame in the order of the ledger, when it is there.
    pub(super) fn next(&mut self) -> Option<Verified> {
        let entry = self.held.first_entry()?;
        let position = entry.key();
        let next_leaf = position.height == self.last.height
            && Some(position.sub_index) == self.last.sub_index.checked_add(1);
        let next_block =
            self.ended && position.height == self.last.height + 1 && position.sub_index == 0;
        if !(next_leaf || next_block) {
            return None;
        }
        let frame = entry.remove();
        self.last = frame.position;
        let leaves = frame.frame.proof.as_ref().map(|proof| proof.leaf_count);
        self.ended = leaves == Some(frame.position.sub_index + 1);
        Some(frame)
    }

    /// The block of which frames come next.
    pub(super) fn next_height(&self) -> u64 {
        self.last.height + u64::from(self.ended)
    }

    /// Nothing up to `to`, the end of a block, comes any more.
    pub(super) fn pass_over(&mut self, to: Position) {
        self.held.retain(|position, _| *position > to);
        (self.last, self.ended) = (to, true);
    }

    /// Whether frames wait for others that are missing.
    pub(super) fn has_hole(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn last(&self) -> Position {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use dctrl_proto::v1::{BusBody, BusFrame, MerkleProof};

    use super::*;

    fn frame(height: u64, sub_index: u32, leaf_count: u32) -> Verified {
        let frame = BusFrame {
            proof: Some(MerkleProof {
                leaf_count,
                path: Vec::new(),
            }),
            ..BusFrame::default()
        };
        Verified {
            position: Position { height, sub_index },
            body: BusBody::default(),
            frame,
            roster: 0,
            superseded: false,
        }
    }

    /// What comes out, as `height.sub_index`, when frames come in this order.
    fn order(last: (u64, u32, bool), frames: &[(u64, u32, u32)]) -> Vec<String> {
        let (height, sub_index, ended) = last;
        let mut assembly = Assembly::after(Position { height, sub_index }, ended);
        let mut out = Vec::new();
        for (height, sub_index, leaves) in frames {
            assert!(assembly.take(frame(*height, *sub_index, *leaves)));
            while let Some(next) = assembly.next() {
                out.push(format!(
                    "{}.{}",
                    next.position.height, next.position.sub_index
                ));
            }
        }
        out
    }

    #[test]
    fn frames_leave_in_the_order_of_the_ledger_however_they_come() {
        let shuffled = [
            (2, 1, 2),
            (1, 0, 3),
            (1, 2, 3),
            (2, 0, 2),
            (1, 1, 3),
            (3, 0, 1),
        ];
        assert_eq!(
            order((0, 0, false), &shuffled),
            ["1.0", "1.1", "1.2", "2.0", "2.1", "3.0"]
        );
    }

    #[test]
    fn nothing_passes_a_missing_last_leaf_or_a_missing_block() {
        assert_eq!(order((0, 0, false), &[(1, 0, 2), (2, 0, 1)]), ["1.0"]);
        assert_eq!(order((0, 0, false), &[(1, 0, 1), (3, 0, 1)]), ["1.0"]);
        assert_eq!(
            order((0, 0, false), &[(1, 0, 1), (1, 0, 1), (2, 0, 1)]),
            ["1.0", "2.0"]
        );
    }

    #[test]
    fn what_is_passed_over_is_not_waited_for() {
        let mut assembly = Assembly::after(Position::default(), true);
        assert!(assembly.take(frame(1, 0, 2)));
        assert!(assembly.next().is_some());
        assert_eq!(assembly.next_height(), 1, "its second leaf is missing");
        for (height, leaves) in [(4, 1), (5, 1)] {
            assert!(assembly.take(frame(height, 0, leaves)));
        }
        assembly.pass_over(Position::end_of(4));
        assert_eq!(assembly.next_height(), 5);
        let next = assembly.next().unwrap();
        assert_eq!(next.position.height, 5);
        assert!(!assembly.has_hole());
    }

    #[test]
    fn a_restarted_log_goes_on_within_its_block() {
        assert_eq!(
            order((4, 1, false), &[(4, 1, 3), (4, 2, 3), (5, 0, 1)]),
            ["4.2", "5.0"]
        );
        assert_eq!(order((4, 2, true), &[(4, 2, 3), (5, 0, 1)]), ["5.0"]);
        assert!(order((4, 1, false), &[(5, 0, 1)]).is_empty());
    }
}
