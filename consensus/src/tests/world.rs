//! Engines that emit events over links of given delays, under virtual time.
//! Signing, syncing and sending cost nothing here, so only the rules count.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::random::Chance;
use crate::crypto::NullSigner;
use crate::emit::{Busy, Decision, Emit, Front};
use crate::engine::Engine;
use crate::event::{Event, EventHeader, ParentRef};
use crate::id::{Digest, NodeIndex, PublicKey, Timestamp};
use crate::limits::{Limits, Pace};
use crate::node_set::NodeSet;
use crate::ordering::Ordering;
use crate::weights::Weights;

/// One message delay, nanoseconds.
pub(super) const DELAY: u64 = 1_000_000;

pub(super) struct Node {
    pub(super) engine: Engine,
    emit: Emit,
    /// Transactions that wait for an event.
    pool: usize,
    waiting: Vec<Event>,
    /// How many own events there are.
    pub(super) made: usize,
    /// From the making of each ordered event to its order here.
    delays: Vec<u64>,
}

enum Item {
    Arrive(usize, Box<Event>),
    Look(usize),
}

pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) down: usize,
    /// Whether all nodes have transactions at any time.
    pub(super) saturated: bool,
    /// The least and the most a message takes.
    delay: (u64, u64),
    chance: Chance,
    now: u64,
    queue: BTreeMap<(u64, u64), Item>,
    count: u64,
}

impl World {
    pub(super) fn new(members: usize, down: usize, delay: (u64, u64), ordering: &Ordering) -> Self {
        let pace = Pace {
            min_event_interval: DELAY / 100,
            hold_min: DELAY / 10,
            hold_max: 4 * DELAY,
            ..Pace::default()
        };
        let node = || Node {
            engine: Engine::new(Weights::equal(members), ordering, &Limits::STANDARD),
            emit: Emit::new(pace, members),
            pool: 0,
            waiting: Vec::new(),
            made: 0,
            delays: Vec::new(),
        };
        Self {
            nodes: (0..members).map(|_| node()).collect(),
            down,
            saturated: false,
            delay,
            chance: Chance(members as u64),
            now: 1_000 * DELAY,
            queue: BTreeMap::new(),
            count: 0,
        }
    }

    /// How many nodes run; the others never say anything.
    fn up(&self) -> usize {
        self.nodes.len() - self.down
    }

    fn later(&mut self, at: u64, item: Item) {
        self.count += 1;
        self.queue.insert((at, self.count), item);
    }

    pub(super) fn submit(&mut self, node: usize) {
        self.nodes[node].pool += 1;
        self.look(node);
    }

    /// Lets this many message delays pass.
    pub(super) fn run(&mut self, delays: u64) {
        let end = self.now + delays * DELAY;
        if self.saturated {
            (0..self.up()).for_each(|node| self.look(node));
        }
        while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= end) {
            self.now = entry.key().0;
            match entry.remove() {
                Item::Look(node) | Item::Arrive(node, _) if node >= self.up() => {}
                Item::Look(node) => self.look(node),
                Item::Arrive(node, event) => {
                    self.nodes[node].waiting.push(*event);
                    self.take(node);
                    self.look(node);
                }
            }
        }
        self.now = end;
    }

    fn take(&mut self, node: usize) {
        let now = Timestamp(self.now);
        let node = &mut self.nodes[node];
        let ready = |node: &Node| {
            let dag = &node.engine.dag;
            let mut waiting = node.waiting.iter();
            waiting.position(|event| dag.missing_parents(event).is_empty())
        };
        while let Some(at) = ready(node) {
            let event = node.waiting.remove(at);
            let creator = event.header().creator;
            node.emit.arrived(creator, now);
            node.insert(event, now);
        }
    }

    fn look(&mut self, index: usize) {
        let me = NodeIndex(u16::try_from(index).unwrap());
        let now = Timestamp(self.now);
        let saturated = self.saturated;
        let node = &mut self.nodes[index];
        let front = Front::of(&node.engine.dag, me, NodeSet::default());
        let unordered = !node.engine.order.payload().is_empty();
        let busy = Busy {
            pool: node.pool > 0 || saturated,
            unordered,
            pending: unordered,
            uncertified: false,
        };
        let view = front.view(&node.emit, busy);
        match node.emit.decide(&view, now) {
            Decision::Rest => {}
            Decision::WaitUntil(time) => self.later(time.0, Item::Look(index)),
            Decision::Create => {
                node.emit.created(now, front.in_time().as_deref());
                let event = node.make(me, &front, now, saturated);
                node.insert(event.clone(), now);
                let made = node.engine.dag.find(&event.id()).unwrap();
                assert_eq!(node.engine.dag.vertex(made).layer, view.next_layer);
                for other in (0..self.up()).filter(|&other| other != index) {
                    let spread = usize::try_from(self.delay.1 - self.delay.0 + 1).unwrap();
                    let delay = self.delay.0 + self.chance.below(spread) as u64;
                    self.later(
                        self.now + delay,
                        Item::Arrive(other, Box::new(event.clone())),
                    );
                }
                self.look(index);
            }
        }
    }

    /// Mean and maximum, in hundredths of a message delay, over what was
    /// ordered at running nodes after a start.
    pub(super) fn delays(&self) -> (u64, u64) {
        let all = || {
            self.nodes
                .iter()
                .flat_map(|node| node.delays.iter().skip(100))
        };
        let count = all().count() as u64;
        assert!(count > 500, "only {count} events were ordered");
        let mean = all().sum::<u64>() * 100 / DELAY / count;
        (mean, all().max().unwrap() * 100 / DELAY)
    }
}

impl Node {
    fn make(&mut self, me: NodeIndex, front: &Front, now: Timestamp, full: bool) -> Event {
        let dag = &self.engine.dag;
        let before = front.own().map(|slot| &dag.vertex(slot).event);
        let name = |slot| {
            let parent = dag.vertex(slot);
            ParentRef {
                creator: parent.creator(),
                seq: parent.seq(),
                id: parent.event.id(),
            }
        };
        let header = EventHeader {
            anchor: Digest::ZERO,
            epoch: 0,
            creator: me,
            seq: before.map_or(0, |before| before.header().seq + 1),
            timestamp: now.max(before.map_or(now, |before| before.header().timestamp.after(1))),
            coin: 1,
            self_parent: before.map(Event::id),
            other_parents: front.parents(dag).into_iter().map(name).collect(),
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        let transactions = vec![Bytes::from_static(b"x"); if full { 1 } else { self.pool }];
        self.pool = 0;
        self.made += 1;
        Event::create(header, &transactions, &NullSigner(PublicKey([0; 32])))
    }

    fn insert(&mut self, event: Event, now: Timestamp) {
        let (_, done) = self.engine.insert(event).unwrap();
        for ordered in done.iter().flat_map(|decided| &decided.events) {
            let made = self.engine.dag.vertex(ordered.slot).event.header();
            self.delays.push(now.since(made.timestamp));
        }
    }
}
