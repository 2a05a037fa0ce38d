//! What goes into a [`Core`](crate::Core) and what comes out.
//!
//! Each output names who performs it. Nothing here does anything by itself.

use bytes::Bytes;

use crate::block::Block;
use crate::certificate::{BlockHeader, Certificate};
use crate::crypto::{Scheme, Signer};
use crate::event::ForkProof;
use crate::id::{ClusterId, Digest, NodeIndex, PublicKey, Timestamp};
use crate::install::{Install, InstallProgress};
use crate::limits::{Limits, Pace};
use crate::message::VerifiedMessage;
use crate::ordering::Ordering;
use crate::roster::Roster;
use crate::snapshot::StateQuestion;

/// What a core is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The federation; every signature covers it.
    pub cluster: ClusterId,
    /// The members of the first epoch. A node whose key is not among them
    /// follows until a later roster names it.
    pub roster: Roster,
    /// Which disk this node speaks from. It is a member only where the roster
    /// names the same one; see [`RosterMember::instance`](crate::RosterMember).
    pub instance: u64,
    /// The secret from which this node's coin bits are derived. Chosen at
    /// random once per node and kept: a restarted node tosses the same coins.
    pub coin_seed: [u8; 32],
    /// Bounds, equal on all nodes.
    pub limits: Limits,
    /// Local pace.
    pub pace: Pace,
    /// The ordering rules, equal on all nodes.
    pub ordering: Ordering,
    /// How certificates of other nodes are checked.
    pub scheme: Scheme,
}

/// The life of one graph: from one seal to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochStart {
    /// The number of the epoch; the first is 0.
    pub epoch: u64,
    /// What binds events to the epoch: the cluster's id for the first one, the
    /// hash of the header that sealed the one before for every later one.
    pub anchor: Digest,
    /// Who takes part, and signs the epoch's blocks.
    pub roster: Roster,
    /// This node's place; `None` where it only follows.
    pub me: Option<NodeIndex>,
}

/// What the driver tells the core.
#[derive(Debug)]
pub enum Input {
    /// A transaction of this node's users. Refused where the pool is full;
    /// see [`Core::admits`](crate::Core::admits).
    Submit(Bytes),
    /// A transaction of this node that makes no events itself, because the
    /// roster names another disk of its: a member is asked to submit it. It
    /// may get lost, so say it again until its effect is seen.
    Entrust(Bytes),
    /// A message that the transport says came from this node.
    Receive {
        /// The peer's key, as the transport authenticated it. Indices would
        /// not do: they change from roster to roster, and peers may be ahead.
        from: PublicKey,
        /// The message, its signatures checked.
        message: VerifiedMessage,
    },
    /// The time of the last [`Output::WakeAt`] has come.
    Wake,
    /// All records up to and including this number are synced.
    Persisted {
        /// A [`Record::number`].
        through: u64,
    },
    /// The block was executed; its results and the records that the answer
    /// brings are in one batch, which is synced before the next
    /// [`Input::Persisted`].
    Executed {
        /// The block's index; blocks are executed in order.
        index: u64,
        /// What it led to.
        outcome: Outcome,
    },
    /// How far an [`Install`] of this manifest has come.
    Install {
        /// The manifest's digest.
        manifest: Digest,
        /// What happened.
        progress: InstallProgress,
    },
}

/// What executing a block led to; equal on all honest nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The digest of the state after the block.
    pub state_digest: Digest,
    /// The Merkle root of the block's outputs.
    pub outputs_root: Digest,
    /// The members from the next epoch on, where the block changes them: such
    /// a block is the last one of its epoch. Its number is one higher.
    pub next_roster: Option<Roster>,
}

/// One entry of the log from which a core is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// From 1, without gaps.
    pub number: u64,
    /// What [`Core::restore`](crate::Core::restore) takes back.
    pub bytes: Vec<u8>,
}

/// To whom a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Every member but this node.
    All,
    /// One peer.
    One(PublicKey),
}

/// What the core asks the driver to do.
#[allow(
    clippy::large_enum_variant,
    reason = "outputs are few and consumed at once: a box would cost more than the copy"
)]
#[derive(Debug)]
pub enum Output {
    /// Append to the log, in order; then sync when it suits, and answer with
    /// [`Input::Persisted`]. Own events and own block signatures wait for that
    /// answer before they are sent.
    Persist(Record),
    /// Send at once. May be lost, doubled or reordered.
    Send {
        /// To whom.
        to: Recipient,
        /// An encoded [`Message`](crate::message::Message).
        message: Bytes,
    },
    /// Execute, and answer with [`Input::Executed`]. The results, all records
    /// before this output and those that the answer brings are synced in one
    /// batch. Blocks come in order, one at a time.
    Execute(Block),
    /// A quorum signed the header of a block executed here. Comes in order of
    /// index; after a restart the last ones may come again.
    Final(Certificate),
    /// A new epoch begins: the graph starts empty, and peers' messages are to
    /// be checked by this roster. The block that sealed the one before is final.
    Epoch(EpochStart),
    /// Records up to and including this number are not needed any more. Those
    /// behind it restore the core alone.
    Prune {
        /// A [`Record::number`].
        through: u64,
    },
    /// Read the final blocks from this one on, and send the peer what
    /// [`message::blocks_answer`](crate::message::blocks_answer) makes of them.
    ServeBlocks {
        /// Who asks.
        to: PublicKey,
        /// The first block wanted.
        index: u64,
        /// How many bytes of the answer the peer has.
        offset: u64,
    },
    /// A member that makes no events asks this node to submit a transaction.
    /// Check it as one of a stranger, and hand it in where it is good.
    Entrusted {
        /// Who asks.
        from: PublicKey,
        /// At most [`ENTRUSTED_BYTES_MAX`](crate::ENTRUSTED_BYTES_MAX) bytes.
        transaction: Bytes,
    },
    /// Answer the peer's question with a
    /// [`StateAnswer`](crate::snapshot::StateAnswer).
    ServeState {
        /// Who asks.
        to: PublicKey,
        /// What.
        question: StateQuestion,
    },
    /// Take over the state of a seal, step by step.
    Install(Install),
    /// A creator signed two events that exclude each other. Once per creator.
    Evidence(ForkProof),
    /// f+1 nodes signed another header for this block: this node's execution
    /// or order is wrong. It makes no more events and signs no more blocks,
    /// but goes on serving its graph.
    Diverged {
        /// The block's index.
        index: u64,
        /// The hash of the header this node arrived at.
        ours: Digest,
        /// The hash that others signed, or that this node signed before.
        theirs: Digest,
    },
    /// A peer knows an event of this node that this node does not: the disk is
    /// older than what was sent. No more events are made in this epoch, so as
    /// not to fork; to end it, see [`Core::speak_from`](crate::Core::speak_from).
    Amnesia {
        /// The sequence number of the unknown event.
        seq: u64,
    },
    /// Something was not taken.
    Refused {
        /// Whose it was; this node for [`Input::Submit`].
        from: PublicKey,
        /// Why.
        reason: RefusalReason,
    },
    /// Call with [`Input::Wake`] at this time. Replaces the wake before.
    WakeAt(Timestamp),
}

/// Why a transaction, an event or a signature was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum RefusalReason {
    /// The pool of waiting transactions is full: try again later.
    #[error("the pool of waiting transactions is full")]
    PoolFull,
    /// The transaction is larger than an event may carry.
    #[error("the transaction is larger than allowed")]
    TransactionTooLarge,
    /// The transaction has no bytes.
    #[error("the transaction is empty")]
    TransactionEmpty,
    /// This node diverged or lost its memory, and makes no events.
    #[error("this node makes no events any more")]
    Stopped,
    /// Too many events of this creator wait for their parents.
    #[error("too many events of this creator wait for their parents")]
    OrphansFull,
    /// The creator has forked into more branches than are kept.
    #[error("the creator has forked too often")]
    BranchesFull,
    /// A parent is not what the event says about it.
    #[error("a parent has another creator or sequence number than stated")]
    ParentMismatch,
    /// The event is not later than its self-parent.
    #[error("the event is not later than its self-parent")]
    NotLater,
    /// The event knows that its own creator forked.
    #[error("the event descends from a fork of its own creator")]
    OwnFork,
    /// The event has a parent by a creator that its self-parent knows to fork.
    #[error("the event has a parent by a creator known to fork")]
    KnownForker,
    /// The creator made too many events in one layer.
    #[error("the creator made too many events in one layer")]
    LayerFull,
    /// The event is too far ahead of this node's clock to be taken now.
    #[error("the event is ahead of this node's clock")]
    ClockAhead,
    /// The signer signed another header for this block before.
    #[error("the signer signed another header for the same block")]
    SignedTwice,
    /// An answer of the driver does not fit what was asked.
    #[error("the answer does not fit what was asked")]
    Unasked,
    /// The event is bound to another history than this node's.
    #[error("the event is of another epoch or federation")]
    OtherEpoch,
    /// A final block that a peer sent does not hold what it claims.
    #[error("a block of a peer does not hold: {0}")]
    Block(#[from] crate::catch_up::BlockProblem),
    /// What a peer said about the state of a seal does not hold.
    #[error("what a peer says of a state does not hold: {0}")]
    State(#[from] crate::snapshot::StateProblem),
}

/// What execution had reached when a core is restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Executed {
    /// The index of the last executed block, 0 for none.
    pub index: u64,
    /// Its header; needed where `index` is above 0.
    pub last_header: Option<BlockHeader>,
}

/// Why a log does not restore a core.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Records are missing between these numbers.
    #[error("record {found} follows record {last}: the log has a gap")]
    Gap {
        /// The last record before the gap; 0 for none.
        last: u64,
        /// The first one behind it.
        found: u64,
    },
    /// A record is damaged or of another federation.
    #[error("record {number}: {problem}")]
    Record {
        /// The record's number.
        number: u64,
        /// What is wrong with it.
        problem: RecordProblem,
    },
    /// Blocks were executed, but the last header is missing or another one.
    #[error("the header of executed block {0} is missing")]
    Header(u64),
}

/// What can be wrong with a record of this node's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// The bytes do not decode.
    #[error("{0}")]
    Decode(#[from] crate::codec::DecodeError),
    /// The event does not belong to this federation.
    #[error("{0}")]
    Foreign(#[from] crate::event::EventProblem),
    /// The event's parents are not in the records before.
    #[error("the event's parents are missing")]
    Orphan,
    /// The event was refused, though it was taken when it was recorded.
    #[error("{0}")]
    Refused(RefusalReason),
}

/// What a node knows about itself, for people and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of the epoch.
    pub epoch: u64,
    /// Whether this node is in the epoch's roster.
    pub member: bool,
    /// The first round or layer of the epoch that is not decided yet.
    pub round: u64,
    /// How many votes in the rounds or layers done were decided by a coin.
    pub coin_tosses: u64,
    /// The layer of this node's last event; `None` before the first.
    pub layer: Option<u64>,
    /// Transactions that wait for an event of this node.
    pub pool_transactions: usize,
    /// Their bytes.
    pub pool_bytes: usize,
    /// Events in the graph.
    pub events: usize,
    /// Events in the graph that no round has received yet.
    pub undecided_events: usize,
    /// Those of them that carry transactions.
    pub undecided_payload_events: usize,
    /// Events that wait for their parents.
    pub orphan_events: usize,
    /// Bytes of encoded events held in memory.
    pub event_bytes: usize,
    /// The highest known sequence number of each node.
    pub known: Vec<Option<u64>>,
    /// Nodes proven to have forked.
    pub forked: Vec<NodeIndex>,
    /// When each node was last heard of; `None` for never.
    pub last_heard: Vec<Option<Timestamp>>,
    /// The last block put out for execution.
    pub ordered: u64,
    /// The last block executed.
    pub executed: u64,
    /// The last block with a certificate.
    pub final_index: u64,
    /// Whether this node makes no events: it diverged, or its disk was older
    /// than what it had sent in this epoch.
    pub stopped: bool,
}

/// The signer as a core holds it.
pub(crate) type BoxedSigner = Box<dyn Signer>;
