//! Looks after all backends of a node: whether each answers and keeps up, and
//! whether the one that is followed and a second one say the same.
//!
//! It has connections of its own and a thread of its own, so that a backend
//! that hangs delays nobody who follows another one.
//!
//! A contradiction stands until two that answer agree, or the federation's own
//! blocks prove one of them behind. That one falls silent ends none: who can feed
//! one backend a false chain can often silence the other. An operator who knows
//! which one lies takes it out of the settings.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::{
    Board, ChainAdaptor, ChainError, ChainSource, Hash, Tip,
    cross::Cross,
    sync::{self, Begin},
    watch::Watch,
};

/// How often all backends are asked.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Blocks that one backend may be behind another one while they arrive.
const LAG_BLOCKS_MAX: u32 = 2;
/// Below a tip blocks are no longer expected to change: a contradiction there
/// has no grace.
const SETTLED_DEPTH: u32 = 6;
/// Contradictory payments that are named; all are counted.
const NAMED_MAX: usize = 3;

pub(super) struct Checker {
    adaptor: ChainAdaptor,
    board: Board,
    cross: Cross,
    watch: Watch,
    begin: Begin,
    grace: Duration,
    /// Since when something that may pass is as it is.
    since: BTreeMap<String, Instant>,
}

impl Checker {
    /// Asks nothing yet, and holds payouts until it has compared once.
    pub(super) fn new(
        adaptor: ChainAdaptor,
        genesis: Hash,
        begin: Begin,
        cross: Cross,
        grace: Duration,
    ) -> Self {
        adaptor.expect(genesis);
        let board = adaptor.board().clone();
        board.look_after(true);
        Self {
            board,
            adaptor,
            cross,
            watch: Watch::default(),
            begin,
            grace,
            since: BTreeMap::new(),
        }
    }

    /// Works until `go_on` says no. A message on `poke` asks for a look at once;
    /// `news` is told that the second backend shows something new.
    pub(super) fn run(mut self, poke: &Receiver<()>, go_on: &dyn Fn() -> bool, news: &dyn Fn()) {
        while go_on() {
            if self.round(go_on) {
                news();
            }
            match poke.recv_timeout(CHECK_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.board.look_after(false);
    }

    /// Asks every backend once and compares; whether the second one shows
    /// something new.
    fn round(&mut self, go_on: &dyn Fn() -> bool) -> bool {
        let tips: Vec<Option<Tip>> = (0..self.board.len()).map(|one| self.probe(one)).collect();
        for (index, tip) in tips.iter().enumerate() {
            if let Some(tip) = tip {
                match self.behind(index, *tip, &tips) {
                    Some(error) => self.board.bad(index, &error),
                    None => self.board.good(index, *tip),
                }
            }
        }
        let followed = self.board.followed();
        let mut others = (0..tips.len()).filter(|index| {
            *index != followed && self.board.is_good(*index) && tips.get(*index) != Some(&None)
        });
        let second = others.next();
        match (tips.get(followed).copied().flatten(), second) {
            (Some(tip), Some(second)) => self.compare(followed, tip, second, &tips),
            // All answer, and the others are proven to be behind.
            _ if tips.iter().all(Option::is_some) => self.settle("blocks"),
            // Silence takes nothing back.
            _ => {}
        }
        let view = second.and_then(|second| {
            let walked = self.walk(second, go_on);
            walked.ok().map(|()| self.watch.view())
        });
        let compared = view.is_some() || tips.iter().all(Option::is_some);
        let news = self.cross.show_second(view);
        if compared {
            self.payments();
        }
        self.board.compared();
        news
    }

    /// The tip of a backend, where it is its turn and it answers.
    fn probe(&self, index: usize) -> Option<Tip> {
        if self.board.rests(index) {
            return None;
        }
        let tip = self.adaptor.try_out(index);
        if let Err(error) = &tip {
            self.board.bad(index, error);
        }
        tip.ok()
    }

    /// What proves that a backend lags: a block that the federation has agreed
    /// on, or for a while another backend that goes on from the same chain.
    fn behind(&mut self, index: usize, tip: Tip, tips: &[Option<Tip>]) -> Option<ChainError> {
        let lags = |height: u32| ChainError::Lagging {
            blocks: u64::from(tip.height),
            headers: u64::from(height),
        };
        let ahead = |height: u32| height > tip.height.saturating_add(LAG_BLOCKS_MAX);
        if let Some(agreed) = self.board.agreed().filter(|agreed| ahead(agreed.height)) {
            self.adaptor.pin(index);
            if self.adaptor.knows_block(agreed) == Ok(false) {
                return Some(lags(agreed.height));
            }
        }
        let cause = format!("lag {index}");
        for (other, best) in tips.iter().enumerate() {
            let Some(best) = best.filter(|best| ahead(best.height)) else {
                continue;
            };
            self.adaptor.pin(other);
            if self.adaptor.hash_at(tip.height) == Ok(tip.hash) {
                return self.lasts(&cause).then(|| lags(best.height));
            }
        }
        self.since.remove(&cause);
        None
    }

    /// Whether a condition, which holds now, has held for the whole grace.
    fn lasts(&mut self, cause: &str) -> bool {
        let since = self.since.entry(cause.to_owned());
        since.or_insert_with(Instant::now).elapsed() >= self.grace
    }

    /// Compares the blocks of two backends at the lower tip and at depth.
    fn compare(&mut self, first: usize, tip: Tip, second: usize, tips: &[Option<Tip>]) {
        let Some(Some(other)) = tips.get(second) else {
            return;
        };
        let common = tip.height.min(other.height);
        let deep = common.saturating_sub(SETTLED_DEPTH);
        let mut differs = None;
        for height in [deep, common] {
            match (self.hash_of(first, height), self.hash_of(second, height)) {
                (Ok(one), Ok(two)) if one != two => {
                    differs = Some((height, one, two));
                    break;
                }
                (Ok(_), Ok(_)) => {}
                // One of them does not answer: nothing can be said.
                _ => return,
            }
        }
        let Some((height, one, two)) = differs else {
            self.settle("blocks");
            return;
        };
        let settled = height == deep && deep < common;
        if self.lasts("blocks") || settled {
            let (first, second) = (self.board.key(first), self.board.key(second));
            let sentence =
                format!("{first} has block {one} at height {height}, {second} has {two}");
            self.board.dispute("blocks", sentence);
        }
    }

    fn hash_of(&self, index: usize, height: u32) -> Result<Hash, ChainError> {
        self.adaptor.pin(index);
        self.adaptor.hash_at(height)
    }

    /// Looks through the blocks of the second backend.
    fn walk(&mut self, second: usize, go_on: &dyn Fn() -> bool) -> Result<(), ChainError> {
        for (script, address_index) in self.cross.take_scripts() {
            self.watch.watch(script, address_index);
        }
        if let Some(height) = self.cross.take_back() {
            self.watch.look_back(Some(height));
        }
        self.adaptor.pin(second);
        sync::walk(&self.adaptor, &mut self.watch, self.begin, go_on).map(|_| ())
    }

    /// Says which payments only one of the two shows, once that has lasted.
    fn payments(&mut self) {
        let odd = self.cross.contradictions();
        if odd.is_empty() {
            self.settle("payments");
            return;
        }
        if self.lasts("payments") {
            let named = odd.iter().take(NAMED_MAX);
            let named: Vec<String> = named
                .map(|((txid, vout), tip)| format!("{txid}:{vout} in block {}", tip.height))
                .collect();
            let sentence = format!(
                "{} payments are not shown alike by two backends: {}",
                odd.len(),
                named.join(", ")
            );
            self.board.dispute("payments", sentence);
        }
    }

    fn settle(&mut self, cause: &str) {
        self.since.remove(cause);
        self.board.settle(cause);
    }
}

#[cfg(test)]
mod tests;
