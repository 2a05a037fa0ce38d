//! The open payouts as the bus tells them, and what this node's backend shows
//! of each: everything of the effect that needs no socket, thread or clock. The
//! simulator drives it, too.
//!
//! A settled payout is watched until the chain can hardly undo it any more. While
//! the chain has the block that the ledger found it in, no more of it is looked for,
//! however long ago that was.

use std::collections::{BTreeMap, BTreeSet};

use dctrl_proto::v1::{
    PaymentView, Payout, PayoutObserve, PayoutSpend, PayoutState, PayoutVersion,
};

use super::{
    lineage::Lineage,
    place::{outpoints, place},
    walk::Walk,
};
use crate::{
    Seat,
    chain::{ChainError, ChainSource, Hash, Tip},
};

/// An output: its transaction, and its position there.
pub(super) type Place = (Hash, u32);

/// Payouts watched at most; the ledger has fewer open.
const PAYOUTS_MAX: usize = 256;
/// Settled payouts are watched until so deep: then the chain undoes nothing.
const WATCHED_DEPTH: u32 = 100;
/// A transaction that the backend took and no longer has is handed in again
/// after this.
const AGAIN_MS: u64 = 30_000;

/// A transaction to be broadcast now.
#[derive(Debug)]
pub struct Order {
    /// The payout's id.
    pub payout: String,
    /// In the order of display.
    pub txid: Vec<u8>,
    /// In bitcoin's own encoding, signed.
    pub transaction: Vec<u8>,
    /// This node's place among the executors; 0 acts first.
    pub rank: usize,
}

struct Watched {
    payout: Payout,
    /// What the backend shows.
    seen: Option<PayoutSpend>,
    /// Whether the walk looks for what spends its inputs.
    walked: bool,
    /// What was last said, in this run or an earlier one.
    said: Option<PayoutSpend>,
    /// When which transaction was handed in last.
    sent: Option<(Vec<u8>, u64)>,
}

/// All open payouts, and those that were settled lately.
pub struct Payouts {
    seat: Seat,
    take_over_ms: u64,
    /// Since when this node could have acted without a break.
    able_since_ms: Option<u64>,
    open: BTreeMap<String, Watched>,
    walk: Walk,
    lineage: Lineage,
}

impl Payouts {
    /// Knows of none yet. Each executor acts `take_over_ms` later than the one
    /// before.
    #[must_use]
    pub fn new(seat: Seat, take_over_ms: u64) -> Self {
        Self {
            seat,
            take_over_ms,
            able_since_ms: None,
            open: BTreeMap::new(),
            walk: Walk::default(),
            lineage: Lineage::default(),
        }
    }

    /// Whether there is nothing to watch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The bus tells of a payout; whether the backend should be asked soon.
    pub fn told(&mut self, payout: Payout) -> bool {
        if is_over(&payout) {
            return self.open.remove(&payout.id).is_some();
        }
        let own = (self.seat)();
        let vote = payout.votes.iter().find(|vote| Some(vote.node) == own);
        let said = vote.and_then(|vote| vote.spend.clone());
        if let Some(known) = self.open.get_mut(&payout.id) {
            let before: BTreeSet<Place> = inputs(&known.payout).collect();
            if inputs(&payout).any(|input| !before.contains(&input)) {
                // A later transaction may spend more coins.
                self.walk.back_to(payout.chain_height);
            }
            known.payout = payout;
            return true;
        }
        if self.open.len() >= PAYOUTS_MAX && !self.give_up_oldest_settled() {
            tracing::error!(payout = payout.id, "too many payouts: not watched");
            return false;
        }
        let id = payout.id.clone();
        let watched = Watched {
            payout,
            seen: None,
            walked: false,
            said,
            sent: None,
        };
        self.open.insert(id, watched);
        true
    }

    /// Makes room: the settled payout that is buried deepest is watched no more.
    /// Whether there was one.
    fn give_up_oldest_settled(&mut self) -> bool {
        let settled = self.open.iter().filter(|(_, one)| one.payout.settled);
        let oldest = settled.min_by_key(|(id, one)| (settled_height(&one.payout), *id));
        let Some(id) = oldest.map(|(id, _)| id.clone()) else {
            return false;
        };
        self.open.remove(&id).is_some()
    }

    /// Looks at blocks and mempool.
    ///
    /// # Errors
    /// The backend gives no answer; then nothing has changed here.
    pub fn look(&mut self, adaptor: &dyn ChainSource) -> Result<(), ChainError> {
        let tip = adaptor.tip()?;
        let mut wanted: BTreeSet<Place> = BTreeSet::new();
        for watched in self.open.values_mut() {
            if let Some(settled) = in_its_block(&watched.payout, tip, adaptor)? {
                watched.seen = Some(settled);
                watched.walked = false;
                continue;
            }
            wanted.extend(inputs(&watched.payout));
            if self.lineage.learn(&watched.payout, adaptor) || !watched.walked {
                // What was looked through without knowing it is looked through again.
                self.walk.back_to(lowest_spend(&watched.payout));
                watched.walked = true;
            }
        }
        adaptor.watch_coins(&wanted)?;
        wanted.extend(self.lineage.coins());
        self.walk.on(adaptor, &wanted)?;
        for watched in self.open.values_mut().filter(|one| one.walked) {
            watched.seen = place(&watched.payout, &self.walk, &self.lineage, adaptor)?;
        }
        self.open.retain(|_, one| !is_buried(one, tip.height));
        let left = self.open.values().map(|one| &one.payout);
        self.lineage.retain(left);
        Ok(())
    }

    /// Nothing can be seen or sent for now. All nodes may be able again at the
    /// same moment, when all turns have come: each waits for its own anew.
    pub fn interrupted(&mut self) {
        self.able_since_ms = None;
    }

    /// What is to be broadcast now by this node.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<Order> {
        let able_since_ms = *self.able_since_ms.get_or_insert(now_ms);
        let Some(seat) = (self.seat)() else {
            return Vec::new();
        };
        let turns = Turns {
            able_since_ms,
            take_over_ms: self.take_over_ms,
        };
        let orders = self.open.values_mut().filter_map(|watched| {
            let version = wanted(&watched.payout)?;
            let rank = due_rank(watched, version, seat, turns, now_ms)?;
            let order = Order {
                payout: watched.payout.id.clone(),
                txid: version.txid.clone(),
                transaction: version.transaction.clone(),
                rank,
            };
            watched.sent = Some((version.txid.clone(), now_ms));
            Some(order)
        });
        orders.collect()
    }

    /// What has changed since it was last said.
    #[must_use]
    pub fn unsaid(&self) -> Vec<(String, PayoutObserve)> {
        let changed = self.open.iter().filter(|(_, one)| one.seen != one.said);
        changed
            .map(|(id, one)| (id.clone(), observation(id, one.seen.as_ref())))
            .collect()
    }

    /// What is seen now is on its way.
    pub fn said(&mut self, id: &str) {
        if let Some(watched) = self.open.get_mut(id) {
            watched.said.clone_from(&watched.seen);
        }
    }

    /// It never reached the ledger and must be said again.
    pub fn unsay(&mut self, id: &str) {
        if let Some(watched) = self.open.get_mut(id) {
            // A place that is never seen, so that even an absence is news.
            watched.said = Some(PayoutSpend::default());
        }
    }
}

/// The transaction that the chain should have: the newest one, or the one that
/// was settled where the chain has undone it.
fn wanted(payout: &Payout) -> Option<&PayoutVersion> {
    if !payout.settled {
        return payout.versions.last();
    }
    let settled = |version: &&PayoutVersion| version.txid == payout.settled_txid;
    payout
        .versions
        .iter()
        .find(settled)
        .filter(|_| payout.frozen)
}

fn is_over(payout: &Payout) -> bool {
    let closed = matches!(
        payout.state(),
        PayoutState::Rejected | PayoutState::Expired | PayoutState::Cancelled
    );
    closed && !payout.settled
}

/// The highest block that cannot spend its inputs. That is the one at which it
/// was proposed; but where it may have been signed before this node has heard
/// of it, a reorganisation may have put its transaction below that already.
fn lowest_spend(payout: &Payout) -> u32 {
    let mut signers = payout.versions.iter().map(|version| version.signers.len());
    let fresh_child = payout.parent.is_some() && signers.all(|signers| signers == 0);
    if payout.sign_from_ms == 0 || fresh_child {
        payout.chain_height
    } else {
        payout.chain_height.saturating_sub(WATCHED_DEPTH)
    }
}

/// A settled payout where the ledger has it, if the backend's chain has that block.
/// A quorum has seen it there, and the hash says that the block is the same; so it
/// is found at any age, also behind what is walked and what a backend keeps.
///
/// # Errors
/// The backend gives no answer.
fn in_its_block(
    payout: &Payout,
    tip: Tip,
    adaptor: &dyn ChainSource,
) -> Result<Option<PayoutSpend>, ChainError> {
    let rests = payout.settled && !payout.frozen;
    let seen = payout.seen.as_ref().filter(|_| rests);
    let block =
        seen.filter(|seen| seen.view() == PaymentView::InBlock && seen.block_height <= tip.height);
    let Some(seen) = block else {
        return Ok(None);
    };
    let here = adaptor.hash_at(seen.block_height)?.0[..] == seen.block_hash[..];
    // A vote counts no confirmations.
    Ok(here.then(|| PayoutSpend {
        confirmations: 0,
        ..seen.clone()
    }))
}

/// Where the transaction was settled, as the ledger saw it last.
fn settled_height(payout: &Payout) -> u32 {
    payout.seen.as_ref().map_or(0, |seen| seen.block_height)
}

/// Whether the chain shows a settled payout where the ledger has it, so deep
/// that nothing undoes it. The ledger counts no confirmations beyond the
/// settlement, so that they are counted here.
fn is_buried(watched: &Watched, tip_height: u32) -> bool {
    let payout = &watched.payout;
    let seen = watched.seen.as_ref();
    payout.settled
        && !payout.frozen
        && watched.said == watched.seen
        && seen.is_some_and(|seen| {
            let depth = (tip_height + 1).saturating_sub(seen.block_height);
            seen.view() == PaymentView::InBlock && depth >= WATCHED_DEPTH
        })
}

pub(super) fn inputs(payout: &Payout) -> impl Iterator<Item = Place> {
    payout.versions.iter().flat_map(outpoints)
}

/// When executors take over from each other.
#[derive(Clone, Copy)]
struct Turns {
    able_since_ms: u64,
    take_over_ms: u64,
}

/// This node's rank, where it is its turn.
fn due_rank(
    watched: &Watched,
    version: &PayoutVersion,
    seat: u32,
    turns: Turns,
    now_ms: u64,
) -> Option<usize> {
    if version.transaction.is_empty() {
        return None;
    }
    let seen = watched.seen.as_ref();
    if seen.is_some_and(|seen| seen.view() == PaymentView::InBlock || seen.txid == version.txid) {
        return None;
    }
    if let Some((txid, at_ms)) = &watched.sent
        && *txid == version.txid
        && now_ms < at_ms.saturating_add(AGAIN_MS)
    {
        return None;
    }
    let rank = version.executors.iter().position(|one| *one == seat)?;
    let rank_u64 = u64::try_from(rank).unwrap_or(u64::MAX);
    let wait_ms = turns.take_over_ms.saturating_mul(rank_u64);
    let from_ms = version.ready_at_ms.max(turns.able_since_ms);
    (now_ms >= from_ms.saturating_add(wait_ms)).then_some(rank)
}

fn observation(id: &str, seen: Option<&PayoutSpend>) -> PayoutObserve {
    let mut said = PayoutObserve {
        payout_id: id.to_owned(),
        ..PayoutObserve::default()
    };
    match seen {
        None => said.set_view(PaymentView::Absent),
        Some(seen) => {
            said.set_view(seen.view());
            said.txid.clone_from(&seen.txid);
            said.block_height = seen.block_height;
            said.block_hash.clone_from(&seen.block_hash);
            said.spends.clone_from(&seen.spends);
            said.gone.clone_from(&seen.gone);
        }
    }
    said
}

#[cfg(test)]
mod tests;
