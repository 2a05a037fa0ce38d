//! A relay for each directed link: whoever dials a node dials a port of ours,
//! and what passes is delayed, slowed, stalled, swallowed, torn or flipped as
//! the link's weather says.
//!
//! A link is named by who dials and who is dialled. Gossip dials once in each
//! direction, so a fault of one link is a fault of one direction.
//!
//! Deliberately absent: loss and reordering of packets, which TCP hides from
//! both ends in any case.

mod pump;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use super::weather::{Passage, Weather};
use crate::random::Random;

/// Who dials, and who is dialled.
pub(crate) type Link = (usize, usize);

/// Connections through one door of a link at a time; more are refused.
const CONNECTIONS_MAX: usize = 64;

/// How long the dialled side may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Pause after a failed accept, as when files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Weather, and how often all connections were to be reset.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sky {
    weather: Weather,
    resets: u64,
}

/// What relays have done.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    /// Bits flipped.
    pub(crate) flipped: AtomicU64,
    /// Connections torn down by a reset or a refusal.
    pub(crate) torn: AtomicU64,
    /// Bytes swallowed.
    pub(crate) swallowed: AtomicU64,
}

/// [`Deeds`] at one time.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct DeedCounts {
    bits_flipped: u64,
    connections_torn: u64,
    bytes_swallowed: u64,
}

impl Deeds {
    pub(crate) fn read(&self) -> DeedCounts {
        DeedCounts {
            bits_flipped: self.flipped.load(Ordering::Relaxed),
            connections_torn: self.torn.load(Ordering::Relaxed),
            bytes_swallowed: self.swallowed.load(Ordering::Relaxed),
        }
    }
}

/// All relays of a federation. Dropping them closes every connection.
#[derive(Debug)]
pub(crate) struct Relays {
    seed: u64,
    listens: Ipv4Addr,
    links: BTreeMap<Link, watch::Sender<Sky>>,
    doors: Vec<JoinHandle<()>>,
    deeds: Arc<Deeds>,
}

impl Relays {
    /// Relays that listen at an address of this machine.
    pub(crate) fn new(seed: u64, listens: Ipv4Addr) -> Self {
        Self {
            seed,
            listens,
            links: BTreeMap::new(),
            doors: Vec::new(),
            deeds: Arc::default(),
        }
    }

    /// Opens a door of `link` that leads to `target`, and gives its port.
    ///
    /// # Errors
    /// Where no port is to be had.
    pub(crate) async fn open(&mut self, link: Link, target: SocketAddr) -> Result<u16> {
        let listener = TcpListener::bind((self.listens, 0))
            .await
            .context("no port for a relay")?;
        let port = listener.local_addr()?.port();
        let sky = self
            .links
            .entry(link)
            .or_insert_with(|| watch::channel(Sky::default()).0);
        let random = Random::part(self.seed, &format!("door {}", self.doors.len()));
        let door = Door {
            target,
            sky: sky.subscribe(),
            deeds: self.deeds.clone(),
        };
        self.doors.push(tokio::spawn(door.serve(listener, random)));
        Ok(port)
    }

    /// Changes the weather of a link; nothing happens where there is none.
    pub(crate) fn set(&self, link: Link, weather: Weather) {
        if let Some(sky) = self.links.get(&link) {
            sky.send_modify(|sky| {
                sky.weather = weather;
                sky.resets += u64::from(weather.passage == Passage::Refused);
            });
        }
    }

    /// Resets every connection of a link.
    pub(crate) fn reset(&self, link: Link) {
        if let Some(sky) = self.links.get(&link) {
            sky.send_modify(|sky| sky.resets += 1);
        }
    }

    /// Fair weather on all links.
    pub(crate) fn clear(&self) {
        for link in self.links.keys() {
            self.set(*link, Weather::default());
        }
    }

    /// What was done up to now.
    pub(crate) fn deeds(&self) -> &Deeds {
        &self.deeds
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        for door in &self.doors {
            door.abort();
        }
    }
}

/// One port of a link.
#[derive(Clone)]
struct Door {
    target: SocketAddr,
    sky: watch::Receiver<Sky>,
    deeds: Arc<Deeds>,
}

impl Door {
    async fn serve(self, listener: TcpListener, mut random: Random) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok((client, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Whatever ends here ends as a cable does: without a farewell.
            let _ = client.set_zero_linger();
            let Ok(place) = places.clone().try_acquire_owned() else {
                continue;
            };
            let (door, random) = (self.clone(), Random::new(random.next()));
            connections.spawn(async move {
                door.connect(client, random).await;
                drop(place);
            });
        }
    }

    async fn connect(mut self, client: TcpStream, random: Random) {
        let Sky {
            weather,
            resets: before,
        } = *self.sky.borrow_and_update();
        match weather.passage {
            Passage::Open => {}
            Passage::Refused => {
                self.deeds.torn.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Passage::Swallowed => return pump::swallow(client, self.sky, &self.deeds).await,
            Passage::Stalled => {
                if pump::opened(&mut self.sky).await.is_err() {
                    return;
                }
            }
        }
        let connect = TcpStream::connect(self.target);
        let Ok(Ok(server)) = tokio::time::timeout(CONNECT_LIMIT, connect).await else {
            return;
        };
        let _ = server.set_zero_linger();
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut sky = self.sky.clone();
        let torn = sky.wait_for(|sky| sky.resets != before);
        tokio::select! {
            _ = torn => {
                self.deeds.torn.fetch_add(1, Ordering::Relaxed);
            }
            () = pump::both(client, server, &self.sky, &self.deeds, random) => {}
        }
    }
}

#[cfg(test)]
mod tests;
