//! Claims about the threads that check: order, verdicts and their end.

use std::sync::Mutex;

use dctrl_consensus::{
    Digest, Ed25519Signer, NodeIndex, Roster, RosterMember, Signature, Signer,
    certificate::signing_bytes,
    message::{BlockSignature, Known},
};

use super::*;

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

/// Puts all of it in, takes until so many have come and nothing more does, and
/// returns what came out of each node, in order.
fn checked(threads: usize, sent: &[(u16, Message)], good: usize) -> Vec<Vec<Message>> {
    let out = Arc::new(Mutex::new(vec![Vec::new(); usize::from(NODES)]));
    let note = |out: &Mutex<Vec<Vec<Message>>>, from: PublicKey, message: &VerifiedMessage| {
        let mut taken = out.lock().expect("nobody panicked");
        let node = (0..NODES).position(|node| signer(node).public_key() == from);
        taken[node.expect("a member")].push(message.message().clone());
    };
    let taken = Arc::clone(&out);
    let sink = move |from: PublicKey, message: VerifiedMessage, _bytes| {
        note(&taken, from, &message);
        true
    };
    let (woken, wakes) = std::sync::mpsc::channel();
    let wake = move || {
        // The test may be over.
        let _ = woken.send(());
    };
    let checker = Checker::start(Inbox::new(), rules(), Arc::default(), threads, sink, wake);
    let checker = checker.expect("threads");
    let mut here = |from, message, _bytes| note(&out, from, &message);
    for (from, message) in sent {
        let from = signer(*from).public_key();
        checker.inbox().put(from, message.encode().to_vec());
    }
    loop {
        let patience = match checker.take(false, &mut here) {
            Left::More => continue,
            Left::NothingFor(patience) => patience,
        };
        let came: usize = out
            .lock()
            .expect("nobody panicked")
            .iter()
            .map(Vec::len)
            .sum();
        let rest = Duration::from_millis(if came < good { 20_000 } else { 500 });
        let waits = patience.unwrap_or(rest);
        if wakes.recv_timeout(waits).is_err() && patience.is_none() {
            break;
        }
    }
    drop(checker);
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
    let out = checked(4, &sent, sent.len());
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
    let out = checked(2, &sent, 40);
    assert_eq!(out[0].len(), 40);
    assert_eq!((out[1].len(), out[2].len()), (0, 0));
}

#[test]
fn short_messages_are_checked_at_once_and_many_signatures_are_not() {
    let (given, pooled) = std::sync::mpsc::channel();
    let sink = move |_, message: VerifiedMessage, _| {
        // The receiver outlives the threads.
        let _ = given.send(message);
        true
    };
    let checker = Checker::start(Inbox::new(), rules(), Arc::default(), 1, sink, || {});
    let checker = checker.expect("threads");
    let mut at_once = Vec::new();
    let few = [signatures(0, 1, 1), signatures(0, 2, 1)].map(|message| message.encode());
    let frame = frame::join(&few).to_vec();
    checker.inbox().put(signer(0).public_key(), frame);
    let many = signatures(1, 1, HERE_SIGNATURES_MAX + 1);
    let mut here = |_, message: VerifiedMessage, _| at_once.push(message);
    assert_eq!(checker.take(false, &mut here), Left::NothingFor(None));
    let from = signer(1).public_key();
    checker.inbox().put(from, many.encode().to_vec());
    assert_eq!(checker.take(false, &mut here), Left::NothingFor(None));
    assert_eq!(at_once.len(), 2, "both of the frame");
    let pooled = pooled.recv().expect("it is checked");
    assert_eq!(pooled.message(), &many);
}

#[test]
fn the_threads_end_when_nobody_takes_their_messages_any_more() {
    let checker = Checker::start(
        Inbox::new(),
        rules(),
        Arc::default(),
        2,
        |_, _, _| false,
        || {},
    );
    let checker = checker.expect("threads");
    let long = signatures(0, 1, HERE_SIGNATURES_MAX + 1).encode().to_vec();
    checker.inbox().put(signer(0).public_key(), long);
    assert_eq!(
        checker.take(false, &mut |_, _, _| {}),
        Left::NothingFor(None)
    );
    drop(checker);
}
