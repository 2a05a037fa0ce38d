//! One way to ask a bitcoin chain, whichever backend answers.
//!
//! Of several backends the first healthy one in the order of preference is
//! followed. Which one that is, is decided when the tip is asked, with which
//! every look at the chain begins; until then one look asks one backend. A
//! backend that fails ends the look, and the next one asks another; when a
//! preferred one has recovered it is followed again.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use dctrl_proto::v1::PaymentDoubts;

use super::{
    Backends, Block, Board, ChainError, ChainSource, Hash, Hints, Sent, Tip, Transaction,
    client::Client,
};

/// Scripts that backends are told, about 40 bytes each.
const SCRIPTS_MAX: usize = super::watch::SCRIPTS_MAX;

/// The backends of a node, of which one is followed.
#[derive(Debug)]
pub struct ChainAdaptor {
    members: Vec<Box<dyn Client>>,
    board: Board,
    /// The position of the backend that is followed here.
    current: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Block 0 of the federation's chain, once it is known.
    genesis: Option<Hash>,
    /// Positions of the backends whose block 0 was seen to be that.
    confirmed: BTreeSet<usize>,
    /// All that was told by [`ChainSource::follow`].
    scripts: Vec<Vec<u8>>,
    /// How many of them each backend has been told.
    told: Vec<usize>,
    /// Only the current backend is asked.
    pinned: bool,
    /// The lowest block that concerns what was told since it was last asked.
    lowest: Option<u32>,
}

impl ChainAdaptor {
    /// Prepares the backends; asks nothing yet.
    ///
    /// # Errors
    /// The configuration is unusable.
    pub fn new(backends: &Backends) -> Result<Self, ChainError> {
        Ok(Self::of(backends.clients()?, backends.board()))
    }

    pub(super) fn of(members: Vec<Box<dyn Client>>, board: Board) -> Self {
        let state = State {
            told: vec![0; members.len()],
            ..State::default()
        };
        Self {
            members,
            board,
            current: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    /// What is known of the backends.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Refuses a backend of another network, from now on as well.
    ///
    /// # Errors
    /// [`ChainError::WrongChain`] of the first that is of another network, or
    /// that no backend gives an answer.
    pub fn check_genesis(&self, expected: Hash) -> Result<(), ChainError> {
        self.expect(expected);
        let mut failure = None;
        for index in 0..self.members.len() {
            match self.confirm(index) {
                Ok(()) => {}
                Err(error @ ChainError::WrongChain { .. }) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if self.state().confirmed.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Backends of another network are refused from now on.
    pub(super) fn expect(&self, genesis: Hash) {
        let mut state = self.state();
        if state.genesis != Some(genesis) {
            state.genesis = Some(genesis);
            state.confirmed.clear();
        }
    }

    /// From now on only this backend is asked, whatever the others do, and
    /// nobody else follows it for that.
    pub(super) fn pin(&self, index: usize) {
        self.state().pinned = true;
        self.current.store(index, Ordering::Relaxed);
    }

    /// Looks once whether a backend is of the federation's network.
    fn confirm(&self, index: usize) -> Result<(), ChainError> {
        let expected = {
            let state = self.state();
            match state.genesis {
                Some(expected) if !state.confirmed.contains(&index) => expected,
                _ => return Ok(()),
            }
        };
        let found = self.ask(index, |client| client.hash_at(0))?;
        if found != expected {
            let error = ChainError::WrongChain {
                key: self.board.key(index),
                expected,
                found,
            };
            self.board.bad(index, &error);
            return Err(error);
        }
        self.state().confirmed.insert(index);
        Ok(())
    }

    /// Asks one backend, and notes when it fails.
    fn ask<T>(
        &self,
        index: usize,
        question: impl FnOnce(&dyn Client) -> Result<T, ChainError>,
    ) -> Result<T, ChainError> {
        let Some(client) = self.members.get(index) else {
            return Err(ChainError::Unreachable("there is no backend".to_owned()));
        };
        let answer = question(&**client);
        if let Err(error) = &answer
            && error.is_failure()
        {
            self.board.bad(index, error);
        }
        answer
    }

    /// Asks the backend that is followed.
    fn followed<T>(
        &self,
        question: impl FnOnce(&dyn Client) -> Result<T, ChainError>,
    ) -> Result<T, ChainError> {
        self.ask(self.current.load(Ordering::Relaxed), question)
    }

    /// Makes a backend ready to be followed; its tip.
    pub(super) fn try_out(&self, index: usize) -> Result<Tip, ChainError> {
        self.confirm(index)?;
        self.tell(index)?;
        self.ask(index, |client| client.tip())
    }

    /// Tells a backend the scripts that it does not know yet.
    fn tell(&self, index: usize) -> Result<(), ChainError> {
        let untold = {
            let state = self.state();
            let told = state.told.get(index).copied().unwrap_or(0);
            state.scripts.get(told..).unwrap_or_default().to_vec()
        };
        if untold.is_empty() {
            return Ok(());
        }
        let lowest = self.ask(index, |client| client.follow(&untold))?;
        let mut state = self.state();
        if let Some(told) = state.told.get_mut(index) {
            *told += untold.len();
        }
        state.lowest = state.lowest.into_iter().chain(lowest).min();
        Ok(())
    }

    /// Hands a signed transaction in, to be passed on. Handing it in again does
    /// no harm.
    ///
    /// # Errors
    /// No backend gives an answer, or one refuses it for what it is.
    pub fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let mut answer = self.followed(|client| client.broadcast(raw));
        for index in self.board.candidates() {
            match &answer {
                Err(error) if error.is_failure() => {
                    answer = self
                        .confirm(index)
                        .and_then(|()| self.ask(index, |client| client.broadcast(raw)));
                }
                _ => break,
            }
        }
        answer
    }

    /// The fee rate with which a transaction gets into one of the next `blocks`
    /// blocks, satoshi for 1000 virtual bytes; none where the backend knows none.
    ///
    /// # Errors
    /// The backend gives no answer.
    pub fn fee_rate(&self, blocks: u16) -> Result<Option<u64>, ChainError> {
        self.followed(|client| client.fee_rate(blocks))
    }

    /// Listens for hints, of all backends. The first one of each is always a
    /// gap, because what happened before is unknown.
    ///
    /// # Errors
    /// The configuration is unusable.
    pub fn hints(&self, context: &zmq::Context) -> Result<Vec<Hints>, ChainError> {
        let members = self.members.iter();
        members.map(|client| client.hints(context)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChainSource for ChainAdaptor {
    /// The tip of the first healthy backend, which is followed from now on.
    fn tip(&self) -> Result<Tip, ChainError> {
        if self.state().pinned {
            return self.try_out(self.current.load(Ordering::Relaxed));
        }
        let mut first = None;
        for index in self.board.candidates() {
            match self.try_out(index) {
                Ok(tip) => {
                    self.board.good(index, tip);
                    self.board.follow(index);
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(tip);
                }
                Err(error) => {
                    if !error.is_failure() {
                        self.board.bad(index, &error);
                    }
                    first.get_or_insert(error);
                }
            }
        }
        let none = || ChainError::Unreachable("there is no backend".to_owned());
        Err(first.unwrap_or_else(none))
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.followed(|client| client.hash_at(height))
    }

    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        self.followed(|client| client.block(height, hash))
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        self.followed(|client| client.knows_block(block))
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        self.followed(|client| client.mempool())
    }

    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        self.followed(|client| client.in_mempool(txid))
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        self.followed(|client| client.mempool_transaction(txid))
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        self.followed(|client| client.mempool_spenders(outputs))
    }

    fn watch_coins(&self, coins: &BTreeSet<(Hash, u32)>) -> Result<(), ChainError> {
        self.followed(|client| client.watch_coins(coins))
    }

    fn follow(&self, scripts: &[Vec<u8>]) -> Result<Option<u32>, ChainError> {
        {
            let mut state = self.state();
            let room = SCRIPTS_MAX.saturating_sub(state.scripts.len());
            state.scripts.extend(scripts.iter().take(room).cloned());
        }
        self.tell(self.current.load(Ordering::Relaxed))?;
        Ok(self.state().lowest.take())
    }
}

#[cfg(test)]
mod tests;
