//! What lives from one seal to the next, and the step between.
//!
//! A block seals its epoch when its execution changes the roster, or when the
//! graph has reached a bound that all nodes count alike ([`Limits::seal_layers`],
//! [`Limits::seal_bytes`]). From then on the graph orders nothing, and only
//! helps others to decide the same (see `emit` on insisting). When the sealing
//! block is final, so that everybody can fetch it with its certificate,
//! the graph is dropped and the next one begins over the block's hash. No
//! quorum ever spans two rosters, since every event names its epoch.
//!
//! Transactions of this node that the old graph did not order go back to the
//! pool: nothing is lost, and nothing is ordered twice, because all nodes end
//! the epoch at the same block.
//!
//! [`Limits::seal_layers`]: crate::Limits
//! [`Limits::seal_bytes`]: crate::Limits

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Core, Stop, Unsent};
use crate::certificate::BlockHeader;
use crate::crypto::sha256;
use crate::dag::{Dag, Slot};
use crate::early::Early;
use crate::election::Election;
use crate::emit::Emit;
use crate::fork::ForkProof;
use crate::id::{Digest, NodeIndex, PublicKey, Timestamp};
use crate::interface::{Config, EpochStart, Output};
use crate::node_set::NodeSet;
use crate::order::Order;
use crate::orphans::Orphans;
use crate::record::Entry;
use crate::repair::Repair;
use crate::roster::Roster;
use crate::weights::Weights;

/// One graph and all that is known about it.
pub(super) struct Epoch {
    pub(super) start: EpochStart,
    pub(super) dag: Dag,
    pub(super) election: Election,
    pub(super) order: Order,
    pub(super) orphans: Orphans,
    pub(super) repair: Repair,
    pub(super) emit: Emit,
    /// Creators proven to fork; their new events are no parents of ours.
    pub(super) forkers: NodeSet,
    /// The proofs for those who forked in this epoch.
    pub(super) proofs: BTreeMap<NodeIndex, ForkProof>,
    /// `[f][c]`: how many branches of f entered the graph for events of c.
    pub(super) branches_brought: Vec<Vec<usize>>,
    /// Members that know no event of ours that is not in our log, and this node.
    pub(super) confirmed: NodeSet,
    /// How many own events are synced, so that peers may know of them.
    pub(super) own_synced: u64,
    pub(super) last_heard: Vec<Option<Timestamp>>,
    /// When each member may entrust a transaction to this node again.
    pub(super) entrusts_at: Vec<Timestamp>,
    /// When to look again for parents that must be asked for by id.
    pub(super) ids_at: Option<Timestamp>,
    /// Events of the next epoch, from peers that are there already.
    pub(super) early: Early,
    /// Bytes of transactions ordered so far.
    ordered_bytes: usize,
    /// The block that ends the epoch; nothing is ordered behind it.
    pub(super) sealed_by: Option<u64>,
    /// The members from the next epoch on, where they change.
    pub(super) next_roster: Option<Roster>,
    /// Own transactions in blocks that came behind the sealing one.
    void: Vec<Bytes>,
    /// Transactions of blocks that were fetched, by digest: the graph does not
    /// know that they are ordered.
    pub(super) fetched: BTreeSet<Digest>,
    /// Those of the block that is fetched and being executed.
    pub(super) fetching: Vec<Digest>,
    /// Events of the graph whose transactions are all in fetched blocks.
    pub(super) covered: BTreeSet<Slot>,
}

impl Epoch {
    /// An empty graph behind the block with this index and time.
    pub(super) fn new(
        start: EpochStart,
        config: &Config,
        last_index: u64,
        clock: Timestamp,
    ) -> Self {
        let members = start.roster.len();
        Self {
            dag: Dag::new(Weights::equal(members), &config.limits),
            election: Election::new(&config.ordering),
            order: Order::starting_at(&config.ordering, start.epoch, last_index, clock),
            orphans: Orphans::new(members),
            repair: Repair::new(members),
            emit: Emit::new(config.pace, members),
            forkers: NodeSet::default(),
            proofs: BTreeMap::new(),
            branches_brought: vec![vec![0; members]; members],
            confirmed: start.me.map(NodeSet::of).unwrap_or_default(),
            own_synced: 0,
            last_heard: vec![None; members],
            entrusts_at: vec![Timestamp(0); members],
            ids_at: None,
            early: Early::new(members),
            ordered_bytes: 0,
            sealed_by: None,
            next_roster: None,
            void: Vec::new(),
            fetched: BTreeSet::new(),
            fetching: Vec::new(),
            covered: BTreeSet::new(),
            start,
        }
    }

    pub(super) fn roster(&self) -> &Roster {
        &self.start.roster
    }

    pub(super) fn me(&self) -> Option<NodeIndex> {
        self.start.me
    }

    pub(super) fn is_me(&self, node: NodeIndex) -> bool {
        self.start.me == Some(node)
    }

    /// How many events of this node the graph holds.
    pub(super) fn own_len(&self) -> u64 {
        self.start.me.map_or(0, |me| self.dag.chain_len(me))
    }

    /// A fetched block was executed: what it holds need not be ordered by this
    /// graph.
    pub(super) fn cover(&mut self, digests: Vec<Digest>) {
        self.fetched.extend(digests);
        let payload: Vec<Slot> = self.order.payload().iter().copied().collect();
        let covered = payload
            .into_iter()
            .filter(|&slot| self.holds_nothing_new(slot));
        let covered: Vec<Slot> = covered.collect();
        self.covered.extend(covered);
    }

    /// Whether all transactions of the event are in blocks that were fetched.
    pub(super) fn holds_nothing_new(&self, slot: Slot) -> bool {
        let known = |bytes| self.fetched.contains(&fetched_digest(bytes));
        let event = &self.dag.vertex(slot).event;
        !self.fetched.is_empty() && event.transactions().iter().all(known)
    }

    /// Counts an ordered block; true where the epoch has had its share.
    fn is_full(&mut self, round: u64, bytes: usize, config: &Config) -> bool {
        self.ordered_bytes += bytes;
        round >= config.limits.seal_layers || self.ordered_bytes >= config.limits.seal_bytes
    }
}

impl Core {
    /// Orders what the events so far decide, up to the block that seals.
    pub(super) fn order(&mut self) {
        while self.epoch.sealed_by.is_none() {
            let Some((round, judges)) = self.epoch.election.next_done(&self.epoch.dag) else {
                return;
            };
            let epoch = &mut self.epoch;
            let Some(mut block) = epoch.order.receive(&epoch.dag, round, &judges) else {
                continue;
            };
            let sizes = block.transactions.iter().map(|each| each.bytes.len());
            block.seals = epoch.is_full(round, sizes.sum(), &self.config);
            if block.seals {
                epoch.sealed_by = Some(block.index);
            }
            // After a restart or a fetch the first blocks are executed already.
            if block.index > self.finality.executed() {
                self.finality.ordered(block);
            }
        }
    }

    /// A block is the last of its epoch: what was ordered behind it is void.
    pub(super) fn seal(&mut self, index: u64, next: Option<Roster>) {
        self.epoch.sealed_by = Some(index);
        self.epoch.next_roster = next;
        let me = self.epoch.me();
        for block in self.finality.drop_ordered() {
            let own = block.transactions.into_iter().filter(|transaction| {
                let creator = transaction.origin.map(|origin| origin.creator);
                creator.is_some() && creator == me
            });
            self.epoch.void.extend(own.map(|own| own.bytes));
        }
    }

    /// Begins the next epoch where the block just certified seals this one.
    pub(super) fn turn(&mut self, header: &BlockHeader) {
        if self.epoch.sealed_by != Some(header.index) {
            return;
        }
        let next = self.epoch.next_roster.take();
        let roster = next.unwrap_or_else(|| self.epoch.roster().clone());
        let forkers = self.forker_keys();
        let number = self.record(&Entry::Epoch {
            epoch: self.epoch.start.epoch + 1,
            header: header.clone(),
            roster: roster.clone(),
            forkers: forkers.clone(),
        });
        let put_back = self.own_unordered();
        // The creators of early events are those of the roster that was here.
        let mut early = self.epoch.early.take();
        if roster != *self.epoch.roster() {
            early.clear();
        }
        self.begin(self.epoch.start.epoch + 1, header, roster, &forkers);
        self.pool.put_back(put_back);
        self.out.push(Output::Epoch(self.epoch.start.clone()));
        self.out.push(Output::Prune {
            through: number - 1,
        });
        self.progressed();
        for (event, from) in early {
            self.accept(event, from);
        }
    }

    /// Replaces the graph by an empty one over this header.
    pub(super) fn begin(
        &mut self,
        epoch: u64,
        header: &BlockHeader,
        roster: Roster,
        forkers: &[PublicKey],
    ) {
        let me = roster.seat_of(&self.key, self.config.instance);
        let same = roster == *self.epoch.roster();
        let start = EpochStart {
            epoch,
            anchor: header.hash(),
            roster,
            me,
        };
        let next = Epoch::new(start, &self.config, header.index, header.time);
        let old = std::mem::replace(&mut self.epoch, next);
        for key in forkers {
            if let Some(forker) = self.epoch.roster().index_of(key) {
                self.epoch.forkers.insert(forker);
            }
        }
        if same {
            self.epoch.last_heard = old.last_heard;
            self.epoch.emit = old.emit.renewed();
        }
        self.unsent
            .retain(|(_, unsent)| matches!(unsent, Unsent::Signature(_)));
        self.finality
            .begin(self.epoch.me(), self.epoch.roster(), same);
        self.catch_up.begin(self.epoch.roster());
        if self.stop == Some(Stop::Amnesia) {
            // What this node sent and forgot belongs to the epoch that ended;
            // whether it was in this one too, a quorum must say.
            self.stop = None;
            self.sure = false;
        }
        self.sure |= self.is_alone();
    }

    fn forker_keys(&self) -> Vec<PublicKey> {
        let roster = self.epoch.roster();
        let forkers = roster
            .indices()
            .filter(|node| self.epoch.forkers.contains(*node));
        forkers
            .filter_map(|node| roster.key(node).copied())
            .collect()
    }

    /// This node's transactions that no block of the epoch holds, oldest first.
    pub(super) fn own_unordered(&mut self) -> Vec<Bytes> {
        let Some(me) = self.epoch.me() else {
            return Vec::new();
        };
        let epoch = &mut self.epoch;
        let mut transactions = std::mem::take(&mut epoch.void);
        for &slot in epoch.order.payload() {
            let vertex = epoch.dag.vertex(slot);
            if vertex.creator() == me {
                transactions.extend(vertex.event.transactions().iter().cloned());
            }
        }
        transactions.retain(|bytes| !epoch.fetched.contains(&fetched_digest(bytes)));
        transactions
    }
}

/// By which a fetched transaction is known again.
pub(super) fn fetched_digest(bytes: &Bytes) -> Digest {
    sha256(b"dctrl/fetched/1\0", &[bytes])
}
