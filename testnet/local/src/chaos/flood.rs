//! Hostile clients at every port of a federation: garbage, connections that say
//! nothing or almost nothing, and subscribers that do not read.
//!
//! All of it is bounded, on loopback, and ends when the flood is dropped.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dctrl_proto::v1::FollowRequest;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::{client::Client, random::Random};

/// Connections of each kind to one port at a time.
const CONNECTIONS: usize = 12;

/// Streams that one node is asked for at a time.
const STREAMS: usize = 24;

/// Garbage of one connection, bytes.
const GARBAGE_BYTES: usize = 8 << 10;

/// How long a connection that says nothing is held.
const HELD: Duration = Duration::from_secs(4);

/// Between two bytes of one that says almost nothing.
const SLOWLY: Duration = Duration::from_millis(300);

/// Between two attempts of one client.
const PAUSE: Duration = Duration::from_millis(150);

/// What ZMTP peers say first: signature, version, mechanism.
const ZMTP_GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    greeting[0] = 0xFF;
    greeting[8] = 1;
    greeting[9] = 0x7F;
    greeting[10] = 3;
    greeting[12] = b'C';
    greeting[13] = b'U';
    greeting[14] = b'R';
    greeting[15] = b'V';
    greeting[16] = b'E';
    greeting
};

/// What an HTTP/2 client says first.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A running flood.
pub(super) struct Flood {
    _clients: JoinSet<()>,
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Bytes that mean nothing.
    Garbage,
    /// A proper greeting, and then garbage.
    Greeting,
    /// Nothing.
    Silent,
    /// One byte at a time.
    Slow,
}

impl Flood {
    /// Begins it: `ports` are those of each node, gossip, bus, door and API;
    /// `attempts` counts what it tries.
    pub(super) fn begin(
        ports: &[[u16; 4]],
        nodes: &[Client],
        seed: u64,
        attempts: &Arc<AtomicU64>,
    ) -> Self {
        let mut clients = JoinSet::new();
        let mut number = 0u64;
        for port in ports.iter().flatten() {
            for manner in [
                Manner::Garbage,
                Manner::Greeting,
                Manner::Silent,
                Manner::Slow,
            ] {
                for _ in 0..CONNECTIONS {
                    number += 1;
                    let random = Random::part(seed, &format!("flood {number}"));
                    clients.spawn(knock(*port, manner, random, attempts.clone()));
                }
            }
        }
        for node in nodes {
            for _ in 0..STREAMS {
                clients.spawn(subscribe(node.clone(), attempts.clone()));
            }
        }
        Self { _clients: clients }
    }
}

async fn knock(port: u16, manner: Manner, mut random: Random, attempts: Arc<AtomicU64>) {
    loop {
        // Not all at once.
        tokio::time::sleep(PAUSE + Duration::from_millis(random.below(300))).await;
        attempts.fetch_add(1, Ordering::Relaxed);
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            // A node that closes on us does as it should.
            let _ = tokio::time::timeout(HELD, talk(stream, manner, &mut random)).await;
        }
    }
}

async fn talk(mut stream: TcpStream, manner: Manner, random: &mut Random) -> std::io::Result<()> {
    let garbage = |random: &mut Random| -> Vec<u8> {
        (0..GARBAGE_BYTES / 8)
            .flat_map(|_| random.next().to_le_bytes())
            .collect()
    };
    match manner {
        Manner::Garbage => stream.write_all(&garbage(random)).await?,
        Manner::Greeting => {
            let first: &[u8] = if random.chance(50) {
                &ZMTP_GREETING
            } else {
                HTTP2_PREFACE
            };
            stream.write_all(first).await?;
            stream.write_all(&garbage(random)).await?;
        }
        Manner::Silent => {}
        Manner::Slow => {
            for byte in ZMTP_GREETING {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(SLOWLY).await;
            }
        }
    }
    std::future::pending().await
}

/// Asks for everything that ever happened, and reads nothing of it.
async fn subscribe(node: Client, attempts: Arc<AtomicU64>) {
    loop {
        attempts.fetch_add(1, Ordering::Relaxed);
        if let Ok(stream) = node.grpc().follow(FollowRequest::default()).await {
            tokio::time::sleep(HELD).await;
            drop(stream);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_knocks_at_a_port_and_ends_when_it_is_dropped() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("port");
        let port = listener.local_addr().expect("bound").port();
        let attempts = Arc::new(AtomicU64::new(0));
        let flood = Flood::begin(&[[port; 4]], &[], 1, &attempts);
        for _ in 0..20 {
            listener.accept().await.expect("knocks");
        }
        assert!(attempts.load(Ordering::Relaxed) >= 20);
        drop(flood);
        // Its clients go when the scheduler comes to them.
        while Arc::strong_count(&attempts) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
