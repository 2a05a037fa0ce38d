//! Claims about checking many messages together.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::crypto::{Ed25519Signer, Signer};
use crate::event::EventHeader;
use crate::fork::ForkProof;
use crate::id::Timestamp;
use crate::limits::Limits;
use crate::message::{BlockSignature, Known};
use crate::roster::{Roster, RosterMember};

fn signer(node: u16) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[node.to_le_bytes()[0] + 1; 32])
}

fn roster() -> Roster {
    let members =
        (0..4).map(|node| RosterMember::new(format!("node-{node}"), signer(node).public_key()));
    Roster::new(0, members.collect()).unwrap()
}

fn epoch() -> EpochStart {
    EpochStart {
        epoch: 0,
        anchor: Digest::ZERO,
        roster: roster(),
        me: None,
    }
}

fn verifier() -> Verifier {
    Verifier::new(epoch())
}

/// Signed by `signer`, which an honest creator is itself.
fn event_by(by: u16, creator: u16, timestamp: u64) -> Event {
    let header = EventHeader {
        anchor: Digest::ZERO,
        epoch: 0,
        creator: NodeIndex(creator),
        seq: 0,
        timestamp: Timestamp(timestamp),
        coin: 0,
        self_parent: None,
        other_parents: Vec::new(),
        transaction_count: 0,
        payload_digest: Digest::ZERO,
    };
    Event::create(header, &[Bytes::from_static(b"pay")], &signer(by))
}

fn event(creator: u16, timestamp: u64) -> Event {
    event_by(creator, creator, timestamp)
}

/// The same event with one bit of its signature changed: the same id.
fn damaged(event: &Event) -> Event {
    let mut bytes = event.encoded().to_vec();
    bytes[event.signed_bytes().len() - 32] ^= 1;
    let damaged = Event::decode(&bytes.into(), &Limits::STANDARD).unwrap();
    assert_eq!(damaged.id(), event.id());
    damaged
}

fn signature(signer_node: u16, index: u64) -> BlockSignature {
    let header = Digest([index.to_le_bytes()[0]; 32]);
    BlockSignature {
        epoch: 0,
        index,
        header,
        signer: NodeIndex(signer_node),
        signature: signer(signer_node).sign(&signing_bytes(&header)),
    }
}

fn ok(verdicts: &[Result<VerifiedMessage, VerifyError>]) -> Vec<bool> {
    verdicts.iter().map(Result::is_ok).collect()
}

#[test]
fn one_bad_message_is_named_and_the_others_pass() {
    let mut messages: Vec<Message> = (0..20)
        .map(|n| Message::Events(vec![event(1, n), event(2, n)]))
        .collect();
    messages[7] = Message::Events(vec![event(0, 99), event_by(1, 3, 99), event(2, 99)]);
    let mut foreign = event(1, 1);
    foreign = {
        let header = EventHeader {
            epoch: 5,
            ..foreign.header().clone()
        };
        Event::create(header, &[], &signer(1))
    };
    messages[9] = Message::Events(vec![foreign]);
    let verdicts = verifier().verify_all(messages);
    for (at, verdict) in verdicts.iter().enumerate() {
        match at {
            7 => assert_eq!(
                *verdict,
                Err(EventProblem::Signature(NodeIndex(3)).into()),
                "the first signature that does not hold"
            ),
            9 => assert_eq!(*verdict, Err(VerifyError::OtherEpoch)),
            _ => assert!(verdict.is_ok(), "message {at}: {verdict:?}"),
        }
    }
}

#[test]
fn a_verified_event_is_not_verified_again_but_its_id_vouches_for_no_other_signature() {
    let verifier = verifier();
    let seen = event(1, 1);
    let message = |event: &Event| Message::Events(vec![event.clone()]);
    let claims = |message: &Message| {
        let mut claims = Vec::new();
        verifier.collect(message, &mut claims).unwrap();
        claims.len()
    };
    assert_eq!(claims(&message(&seen)), 1);
    assert_eq!(
        ok(&verifier.verify_all(vec![message(&damaged(&seen))])),
        [false]
    );
    assert_eq!(ok(&verifier.verify_all(vec![message(&seen)])), [true]);
    assert_eq!(claims(&message(&seen)), 0, "it is known");
    assert_eq!(claims(&message(&damaged(&seen))), 1, "this one is not");
    assert_eq!(
        ok(&verifier.verify_all(vec![message(&damaged(&seen))])),
        [false]
    );
}

#[test]
fn what_is_remembered_is_bounded_and_the_newest_stays() {
    let mut verified = Verified::default();
    let first = event(1, 0);
    verified.keep(&first);
    let mut last = first.clone();
    for timestamp in 1..=REMEMBERED_MAX as u64 {
        last = unsigned(timestamp);
        verified.keep(&last);
        verified.keep(&last);
    }
    assert_eq!(verified.signatures.len(), REMEMBERED_MAX);
    assert_eq!(verified.order.len(), REMEMBERED_MAX);
    assert!(verified.holds(&last));
    assert!(!verified.holds(&first));
}

/// An event that only has to have an id of its own.
fn unsigned(timestamp: u64) -> Event {
    let header = event(1, 0).header().clone();
    let header = EventHeader {
        timestamp: Timestamp(timestamp),
        ..header
    };
    let nobody = crate::crypto::NullSigner(signer(1).public_key());
    Event::create(header, &[], &nobody)
}

/// Honest and dishonest messages of every kind.
fn message() -> impl Strategy<Value = Message> {
    (0_u8..12, 0_u16..4, 0_u64..6).prop_map(|(kind, node, number)| match kind {
        0..=2 => Message::Events(vec![event(node, number), event((node + 1) % 4, number)]),
        3 => Message::Events(vec![event(0, number), event_by(node, 1, number)]),
        4 => Message::Events(vec![damaged(&event(node, number))]),
        5 => Message::Signatures(vec![signature(node, number), signature(0, number)]),
        6 => {
            let mut wrong = signature(node, number);
            wrong.index += 1;
            wrong.signer = NodeIndex(2);
            Message::Signatures(vec![signature(1, number), wrong])
        }
        7 => Message::Evidence(ForkProof::new(&event(node, 1), &event(node, 2)).unwrap()),
        8 => {
            let half = damaged(&event(node, 2));
            Message::Evidence(ForkProof::new(&event(node, 1), &half).unwrap())
        }
        9 => Message::Known(Known {
            counts: vec![1; 3 + usize::from(node % 2)],
            ..Known::default()
        }),
        10 => Message::Signatures(vec![BlockSignature {
            signer: NodeIndex(4),
            ..signature(node, number)
        }]),
        _ => Message::Events(Vec::new()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn together_each_message_is_judged_as_it_is_alone(
        messages in proptest::collection::vec(message(), 0..24)
    ) {
        let alone: Vec<bool> = messages
            .iter()
            .map(|message| message.clone().verify(&epoch()).is_ok())
            .collect();
        let verifier = verifier();
        prop_assert_eq!(ok(&verifier.verify_all(messages.clone())), alone.clone());
        // And again, when much of it is known.
        prop_assert_eq!(ok(&verifier.verify_all(messages)), alone);
    }
}
