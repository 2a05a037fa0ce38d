//! One block while it is applied: the state with changes on top, the block's
//! height and time, and what the world will be told.

use std::rc::Rc;

use dctrl_proto::topic::TOPIC_BYTES_MAX;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{BusBody, Genesis, LedgerMeta, NodeRoster, Policy, TopicCursor};
use dctrl_wallet::Wallet;
use prost::Message;

use crate::facts::Fact;
use crate::founded::Founded;
use crate::votes::Federation;
use crate::{Overlay, StateRead, keys, tables};

/// What handlers work on. Handlers cannot fail: whatever could refuse an
/// action was asked of a [`View`] before.
pub(crate) struct Scope<'s> {
    state: Overlay<'s>,
    founded: Rc<Founded>,
    meta: LedgerMeta,
    federation: Federation,
    height: u64,
    time_ms: u64,
    outputs: Vec<Vec<u8>>,
}

/// What guards look at.
#[derive(Clone, Copy)]
pub(crate) struct View<'v> {
    pub(crate) state: &'v dyn StateRead,
    pub(crate) genesis: &'v Genesis,
    /// The present nodes.
    pub(crate) federation: &'v Federation,
    /// The seat of whoever joins next.
    pub(crate) next_seat: u32,
    /// Consensus time.
    pub(crate) time_ms: u64,
}

impl View<'_> {
    pub(crate) fn policy(&self) -> &Policy {
        policy(self.genesis)
    }
}

fn policy(genesis: &Genesis) -> &Policy {
    genesis
        .policy
        .as_ref()
        .expect("a genesis was checked to have a policy")
}

impl<'s> Scope<'s> {
    /// Opens a block. Consensus time never runs backwards here, whatever the
    /// block says.
    pub(crate) fn open(state: &'s dyn StateRead, height: u64, time_ms: u64) -> Self {
        let meta = tables::meta(state);
        let time_ms = time_ms.max(meta.time_ms);
        Self::new(state, Founded::of(state), meta, height, time_ms)
    }

    /// The present state, to look at it only.
    pub(crate) fn present(state: &'s dyn StateRead) -> Self {
        let meta = tables::meta(state);
        let (height, time_ms) = (meta.height, meta.time_ms);
        Self::new(state, Founded::of(state), meta, height, time_ms)
    }

    /// Opens the making of the genesis state.
    pub(crate) fn new(
        state: &'s dyn StateRead,
        founded: Rc<Founded>,
        meta: LedgerMeta,
        height: u64,
        time_ms: u64,
    ) -> Self {
        Self {
            state: Overlay::new(state),
            founded,
            federation: Federation::of(meta.seats.clone()),
            meta,
            height,
            time_ms,
            outputs: Vec::new(),
        }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            state: &self.state,
            genesis: &self.founded.genesis,
            federation: &self.federation,
            next_seat: self.meta.next_seat,
            time_ms: self.time_ms,
        }
    }

    pub(crate) fn overlay(&self) -> &Overlay<'s> {
        &self.state
    }

    pub(crate) fn wallet(&self) -> &Wallet {
        self.founded.wallet()
    }

    pub(crate) fn policy(&self) -> &Policy {
        policy(&self.founded.genesis)
    }

    pub(crate) fn federation(&self) -> &Federation {
        &self.federation
    }

    /// Number of the roster that orders and signs this block.
    pub(crate) fn roster_number(&self) -> u64 {
        self.meta.roster_number
    }

    /// These nodes order and sign from the next block on.
    pub(crate) fn sit(&mut self, roster: &NodeRoster, next_seat: u32) {
        self.meta.roster_number = roster.number;
        self.meta.seats = roster.nodes.iter().map(|node| node.seat).collect();
        self.meta.next_seat = next_seat;
        self.federation = Federation::of(self.meta.seats.clone());
        self.put_meta();
    }

    /// Whether the stored votes are those of the present nodes.
    pub(crate) fn votes_are_in_line(&self) -> bool {
        self.meta.votes_roster_number == self.meta.roster_number
    }

    pub(crate) fn bring_votes_in_line(&mut self) {
        self.meta.votes_roster_number = self.meta.roster_number;
        self.put_meta();
    }

    pub(crate) fn cluster(&self) -> &[u8] {
        &self.meta.cluster
    }

    pub(crate) fn height(&self) -> u64 {
        self.height
    }

    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Takes the next address index; none is ever taken twice.
    pub(crate) fn take_address_index(&mut self) -> u32 {
        let index = self.meta.next_address_index;
        self.meta.next_address_index += 1;
        self.put_meta();
        index
    }

    /// Takes the next number of the journal.
    pub(crate) fn take_journal_number(&mut self) -> u64 {
        let number = self.meta.next_journal_number;
        self.meta.next_journal_number += 1;
        self.put_meta();
        number
    }

    fn put_meta(&mut self) {
        let value = self.meta.encode_to_vec();
        self.state.put(keys::META.to_vec(), value);
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, row: &impl Message) {
        self.state.put(key, row.encode_to_vec());
    }

    /// Sets a value that is not a message, such as the id an index leads to.
    pub(crate) fn put_bytes(&mut self, key: Vec<u8>, value: &[u8]) {
        self.state.put(key, value.to_vec());
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.state.delete(key);
    }

    /// Tells the world. The frame names the topic's frame before it, so that
    /// a subscriber notices what it missed.
    pub(crate) fn emit(&mut self, topic: &str, event: Event) {
        assert!(topic.len() <= TOPIC_BYTES_MAX, "topic {topic} is too long");
        let previous: TopicCursor =
            tables::read(&self.state, &keys::cursor(topic)).unwrap_or_default();
        let sub_index = u32::try_from(self.outputs.len()).expect("a block has few outputs");
        let body = BusBody {
            topic: topic.to_owned(),
            cluster: self.meta.cluster.clone(),
            height: self.height,
            sub_index,
            previous_height: previous.height,
            previous_sub_index: previous.sub_index,
            time_ms: self.time_ms,
            event: Some(event),
        };
        self.outputs.push(body.encode_to_vec());
        let cursor = TopicCursor {
            height: self.height,
            sub_index,
        };
        self.put(keys::cursor(topic), &cursor);
    }

    /// Tells how a thing is now.
    pub(crate) fn tell(&mut self, fact: Fact) {
        self.emit(&fact.topic, fact.event);
    }

    /// Closes the block: its height and time become the ledger's.
    pub(crate) fn close(mut self) -> (Overlay<'s>, Vec<Vec<u8>>) {
        self.meta.height = self.height;
        self.meta.time_ms = self.time_ms;
        self.put_meta();
        (self.state, self.outputs)
    }
}

impl StateRead for Scope<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.state.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.state.scan(prefix, after, limit)
    }
}
