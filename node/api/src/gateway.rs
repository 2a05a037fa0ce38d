//! What the node lends to its API.

use std::{fmt, sync::Arc};

use dctrl_consensus::explain::Window;
use dctrl_proto::v1::{Genesis, PeerStatus, Refusal, SignedAction, Submitted};
use dctrl_store::Store;
use tokio::sync::watch;

/// Hands an action to the pipeline, or says at once why not. Called on a
/// blocking thread: it may read the store, but must not wait for consensus.
pub type Submit = Arc<dyn Fn(SignedAction) -> Result<Submitted, Refusal> + Send + Sync>;

/// Whether the action with this id was taken by this node and is not ordered.
pub type Waiting = Arc<dyn Fn(&[u8; 32]) -> bool + Send + Sync>;

/// Asks for a block behind this consensus time, which has passed by this node's
/// clock, so that what expired is seen to have expired.
pub type Expire = Arc<dyn Fn(u64) + Send + Sync>;

/// Tells what the pipeline is doing at this moment.
pub type Live = Arc<dyn Fn() -> LiveStatus + Send + Sync>;

/// Shows so many of the latest events of the graph. Called on a blocking
/// thread; answers within seconds.
pub type ShowWindow = Arc<dyn Fn(usize) -> Result<Window, Refusal> + Send + Sync>;

/// The handles through which the API sees its node.
#[derive(Clone)]
pub struct Gateway {
    /// All state is read from its snapshots.
    pub store: Store,
    /// What never changes while the node runs.
    pub facts: Arc<NodeFacts>,
    /// The way in for actions.
    pub submit: Submit,
    /// What this node has taken and not ordered.
    pub waiting: Waiting,
    /// Lets consensus time move on.
    pub expire: Expire,
    /// Raised after a block's batch is durable, and after its certificate is.
    /// When the sender is dropped, waiting calls answer UNAVAILABLE.
    pub progress: watch::Receiver<Progress>,
    /// The pipeline's present condition.
    pub live: Live,
    /// The pipeline's graph.
    pub window: ShowWindow,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("node", &self.facts.name)
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}

/// Who this node is.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Name in the genesis, such as `alpha`.
    pub name: String,
    /// Position in the roster.
    pub index: u16,
    /// Identity of the federation.
    pub cluster: [u8; 32],
    /// What all nodes agreed on before the first block.
    pub genesis: Genesis,
    /// Version of the program, for people.
    pub version: String,
}

/// How far the node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Height of the last block applied and synced here.
    pub applied_height: u64,
    /// Height of the last block with a certificate here.
    pub final_height: u64,
}

/// The pipeline's present condition, for [`Status`](dctrl_proto::v1::Status).
#[derive(Clone, Debug, Default)]
pub struct LiveStatus {
    /// Highest consensus round known here.
    pub round: u64,
    /// Transactions waiting to enter an event.
    pub pool: u32,
    /// Events not yet ordered.
    pub undecided_events: u32,
    /// The other nodes, as this one sees them.
    pub peers: Vec<PeerStatus>,
    /// Sentences about what needs a person.
    pub alerts: Vec<String>,
    /// How each of the node's bitcoin backends stands, one sentence each.
    pub chain_backends: Vec<String>,
}
