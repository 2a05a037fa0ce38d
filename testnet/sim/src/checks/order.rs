//! Same order and same state at all nodes, nothing ordered twice, and times
//! that lie where honest clocks were.

use std::collections::BTreeMap;

use dctrl_consensus::{Block, BlockHeader, Digest, OrderRule, Ordering, Profile, Timestamp};

use crate::app::Action;
use crate::clock::{HONEST_OFFSET_MAX, right};
use crate::engine::Seat;
use crate::people::Rosters;

/// A block as the first node to execute it did.
#[derive(Debug)]
struct Agreed {
    header: BlockHeader,
    hash: Digest,
    actions: Vec<Action>,
}

/// What is known about a submitted action.
#[derive(Debug, Clone, Copy)]
struct Submitted {
    /// `None` for a liar's: it may order it as often as it likes.
    seat: Option<Seat>,
    at: u64,
}

/// Something that a node executed.
pub(crate) struct Ordered<'a> {
    pub(crate) seat: Seat,
    pub(crate) now: u64,
    pub(crate) block: &'a Block,
    pub(crate) header: &'a BlockHeader,
    pub(crate) rosters: &'a Rosters,
}

/// The order that all honest nodes must arrive at.
#[derive(Debug)]
pub(crate) struct Order {
    rules: Ordering,
    agreed: Vec<Agreed>,
    /// By seat, the hashes of the headers executed and not lost again.
    chains: Vec<Vec<Digest>>,
    /// By seat, whether the node has ever taken over a state: which of its
    /// transactions the blocks hold that it skipped it cannot know, so it
    /// proposes them again. A ledger refuses the second one.
    skipped: Vec<bool>,
    submitted: BTreeMap<Action, Submitted>,
    /// The block of each ordered action.
    blocks: BTreeMap<Action, u64>,
}

impl Order {
    pub(crate) fn new(seats: usize, rules: Ordering) -> Self {
        Self {
            rules,
            agreed: Vec::new(),
            chains: vec![Vec::new(); seats],
            skipped: vec![false; seats],
            submitted: BTreeMap::new(),
            blocks: BTreeMap::new(),
        }
    }

    /// Blocks that some node executed.
    pub(crate) fn len(&self) -> u64 {
        self.agreed.len() as u64
    }

    /// Actions that some node executed.
    pub(crate) fn actions(&self) -> u64 {
        self.blocks.len() as u64
    }

    pub(crate) fn submitted(&mut self, action: Action, seat: Option<Seat>, at: u64) {
        self.submitted.insert(action, Submitted { seat, at });
    }

    /// The block in which this action, in any attempt, was ordered.
    pub(crate) fn block_of(&self, number: u32) -> Option<u64> {
        let attempts = Action { number, attempt: 0 }..=Action {
            number,
            attempt: u32::MAX,
        };
        self.blocks.range(attempts).next().map(|(_, index)| *index)
    }

    /// The round or layer of a block.
    pub(crate) fn round(&self, index: u64) -> Option<u64> {
        let place = usize::try_from(index.checked_sub(1)?).ok()?;
        self.agreed.get(place).map(|agreed| agreed.header.round)
    }

    /// The hash of the header that the node arrived at.
    pub(crate) fn hash(&self, seat: Seat, index: u64) -> Option<Digest> {
        let place = usize::try_from(index.checked_sub(1)?).ok()?;
        self.chains[seat].get(place).copied()
    }

    /// A node came back, and its disk says that it executed this much.
    pub(crate) fn restarted(&mut self, seat: Seat, executed: u64) {
        self.chains[seat].truncate(usize::try_from(executed).unwrap_or(usize::MAX));
    }

    /// A node took over the state behind this block.
    pub(crate) fn took_over(&mut self, seat: Seat, header: &BlockHeader) -> Result<(), String> {
        self.skipped[seat] = true;
        let end = usize::try_from(header.index).unwrap_or(usize::MAX);
        let agreed = self.agreed.get(..end).unwrap_or_default();
        self.chains[seat] = agreed.iter().map(|agreed| agreed.hash).collect();
        if self.chains[seat].last() == Some(&header.hash()) {
            Ok(())
        } else {
            let index = header.index;
            Err(format!(
                "node {seat} took over a state that nobody reached at {index}"
            ))
        }
    }

    /// A node executed a block.
    pub(crate) fn executed_block(&mut self, it: &Ordered<'_>) -> Result<(), String> {
        let (seat, index) = (it.seat, it.block.index);
        let place = self.chains[seat].len();
        if index != place as u64 + 1 {
            return Err(format!("node {seat} executed block {index} behind {place}"));
        }
        let hash = it.header.hash();
        if let Some(agreed) = self.agreed.get(place)
            && agreed.hash != hash
        {
            if let Some(holder) = self.holder(place) {
                let what = difference(&agreed.header, it.header);
                return Err(format!(
                    "nodes {seat} and {holder} have another {what} in {index}"
                ));
            }
            // All who executed it have lost it with their disks before anyone
            // could see that they had.
            self.forget_from(place);
        }
        self.chains[seat].push(hash);
        if self.agreed.len() == place {
            self.first(it, hash)?;
        }
        Ok(())
    }

    /// A node that still holds the block that was agreed on at this place.
    fn holder(&self, place: usize) -> Option<Seat> {
        let hash = self.agreed.get(place)?.hash;
        self.chains
            .iter()
            .position(|chain| chain.get(place) == Some(&hash))
    }

    /// The time of the world before which an action cannot be dated. The median
    /// of the published rules lies among honest times. Where few judges are
    /// left, the layered profile rather dates back, down to the block before;
    /// and the direct order believes an event's own time down to there. So the
    /// first block of the direct order is as old as its creator says, and the
    /// next ones may be.
    fn earliest(&self, index: u64, submitted_at: u64) -> Option<u64> {
        let before = usize::try_from(index).ok().and_then(|at| at.checked_sub(2));
        let before = before.and_then(|at| self.agreed.get(at));
        match (self.rules.profile, self.rules.order) {
            (Profile::Classic, OrderRule::Received) => Some(submitted_at),
            (_, OrderRule::Direct) => before
                .filter(|before| before.header.time >= right(0))
                .map(|_| 0),
            _ => Some(0),
        }
    }

    fn forget_from(&mut self, place: usize) {
        for agreed in self.agreed.drain(place..) {
            for action in agreed.actions {
                self.blocks.remove(&action);
            }
        }
    }

    fn first(&mut self, it: &Ordered<'_>, hash: Digest) -> Result<(), String> {
        let index = it.block.index;
        let mut actions = Vec::new();
        for transaction in &it.block.transactions {
            let Some((action, _)) = Action::decode(&transaction.bytes) else {
                continue;
            };
            let Some(submitted) = self.submitted.get(&action) else {
                return Err(format!(
                    "block {index} holds {action:?}, which nobody submitted"
                ));
            };
            let Some(origin) = transaction.origin else {
                continue;
            };
            let by = it.rosters.seat(it.block.epoch, origin.creator);
            if submitted.seat.is_none() || submitted.seat != by {
                continue;
            }
            let earliest = self.earliest(index, submitted.at);
            check_time(origin.time, earliest, it.now)
                .map_err(|error| format!("{action:?} in block {index}: {error}"))?;
            if let Some(before) = self.blocks.insert(action, index)
                && !submitted.seat.is_some_and(|seat| self.skipped[seat])
            {
                return Err(format!(
                    "{action:?} is in block {before} and in block {index}"
                ));
            }
            actions.push(action);
        }
        self.agreed.push(Agreed {
            header: it.header.clone(),
            hash,
            actions,
        });
        Ok(())
    }
}

/// No time is later than honest clocks are when the action is first executed,
/// and none is earlier than `earliest`, a time of the world, where there is one.
fn check_time(time: Timestamp, earliest: Option<u64>, now: u64) -> Result<(), String> {
    let low = earliest.map_or(0, |earliest| right(earliest).0);
    let low = low.saturating_add_signed(-HONEST_OFFSET_MAX);
    let high = right(now).0.saturating_add_signed(HONEST_OFFSET_MAX);
    if (low..=high).contains(&time.0) {
        return Ok(());
    }
    let off = i128::from(time.0) - i128::from(right(now).0);
    Err(format!("its time is {} ms from now", off / 1_000_000))
}

fn difference(a: &BlockHeader, b: &BlockHeader) -> &'static str {
    if a.payload_root != b.payload_root {
        "order"
    } else if a.round != b.round || a.time != b.time {
        "round or time"
    } else {
        "state"
    }
}
