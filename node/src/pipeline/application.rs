//! What a federation orders for: the seam between the engine and whatever
//! gives meaning to the ordered bytes.
//!
//! Two implementations exist: the ledger (`execute`), and the opaque
//! application of the benchmark, which gives the bytes no meaning at all.

use dctrl_consensus::{Block, Digest, PublicKey, Roster};
use dctrl_ledger::{ChangeSet, StateRead};
use dctrl_net::gossip::Peer;

use super::PipelineError;

/// Executes ordered blocks. Called on the pipeline's thread, in order.
pub(crate) trait Application: Send + 'static {
    /// What is told about a block once it is durable.
    type Notice: Send;

    /// Executes `block` over the state after the block before it. Must depend
    /// on nothing else: all nodes have to come to the same digests.
    fn execute(&mut self, block: &Block, state: &dyn StateRead) -> Execution<Self::Notice>;

    /// The block at `height` and everything that follows from it is durable:
    /// the world may know.
    fn durable(&mut self, height: u64, notice: Self::Notice);

    /// Where the nodes of the present roster are, in the state at its
    /// beginning; `None` where the application does not know.
    fn peers(&self, _state: &dyn StateRead) -> Option<Vec<Peer>> {
        None
    }

    /// A member that makes no events asks this node to submit a transaction.
    fn entrusted(&mut self, _from: PublicKey, _transaction: &[u8]) {}

    /// The state is another one, that of this height, and all before it was
    /// skipped.
    fn taken_over(&mut self, height: u64, state: &dyn StateRead);

    /// The certificates of all blocks up to `height` are durable.
    ///
    /// # Errors
    /// What makes the node stop.
    fn certified(&mut self, height: u64) -> Result<(), PipelineError>;
}

/// What executing a block led to.
#[derive(Debug)]
pub(crate) struct Execution<N> {
    /// Changes of the state.
    pub(crate) changes: ChangeSet,
    /// What the block puts out, in order; the header names their root.
    pub(crate) outputs: Vec<Vec<u8>>,
    /// The digest of the state with the changes.
    pub(crate) state_digest: Digest,
    /// The members from the next epoch on, where the block changes them.
    pub(crate) next_roster: Option<Roster>,
    /// Told to [`Application::durable`].
    pub(crate) notice: N,
}
