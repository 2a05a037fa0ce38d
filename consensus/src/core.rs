//! The engine's one door.

use crate::crypto::Signer;
use crate::id::Timestamp;
use crate::interface::{
    BoxedSigner, Config, Executed, Input, Output, RefusalReason, RestoreError, Summary,
};

/// The consensus engine of one node. See the [crate docs](crate).
pub struct Core {
    config: Config,
    signer: BoxedSigner,
}

impl Core {
    /// An engine with an empty log.
    #[must_use]
    pub fn new(config: Config, signer: Box<dyn Signer>) -> Self {
        Self { config, signer }
    }

    /// Replays a log. Blocks up to and including `executed.index` are not put
    /// out again. Perform the outputs as those of [`Core::step`].
    ///
    /// # Errors
    /// Where the log or the last header is not this node's own.
    pub fn restore(
        config: Config,
        signer: Box<dyn Signer>,
        records: impl IntoIterator<Item = Vec<u8>>,
        executed: Executed,
        now: Timestamp,
    ) -> Result<(Self, Vec<Output>), RestoreError> {
        let _ = (records, executed, now);
        Ok((Self::new(config, signer), Vec::new()))
    }

    /// Takes one input at this time and returns what is to be done, in order.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let _ = (now, input);
        Vec::new()
    }

    /// Whether a transaction of this many bytes would be taken now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn admits(&self, transaction_bytes: usize) -> Result<(), RefusalReason> {
        if transaction_bytes > self.config.limits.transaction_bytes_max {
            return Err(RefusalReason::TransactionTooLarge);
        }
        Ok(())
    }

    /// What this node knows about itself.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let _ = self.signer.public_key();
        Summary::default()
    }
}
