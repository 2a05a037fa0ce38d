//! Peers that come and go while gossip runs.

use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use dctrl_net::NetError;
use dctrl_net::gossip::To;

use crate::gossip::{A, B, C, Node, config, endpoints, peer, start, start_with};
use crate::support::{eventually, free_endpoint};

fn tell(node: &Node, to: To, message: &'static [u8]) {
    node.gossip.send(to, &Bytes::from_static(message));
}

#[test]
fn a_node_that_joins_talks_with_all_and_disturbs_nobody() {
    let [one, two] = endpoints();
    let pair = [one.clone(), two.clone()];
    let (a, b) = (start(A, &pair), start(B, &pair));
    a.send(b"before");
    b.expect(A, b"before");
    let three = free_endpoint();
    let c = start(C, &[one, two.clone(), three.clone()]);
    for node in [&a, &b] {
        let all = vec![peer(A, &pair[0]), peer(B, &pair[1]), peer(C, &three)];
        node.gossip.set_peers(all).unwrap();
    }
    c.send(b"here I am");
    a.expect(C, b"here I am");
    b.expect(C, b"here I am");
    a.send(b"welcome");
    b.expect(A, b"welcome");
    c.expect(A, b"welcome");
    eventually("it is counted", || a.stats().peers[0].sent == 2);
    let rows = a.stats().peers;
    assert_eq!((rows.len(), rows[0].key), (2, B));
    assert_eq!(b.stats().connections.ended(), 0);
}

#[test]
fn who_gives_up_a_handshake_ends_no_connection() {
    let pair = endpoints();
    let (a, b) = (start(A, &pair), start(B, &pair));
    a.send(b"before");
    b.expect(A, b"before");
    let place = pair[1].strip_prefix("tcp://").unwrap();
    drop(TcpStream::connect(place).unwrap());
    eventually("it is counted", || b.stats().connections.disconnected >= 1);
    assert_eq!(b.stats().connections.ended(), 0);
    drop(a);
    eventually("a peer went", || b.stats().connections.ended() >= 1);
}

#[test]
fn a_removed_node_is_answered_for_a_while_but_told_nothing_more() {
    let pair = endpoints();
    let (a, b) = (start(A, &pair), start(B, &pair));
    a.send(b"member");
    b.expect(A, b"member");
    a.gossip.set_peers(Vec::new()).unwrap();
    a.send(b"for members");
    tell(&b, To::One(A), b"which blocks did I miss?");
    a.expect(B, b"which blocks did I miss?");
    tell(&a, To::One(B), b"these");
    b.expect(A, b"these");
    let rows = a.stats().peers;
    assert_eq!((rows.len(), rows[0].key, rows[0].leaving), (1, B, true));
    // It comes back before its time is over, on the same connection.
    a.gossip.set_peers(vec![peer(B, &pair[1])]).unwrap();
    a.send(b"member again");
    b.expect(A, b"member again");
    eventually("it is counted", || a.stats().peers[0].sent == 3);
    assert!(!a.stats().peers[0].leaving);
    assert_eq!(b.stats().connections.ended(), 0);
}

#[test]
fn a_removed_node_is_refused_when_its_time_is_over() {
    let pair = endpoints();
    let mut hasty = config(A, &pair);
    hasty.linger = Duration::ZERO;
    let (a, b) = (start_with(hasty), start(B, &pair));
    b.send(b"member");
    a.expect(B, b"member");
    a.gossip.set_peers(Vec::new()).unwrap();
    eventually("it is gone", || a.stats().peers.is_empty());
    b.send(b"still a member?");
    eventually("its open connection is ignored", || {
        a.stats().unknown_sender == 1
    });
    drop(b);
    let again = start(B, &pair);
    again.send(b"let me in");
    eventually("a new one is refused", || {
        a.stats().connections.handshake_refused > 0
    });
    assert!(a.inbox.try_recv().is_err());
}

#[test]
fn a_node_that_moves_is_found_at_its_new_place() {
    let pair = endpoints();
    let (a, b) = (start(A, &pair), start(B, &pair));
    a.send(b"here");
    b.expect(A, b"here");
    drop(b);
    let elsewhere = [pair[0].clone(), free_endpoint()];
    let b = start(B, &elsewhere);
    a.gossip.set_peers(vec![peer(B, &elsewhere[1])]).unwrap();
    a.send(b"there");
    b.expect(A, b"there");
    assert_eq!(a.stats().peers.len(), 1);
}

#[test]
fn peers_that_contradict_each_other_change_nothing() {
    let pair = endpoints();
    let (a, b) = (start(A, &pair), start(B, &pair));
    let twice = vec![peer(B, &pair[1]), peer(B, &pair[0])];
    assert!(matches!(
        a.gossip.set_peers(twice),
        Err(NetError::DuplicatePeer(B))
    ));
    let nowhere = vec![peer(C, "tcp://nowhere")];
    assert!(matches!(
        a.gossip.set_peers(nowhere),
        Err(NetError::Endpoint { .. })
    ));
    let many = (0..=255).map(|name| peer(dctrl_consensus::PublicKey([name; 32]), &pair[1]));
    assert!(matches!(
        a.gossip.set_peers(many.collect()),
        Err(NetError::TooMany { .. })
    ));
    a.send(b"as before");
    b.expect(A, b"as before");
}
