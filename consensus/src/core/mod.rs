//! The engine's one door: state, and the dispatch of inputs.
//!
//! Each file beside this one is one concern: `receive` (messages), `graph`
//! (insertion and what follows), `create` (own events), `finalize` (executed
//! blocks), `epoch` (seals), `fetch` (blocks of peers), `serve` (summaries,
//! requests, answers), `entrust` (transactions of those who make no events),
//! `take_over` (the state of a seal), `view` (a window for people), `restore`
//! (the log).

mod create;
mod entrust;
mod epoch;
mod fetch;
mod finalize;
mod graph;
mod receive;
mod restore;
mod serve;
mod take_over;
mod view;

use std::collections::VecDeque;

use self::epoch::Epoch;
use crate::catch_up::CatchUp;
use crate::certificate::Certificate;
use crate::crypto::Signer;
use crate::event::Event;
use crate::finality::Finality;
use crate::id::{NodeIndex, PublicKey, Timestamp};
use crate::interface::{
    BoxedSigner, Config, EpochStart, Executed, Input, Output, Recipient, Record, RefusalReason,
    RestoreError, Summary,
};
use crate::message::{BlockSignature, Message};
use crate::pool::Pool;
use crate::record::Entry;
use crate::take_over::TakeOver;

/// What waits for its record to be synced before it is sent.
#[derive(Debug)]
enum Unsent {
    Event(Event),
    Signature(BlockSignature),
}

/// Why this node makes no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Others signed another header: for good. It signs no more blocks either.
    Diverged,
    /// Peers know events of this node that it does not: until the next epoch.
    Amnesia,
}

/// The consensus engine of one node. See the [crate docs](crate).
///
/// After [`Core::new`] or [`Core::restore`], call [`Core::step`] once with
/// [`Input::Wake`]: the answer names the time of the next one.
pub struct Core {
    config: Config,
    signer: BoxedSigner,
    key: PublicKey,
    /// The latest time any step was given; a clock set back is held here.
    now: Timestamp,
    epoch: Epoch,
    finality: Finality,
    pool: Pool,
    catch_up: CatchUp,
    take_over: TakeOver,
    /// The certificate of the fetched block that is being executed.
    fetching: Option<Certificate>,
    stop: Option<Stop>,
    /// Whether a quorum has confirmed since the start that it knows no event
    /// of this node that is not in its log. Own events wait for that: a disk
    /// that is older than what was sent must not lead to a fork.
    sure: bool,
    /// What a quorum is asked with since the start, if it was asked.
    question: Option<u64>,
    /// Whose turn it is to be entrusted with a transaction.
    entrust_turn: usize,
    last_record: u64,
    /// In order of record number.
    unsent: VecDeque<(u64, Unsent)>,
    /// Own signatures that are synced and wait for the next own event, to go
    /// with it; and until when.
    held: Vec<BlockSignature>,
    held_until: Timestamp,
    summary_at: Timestamp,
    summary_interval: u64,
    wake_at: Option<Timestamp>,
    out: Vec<Output>,
}

impl Core {
    /// An engine with an empty log, in the first epoch.
    ///
    /// # Panics
    /// Where the limits contradict each other.
    #[must_use]
    pub fn new(config: Config, signer: Box<dyn Signer>) -> Self {
        assert!(
            config.limits.fit_together(),
            "the limits contradict each other"
        );
        let key = signer.public_key();
        let start = EpochStart {
            epoch: 0,
            anchor: config.cluster.0,
            me: config.roster.seat_of(&key, config.instance),
            roster: config.roster.clone(),
        };
        let window = config.limits.signature_window;
        Self {
            key,
            now: Timestamp(0),
            finality: Finality::new(start.me, &start.roster, window),
            // Alone, there is nobody to ask.
            sure: start.me.is_some() && start.roster.len() == 1,
            epoch: Epoch::new(start, &config, 0, Timestamp(0)),
            pool: Pool::default(),
            catch_up: CatchUp::default(),
            take_over: TakeOver::default(),
            fetching: None,
            stop: None,
            question: None,
            entrust_turn: 0,
            last_record: 0,
            unsent: VecDeque::new(),
            held: Vec::new(),
            held_until: Timestamp(0),
            summary_at: Timestamp(0),
            summary_interval: config.pace.busy_summary_interval,
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
        records: impl IntoIterator<Item = Record>,
        executed: Executed,
        now: Timestamp,
    ) -> Result<(Self, Vec<Output>), RestoreError> {
        restore::restore(config, signer, records, executed, now)
    }

    /// From the next epoch on this node speaks from that disk, where the roster
    /// names it. For a disk that proved to be older than what was sent from it
    /// ([`Output::Amnesia`]): as another one it may ask for its seat again.
    pub fn speak_from(&mut self, instance: u64) {
        self.config.instance = instance;
    }

    /// Takes one input at this time and returns what is to be done, in order.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Submit(transaction) => self.submit(transaction),
            Input::Entrust(transaction) => self.entrust(transaction),
            Input::Receive { from, message } => self.receive(from, message),
            Input::Wake => self.wake_at = None,
            Input::Persisted { through } => self.persisted(through),
            Input::Executed { index, outcome } => self.executed(index, outcome),
            Input::Install { manifest, progress } => self.install_progressed(&manifest, &progress),
        }
        self.finish_take_over();
        self.settle()
    }

    /// Whether an own event waits until its record is synced. Everything else
    /// may be synced with it where one is expected.
    #[must_use]
    pub fn event_awaits_sync(&self) -> bool {
        let is_event = |(_, unsent): &(u64, Unsent)| matches!(unsent, Unsent::Event(_));
        self.unsent.iter().any(is_event)
    }

    /// Whether an own event will be made as soon as the others allow it. Not a
    /// promise: they may be gone.
    #[must_use]
    pub fn expects_event(&self) -> bool {
        let epoch = &self.epoch;
        let at_work = !self.pool.is_empty() || !epoch.order.payload().is_empty();
        let may = epoch.me().is_some() && self.sure && self.stop.is_none();
        at_work && may && epoch.sealed_by.is_none() && !self.is_alone()
    }

    /// Whether a transaction of this many bytes would be taken now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn admits(&self, transaction_bytes: usize) -> Result<(), RefusalReason> {
        if self.stop.is_some() || self.epoch.me().is_none() {
            return Err(RefusalReason::Stopped);
        }
        self.pool.admits(transaction_bytes, &self.config.limits)
    }

    /// What this node knows about itself.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let epoch = &self.epoch;
        let nodes = || epoch.roster().indices();
        let own_tip = epoch.me().and_then(|me| epoch.dag.tip(me));
        Summary {
            epoch: epoch.start.epoch,
            member: epoch.me().is_some(),
            round: epoch.election.first_open(),
            coin_tosses: epoch.election.tosses(),
            layer: own_tip.map(|slot| epoch.dag.vertex(slot).layer),
            pool_transactions: self.pool.len(),
            pool_bytes: self.pool.bytes(),
            events: epoch.dag.len(),
            undecided_events: epoch.order.waiting(),
            undecided_payload_events: epoch.order.payload().len(),
            orphan_events: epoch.orphans.len(),
            event_bytes: epoch.dag.encoded_bytes(),
            known: nodes()
                .map(|node| epoch.dag.chain_len(node).checked_sub(1))
                .collect(),
            forked: nodes()
                .filter(|node| epoch.forkers.contains(*node))
                .collect(),
            last_heard: epoch.last_heard.clone(),
            ordered: self.finality.ordered_index(),
            executed: self.finality.executed(),
            final_index: self.finality.final_index(),
            stopped: self.stop.is_some(),
        }
    }

    /// The epoch that this node is in.
    #[must_use]
    pub fn epoch(&self) -> &EpochStart {
        &self.epoch.start
    }

    fn submit(&mut self, transaction: bytes::Bytes) {
        let admitted = self.admits(transaction.len());
        if let Err(reason) =
            admitted.and_then(|()| self.pool.push(transaction, &self.config.limits))
        {
            self.refuse(self.key, reason);
        }
    }

    /// Own events and signatures whose records are synced may go out now.
    fn persisted(&mut self, through: u64) {
        let mut signatures = Vec::new();
        let mut event_sent = false;
        while self
            .unsent
            .front()
            .is_some_and(|(number, _)| *number <= through)
        {
            match self.unsent.pop_front() {
                Some((_, Unsent::Event(event))) => {
                    self.epoch.own_synced = event.header().seq + 1;
                    self.send(Recipient::All, &Message::Events(vec![event]));
                    event_sent = true;
                }
                Some((_, Unsent::Signature(signature))) => signatures.push(signature),
                None => break,
            }
        }
        self.signatures_synced(signatures);
        if event_sent {
            self.send_held();
        }
        self.certify();
    }

    /// Does what is due, and says when to come back.
    fn settle(&mut self) -> Vec<Output> {
        let own_due = self.create_due();
        let held_due = self.held_due();
        let serve_due = self.serve_due();
        let due = own_due.into_iter().chain(held_due).chain(serve_due).min();
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
        // Alone there is nobody else to hear what is said to all.
        if to != Recipient::All || !self.is_alone() {
            self.out.push(Output::Send {
                to,
                message: message.encode(),
            });
        }
    }

    fn send_member(&mut self, to: NodeIndex, message: &Message) {
        if let Some(key) = self.epoch.roster().key(to).copied() {
            self.send(Recipient::One(key), message);
        }
    }

    /// Whether the roster holds this node and nobody else.
    pub(super) fn is_alone(&self) -> bool {
        self.epoch.me().is_some() && self.epoch.roster().len() == 1
    }

    fn refuse(&mut self, from: PublicKey, reason: RefusalReason) {
        self.out.push(Output::Refused { from, reason });
    }

    fn refuse_member(&mut self, from: NodeIndex, reason: RefusalReason) {
        if let Some(key) = self.epoch.roster().key(from).copied() {
            self.refuse(key, reason);
        }
    }
}
