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
pub(crate) struct Fake {
    pub(crate) chain: SimChain,
    /// Every question is answered so.
    pub(crate) fails: Option<ChainError>,
    /// Transactions that it does not show.
    pub(crate) hides: BTreeSet<Hash>,
    /// Scripts that it was told.
    pub(crate) told: Vec<Vec<u8>>,
    /// Transactions that it refuses.
    pub(crate) refuses: BTreeSet<Vec<u8>>,
    /// Transactions that it has taken.
    pub(crate) taken: Vec<Vec<u8>>,
    /// Questions for the fee rate fail.
    pub(crate) knows_no_fees: bool,
}

/// A handle on a backend of a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Fake>>);

impl Shared {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Fake) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub(crate) fn fails(&self, error: Option<ChainError>) {
        self.with(|fake| fake.fails = error);
    }

    fn ask<T>(&self, work: impl FnOnce(&Fake) -> Result<T, ChainError>) -> Result<T, ChainError> {
        self.with(|fake| match &fake.fails {
            Some(error) => Err(error.clone()),
            None => work(fake),
        })
    }
}

fn refused(what: &'static str) -> ChainError {
    ChainError::Refused {
        what,
        code: -26,
        message: "test".to_owned(),
    }
}

/// An adaptor of these backends, and what is known of them.
pub(crate) fn adaptor(backends: &[Shared]) -> (ChainAdaptor, Board) {
    let names = (0..backends.len()).map(|one| (format!("chain.backend[{one}]"), "fake".into()));
    let board = Board::new(names);
    (adaptor_of(backends, &board), board)
}

/// Another adaptor of the same backends.
pub(crate) fn adaptor_of(backends: &[Shared], board: &Board) -> ChainAdaptor {
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
    fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        self.ask(|fake| match fake.refuses.contains(raw) {
            true => Err(refused("sendrawtransaction")),
            false => Ok(()),
        })?;
        self.with(|fake| fake.taken.push(raw.to_vec()));
        Ok(Sent::Accepted)
    }

    fn fee_rate(&self, _: u16) -> Result<Option<u64>, ChainError> {
        self.ask(|fake| match fake.knows_no_fees {
            true => Err(refused("estimatesmartfee")),
            false => Ok(None),
        })
    }

    fn hints(&self, _: &zmq::Context) -> Result<Hints, ChainError> {
        Err(ChainError::Unreachable("it gives no hints".to_owned()))
    }
}
