//! Peers that go at the worst moment, and connections that lead nowhere.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dctrl_net::gossip::{Gossip, To};
use dctrl_net::wake;

use crate::gossip::{A, B, config, peer, start_with};
use crate::relay::Relay;
use crate::support::{PATIENCE, eventually, free_endpoint};

/// More messages than the sender's and the receiver's queues and all buffers of
/// the kernel between them hold.
const FLOOD: usize = 600;

/// Of each of them, bytes.
const FLOOD_BYTES: usize = 64 * 1024;

/// Longer than the heartbeats of ZMTP were apart.
const HEARTBEATS: Duration = Duration::from_secs(6);

/// libzmq ends the process, so what may do that runs in one of its own.
#[test]
fn a_peer_that_goes_while_its_queue_is_full_does_not_end_the_process() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "lost_peers::child_with_a_full_queue",
            "--exact",
            "--ignored",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{}: {said}", child.status);
}

#[test]
#[ignore = "part of the test above, for a process of its own"]
fn child_with_a_full_queue() {
    let endpoints = [free_endpoint(), free_endpoint()];
    let open = |config| {
        let (waker, wake_end) = wake::pair().unwrap();
        Gossip::open(config, Arc::new(waker), wake_end).unwrap()
    };
    // Nobody polls it, as while its owner waits for a disk.
    let mut frozen = open(config(A, &endpoints));
    let relay = Relay::start(&endpoints[0]);
    let mut dialling = config(B, &endpoints);
    dialling.peers = vec![peer(A, &relay.endpoint)];
    let mut flooding = open(dialling);
    let message = Bytes::from(vec![7; FLOOD_BYTES]);
    for _ in 0..FLOOD {
        flooding.send(To::One(A), &message);
    }
    let mut nothing = |_, _| {};
    let mut stuck_at = (0, Instant::now());
    eventually("nothing more is taken", || {
        flooding.turn(Duration::ZERO, &mut nothing).unwrap();
        let sent = flooding.outlet().stats().peers[0].sent;
        if sent != stuck_at.0 {
            stuck_at = (sent, Instant::now());
        }
        sent > 64 && stuck_at.1.elapsed() > Duration::from_secs(3)
    });
    drop(relay);
    flooding.turn(HEARTBEATS, &mut nothing).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < HEARTBEATS {
        flooding.turn(HEARTBEATS, &mut nothing).unwrap();
    }
    let mut received = 0;
    eventually("it reads what had arrived", || {
        let mut count = |_, _| received += 1;
        frozen.turn(Duration::ZERO, &mut count).unwrap();
        received >= 64
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let mut count = |_, _| received += 1;
        frozen.turn(Duration::from_millis(100), &mut count).unwrap();
    }
}

#[test]
fn a_connection_that_swallows_everything_is_dialled_anew() {
    let endpoints = [free_endpoint(), free_endpoint()];
    let silence_max = Duration::from_millis(900);
    let quick = |mut config: dctrl_net::gossip::GossipConfig| {
        config.unanswered_max = silence_max;
        config
    };
    let listening = start_with(quick(config(A, &endpoints)));
    let relay = Relay::start(&endpoints[0]);
    let mut dialling = quick(config(B, &endpoints));
    dialling.peers = vec![peer(A, &relay.endpoint)];
    let dialling = start_with(dialling);
    dialling.send(b"before");
    assert_eq!(listening.inbox.recv_timeout(PATIENCE).unwrap().1, b"before");
    let (lost, connections) = (dialling.stats().peers[0].lost, relay.connections());
    relay.swallow();
    eventually("a message arrives by another connection", || {
        dialling.send(b"again");
        listening
            .inbox
            .recv_timeout(Duration::from_millis(50))
            .is_ok()
    });
    assert!(relay.connections() > connections);
    assert!(dialling.stats().peers[0].lost > lost);
}

/// libzmq takes such an answer for a reason never to connect there again.
#[test]
fn a_peer_in_whose_place_a_stranger_answered_is_dialled_anew() {
    let endpoints = [free_endpoint(), free_endpoint()];
    let stranger = TcpListener::bind(endpoints[0].trim_start_matches("tcp://")).unwrap();
    let mut dialling = config(B, &endpoints);
    dialling.unanswered_max = Duration::from_millis(600);
    let dialling = start_with(dialling);
    let (mut dialled, _) = stranger.accept().unwrap();
    dialled.write_all(b"HTTP/1.1 302 Found\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = dialled.read_to_end(&mut said);
    drop((dialled, stranger));

    let listening = start_with(config(A, &endpoints));
    eventually("a message arrives", || {
        dialling.send(b"again");
        listening
            .inbox
            .recv_timeout(Duration::from_millis(50))
            .is_ok()
    });
}
