//! Gossip between two nodes, and what strangers cannot do to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use dctrl_consensus::PublicKey;
use dctrl_net::NetError;
use dctrl_net::gossip::{Gossip, GossipConfig, GossipStats, Outlet, Peer, To};
use dctrl_net::limits::{FRAME_BYTES_MAX, PEER_QUEUE_FRAMES_MAX};
use dctrl_net::wake::{self, Waker};
use dctrl_net::zap::{Domain, Zap};
use zmq::Context;

use crate::support::{
    PATIENCE, client, eventually, free_endpoint, public, secret, throw_garbage, zap,
};

pub(crate) const A: PublicKey = PublicKey([0; 32]);
pub(crate) const B: PublicKey = PublicKey([1; 32]);
pub(crate) const C: PublicKey = PublicKey([2; 32]);

/// Long enough that nobody is refused within a test.
const LINGER: Duration = Duration::from_secs(600);

/// A node whose gossip a thread polls until it is dropped.
pub(crate) struct Node {
    pub(crate) gossip: Outlet,
    endpoint: String,
    zap: Zap,
    pub(crate) inbox: Receiver<(PublicKey, Vec<u8>)>,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A node by its key, whose CURVE key has the same name.
pub(crate) fn peer(key: PublicKey, endpoint: &str) -> Peer {
    Peer {
        key,
        endpoint: endpoint.to_owned(),
        curve_public: public(key.0[0]),
    }
}

/// Node `me` of those that listen at `endpoints`; its key is its position.
pub(crate) fn config(me: PublicKey, endpoints: &[String]) -> GossipConfig {
    let peers = [A, B, C].into_iter().zip(endpoints);
    GossipConfig {
        zap: zap(&[]),
        me,
        listen: endpoints[usize::from(me.0[0])].clone(),
        curve_secret: secret(me.0[0]),
        peers: peers.map(|(key, endpoint)| peer(key, endpoint)).collect(),
        linger: LINGER,
        unanswered_max: PATIENCE,
        frame_bytes_max: FRAME_BYTES_MAX,
        encrypted: true,
    }
}

pub(crate) fn start(me: PublicKey, endpoints: &[String]) -> Node {
    start_with(config(me, endpoints))
}

pub(crate) fn start_with(config: GossipConfig) -> Node {
    let (sender, inbox) = mpsc::channel();
    let zap = config.zap.clone();
    let (waker, wake_end) = wake::pair().unwrap();
    let waker = Arc::new(waker);
    let mut gossip = Gossip::open(config, waker.clone(), wake_end).unwrap();
    let (outlet, endpoint) = (gossip.outlet(), gossip.endpoint().to_owned());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = thread::spawn(move || {
        let mut deliver = |from, bytes| {
            let _ = sender.send((from, bytes));
        };
        while !stopped.load(Ordering::SeqCst) {
            gossip.turn(PATIENCE, &mut deliver).unwrap();
        }
    });
    Node {
        gossip: outlet,
        endpoint,
        zap,
        inbox,
        waker,
        stop,
        thread: Some(thread),
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.waker.wake();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn open(config: GossipConfig) -> Result<Gossip, NetError> {
    let (waker, wake_end) = wake::pair().unwrap();
    Gossip::open(config, Arc::new(waker), wake_end)
}

/// Whichever side notices first that the handshake cannot work hangs up, and
/// the other sees no more than that.
fn failed_handshakes(node: &Node) -> u64 {
    let seen = node.stats().connections;
    seen.handshake_protocol + seen.handshake_other
}

pub(crate) fn endpoints() -> [String; 2] {
    [free_endpoint(), free_endpoint()]
}

impl Node {
    pub(crate) fn send(&self, message: &'static [u8]) {
        self.gossip.send(To::All, &Bytes::from_static(message));
    }

    pub(crate) fn expect(&self, from: PublicKey, message: &[u8]) {
        let (sender, bytes) = self.inbox.recv_timeout(PATIENCE).unwrap();
        assert_eq!((sender, &bytes[..]), (from, message));
    }

    pub(crate) fn stats(&self) -> GossipStats {
        self.gossip.stats()
    }
}

#[test]
fn two_nodes_exchange_messages_and_know_the_sender() {
    let endpoints = endpoints();
    let (a, b) = (start(A, &endpoints), start(B, &endpoints));
    a.send(b"hello");
    b.expect(A, b"hello");
    b.gossip.send(To::One(A), &Bytes::from_static(b"hi"));
    a.expect(B, b"hi");
    eventually("it is counted", || b.stats().peers[0].sent == 1);
    let row = b.stats().peers[0];
    assert_eq!((row.key, row.received, row.dropped), (A, 1, 0));
}

#[test]
fn a_message_for_an_absent_peer_arrives_when_it_comes() {
    let endpoints = endpoints();
    let a = start(A, &endpoints);
    a.send(b"waiting");
    assert_eq!(a.stats().peers[0].sent, 0);
    let b = start(B, &endpoints);
    b.expect(A, b"waiting");
}

#[test]
fn a_queue_overflow_is_counted_and_send_never_blocks() {
    let a = start(A, &endpoints());
    for number in 0..PEER_QUEUE_FRAMES_MAX + 5 {
        a.gossip.send(To::One(B), &Bytes::from(number.to_string()));
    }
    // While the node tries to send a message, it is in no queue.
    eventually("it is counted", || {
        let row = a.stats().peers[0];
        (row.queued, row.dropped) == (PEER_QUEUE_FRAMES_MAX, 5)
    });
    assert_eq!(a.stats().peers[0].sent, 0);
}

#[test]
fn an_unknown_key_never_delivers() {
    let endpoints = endpoints();
    let (a, b) = (start(A, &endpoints), start(B, &endpoints));
    let stranger = client(zmq::DEALER, 77, B.0[0]);
    stranger.connect(&b.endpoint).unwrap();
    stranger.send("let me in", 0).unwrap();
    eventually("the key is refused", || {
        b.zap.allowed().refused().unknown_key > 0
    });
    a.send(b"known");
    b.expect(A, b"known");
    eventually("libzmq reports it", || {
        b.stats().connections.handshake_refused > 0
    });
}

#[test]
fn a_key_of_the_bus_is_unknown_to_gossip() {
    let endpoints = endpoints();
    let (a, b) = (start(A, &endpoints), start(B, &endpoints));
    b.zap.allowed().allow(Domain::Bus, public(78)).unwrap();
    let subscriber = client(zmq::DEALER, 78, B.0[0]);
    subscriber.connect(&b.endpoint).unwrap();
    subscriber.send("let me in", 0).unwrap();
    eventually("the key is refused", || {
        b.zap.allowed().refused().unknown_key > 0
    });
    a.send(b"known");
    b.expect(A, b"known");
}

#[test]
fn a_plain_socket_never_delivers() {
    let endpoints = endpoints();
    let (a, b) = (start(A, &endpoints), start(B, &endpoints));
    let plain = Context::new().socket(zmq::DEALER).unwrap();
    plain.set_linger(0).unwrap();
    plain.connect(&b.endpoint).unwrap();
    plain.send("no lock at all", 0).unwrap();
    eventually("the handshake fails", || failed_handshakes(&b) > 0);
    a.send(b"known");
    b.expect(A, b"known");
}

#[test]
fn a_stranger_at_a_peers_address_gets_nothing() {
    let endpoints = endpoints();
    let a = start(A, &endpoints);
    let mut stranger = config(B, &endpoints);
    stranger.curve_secret = secret(55);
    let stranger = start_with(stranger);
    a.send(b"for B only");
    eventually("the handshake fails", || {
        let seen = stranger.stats().connections;
        seen.handshake_protocol + seen.handshake_other > 0
    });
    assert!(stranger.inbox.try_recv().is_err());
    // While the node tries to send it, it is in no queue.
    eventually("it waits", || a.stats().peers[0].queued == 1);
    assert_eq!(a.stats().peers[0].sent, 0);
}

#[test]
fn a_revoked_peer_is_ignored_on_its_open_connection() {
    let endpoints = endpoints();
    let (a, b) = (start(A, &endpoints), start(B, &endpoints));
    a.send(b"before");
    b.expect(A, b"before");
    b.zap.allowed().revoke(Domain::Gossip, &public(A.0[0]));
    a.send(b"after");
    eventually("it is counted", || b.stats().unknown_sender == 1);
    assert!(b.inbox.try_recv().is_err());
}

#[test]
fn malformed_and_oversize_messages_are_counted_and_not_delivered() {
    let endpoints = endpoints();
    let b = start(B, &endpoints);
    let a = client(zmq::DEALER, A.0[0], B.0[0]);
    a.connect(&b.endpoint).unwrap();
    a.send_multipart(["two", "parts"], 0).unwrap();
    a.send_multipart(["three", "whole", "parts"], 0).unwrap();
    eventually("parts are counted", || b.stats().malformed == 2);
    a.send("", 0).unwrap();
    eventually("emptiness is counted", || b.stats().empty == 1);
    a.send(vec![0; FRAME_BYTES_MAX + 1], 0).unwrap();
    eventually("a little too long is counted", || b.stats().oversize == 1);
    a.send(vec![0; FRAME_BYTES_MAX], 0).unwrap();
    let (_, whole) = b.inbox.recv_timeout(PATIENCE).unwrap();
    assert_eq!(whole.len(), FRAME_BYTES_MAX);
    a.send(vec![0; 2 * FRAME_BYTES_MAX], 0).unwrap();
    eventually("far too long is cut off", || {
        b.stats().connections.disconnected > 0
    });
    // What goes into a connection that has just died is lost.
    eventually("it is still served", || {
        a.send("still served", 0).unwrap();
        let mut came = b.inbox.try_iter();
        came.any(|one| one == (A, b"still served".to_vec()))
    });
}

#[test]
fn own_messages_over_the_limit_are_not_sent() {
    let a = start(A, &endpoints());
    a.gossip
        .send(To::All, &Bytes::from(vec![0; FRAME_BYTES_MAX + 1]));
    a.gossip.send(To::All, &Bytes::new());
    assert_eq!(a.stats().own_oversize, 2);
    assert_eq!(a.stats().peers[0].queued, 0);
}

#[test]
fn garbage_on_the_port_leaves_gossip_alive() {
    let endpoints = endpoints();
    let (a, b) = (start(A, &endpoints), start(B, &endpoints));
    throw_garbage(&b.endpoint);
    eventually("garbage is counted", || failed_handshakes(&b) > 0);
    a.send(b"alive");
    b.expect(A, b"alive");
}

#[test]
fn a_stopped_node_starts_again_on_the_same_port() {
    let endpoints = endpoints();
    let a = start(A, &endpoints);
    for round in [b"one", b"two"] {
        let b = start(B, &endpoints);
        // What goes into a connection that has just died is lost.
        eventually("node A reaches it", || {
            a.send(round);
            b.inbox
                .try_iter()
                .any(|received| received == (A, round.to_vec()))
        });
        drop(b);
    }
}

#[test]
fn a_taken_port_and_a_doubled_peer_are_named_in_the_error() {
    let endpoints = endpoints();
    let a = start(A, &endpoints);
    let taken = open(config(A, &endpoints));
    let text = taken.err().unwrap().to_string();
    assert!(text.contains(&a.endpoint), "{text}");
    let mut doubled = config(B, &endpoints);
    doubled.peers[1] = Peer {
        key: C,
        ..doubled.peers[0].clone()
    };
    let error = open(doubled).err().unwrap();
    assert!(matches!(error, NetError::DuplicatePeer(C)), "{error}");
}

#[test]
fn a_context_has_one_authenticator() {
    let first = zap(&[]);
    let second = Zap::start(first.context(), first.allowed().clone());
    assert!(matches!(second.err().unwrap(), NetError::ZapTaken(_)));
    let context = first.context().clone();
    drop(first);
    assert!(Zap::start(&context, Default::default()).is_ok());
}
