//! The gossip sockets, in the hands of whoever polls them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dctrl_consensus::PublicKey;
use zmq::Socket;

use super::Shared;
use super::hearing::{Answered, Hearing};
use super::peers::{Link, Table};
use super::stats::count;
use super::timer::Timer;
use crate::error::NetError;
use crate::limits;
use crate::received::{Received, receive};
use crate::socket::Listener;
use crate::wake::WakeEnd;

/// Routing id and payload.
const PARTS: usize = 2;

/// How often answers are looked for at least: they are not worth a wake-up.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A connection that we have opened.
struct Dialled {
    link: Arc<Link>,
    socket: Socket,
    hearing: Hearing,
}

pub(super) struct Pump {
    listener: Listener,
    /// The table that `dialled` and `senders` were made from.
    table: Table,
    dialled: Vec<Dialled>,
    answered: Answered,
    /// When answers were last looked for.
    looked: Instant,
    /// By CURVE key.
    senders: BTreeMap<[u8; 32], Arc<Link>>,
    wake_end: WakeEnd,
    timer: Timer,
    shared: Arc<Shared>,
}

impl Pump {
    pub(super) fn new(
        listener: Listener,
        wake_end: WakeEnd,
        shared: Arc<Shared>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            timer: Timer::new()?,
            listener,
            table: Table::default(),
            dialled: Vec::new(),
            answered: Answered::default(),
            looked: Instant::now(),
            senders: BTreeMap::new(),
            wake_end,
            shared,
        })
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
        self.dialled.retain(|dialled| is_there(&dialled.link));
        for entry in table.iter() {
            if let Some(socket) = entry.link.take_dealer() {
                self.dialled.push(Dialled {
                    link: Arc::clone(&entry.link),
                    socket,
                    hearing: Hearing::new(Instant::now(), self.shared.unanswered_max),
                });
            }
        }
        let by_curve = |link: &Arc<Link>| (link.peer.curve_public, Arc::clone(link));
        self.senders = table.iter().map(|entry| by_curve(&entry.link)).collect();
        let senders = &self.senders;
        self.answered.keep(|key| senders.contains_key(key));
        self.table = table;
    }

    /// Sleeps until there is work, at most so long, and does a bounded amount
    /// of it.
    pub(super) fn turn(
        &mut self,
        patience: Duration,
        deliver: &mut dyn FnMut(PublicKey, Vec<u8>),
    ) -> Result<(), NetError> {
        self.flush();
        let poll_ms = self.timer.arm(self.patience(patience))?;
        let mut items = vec![
            self.timer.as_poll_item(),
            self.wake_end.as_poll_item(),
            self.listener.monitor.as_poll_item(),
            self.listener.socket.as_poll_item(zmq::POLLIN),
        ];
        // A peer without an authenticated connection is not writable, so
        // what waits for it does not keep this thread awake.
        let waiting = self.dialled.iter();
        let waiting = waiting.filter(|dialled| !dialled.link.outbox.is_empty());
        items.extend(waiting.map(|dialled| dialled.socket.as_poll_item(zmq::POLLOUT)));
        match zmq::poll(&mut items, poll_ms) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [rung, woken, counted, readable, writable @ ..] = items.as_slice() else {
            return Ok(());
        };
        let (rung, woken) = (rung.is_readable(), woken.is_readable());
        let (counted, readable) = (counted.is_readable(), readable.is_readable());
        let flushes = woken || writable.iter().any(zmq::PollItem::is_writable);
        drop(items);
        if rung {
            self.timer.clear()?;
        }
        if woken {
            self.wake_end.clear();
        }
        if counted {
            let connections = &self.shared.counters.connections;
            self.listener.monitor.count(connections);
        }
        if readable {
            self.receive(deliver)?;
        }
        if flushes {
            self.flush();
        }
        Ok(())
    }

    fn receive(&mut self, deliver: &mut dyn FnMut(PublicKey, Vec<u8>)) -> zmq::Result<()> {
        for _ in 0..limits::RECEIVE_BATCH {
            match receive(&self.listener.socket, PARTS)? {
                Some(received) => self.take(received, deliver),
                None => break,
            }
        }
        Ok(())
    }

    /// No longer than until a peer is to be refused.
    fn patience(&self, patience: Duration) -> Duration {
        let leaves = self.table.iter().filter_map(|entry| entry.leaves_at).min();
        let leaves = leaves.map(|at| at.saturating_duration_since(Instant::now()));
        leaves.map_or(patience, |leaves| patience.min(leaves))
    }

    /// Closes all connections and frees the port.
    pub(super) fn close(&mut self) {
        self.dialled.clear();
        self.listener.close();
    }

    fn take(&mut self, mut received: Received, deliver: &mut dyn FnMut(PublicKey, Vec<u8>)) {
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
        let [connection, payload] = received.parts.as_slice() else {
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
        let (now, silence_max) = (Instant::now(), self.shared.unanswered_max);
        let peer = link.peer.curve_public;
        if self.answered.is_due(peer, connection, now, silence_max) {
            // Who has gone, or reads nothing, goes without.
            let socket = &self.listener.socket;
            let begun = socket.send(&**connection, zmq::SNDMORE | zmq::DONTWAIT);
            let _ = begun.and_then(|()| socket.send(&b""[..], zmq::DONTWAIT));
        }
        deliver(link.peer.key, payload.to_vec());
    }

    /// Reads the answers of peers, and dials those anew who owe one.
    fn look(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.looked) < LOOK_EVERY {
            return;
        }
        self.looked = now;
        for dialled in &mut self.dialled {
            for _ in 0..limits::RECEIVE_BATCH {
                if dialled.socket.recv_msg(zmq::DONTWAIT).is_err() {
                    break;
                }
                dialled.hearing.heard(now);
            }
            if dialled.hearing.is_lost(now) {
                count(&dialled.link.outbox.counters.lost);
                tracing::debug!(peer = ?dialled.link.peer.key, "no answer; dialling again");
                match self.shared.peers.socket(&dialled.link.peer) {
                    Ok(socket) => dialled.socket = socket,
                    Err(error) => tracing::error!(%error, "a peer cannot be dialled again yet"),
                }
                dialled.hearing = Hearing::new(now, self.shared.unanswered_max);
            }
        }
    }

    /// Hands each peer as much as its connection takes now.
    pub(super) fn flush(&mut self) {
        self.follow_table();
        self.look();
        for dialled in &mut self.dialled {
            let outbox = &dialled.link.outbox;
            let mut sent = false;
            for _ in 0..limits::SEND_BATCH {
                let Some(frame) = outbox.pop() else {
                    break;
                };
                match dialled.socket.send(&*frame, zmq::DONTWAIT) {
                    Ok(()) => {
                        sent = true;
                        count(&outbox.counters.sent);
                    }
                    // Not connected, or the connection is full: wait.
                    Err(_) => {
                        dialled.hearing.stuck(Instant::now());
                        outbox.put_back(frame);
                        break;
                    }
                }
            }
            if sent {
                dialled.hearing.sent(Instant::now());
            }
        }
    }
}
