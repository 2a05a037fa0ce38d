//! What one node's backend shows of the network.

use std::collections::BTreeSet;

use dctrl_effects::chain::{Block, ChainError, ChainSource, Hash, Tip, Transaction};
use dctrl_proto::v1::PaymentDoubts;

use super::net::Net;

/// One node's view.
pub(super) struct Backend<'a> {
    pub(super) net: &'a Net,
    /// Whose mempool.
    pub(super) at: usize,
    pub(super) down: bool,
    /// It knows nothing above this.
    pub(super) height_max: Option<u32>,
}

impl Backend<'_> {
    fn up(&self) -> Result<(), ChainError> {
        if self.down {
            Err(ChainError::Unreachable("it is down".to_owned()))
        } else {
            Ok(())
        }
    }

    fn waits(&self, txid: &Hash) -> bool {
        self.net.pool(self.at).contains(txid)
    }
}

impl ChainSource for Backend<'_> {
    fn tip(&self) -> Result<Tip, ChainError> {
        self.up()?;
        let tip = self.net.tip();
        match self.height_max.filter(|most| *most < tip.height) {
            Some(height) => Ok(Tip {
                height,
                hash: self.hash_at(height)?,
            }),
            None => Ok(tip),
        }
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.up()?;
        let known = self.height_max.is_none_or(|most| height <= most);
        let block = self.net.block_at(height).filter(|_| known);
        let missing = || ChainError::NotFound(format!("block {height}"));
        block.map(|block| block.hash).ok_or_else(missing)
    }

    fn block(&self, _: u32, hash: Hash) -> Result<Block, ChainError> {
        self.up()?;
        let block = self.net.block(&hash).cloned();
        block.ok_or_else(|| ChainError::NotFound(format!("block {hash}")))
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        self.up()?;
        let most = self.height_max.unwrap_or(u32::MAX);
        let block = self.net.block(&block.hash);
        Ok(block.is_some_and(|block| block.height <= most))
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        self.up()?;
        Ok(self.net.pool(self.at).to_vec())
    }

    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        self.up()?;
        Ok(self.waits(&txid).then(PaymentDoubts::default))
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        self.up()?;
        let waits = self.waits(&txid);
        let tx = self.net.tx(&txid).filter(|_| waits);
        Ok(tx.map(|tx| tx.slim.clone()))
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        self.up()?;
        let spender = |place| self.net.spender(self.at, place);
        let found: BTreeSet<Hash> = outputs.iter().filter_map(spender).collect();
        Ok(found.into_iter().collect())
    }
}
