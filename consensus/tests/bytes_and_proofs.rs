//! Claims about encodings and certificates.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use bytes::Bytes;
use common::{cluster, first_epoch, roster, signer};
use dctrl_consensus::certificate::{HEADER_VERSION, signing_bytes};
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::event::{Event, EventHeader, ParentRef};
use dctrl_consensus::message::{
    BlockRequest, BlockSignature, Blocks, BlocksGone, Known, Message, Request, VerifyError, decode,
};
use dctrl_consensus::snapshot::{
    SEALS_OFFERED_MAX, STATE_CHUNK_BYTES_MAX, SealOffer, StateAnswer, StateQuestion,
};
use dctrl_consensus::{
    BlockHeader, Certificate, CertificateError, ClusterId, DecodeError, Digest, EpochStart,
    ForkProof, Limits, NodeIndex, Roster, RosterStep, Signer, Timestamp,
};
use proptest::prelude::*;

fn header() -> BlockHeader {
    BlockHeader {
        version: HEADER_VERSION,
        cluster: cluster(),
        epoch: 0,
        index: 5,
        round: 9,
        time: Timestamp(1_234_567),
        previous: Digest([1; 32]),
        payload_root: Digest([2; 32]),
        state_digest: Digest([3; 32]),
        outputs_root: Digest([4; 32]),
        roster: roster(4).hash(),
        next_roster: Digest::ZERO,
    }
}

fn certificate(signers: &[usize]) -> Certificate {
    let header = header();
    let bytes = signing_bytes(&header.hash());
    let sign = |&node: &usize| {
        (
            NodeIndex(u16::try_from(node).unwrap()),
            signer(node).sign(&bytes),
        )
    };
    Certificate {
        signatures: signers.iter().map(sign).collect(),
        header,
    }
}

fn event(timestamp: u64) -> Event {
    let parent = |creator| ParentRef {
        creator: NodeIndex(creator),
        seq: 7,
        id: Digest([9; 32]),
    };
    let header = EventHeader {
        anchor: cluster().0,
        epoch: 0,
        creator: NodeIndex(1),
        seq: 3,
        timestamp: Timestamp(timestamp),
        coin: 0xdead_beef,
        self_parent: Some(Digest([8; 32])),
        other_parents: vec![parent(0), parent(3)],
        transaction_count: 0,
        payload_digest: Digest::ZERO,
    };
    Event::create(
        header,
        &[Bytes::from_static(b"one"), Bytes::from_static(b"two")],
        &signer(1),
    )
}

fn messages() -> Vec<Message> {
    let signature = BlockSignature {
        epoch: 0,
        index: 5,
        header: Digest([6; 32]),
        signer: NodeIndex(2),
        signature: signer(2).sign(&signing_bytes(&Digest([6; 32]))),
    };
    vec![
        Message::Events(vec![event(1), event(2)]),
        Message::Known(Known {
            epoch: 0,
            counts: vec![1, 2, 3, 4],
            asks: Some(8),
            answers: None,
            signed: 5,
            final_index: 4,
            forked: vec![NodeIndex(2)],
        }),
        Message::Request(Request {
            epoch: 0,
            ranges: vec![(NodeIndex(1), 2, 9)],
            ids: vec![Digest([5; 32])],
        }),
        Message::Signatures(vec![signature]),
        Message::Evidence(ForkProof::new(&event(1), &event(2)).unwrap()),
        Message::BlockRequest(BlockRequest {
            index: 7,
            offset: 9,
        }),
        Message::Blocks(Blocks {
            index: 7,
            offset: 9,
            bytes: Bytes::from_static(b"part"),
        }),
        Message::Entrusted(Bytes::from_static(b"renew")),
    ]
    .into_iter()
    .chain(messages_about_states())
    .collect()
}

fn messages_about_states() -> Vec<Message> {
    vec![
        Message::BlocksGone(BlocksGone { index: 7, first: 9 }),
        Message::StateRequest(StateQuestion::Offers),
        Message::StateRequest(StateQuestion::Steps { after: 3 }),
        Message::StateRequest(StateQuestion::Manifest {
            manifest: Digest([1; 32]),
            offset: 5,
        }),
        Message::StateRequest(StateQuestion::Chunk {
            manifest: Digest([1; 32]),
            index: 5,
        }),
        Message::State(StateAnswer::Offers(vec![SealOffer {
            certificate: certificate(&[0, 1, 2]),
            manifest: Digest([1; 32]),
        }])),
        Message::State(StateAnswer::Steps {
            after: 3,
            steps: vec![RosterStep {
                certificate: certificate(&[0, 1, 2]),
                next: roster(4),
            }],
        }),
        Message::State(StateAnswer::Manifest {
            manifest: Digest([1; 32]),
            offset: 5,
            total: 9,
            bytes: Bytes::from_static(b"part"),
        }),
        Message::State(StateAnswer::Chunk {
            manifest: Digest([1; 32]),
            index: 5,
            bytes: Bytes::from_static(b"chunk"),
        }),
        Message::State(StateAnswer::Gone {
            manifest: Digest([1; 32]),
        }),
    ]
}

#[test]
fn the_bytes_on_the_wire_and_on_disk_are_frozen() {
    let hash = |bytes: &[u8]| sha256(b"", &[bytes]).to_string();
    let mut golden: Vec<String> = messages()
        .iter()
        .map(|message| hash(&message.encode()))
        .collect();
    golden.push(hash(&header().encode()));
    golden.push(hash(&certificate(&[0, 1, 2]).encode()));
    golden.push(event(1).id().to_string());
    golden.push(roster(4).hash().to_string());
    let frozen: Vec<&str> = include_str!("golden.txt").lines().collect();
    assert_eq!(golden, frozen, "a change of bytes is a new format version");
}

#[test]
fn every_message_survives_the_wire_and_its_signatures_hold() {
    for message in messages() {
        let read = decode(&message.encode(), &Limits::STANDARD).unwrap();
        assert_eq!(read, message);
        read.verify(&first_epoch(4)).unwrap();
    }
}

#[test]
fn an_answer_about_a_state_is_bounded_and_cut_nowhere() {
    let refused = |answer: StateAnswer| {
        let bytes = Message::State(answer).encode();
        matches!(
            decode(&bytes, &Limits::STANDARD),
            Err(DecodeError::TooLarge { .. })
        )
    };
    let offer = SealOffer {
        certificate: certificate(&[0, 1, 2]),
        manifest: Digest([1; 32]),
    };
    assert!(refused(StateAnswer::Offers(vec![
        offer;
        SEALS_OFFERED_MAX + 1
    ])));
    let chunk = |length| StateAnswer::Chunk {
        manifest: Digest([1; 32]),
        index: 0,
        bytes: Bytes::from(vec![0; length]),
    };
    assert!(!refused(chunk(STATE_CHUNK_BYTES_MAX)), "one fits");
    assert!(refused(chunk(STATE_CHUNK_BYTES_MAX + 1)));
    for message in messages() {
        let bytes = message.encode();
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut], &Limits::STANDARD).is_err());
        }
    }
}

#[test]
fn a_request_names_each_creator_once() {
    let request = |ranges: Vec<(NodeIndex, u64, u64)>| {
        let ids = Vec::new();
        let message = Message::Request(Request {
            epoch: 0,
            ranges,
            ids,
        });
        decode(&message.encode(), &Limits::STANDARD)
    };
    let (a, b) = ((NodeIndex(0), 0, 512), (NodeIndex(1), 0, 512));
    assert!(request(vec![a, b]).is_ok());
    assert!(request(vec![a, a]).is_err());
    assert!(request(vec![b, a]).is_err());
}

#[test]
fn a_message_for_another_federation_or_roster_does_not_verify() {
    let foreign = EpochStart {
        anchor: Digest([1; 32]),
        ..first_epoch(4)
    };
    let later = EpochStart {
        epoch: 7,
        ..first_epoch(4)
    };
    for message in messages() {
        let refused = |epoch: &EpochStart| message.clone().verify(epoch).is_err();
        let about_events = matches!(message, Message::Events(_));
        assert_eq!(refused(&foreign), about_events, "{message:?}");
        // Blocks prove themselves, and whoever is elsewhere says so.
        let signed = matches!(
            message,
            Message::Events(_) | Message::Signatures(_) | Message::Evidence(_)
        );
        assert_eq!(refused(&later), signed, "{message:?}");
        let outside = signed || matches!(message, Message::Known(_) | Message::Request(_));
        assert_eq!(refused(&first_epoch(1)), outside, "{message:?}");
    }
}

#[test]
fn what_is_signed_in_the_next_epoch_is_taken_and_accuses_nobody_if_the_roster_changed() {
    let before = EpochStart {
        epoch: 0,
        ..first_epoch(4)
    };
    let mut header = event(1).header().clone();
    header.epoch = 1;
    header.anchor = Digest([1; 32]);
    let good = Message::Events(vec![Event::create(header.clone(), &[], &signer(1))]);
    assert!(good.verify(&before).is_ok());
    let bad = Message::Events(vec![Event::create(header, &[], &signer(2))]);
    assert_eq!(bad.verify(&before), Err(VerifyError::OtherEpoch));
}

#[test]
fn a_certificate_of_a_quorum_holds_and_survives_its_encoding() {
    let certificate = certificate(&[0, 2, 3]);
    let read = Certificate::decode(&certificate.encode()).unwrap();
    assert_eq!(read, certificate);
    assert_eq!(read.verify(&roster(4), &cluster()), Ok(()));
}

#[test]
fn a_certificate_that_lacks_anything_proves_nothing() {
    let check = |certificate: &Certificate| certificate.verify(&roster(4), &cluster()).unwrap_err();
    assert_eq!(
        check(&certificate(&[0, 1])),
        CertificateError::Quorum {
            signed: 2,
            needed: 3
        }
    );
    assert_eq!(
        check(&certificate(&[0, 1, 1])),
        CertificateError::Order(NodeIndex(1))
    );
    assert_eq!(
        check(&certificate(&[0, 2, 1])),
        CertificateError::Order(NodeIndex(1))
    );
    assert_eq!(
        check(&certificate(&[0, 1, 4])),
        CertificateError::Stranger(NodeIndex(4))
    );
    let good = certificate(&[0, 1, 2]);
    let mut other = good.clone();
    other.header.state_digest = Digest([7; 32]);
    assert_eq!(check(&other), CertificateError::Signature(NodeIndex(0)));
    let mut swapped = good.clone();
    swapped.signatures[2].1 = swapped.signatures[1].1;
    assert_eq!(check(&swapped), CertificateError::Signature(NodeIndex(2)));
    assert_eq!(
        good.verify(&roster(4), &ClusterId::default()),
        Err(CertificateError::Cluster)
    );
    assert_eq!(
        good.verify(&roster(5), &cluster()),
        Err(CertificateError::Roster)
    );
    let later = Roster {
        number: 1,
        ..roster(4)
    };
    assert_eq!(
        good.verify(&later, &cluster()),
        Err(CertificateError::Roster)
    );
}

#[test]
fn one_event_signed_twice_is_no_fork_and_two_events_are() {
    assert!(ForkProof::new(&event(1), &event(1)).is_none());
    let proof = ForkProof::new(&event(2), &event(1)).unwrap();
    assert_eq!((proof.creator(), proof.seq()), (NodeIndex(1), 3));
    assert_eq!(proof, ForkProof::new(&event(1), &event(2)).unwrap());
}

#[test]
fn oversize_and_trailing_bytes_are_refused() {
    let limits = Limits::STANDARD;
    assert!(decode(&vec![0; limits.message_bytes_max + 1], &limits).is_err());
    for message in messages() {
        let mut bytes = message.encode().to_vec();
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut], &limits).is_err());
        }
        bytes.push(0);
        assert!(decode(&bytes, &limits).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes, &Limits::STANDARD);
        let _ = Certificate::decode(&bytes);
        let _ = BlockHeader::decode(&bytes);
    }

    #[test]
    fn what_a_mutated_message_decodes_to_encodes_to_the_same_bytes(
        which in 0_usize..5,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = messages()[which].encode().to_vec();
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(message) = decode(&bytes, &Limits::STANDARD) {
            prop_assert_eq!(&message.encode()[..], &bytes[..]);
            let _ = message.verify(&first_epoch(4));
        }
    }
}
