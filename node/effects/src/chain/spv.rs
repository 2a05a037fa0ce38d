//! What a chain of headers proves, without the blocks.
//!
//! A header costs work; it names the block below and, by its Merkle root, its
//! transactions. So a backend that shows a header that links to the known ones
//! and is as hard as the rules of its network demand cannot have made it up, and
//! neither a transaction that hangs on its root.
//!
//! Deliberately absent: the sum of work of competing chains. Which chain counts
//! is what a quorum of nodes agrees on.

use bitcoin::{
    Network, Target,
    block::Header,
    consensus::Params,
    hashes::{Hash as _, sha256d},
};

use super::{ChainError, Hash};

/// A tree of so many levels has more leaves than a block can have transactions.
const BRANCH_MAX: usize = 25;
/// A transaction of this length without witnesses could be taken for an inner
/// node of the tree, and an inner node for such a transaction.
const AMBIGUOUS_BYTES: usize = 64;

/// The rules for headers of one network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules(Option<&'static Params>);

impl Rules {
    /// Of the network with this block 0; of an unknown network nothing is known
    /// but that headers link.
    pub(super) fn of(genesis: Hash) -> Self {
        let networks = [
            Network::Bitcoin,
            Network::Testnet,
            Network::Testnet4,
            Network::Signet,
            Network::Regtest,
        ];
        let known = networks.into_iter().find(|network| {
            hash_of(&bitcoin::constants::genesis_block(*network).header) == genesis
        });
        Self(known.map(Network::params))
    }

    /// Checks the work of a header and that it stands on `below`, the header of
    /// the block at `height - 1`.
    pub(super) fn check(
        self,
        height: u32,
        below: &Header,
        header: &Header,
    ) -> Result<(), ChainError> {
        if header.prev_blockhash != below.block_hash() {
            return Err(unproven(height, "it stands on another block"));
        }
        let Some(params) = self.0 else {
            return Ok(());
        };
        let (target, before) = (header.target(), below.target());
        if header.validate_pow(target).is_err() {
            return Err(unproven(height, "its hash is above its target"));
        }
        if !fits(params, height, before, target) {
            return Err(unproven(height, "it is too easy for its place"));
        }
        Ok(())
    }
}

/// Whether a block may be so hard, given the one below it.
fn fits(params: &Params, height: u32, before: Target, target: Target) -> bool {
    if target > params.max_attainable_target {
        return false;
    }
    if params.allow_min_difficulty_blocks && !params.no_pow_retargeting {
        // After a pause any block may be easy on such a network.
        return true;
    }
    let interval = params.difficulty_adjustment_interval();
    if params.no_pow_retargeting || !u64::from(height).is_multiple_of(interval) {
        return target == before;
    }
    target >= before.min_transition_threshold() && target <= before.max_transition_threshold(params)
}

/// The hash of a header, in the order of display.
pub(super) fn hash_of(header: &Header) -> Hash {
    Hash::from_internal(*header.block_hash().as_ref())
}

/// Checks that a transaction hangs on a header's Merkle root at `position`.
pub(super) fn check_branch(
    header: &Header,
    txid: Hash,
    mut position: u64,
    branch: &[Hash],
) -> Result<(), ChainError> {
    let wrong = |detail: &str| ChainError::Unproven {
        what: format!("transaction {txid}"),
        detail: detail.to_owned(),
    };
    if branch.len() > BRANCH_MAX || position >> branch.len() != 0 {
        return Err(wrong("the branch does not fit the position"));
    }
    let mut node = txid.to_internal();
    for other in branch {
        let other = other.to_internal();
        let pair = if position.is_multiple_of(2) {
            [node, other]
        } else {
            [other, node]
        };
        node = sha256d::Hash::hash(pair.as_flattened()).to_byte_array();
        position /= 2;
    }
    if node == *AsRef::<[u8; 32]>::as_ref(&header.merkle_root) {
        Ok(())
    } else {
        Err(wrong("the branch leads to another root"))
    }
}

/// Reads a transaction and checks that it has this id, and that it is none that
/// a Merkle branch proves nothing about.
pub(super) fn check_transaction(
    txid: Hash,
    raw: &[u8],
) -> Result<bitcoin::Transaction, ChainError> {
    let wrong = |detail: String| ChainError::Unproven {
        what: format!("transaction {txid}"),
        detail,
    };
    let read: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize(raw).map_err(|error| wrong(error.to_string()))?;
    if Hash::from_internal(*read.compute_txid().as_ref()) != txid {
        return Err(wrong("it is another transaction".to_owned()));
    }
    if read.base_size() == AMBIGUOUS_BYTES {
        return Err(wrong("it could be a node of a tree".to_owned()));
    }
    Ok(read)
}

fn unproven(height: u32, detail: &str) -> ChainError {
    ChainError::Unproven {
        what: format!("block {height}"),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests;
