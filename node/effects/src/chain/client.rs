//! What every backend can be asked.

use std::{collections::BTreeSet, fmt};

use dctrl_proto::v1::PaymentDoubts;

use super::{Block, ChainError, Hash, Hints, Sent, Tip, Transaction};

/// Who can be asked about a chain. Every answer is the present one.
///
/// The backends answer over the network, and so does a
/// [`ChainAdaptor`](super::ChainAdaptor) with the first healthy one of them; a
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

    /// The block `hash`, which stands at `height`. Backends that index by script
    /// show of its transactions those that concern what they were told by
    /// [`Self::follow`].
    ///
    /// # Errors
    /// There is no answer, or no such block, or it has been pruned.
    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError>;

    /// Whether a block has ever been heard of. Backends that know blocks by
    /// height alone say whether it is in their present chain.
    ///
    /// # Errors
    /// There is no answer.
    fn knows_block(&self, block: Tip) -> Result<bool, ChainError>;

    /// The ids of the transactions that wait for a block, at least of those
    /// that concern what was told by [`Self::follow`].
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
    /// nothing where whoever is asked cannot tell. Backends that index by script
    /// show it of what they were told by [`Self::watch_coins`].
    ///
    /// # Errors
    /// There is no answer.
    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        let _ = outputs;
        Ok(Vec::new())
    }

    /// What spends these coins must be shown in blocks and mempool from now on.
    /// Who shows whole blocks need not be told.
    ///
    /// # Errors
    /// There is no answer.
    fn watch_coins(&self, coins: &BTreeSet<(Hash, u32)>) -> Result<(), ChainError> {
        let _ = coins;
        Ok(())
    }

    /// From now on these scripts matter as well. The answer is the lowest block
    /// that concerns one of them, where blocks that were shown before may have
    /// lacked it. Who shows whole blocks need not be told.
    ///
    /// # Errors
    /// There is no answer, or they are too many. An adaptor keeps them and tells
    /// them by itself again.
    fn follow(&self, scripts: &[Vec<u8>]) -> Result<Option<u32>, ChainError> {
        let _ = scripts;
        Ok(None)
    }
}

/// One backend.
pub(super) trait Client: ChainSource + fmt::Debug + Send {
    /// Hands a signed transaction in, to be passed on. Handing it in again does
    /// no harm.
    fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError>;

    /// The fee rate with which a transaction gets into one of the next `blocks`
    /// blocks, satoshi for 1000 virtual bytes; none where nobody knows one.
    fn fee_rate(&self, blocks: u16) -> Result<Option<u64>, ChainError>;

    /// Listens for hints. The first one is always a gap, because what
    /// happened before is unknown.
    fn hints(&self, context: &zmq::Context) -> Result<Hints, ChainError>;
}

/// Whether there is such a thing, of an answer that may be that there is none.
pub(super) fn found<T>(answer: Result<T, ChainError>) -> Result<Option<T>, ChainError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ChainError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
