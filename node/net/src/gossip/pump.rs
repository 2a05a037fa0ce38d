//! The thread that owns the gossip sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dctrl_consensus::NodeIndex;
use zmq::Socket;

use super::Peer;
use super::outbox::Outbox;
use super::stats::count;
use crate::limits;
use crate::received::{Received, receive};
use crate::socket::Listener;
use crate::wake::WakeEnd;
use crate::zap::{Domain, Zap};

/// Routing id and payload.
const PARTS: usize = 2;

pub(super) struct Pump {
    zap: Zap,
    listener: Listener,
    /// In the order of `shared.peers`.
    dealers: Vec<Socket>,
    /// Position in `shared.peers` and roster index by CURVE key.
    senders: BTreeMap<[u8; 32], (usize, NodeIndex)>,
    wake_end: WakeEnd,
    shared: Arc<Outbox>,
}

impl Pump {
    pub(super) fn new(
        peers: &[Peer],
        zap: Zap,
        listener: Listener,
        dealers: Vec<Socket>,
        wake_end: WakeEnd,
        shared: Arc<Outbox>,
    ) -> Self {
        let senders = peers.iter().enumerate();
        let senders = senders.map(|(place, peer)| (peer.curve_public, (place, peer.index)));
        Self {
            zap,
            listener,
            dealers,
            senders: senders.collect(),
            wake_end,
            shared,
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(self, deliver: &dyn Fn(NodeIndex, Vec<u8>)) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if let Err(error) = self.turn(deliver) {
                tracing::error!(%error, "gossip ends: its context is gone");
                break;
            }
        }
        drop(self.dealers);
        self.listener.close();
    }

    /// Sleeps until there is work, and does a bounded amount of it.
    fn turn(&self, deliver: &dyn Fn(NodeIndex, Vec<u8>)) -> zmq::Result<()> {
        let mut items = vec![
            self.wake_end.as_poll_item(),
            self.listener.socket.as_poll_item(zmq::POLLIN),
            self.listener.monitor.as_poll_item(),
        ];
        // A peer without an authenticated connection is not writable, so
        // what waits for it does not keep this thread awake.
        let waiting = self.dealers.iter().zip(&self.shared.peers);
        let waiting = waiting.filter(|(_, peer)| !peer.is_empty());
        items.extend(waiting.map(|(dealer, _)| dealer.as_poll_item(zmq::POLLOUT)));
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

    fn take(&self, mut received: Received, deliver: &dyn Fn(NodeIndex, Vec<u8>)) {
        let counters = &self.shared.counters;
        let sender = received.sender_key().filter(|key| {
            let allowed = self.zap.allowed();
            allowed.contains(Domain::Gossip, key)
        });
        let Some((place, index)) = sender.and_then(|key| self.senders.get(&key).copied()) else {
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
        count(&self.shared.peers[place].counters.received);
        deliver(index, payload.to_vec());
    }

    /// Hands each peer as much as its connection takes now.
    fn flush(&self) {
        for (dealer, peer) in self.dealers.iter().zip(&self.shared.peers) {
            for _ in 0..limits::SEND_BATCH {
                let Some(frame) = peer.pop() else { break };
                match dealer.send(&*frame, zmq::DONTWAIT) {
                    Ok(()) => count(&peer.counters.sent),
                    // Not connected, or the connection is full: wait.
                    Err(_) => {
                        peer.put_back(frame);
                        break;
                    }
                }
            }
        }
    }
}
