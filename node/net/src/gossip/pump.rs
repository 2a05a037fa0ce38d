//! The thread that owns the gossip sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use dctrl_consensus::PublicKey;
use zmq::Socket;

use super::Shared;
use super::peers::{Link, Table};
use super::stats::count;
use crate::limits;
use crate::received::{Received, receive};
use crate::socket::Listener;
use crate::wake::WakeEnd;

/// Routing id and payload.
const PARTS: usize = 2;

pub(super) struct Pump {
    listener: Listener,
    /// The table that `dialled` and `senders` were made from.
    table: Table,
    dialled: Vec<(Arc<Link>, Socket)>,
    /// By CURVE key.
    senders: BTreeMap<[u8; 32], Arc<Link>>,
    wake_end: WakeEnd,
    shared: Arc<Shared>,
}

impl Pump {
    pub(super) fn new(listener: Listener, wake_end: WakeEnd, shared: Arc<Shared>) -> Self {
        Self {
            listener,
            table: Table::default(),
            dialled: Vec::new(),
            senders: BTreeMap::new(),
            wake_end,
            shared,
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self, deliver: &dyn Fn(PublicKey, Vec<u8>)) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            self.follow_table();
            if let Err(error) = self.turn(deliver) {
                tracing::error!(%error, "gossip ends: its context is gone");
                break;
            }
        }
        drop(self.dialled);
        self.listener.close();
    }

    /// Takes over the sockets of new peers, and closes those of peers that
    /// are gone.
    fn follow_table(&mut self) {
        self.shared.peers.expire(Instant::now());
        let table = self.shared.peers.table();
        if Arc::ptr_eq(&table, &self.table) {
            return;
        }
        let is_there = |link: &Arc<Link>| table.iter().any(|entry| Arc::ptr_eq(&entry.link, link));
        self.dialled.retain(|(link, _)| is_there(link));
        for entry in table.iter() {
            if let Some(dealer) = entry.link.take_dealer() {
                self.dialled.push((Arc::clone(&entry.link), dealer));
            }
        }
        let by_curve = |link: &Arc<Link>| (link.peer.curve_public, Arc::clone(link));
        self.senders = table.iter().map(|entry| by_curve(&entry.link)).collect();
        self.table = table;
    }

    /// Sleeps until there is work, and does a bounded amount of it.
    fn turn(&self, deliver: &dyn Fn(PublicKey, Vec<u8>)) -> zmq::Result<()> {
        let mut items = vec![
            self.wake_end.as_poll_item(),
            self.listener.socket.as_poll_item(zmq::POLLIN),
            self.listener.monitor.as_poll_item(),
        ];
        // A peer without an authenticated connection is not writable, so
        // what waits for it does not keep this thread awake.
        let waiting = self.dialled.iter();
        let waiting = waiting.filter(|(link, _)| !link.outbox.is_empty());
        items.extend(waiting.map(|(_, dealer)| dealer.as_poll_item(zmq::POLLOUT)));
        match zmq::poll(&mut items, limits::IDLE_MS) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error),
        }
        self.wake_end.clear();
        self.listener
            .monitor
            .count(&self.shared.counters.connections);
        for _ in 0..limits::RECEIVE_BATCH {
            match receive(&self.listener.socket, PARTS)? {
                Some(received) => self.take(received, deliver),
                None => break,
            }
        }
        self.flush();
        Ok(())
    }

    fn take(&self, mut received: Received, deliver: &dyn Fn(PublicKey, Vec<u8>)) {
        let counters = &self.shared.counters;
        let sender = if self.shared.encrypted {
            received.sender_key()
        } else {
            received.claimed_key()
        };
        let sender = sender.filter(|key| self.shared.peers.allows(key));
        let Some(link) = sender.and_then(|key| self.senders.get(&key)) else {
            return count(&counters.unknown_sender);
        };
        let [_, payload] = received.parts.as_slice() else {
            return count(&counters.malformed);
        };
        if received.excess {
            return count(&counters.malformed);
        }
        if payload.is_empty() {
            return count(&counters.empty);
        }
        if payload.len() > self.shared.frame_bytes_max {
            return count(&counters.oversize);
        }
        count(&link.outbox.counters.received);
        deliver(link.peer.key, payload.to_vec());
    }

    /// Hands each peer as much as its connection takes now.
    fn flush(&self) {
        for (link, dealer) in &self.dialled {
            for _ in 0..limits::SEND_BATCH {
                let Some(frame) = link.outbox.pop() else {
                    break;
                };
                match dealer.send(&*frame, zmq::DONTWAIT) {
                    Ok(()) => count(&link.outbox.counters.sent),
                    // Not connected, or the connection is full: wait.
                    Err(_) => {
                        link.outbox.put_back(frame);
                        break;
                    }
                }
            }
        }
    }
}
