//! Claims about the threads that check: order, verdicts and their end.

use std::sync::{Mutex, mpsc::channel};

use dctrl_consensus::{
    Digest, Ed25519Signer, NodeIndex, Roster, RosterMember, Signature, Signer,
    certificate::signing_bytes,
    message::{BlockSignature, Known},
};

use super::*;
use crate::inbox;

const NODES: u16 = 4;

fn signer(node: u16) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[node.to_le_bytes()[0] + 1; 32])
}

fn rules() -> Rules {
    let members =
        (0..NODES).map(|node| RosterMember::new(format!("node-{node}"), signer(node).public_key()));
    let roster = Roster::new(0, members.collect()).expect("four members");
    let epoch = EpochStart {
        epoch: 0,
        anchor: Digest::ZERO,
        roster,
        me: None,
    };
    Rules::new(epoch, Limits::default())
}

/// A message that carries `number` and so many signatures.
fn signatures(node: u16, number: u64, count: usize) -> Message {
    let header = Digest([7; 32]);
    let signature = signer(node).sign(&signing_bytes(&header));
    let one = BlockSignature {
        epoch: 0,
        index: number,
        header,
        signer: NodeIndex(node),
        signature,
    };
    Message::Signatures(vec![one; count])
}

fn bad(node: u16) -> Message {
    let Message::Signatures(mut all) = signatures(node, 0, 1) else {
        unreachable!("made above")
    };
    all[0].signature = Signature([3; 64]);
    Message::Signatures(all)
}

/// Puts all of it in, waits for the end, and returns what came out of each
/// node, in order.
fn checked(threads: usize, sent: &[(u16, Message)]) -> Vec<Vec<Message>> {
    let (inbox, intake) = inbox::new();
    let out = Arc::new(Mutex::new(vec![Vec::new(); usize::from(NODES)]));
    let taken = Arc::clone(&out);
    let sink = move |from: PublicKey, message: VerifiedMessage, _bytes| {
        let mut taken = taken.lock().expect("nobody panicked");
        let node = (0..NODES).position(|node| signer(node).public_key() == from);
        taken[node.expect("a member")].push(message.message().clone());
        true
    };
    let checker = start(&intake, &rules(), threads, sink).expect("threads");
    for (from, message) in sent {
        inbox.put(signer(*from).public_key(), message.encode().to_vec());
    }
    drop(inbox);
    checker.join().expect("no panic");
    let out = out.lock().expect("nobody panicked");
    out.clone()
}

#[test]
fn each_peers_messages_come_out_in_their_order_short_or_long() {
    let mut sent = Vec::new();
    for number in 0..120 {
        for node in 0..NODES {
            // Some are long enough for the thread of the long ones.
            let count = if number % 17 == u64::from(node) {
                200
            } else {
                1
            };
            sent.push((node, signatures(node, number, count)));
        }
    }
    let out = checked(4, &sent);
    for node in 0..NODES {
        let expected: Vec<_> = sent.iter().filter(|(from, _)| *from == node).collect();
        let came = &out[usize::from(node)];
        assert_eq!(came.len(), expected.len(), "node {node}");
        for ((_, sent), came) in expected.iter().zip(came) {
            assert_eq!(sent, came, "node {node}");
        }
    }
}

#[test]
fn what_does_not_hold_is_refused_and_takes_no_honest_message_with_it() {
    let mut sent = Vec::new();
    for number in 0..40 {
        sent.push((0, signatures(0, number, 2)));
        sent.push((1, bad(1)));
        let other_roster = Known {
            counts: vec![0; 9],
            ..Known::default()
        };
        sent.push((2, Message::Known(other_roster)));
    }
    let out = checked(2, &sent);
    assert_eq!(out[0].len(), 40);
    assert_eq!((out[1].len(), out[2].len()), (0, 0));
}

#[test]
fn the_threads_end_when_nobody_takes_their_messages_any_more() {
    let (inbox, intake) = inbox::new();
    let (asked, was_asked) = channel();
    let sink = move |_, _, _| {
        // The receiver outlives the threads.
        let _ = asked.send(());
        false
    };
    let checker = start(&intake, &rules(), 2, sink).expect("threads");
    inbox.put(
        signer(0).public_key(),
        signatures(0, 1, 1).encode().to_vec(),
    );
    was_asked.recv().expect("the message is checked");
    checker.join().expect("no panic");
}
