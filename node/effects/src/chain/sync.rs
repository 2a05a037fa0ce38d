//! Brings a [`Watch`] up to what the backend knows now: the walk from the
//! last known block, back to the common ancestor after a reorganisation, and
//! the look into the mempool.

use std::collections::BTreeSet;

use super::{
    ChainError, ChainSource, Hash, Tip,
    watch::{Back, Watch},
};

/// A chain that changes during the walk is walked again, this often.
const WALKS_MAX: usize = 10;
/// Transactions of the mempool that one look reads whole. What lies beyond
/// is met when it is mined.
const MEMPOOL_READ_MAX: usize = 50_000;

/// Where to begin on a chain of which nothing is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    /// The last block that an earlier run had dealt with.
    pub(super) cursor: Option<Tip>,
    /// Without such a block: how far below the tip to begin.
    pub(super) rescan_blocks: u32,
}

/// Walks to the present tip. `go_on` is asked before each block; the walk
/// ends early, and can be continued, when it says no.
pub(super) fn walk(
    source: &dyn ChainSource,
    watch: &mut Watch,
    begin: Begin,
    go_on: &dyn Fn() -> bool,
) -> Result<Tip, ChainError> {
    let mut tip = source.tip()?;
    go_back(source, watch, tip, begin)?;
    if let Some(height) = source.follow(&watch.take_fresh())? {
        watch.rewind(height);
    }
    for _ in 0..WALKS_MAX {
        if watch.tip() == Some(tip) {
            break;
        }
        drop_stale(source, watch, tip)?;
        if watch.tip().is_none() {
            start(source, watch, tip, begin)?;
        }
        match climb(source, watch, tip, go_on) {
            // The chain was reorganised under our feet.
            Err(ChainError::NotFound(_)) => {}
            other => other?,
        }
        if !go_on() {
            break;
        }
        tip = source.tip()?;
    }
    verify(source, watch)?;
    Ok(watch.tip().unwrap_or(tip))
}

/// Begins anew where addresses have become known behind the blocks that may pay
/// them.
fn go_back(
    source: &dyn ChainSource,
    watch: &mut Watch,
    tip: Tip,
    begin: Begin,
) -> Result<(), ChainError> {
    let height = match watch.back() {
        None => return Ok(()),
        Some(Back::Above(height)) => height.min(tip.height),
        Some(Back::Far) => tip.height.saturating_sub(begin.rescan_blocks),
    };
    let hash = source.hash_at(height)?;
    tracing::info!(height, "addresses became known late: looking back");
    watch.begin_above(Tip { height, hash });
    Ok(())
}

/// Disconnects the blocks that are no longer in the chain.
fn drop_stale(source: &dyn ChainSource, watch: &mut Watch, tip: Tip) -> Result<(), ChainError> {
    while let Some(last) = watch.tip() {
        if last.height <= tip.height {
            match source.hash_at(last.height) {
                Ok(hash) if hash == last.hash => return Ok(()),
                Ok(_) | Err(ChainError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        watch.disconnect();
    }
    Ok(())
}

/// Looks whether the blocks that earlier runs believed in still stand.
fn verify(source: &dyn ChainSource, watch: &mut Watch) -> Result<(), ChainError> {
    for (height, hash) in watch.blocks_to_verify() {
        let there = match source.hash_at(height) {
            Ok(found) => found == hash,
            Err(ChainError::NotFound(_)) => false,
            Err(error) => return Err(error),
        };
        if !there {
            watch.not_in_chain(hash);
        }
    }
    watch.verified();
    Ok(())
}

/// Finds where to begin.
fn start(
    source: &dyn ChainSource,
    watch: &mut Watch,
    tip: Tip,
    begin: Begin,
) -> Result<(), ChainError> {
    let mut below = tip.height.saturating_sub(if watch.watches_nothing() {
        0
    } else {
        begin.rescan_blocks
    });
    if let Some(cursor) = begin.cursor.filter(|cursor| cursor.height <= tip.height)
        && source.hash_at(cursor.height)? == cursor.hash
    {
        below = cursor.height;
    }
    let hash = source.hash_at(below)?;
    watch.begin_above(Tip {
        height: below,
        hash,
    });
    Ok(())
}

/// Connects block after block up to `tip`.
fn climb(
    source: &dyn ChainSource,
    watch: &mut Watch,
    tip: Tip,
    go_on: &dyn Fn() -> bool,
) -> Result<(), ChainError> {
    while let Some(last) = watch.tip().filter(|last| last.height < tip.height) {
        if !go_on() {
            return Ok(());
        }
        let height = last.height + 1;
        let hash = source.hash_at(height)?;
        let block = source.block(height, hash)?;
        if block.previous != last.hash {
            return Ok(());
        }
        watch.connect(&block);
    }
    Ok(())
}

/// Asks for each payment of which it is unknown whether it still waits; whether
/// any does not. One that does not may have been mined meanwhile.
pub(super) fn check(source: &dyn ChainSource, watch: &mut Watch) -> Result<bool, ChainError> {
    let mut missing = false;
    for txid in watch.unchecked() {
        let doubts = source.in_mempool(txid)?;
        missing |= doubts.is_none();
        watch.checked(txid, doubts);
    }
    Ok(missing)
}

/// Reads the transactions of the mempool that were not there before, whose
/// ids are in `before`. Where all unconfirmed payments are now, and what speaks
/// against them, must be asked afterwards.
pub(super) fn scan_mempool(
    source: &dyn ChainSource,
    watch: &mut Watch,
    before: &mut BTreeSet<Hash>,
    go_on: &dyn Fn() -> bool,
) -> Result<(), ChainError> {
    let now: BTreeSet<Hash> = source.mempool()?.into_iter().collect();
    before.retain(|txid| now.contains(txid));
    let news: Vec<Hash> = now.difference(before).copied().collect();
    for txid in news.into_iter().take(MEMPOOL_READ_MAX) {
        if !go_on() {
            return Ok(());
        }
        if let Some(transaction) = source.mempool_transaction(txid)? {
            watch.see(&transaction);
        }
        before.insert(txid);
    }
    watch.recheck();
    Ok(())
}

#[cfg(test)]
mod tests;
