//! Who the peers are, which may change while gossip runs.
//!
//! Callers change the table under its lock; the gossip thread sees the new one
//! at its next turn and takes over the sockets of new peers from it. A peer
//! that stays keeps its connection, its queue and its counters.
//!
//! A peer that is removed is served on for a while, so that it can fetch the
//! blocks up to its removal. Nothing that is meant for all goes to it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dctrl_consensus::PublicKey;
use zmq::Socket;

use super::Peer;
use super::outbox::Outbox;
use crate::error::NetError;
use crate::limits::{self, PEERS_MAX};
use crate::socket::{self, Bounds, curve_public};
use crate::zap::{Domain, Zap};

/// A peer with everything that is kept for it.
pub(super) struct Link {
    pub(super) peer: Peer,
    pub(super) outbox: Outbox,
    /// The socket on its way to the gossip thread.
    dealer: Mutex<Option<Socket>>,
}

/// A peer of the present table.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) link: Arc<Link>,
    /// When it is refused, where it was removed.
    pub(super) leaves_at: Option<Instant>,
}

/// The peers at one time; those that leave come last.
pub(super) type Table = Arc<Vec<Entry>>;

/// The table, and what is needed to change it.
pub(super) struct Peers {
    zap: Zap,
    me: PublicKey,
    curve_secret: [u8; 32],
    bounds: Bounds,
    linger: Duration,
    table: Mutex<Table>,
}

impl Link {
    /// The socket, for the first who asks.
    pub(super) fn take_dealer(&self) -> Option<Socket> {
        let mut dealer = self.dealer.lock().unwrap_or_else(PoisonError::into_inner);
        dealer.take()
    }
}

impl Peers {
    pub(super) fn new(
        zap: Zap,
        me: PublicKey,
        curve_secret: [u8; 32],
        bounds: Bounds,
        linger: Duration,
    ) -> Self {
        Self {
            zap,
            me,
            curve_secret,
            bounds,
            linger,
            table: Mutex::default(),
        }
    }

    /// The peers as they are now.
    pub(super) fn table(&self) -> Table {
        Arc::clone(&self.lock())
    }

    /// Whether this CURVE key may speak now.
    pub(super) fn allows(&self, curve: &[u8; 32]) -> bool {
        self.zap.allowed().contains(Domain::Gossip, curve)
    }

    /// Makes `wanted` the peers. All of it happens, or nothing.
    pub(super) fn set(&self, wanted: Vec<Peer>, now: Instant) -> Result<(), NetError> {
        let wanted: Vec<Peer> = wanted
            .into_iter()
            .filter(|one| one.key != self.me)
            .collect();
        check(&wanted, &curve_public(&self.curve_secret))?;
        let mut table = self.lock();
        let mut next = Vec::with_capacity(wanted.len());
        for peer in wanted {
            let kept = table.iter().find(|entry| entry.link.peer == peer);
            let link = match kept {
                Some(entry) => Arc::clone(&entry.link),
                None => self.dial(peer)?,
            };
            next.push(Entry {
                link,
                leaves_at: None,
            });
        }
        next.extend(self.leaving(&table, &next, now));
        self.admit(&table, &next)?;
        *table = Arc::new(next);
        Ok(())
    }

    /// Refuses those whose time is over; whether there were any.
    pub(super) fn expire(&self, now: Instant) {
        let mut table = self.lock();
        let over = |entry: &Entry| entry.leaves_at.is_some_and(|at| at <= now);
        if !table.iter().any(over) {
            return;
        }
        let next: Vec<Entry> = table.iter().filter(|entry| !over(entry)).cloned().collect();
        self.revoke(&table, &next);
        *table = Arc::new(next);
    }

    /// A new connection to this peer.
    pub(super) fn socket(&self, peer: &Peer) -> Result<Socket, NetError> {
        socket::dial(
            self.zap.context(),
            &self.curve_secret,
            &peer.curve_public,
            self.bounds,
            &peer.endpoint,
        )
    }

    fn dial(&self, peer: Peer) -> Result<Arc<Link>, NetError> {
        let dealer = self.socket(&peer)?;
        Ok(Arc::new(Link {
            peer,
            outbox: Outbox::default(),
            dealer: Mutex::new(Some(dealer)),
        }))
    }

    /// Those of the old table that are not in the new one, but for those whose
    /// place another one has taken. Those that have left first go first where
    /// there are too many.
    fn leaving(&self, old: &[Entry], new: &[Entry], now: Instant) -> Vec<Entry> {
        let replaced = |one: &Peer| {
            new.iter().any(|entry| {
                entry.link.peer.key == one.key || entry.link.peer.curve_public == one.curve_public
            })
        };
        let mut leaving: Vec<Entry> = old
            .iter()
            .filter(|entry| !replaced(&entry.link.peer))
            .map(|entry| Entry {
                link: Arc::clone(&entry.link),
                leaves_at: entry.leaves_at.or(Some(now + self.linger)),
            })
            .collect();
        leaving.sort_by_key(|entry| std::cmp::Reverse(entry.leaves_at));
        leaving.truncate(PEERS_MAX);
        leaving
    }

    /// Lets the keys of the new table in and no others; where that fails, the
    /// keys of the old one.
    fn admit(&self, old: &[Entry], new: &[Entry]) -> Result<(), NetError> {
        for entry in new {
            let key = entry.link.peer.curve_public;
            if let Err(error) = self.zap.allowed().allow(Domain::Gossip, key) {
                self.revoke(new, old);
                return Err(error);
            }
        }
        self.revoke(old, new);
        Ok(())
    }

    /// Takes in the keys of `gone` that `left` does not have.
    fn revoke(&self, gone: &[Entry], left: &[Entry]) {
        let left: BTreeSet<[u8; 32]> = curves(left).collect();
        for key in curves(gone).filter(|key| !left.contains(key)) {
            self.zap.allowed().revoke(Domain::Gossip, &key);
        }
    }

    // A table is replaced whole, so one that a panicking thread left is good.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn curves(table: &[Entry]) -> impl Iterator<Item = [u8; 32]> {
    table.iter().map(|entry| entry.link.peer.curve_public)
}

fn check(peers: &[Peer], own_curve: &[u8; 32]) -> Result<(), NetError> {
    if peers.len() > limits::PEERS_MAX {
        return Err(NetError::TooMany {
            what: "gossip peers",
            max: limits::PEERS_MAX,
        });
    }
    let mut keys = BTreeSet::new();
    let mut curves = BTreeSet::from([own_curve]);
    for peer in peers {
        if !keys.insert(&peer.key) || !curves.insert(&peer.curve_public) {
            return Err(NetError::DuplicatePeer(peer.key));
        }
    }
    Ok(())
}
