//! Backends of tests: a simulated chain in the same process, with faults.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use dctrl_proto::v1::PaymentDoubts;

use super::{
    Block, Board, ChainAdaptor, ChainError, ChainSource, Hash, Hints, Sent, Tip, Transaction,
    client::Client, model::SimChain,
};

/// What a backend shows, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) chain: SimChain,
    /// Every question is answered so.
    pub(super) fails: Option<ChainError>,
    /// Transactions that it does not show.
    pub(super) hides: BTreeSet<Hash>,
    /// Scripts that it was told.
    pub(super) told: Vec<Vec<u8>>,
}

/// A handle on a backend of a test.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Fake>>);

impl Shared {
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Fake) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub(super) fn fails(&self, error: Option<ChainError>) {
        self.with(|fake| fake.fails = error);
    }

    fn ask<T>(&self, work: impl FnOnce(&Fake) -> Result<T, ChainError>) -> Result<T, ChainError> {
        self.with(|fake| match &fake.fails {
            Some(error) => Err(error.clone()),
            None => work(fake),
        })
    }
}

/// An adaptor of these backends, and what is known of them.
pub(super) fn adaptor(backends: &[Shared]) -> (ChainAdaptor, Board) {
    let names = (0..backends.len()).map(|one| (format!("chain.backend[{one}]"), "fake".into()));
    let board = Board::new(names);
    (adaptor_of(backends, &board), board)
}

/// Another adaptor of the same backends.
pub(super) fn adaptor_of(backends: &[Shared], board: &Board) -> ChainAdaptor {
    let clients = backends.iter().map(|one| Box::new(one.clone()) as _);
    ChainAdaptor::of(clients.collect(), board.clone())
}

impl ChainSource for Shared {
    fn tip(&self) -> Result<Tip, ChainError> {
        self.ask(|fake| Ok(fake.chain.tip()))
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.ask(|fake| fake.chain.hash_at(height))
    }

    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        self.ask(|fake| {
            let mut block = ChainSource::block(&fake.chain, height, hash)?;
            block
                .transactions
                .retain(|one| !fake.hides.contains(&one.txid));
            Ok(block)
        })
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        self.ask(|fake| fake.chain.knows_block(block))
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        self.ask(|fake| ChainSource::mempool(&fake.chain))
    }

    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        self.ask(|fake| fake.chain.in_mempool(txid))
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        self.ask(|fake| fake.chain.mempool_transaction(txid))
    }

    fn follow(&self, scripts: &[Vec<u8>]) -> Result<Option<u32>, ChainError> {
        self.ask(|_| Ok(()))?;
        self.with(|fake| fake.told.extend_from_slice(scripts));
        Ok(None)
    }
}

impl Client for Shared {
    fn broadcast(&self, _: &[u8]) -> Result<Sent, ChainError> {
        self.ask(|_| Ok(Sent::Accepted))
    }

    fn fee_rate(&self, _: u16) -> Result<Option<u64>, ChainError> {
        self.ask(|_| Ok(None))
    }

    fn hints(&self, _: &zmq::Context) -> Result<Hints, ChainError> {
        Err(ChainError::Unreachable("it gives no hints".to_owned()))
    }
}
