//! Every bound of the core, by name, with its unit and its reason, and the
//! relations between them.
//!
//! [`Limits`] are consensus-relevant where they bound what is valid (event and
//! transaction sizes): all nodes of a federation use the same. [`Pace`] is
//! local taste and may differ between nodes.

use crate::roster::ROSTER_MEMBERS_MAX;

/// Nanoseconds in a millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Bounds on sizes and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one encoded event: what a slow link carries in a round trip.
    pub event_bytes_max: usize,
    /// Bytes of one message: one sync answer, several events.
    pub message_bytes_max: usize,
    /// Bytes of one transaction.
    pub transaction_bytes_max: usize,
    /// Transactions in one event, so that decoding allocates a known amount.
    pub event_transactions_max: usize,
    /// Bytes of submitted transactions that wait for an event; more are refused.
    pub pool_bytes_max: usize,
    /// Submitted transactions that wait for an event; more are refused.
    pub pool_transactions_max: usize,
    /// Bytes of events of one creator that wait for their parents.
    pub orphan_bytes_max: usize,
    /// Events of one creator that wait for their parents.
    pub orphan_events_max: usize,
    /// Second events of one forking creator kept aside until someone needs them.
    pub twins_max: usize,
    /// Branches of one forking creator that enter the graph because events of
    /// one other creator need them. An honest one needs a few: one for each
    /// node of the roster that was told another story.
    pub branches_brought_max: usize,
    /// Branches of one creator that the graph ever holds: the wall behind the
    /// shares of all members.
    pub branches_max: usize,
    /// Events of one creator in one layer, as a rule of validity: layers need a
    /// quorum, so nobody can flood the graph faster than others move.
    pub layer_events_max: u32,
    /// Events of one creator asked for in one request.
    pub request_events_max: u64,
    /// Events asked for by hash in one request.
    pub request_hashes_max: usize,
    /// Block signatures in one message.
    pub message_signatures_max: usize,
    /// How far above the last block executed here a block signature may be to
    /// be kept; later ones are fetched when their block is near.
    pub signature_window: u64,
    /// Ordered blocks that wait for execution before this node stops making events.
    pub unexecuted_blocks_max: u64,
    /// The round or layer in which an epoch's graph is full: the next block
    /// seals it. Bounds the events in memory.
    pub seal_layers: u64,
    /// Bytes of transactions ordered in one epoch at which it is sealed.
    /// Bounds the payload in memory.
    pub seal_bytes: usize,
    /// Bytes of one final block that a peer may send: all that an epoch can
    /// order between two decisions.
    pub fetch_block_bytes_max: usize,
    /// Nanoseconds by which an event may be ahead of this node's clock to be
    /// taken now; one further ahead is left for later. It is never invalid.
    pub clock_ahead_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::STANDARD
    }
}

impl Limits {
    /// What every federation uses unless its genesis says otherwise.
    pub const STANDARD: Self = Self {
        event_bytes_max: 256 << 10,
        message_bytes_max: 1 << 20,
        transaction_bytes_max: 128 << 10,
        event_transactions_max: 8192,
        pool_bytes_max: 6 << 20,
        pool_transactions_max: 65_536,
        orphan_bytes_max: 4 << 20,
        orphan_events_max: 2048,
        twins_max: 32,
        branches_brought_max: 64,
        branches_max: 64 * ROSTER_MEMBERS_MAX,
        layer_events_max: 8,
        request_events_max: 512,
        request_hashes_max: 64,
        message_signatures_max: 1024,
        signature_window: 4096,
        unexecuted_blocks_max: 256,
        seal_layers: 2000,
        seal_bytes: 48 << 20,
        fetch_block_bytes_max: 128 << 20,
        clock_ahead_max: 10_000 * MILLISECOND,
    };
}

/// Bytes of a transaction that one node may entrust to another.
pub const ENTRUSTED_BYTES_MAX: usize = 4096;
/// Bytes of an event beside its transactions, for 127 parents: the fixed
/// fields, parents of 42 bytes each, and the signature.
pub(crate) const EVENT_OVERHEAD_BYTES_MAX: usize = 256 + 128 * 42;
/// Bytes of a message beside its events.
pub(crate) const MESSAGE_OVERHEAD_BYTES: usize = 64;

const _: () = assert!(Limits::STANDARD.fit_together());

impl Limits {
    /// Whether a transaction fits an event, an event a message and a creator's
    /// share of waiting events, and so on.
    #[must_use]
    pub const fn fit_together(&self) -> bool {
        self.transaction_bytes_max + 4 + EVENT_OVERHEAD_BYTES_MAX <= self.event_bytes_max
            && self.event_bytes_max + 4 + MESSAGE_OVERHEAD_BYTES <= self.message_bytes_max
            && self.event_bytes_max <= self.orphan_bytes_max
            && self.transaction_bytes_max <= self.pool_bytes_max
            && self.message_signatures_max > 0
            && self.message_signatures_max * 114 + MESSAGE_OVERHEAD_BYTES <= self.message_bytes_max
            && self.branches_max >= self.branches_brought_max * ROSTER_MEMBERS_MAX
            && self.layer_events_max > 2
    }
}

/// When to make events and when to tell peers what is known here. Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two own events at least: bounds the rate on a fast network.
    pub min_event_interval: u64,
    /// The shortest wait for live nodes once a quorum is there.
    pub hold_min: u64,
    /// The longest wait for live nodes once a quorum is there.
    pub hold_max: u64,
    /// How long an own block signature waits for the next own event, to go with
    /// it, where one is expected.
    pub signature_hold: u64,
    /// Between two summaries while there is progress. Without progress the
    /// interval doubles up to the idle one.
    pub busy_summary_interval: u64,
    /// Between two summaries while nothing moves.
    pub idle_summary_interval: u64,
    /// Until missing events are asked for: they may be on their way.
    pub request_grace: u64,
    /// Until missing events are asked for again, from the next peer.
    pub request_retry: u64,
    /// Blocks, no time: a node that is further behind than this takes over the
    /// state of a seal where it can, though peers keep the blocks. `u64::MAX`
    /// where it shall have all blocks that peers keep.
    pub snapshot_gap: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            min_event_interval: MILLISECOND,
            hold_min: MILLISECOND / 5,
            hold_max: 50 * MILLISECOND,
            signature_hold: 2 * MILLISECOND,
            busy_summary_interval: 100 * MILLISECOND,
            idle_summary_interval: 3_000 * MILLISECOND,
            request_grace: 2 * MILLISECOND,
            request_retry: 60 * MILLISECOND,
            snapshot_gap: 20_000,
        }
    }
}
