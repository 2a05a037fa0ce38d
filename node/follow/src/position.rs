//! Where a frame stands in the order of the federation.

use dctrl_proto::v1::{BusBody, BusFrame};

/// Height of a block and position among its outputs. Blocks count from 1, so
/// the default stands before every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Height of the block.
    pub height: u64,
    /// Position among the block's outputs.
    pub sub_index: u32,
}

impl Position {
    /// The position of a body.
    #[must_use]
    pub fn of(body: &BusBody) -> Self {
        Self {
            height: body.height,
            sub_index: body.sub_index,
        }
    }

    /// The position of the frame of the same topic before a body.
    #[must_use]
    pub fn before(body: &BusBody) -> Self {
        Self {
            height: body.previous_height,
            sub_index: body.previous_sub_index,
        }
    }

    /// The height whose frames come next.
    pub(crate) fn next_height(self) -> u64 {
        match self.sub_index {
            u32::MAX => self.height.saturating_add(1),
            _ => self.height.max(1),
        }
    }

    /// The end of the block at `height`.
    #[must_use]
    pub fn end_of(height: u64) -> Self {
        Self {
            height,
            sub_index: u32::MAX,
        }
    }
}

/// A frame whose certificate and Merkle path have been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Where it stands.
    pub position: Position,
    /// What it says.
    pub body: BusBody,
    /// The frame itself, to be kept as evidence or forwarded.
    pub frame: BusFrame,
    /// The number of the roster that certified it.
    pub roster: u64,
    /// When it was handed out, a later roster was known: what it says is
    /// history, and nothing is to be done for it.
    pub superseded: bool,
}
