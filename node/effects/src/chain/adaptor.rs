//! One way to ask a bitcoin chain, whichever backend answers.

use std::time::Duration;

use dctrl_proto::v1::PaymentDoubts;

use super::{
    Block, ChainError, Hash, Hint, Sent, Tip, Transaction,
    bitcoind::{Bitcoind, BitcoindConfig, BitcoindHints},
    simulated::{Simulated, SimulatedHints},
};

/// Where the chain is asked.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A real bitcoind, pruned or not.
    Bitcoind(BitcoindConfig),
    /// The simulated chain, such as `http://127.0.0.1:17900`.
    Simulated {
        /// Its gRPC address.
        url: String,
    },
}

/// A chain backend. It holds no state of its own: every answer is the
/// backend's present one.
#[derive(Debug)]
pub enum ChainAdaptor {
    /// A real bitcoind.
    Bitcoind(Bitcoind),
    /// The simulated chain.
    Simulated(Box<Simulated>),
}

/// Who can be asked about a chain. Every answer is the present one.
///
/// The backends of [`ChainAdaptor`] answer over the network; a
/// [`SimChain`](super::model::SimChain) in the same process answers at once.
pub trait ChainSource {
    /// The newest block.
    ///
    /// # Errors
    /// There is no answer, or whoever is asked says that it has not caught up.
    fn tip(&self) -> Result<Tip, ChainError>;

    /// The hash of the block at a height of the present chain.
    ///
    /// # Errors
    /// There is no answer, or the chain is not that high.
    fn hash_at(&self, height: u32) -> Result<Hash, ChainError>;

    /// The block `hash`, which stands at `height`.
    ///
    /// # Errors
    /// There is no answer, or no such block.
    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError>;

    /// Whether a block has ever been heard of.
    ///
    /// # Errors
    /// There is no answer.
    fn knows_block(&self, hash: Hash) -> Result<bool, ChainError>;

    /// The ids of all transactions that wait for a block.
    ///
    /// # Errors
    /// There is no answer.
    fn mempool(&self) -> Result<Vec<Hash>, ChainError>;

    /// What speaks against a transaction that waits for a block; `None` where it
    /// does not wait.
    ///
    /// # Errors
    /// There is no answer.
    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError>;

    /// A transaction that waits for a block; `None` when it no longer does.
    ///
    /// # Errors
    /// There is no answer.
    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError>;

    /// What waits for a block and spends any of these outputs, each named once;
    /// nothing where whoever is asked cannot tell.
    ///
    /// # Errors
    /// There is no answer.
    fn mempool_spenders(&self, _outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        Ok(Vec::new())
    }
}

impl ChainSource for ChainAdaptor {
    fn tip(&self) -> Result<Tip, ChainError> {
        Self::tip(self)
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        Self::hash_at(self, height)
    }

    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        Self::block(self, height, hash)
    }

    fn knows_block(&self, hash: Hash) -> Result<bool, ChainError> {
        Self::knows_block(self, hash)
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        Self::mempool(self)
    }

    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        Self::in_mempool(self, txid)
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        Self::mempool_transaction(self, txid)
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.mempool_spenders(outputs),
            Self::Simulated(simulated) => simulated.mempool_spenders(outputs),
        }
    }
}

impl ChainAdaptor {
    /// Prepares the backend; asks nothing yet.
    ///
    /// # Errors
    /// The configuration is unusable.
    pub fn new(backend: &Backend) -> Result<Self, ChainError> {
        match backend {
            Backend::Bitcoind(config) => Bitcoind::new(config).map(Self::Bitcoind),
            Backend::Simulated { url } => {
                Simulated::new(url).map(|simulated| Self::Simulated(Box::new(simulated)))
            }
        }
    }

    /// The hash of block 0.
    ///
    /// # Errors
    /// The backend gives no answer.
    pub fn genesis_hash(&self) -> Result<Hash, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.hash_at(0),
            Self::Simulated(simulated) => simulated.genesis_hash(),
        }
    }

    /// Refuses a backend of another network.
    ///
    /// # Errors
    /// [`ChainError::WrongChain`], or the backend gives no answer.
    pub fn check_genesis(&self, expected: Hash) -> Result<(), ChainError> {
        let found = self.genesis_hash()?;
        if found == expected {
            Ok(())
        } else {
            Err(ChainError::WrongChain { expected, found })
        }
    }

    /// The newest block.
    ///
    /// # Errors
    /// The backend gives no answer, or says that it has not caught up.
    pub fn tip(&self) -> Result<Tip, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.tip(),
            Self::Simulated(simulated) => simulated.tip(),
        }
    }

    /// The hash of the block at a height of the present chain.
    ///
    /// # Errors
    /// The backend gives no answer, or the chain is not that high.
    pub fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.hash_at(height),
            Self::Simulated(simulated) => simulated.hash_at(height),
        }
    }

    /// The block `hash`, which stands at `height`.
    ///
    /// # Errors
    /// The backend gives no answer, or has no such block, or has pruned it.
    pub fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.block(height, hash),
            Self::Simulated(simulated) => simulated.block(hash),
        }
    }

    /// Whether the backend has ever heard of a block.
    ///
    /// # Errors
    /// The backend gives no answer.
    pub fn knows_block(&self, hash: Hash) -> Result<bool, ChainError> {
        let known = match self {
            Self::Bitcoind(bitcoind) => bitcoind.header(hash),
            Self::Simulated(simulated) => simulated.block(hash).map(|_| ()),
        };
        found(known).map(|known| known.is_some())
    }

    /// The ids of all transactions that wait for a block.
    ///
    /// # Errors
    /// The backend gives no answer.
    pub fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.mempool(),
            Self::Simulated(simulated) => simulated.mempool(),
        }
    }

    /// What speaks against a transaction that waits for a block; `None` where
    /// it does not wait. The simulated chain has no transactions that depend
    /// on others, so that nothing speaks against any.
    ///
    /// # Errors
    /// The backend gives no answer.
    pub fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => found(bitcoind.mempool_entry(txid)),
            Self::Simulated(simulated) => {
                let waits = simulated.mempool()?.contains(&txid);
                Ok(waits.then(PaymentDoubts::default))
            }
        }
    }

    /// A transaction that waits for a block; `None` when it no longer does.
    ///
    /// # Errors
    /// The backend gives no answer.
    pub fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => found(bitcoind.transaction(txid)),
            Self::Simulated(simulated) => simulated.transaction(txid),
        }
    }

    /// Hands a signed transaction in, to be passed on. Handing it in again does
    /// no harm.
    ///
    /// # Errors
    /// The backend gives no answer, or refuses it for what it is.
    pub fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.broadcast(raw),
            Self::Simulated(simulated) => simulated.broadcast(raw),
        }
    }

    /// The fee rate with which a transaction gets into one of the next `blocks`
    /// blocks, satoshi for 1000 virtual bytes; none where the backend knows none.
    ///
    /// # Errors
    /// The backend gives no answer.
    pub fn fee_rate(&self, blocks: u16) -> Result<Option<u64>, ChainError> {
        match self {
            Self::Bitcoind(bitcoind) => bitcoind.fee_rate(blocks),
            Self::Simulated(_) => Ok(None),
        }
    }

    /// Listens for hints. The first one is always a gap, because what
    /// happened before is unknown.
    ///
    /// # Errors
    /// The configuration is unusable.
    pub fn hints(&self, context: &zmq::Context) -> Result<Hints, ChainError> {
        Ok(match self {
            Self::Bitcoind(bitcoind) => Hints::Bitcoind(Box::new(bitcoind.hints(context)?)),
            Self::Simulated(simulated) => Hints::Simulated(Box::new(simulated.hints()?)),
        })
    }
}

fn found<T>(answer: Result<T, ChainError>) -> Result<Option<T>, ChainError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ChainError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A stream of hints.
pub enum Hints {
    /// From bitcoind's ZeroMQ sockets.
    Bitcoind(Box<BitcoindHints>),
    /// From the simulated chain's `Watch`.
    Simulated(Box<SimulatedHints>),
}

impl Hints {
    /// What ends a wait in [`Self::next`] from another thread.
    pub(crate) fn waker(&self) -> Box<dyn Fn() + Send> {
        match self {
            Self::Bitcoind(hints) => hints.waker(),
            Self::Simulated(hints) => hints.waker(),
        }
    }

    /// The next hint, or `None` when there is none within `timeout` or when
    /// woken. What is
    /// malformed is counted and skipped; a lost connection is made anew and
    /// shows as a gap.
    pub fn next(&mut self, timeout: Duration) -> Option<Hint> {
        match self {
            Self::Bitcoind(hints) => hints.next(timeout),
            Self::Simulated(hints) => hints.next(timeout),
        }
    }
}
