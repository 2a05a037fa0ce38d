//! The engine's one door: state, and the dispatch of inputs.
//!
//! Each file beside this one is one concern: `receive` (messages), `graph`
//! (insertion and what follows), `create` (own events), `finalize` (executed
//! blocks), `serve` (summaries, requests, answers), `view` (a window for people), `restore` (the log).

mod create;
mod finalize;
mod graph;
mod receive;
mod restore;
mod serve;
mod view;

use std::collections::VecDeque;

use crate::crypto::Signer;
use crate::dag::Dag;
use crate::election::Election;
use crate::emit::Emit;
use crate::event::Event;
use crate::finality::Finality;
use crate::id::{NodeIndex, Timestamp};
use crate::interface::{
    BoxedSigner, Config, Executed, Input, Output, Recipient, Record, RefusalReason, RestoreError,
    Summary,
};
use crate::message::{BlockSignature, Message};
use crate::node_set::NodeSet;
use crate::order::Order;
use crate::orphans::Orphans;
use crate::pool::Pool;
use crate::record::Entry;
use crate::repair::Repair;
use crate::weights::Weights;

/// What waits for its record to be synced before it is sent.
#[derive(Debug)]
enum Unsent {
    Event(Event),
    Signature(BlockSignature),
}

/// The consensus engine of one node. See the [crate docs](crate).
///
/// After [`Core::new`] or [`Core::restore`], call [`Core::step`] once with
/// [`Input::Wake`]: the answer names the time of the next one.
pub struct Core {
    config: Config,
    signer: BoxedSigner,
    /// The latest time any step was given; a clock set back is held here.
    now: Timestamp,
    dag: Dag,
    election: Election,
    order: Order,
    orphans: Orphans,
    repair: Repair,
    emit: Emit,
    finality: Finality,
    pool: Pool,
    /// Creators proven to fork; their new events are no parents of ours.
    forkers: NodeSet,
    /// `[f][c]`: how many branches of f entered the graph for events of c.
    branches_brought: Vec<Vec<usize>>,
    /// Members that know no event of ours that is not in our log, and this node.
    /// Own events wait for a quorum of them: a disk that is older than what was
    /// sent must not lead to a fork.
    confirmed: NodeSet,
    /// Diverged or without memory: no events, no signatures, for good.
    stopped: bool,
    last_record: u64,
    /// In order of record number.
    unsent: VecDeque<(u64, Unsent)>,
    /// How many own events are synced, so that peers may know of them.
    own_synced: u64,
    last_heard: Vec<Option<Timestamp>>,
    summary_at: Timestamp,
    summary_interval: u64,
    /// When to look again for parents that must be asked for by id.
    ids_at: Option<Timestamp>,
    wake_at: Option<Timestamp>,
    out: Vec<Output>,
}

impl Core {
    /// An engine with an empty log.
    ///
    /// # Panics
    /// Where `me` is not in the roster, or the limits contradict each other.
    #[must_use]
    pub fn new(config: Config, signer: Box<dyn Signer>) -> Self {
        let (members, quorum) = (config.roster.len(), config.roster.quorum());
        assert!(config.me.position() < members, "this node is in the roster");
        assert!(
            config.limits.fit_together(),
            "the limits contradict each other"
        );
        let fault_bound = config.roster.fault_bound();
        Self {
            now: Timestamp(0),
            dag: Dag::new(Weights::equal(members), &config.limits),
            election: Election::new(&config.ordering),
            order: Order::starting_at(&config.ordering, 0, Timestamp(0)),
            orphans: Orphans::new(members),
            repair: Repair::new(members),
            emit: Emit::new(config.pace, members),
            finality: Finality::new(
                config.me,
                quorum,
                fault_bound,
                config.limits.signature_window,
            ),
            pool: Pool::default(),
            forkers: NodeSet::default(),
            branches_brought: vec![vec![0; members]; members],
            confirmed: NodeSet::of(config.me),
            stopped: false,
            last_record: 0,
            unsent: VecDeque::new(),
            own_synced: 0,
            last_heard: vec![None; members],
            summary_at: Timestamp(0),
            summary_interval: config.pace.busy_summary_interval,
            ids_at: None,
            wake_at: None,
            out: Vec::new(),
            config,
            signer,
        }
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
        restore::restore(config, signer, records, executed, now)
    }

    /// Takes one input at this time and returns what is to be done, in order.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Submit(transaction) => self.submit(transaction),
            Input::Receive { from, message } => self.receive(from, message),
            Input::Wake => self.wake_at = None,
            Input::Persisted { through } => self.persisted(through),
            Input::Executed {
                index,
                state_digest,
                outputs_root,
            } => {
                self.executed(index, state_digest, outputs_root);
            }
        }
        self.settle()
    }

    /// Whether a transaction of this many bytes would be taken now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn admits(&self, transaction_bytes: usize) -> Result<(), RefusalReason> {
        if self.stopped {
            return Err(RefusalReason::Stopped);
        }
        self.pool.admits(transaction_bytes, &self.config.limits)
    }

    /// What this node knows about itself.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let nodes = || self.config.roster.indices();
        let own_tip = self.dag.tip(self.config.me);
        Summary {
            round: self.election.first_open(),
            layer: own_tip.map(|slot| self.dag.vertex(slot).layer),
            pool_transactions: self.pool.len(),
            pool_bytes: self.pool.bytes(),
            events: self.dag.len(),
            undecided_events: self.order.waiting(),
            undecided_payload_events: self.order.payload().len(),
            orphan_events: self.orphans.len(),
            event_bytes: self.dag.encoded_bytes(),
            known: nodes()
                .map(|node| self.dag.chain_len(node).checked_sub(1))
                .collect(),
            forked: nodes()
                .filter(|node| self.forkers.contains(*node))
                .collect(),
            last_heard: self.last_heard.clone(),
            ordered: self.order.last_index(),
            executed: self.finality.executed(),
            final_index: self.finality.final_index(),
            stopped: self.stopped,
        }
    }

    fn submit(&mut self, transaction: bytes::Bytes) {
        let admitted = self.admits(transaction.len());
        if let Err(reason) =
            admitted.and_then(|()| self.pool.push(transaction, &self.config.limits))
        {
            self.refuse(self.config.me, reason);
        }
    }

    /// Own events and signatures whose records are synced may go out now.
    fn persisted(&mut self, through: u64) {
        let mut signatures = Vec::new();
        while self
            .unsent
            .front()
            .is_some_and(|(number, _)| *number <= through)
        {
            match self.unsent.pop_front() {
                Some((_, Unsent::Event(event))) => {
                    self.own_synced = event.header().seq + 1;
                    self.send(Recipient::All, &Message::Events(vec![event]));
                }
                Some((_, Unsent::Signature(signature))) => signatures.push(signature),
                None => break,
            }
        }
        self.signatures_synced(signatures);
    }

    /// Does what is due, and says when to come back.
    fn settle(&mut self) -> Vec<Output> {
        let own_due = self.create_due();
        let serve_due = self.serve_due();
        let due = own_due.into_iter().chain(serve_due).min();
        if due.is_some() && (due != self.wake_at || due <= Some(self.now)) {
            self.wake_at = due;
            self.out.extend(due.map(Output::WakeAt));
        }
        // Behind all records of this step: what is synced with a block covers
        // the signature over the block before it.
        let block = self.finality.next_to_execute();
        self.out.extend(block.map(Output::Execute));
        std::mem::take(&mut self.out)
    }

    fn record(&mut self, entry: &Entry) -> u64 {
        self.last_record += 1;
        let number = self.last_record;
        self.out.push(Output::Persist(Record {
            number,
            bytes: entry.encode(),
        }));
        number
    }

    fn send(&mut self, to: Recipient, message: &Message) {
        if self.config.roster.len() > 1 {
            self.out.push(Output::Send {
                to,
                message: message.encode(),
            });
        }
    }

    fn refuse(&mut self, from: NodeIndex, reason: RefusalReason) {
        self.out.push(Output::Refused { from, reason });
    }
}
