//! Claims about the light client's walk from roster to roster.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use std::time::{Duration, Instant};

use common::{cluster, signer};
use dctrl_consensus::certificate::{HEADER_VERSION, ROSTERS_KEPT_MAX, signing_bytes};
use dctrl_consensus::{
    BlockHeader, Certificate, CertificateError, ClusterId, Digest, NodeIndex, Roster, RosterChain,
    RosterChainError, RosterMember, RosterStep, Signer, Timestamp,
};

/// The roster with this number whose members are the nodes with these seeds.
fn roster(number: u64, nodes: &[usize]) -> Roster {
    let member =
        |&node: &usize| RosterMember::new(format!("node-{node}"), signer(node).public_key());
    Roster::new(number, nodes.iter().map(member).collect()).unwrap()
}

fn header(roster: &Roster, index: u64, next_roster: Digest) -> BlockHeader {
    BlockHeader {
        version: HEADER_VERSION,
        cluster: cluster(),
        epoch: index / 7,
        index,
        round: index,
        time: Timestamp(index),
        previous: Digest::ZERO,
        payload_root: Digest::ZERO,
        state_digest: Digest::ZERO,
        outputs_root: Digest::ZERO,
        roster: roster.hash(),
        next_roster,
    }
}

/// A header signed by members at these positions of `nodes`.
fn sign(header: BlockHeader, nodes: &[usize], positions: &[usize]) -> Certificate {
    let bytes = signing_bytes(&header.hash());
    let sign = |&position: &usize| {
        (
            NodeIndex(u16::try_from(position).unwrap()),
            signer(nodes[position]).sign(&bytes),
        )
    };
    Certificate {
        signatures: positions.iter().map(sign).collect(),
        header,
    }
}

const FIRST: [usize; 4] = [0, 1, 2, 3];
const SECOND: [usize; 4] = [0, 1, 2, 4];
const QUORUM: [usize; 3] = [0, 1, 2];

/// The step by which node 4 takes the place of node 3 at block 10.
fn step() -> RosterStep {
    let next = roster(1, &SECOND);
    RosterStep {
        certificate: sign(header(&roster(0, &FIRST), 10, next.hash()), &FIRST, &QUORUM),
        next,
    }
}

fn chain() -> RosterChain {
    RosterChain::new(cluster(), roster(0, &FIRST))
}

fn advanced() -> RosterChain {
    let mut chain = chain();
    let RosterStep { certificate, next } = step();
    chain.advance(&certificate, next).unwrap();
    chain
}

/// A certificate over a block that does not seal.
fn plain(number: u64, nodes: &[usize], index: u64) -> Certificate {
    sign(
        header(&roster(number, nodes), index, Digest::ZERO),
        nodes,
        &QUORUM,
    )
}

#[test]
fn a_quorum_hands_over_to_the_next_roster_and_to_no_other() {
    let mut chain = chain();
    let later = plain(1, &SECOND, 11);
    assert_eq!(
        chain.verify(&later),
        Err(RosterChainError::Unknown(roster(1, &SECOND).hash()))
    );
    let RosterStep { certificate, next } = step();
    chain.advance(&certificate, next.clone()).unwrap();
    assert_eq!((chain.newest(), chain.newest_after()), (&next, 10));
    assert_eq!(chain.verify(&later), Ok(&next));
    assert_eq!(chain.verify_newest(&later), Ok(&next));
    assert_eq!(chain.roster(0), Some(&roster(0, &FIRST)));
    assert_eq!(chain.roster(2), None);
}

#[test]
fn a_step_that_lacks_anything_is_refused_and_changes_nothing() {
    let genesis = roster(0, &FIRST);
    let good = step();
    let resealed = |next: Digest, index: u64, signers: &[usize]| {
        sign(header(&genesis, index, next), &FIRST, signers)
    };
    let refused = |certificate: &Certificate, next: &Roster| {
        let mut chain = chain();
        let error = chain.advance(certificate, next.clone()).unwrap_err();
        assert_eq!(chain, self::chain(), "a refused step leaves no trace");
        error
    };
    let other = roster(1, &[0, 1, 2, 5]);
    assert_eq!(refused(&good.certificate, &other), RosterChainError::Other);
    let skipping = roster(2, &SECOND);
    assert_eq!(
        refused(&resealed(skipping.hash(), 10, &QUORUM), &skipping),
        RosterChainError::Number {
            found: 2,
            newest: 0
        }
    );
    assert_eq!(
        refused(&resealed(good.next.hash(), 10, &[0, 1]), &good.next),
        RosterChainError::Certificate(CertificateError::Quorum {
            signed: 2,
            needed: 3
        })
    );
    for unchanged in [Digest::ZERO, genesis.hash()] {
        assert_eq!(
            refused(&resealed(unchanged, 10, &QUORUM), &good.next),
            RosterChainError::Unchanged
        );
    }
    let mut forged = good.certificate.clone();
    forged.signatures[1].1 = forged.signatures[0].1;
    assert_eq!(
        refused(&forged, &good.next),
        RosterChainError::Certificate(CertificateError::Signature(NodeIndex(1)))
    );
    assert!(matches!(
        refused(&resealed(good.next.hash(), 0, &QUORUM), &good.next),
        RosterChainError::Outside { index: 0, .. }
    ));
    let mut foreign = good.certificate.header.clone();
    foreign.cluster = ClusterId(Digest([9; 32]));
    assert_eq!(
        refused(&sign(foreign, &FIRST, &QUORUM), &good.next),
        RosterChainError::Certificate(CertificateError::Cluster)
    );
}

#[test]
fn a_seal_that_keeps_the_members_is_no_step_and_its_certificate_holds() {
    let genesis = roster(0, &FIRST);
    let seal = sign(header(&genesis, 5, genesis.hash()), &FIRST, &QUORUM);
    assert!(seal.header.seals());
    assert_eq!(chain().verify(&seal), Ok(&genesis));
    assert_eq!(
        chain().advance(&seal, genesis),
        Err(RosterChainError::Unchanged)
    );
}

#[test]
fn an_old_roster_proves_its_own_time_and_orders_nothing() {
    let chain = advanced();
    let genesis = roster(0, &FIRST);
    // The sealing block itself is still of the old roster's time.
    for index in [1, 9, 10] {
        let history = plain(0, &FIRST, index);
        assert_eq!(chain.verify(&history), Ok(&genesis));
        assert_eq!(
            chain.verify_newest(&history),
            Err(RosterChainError::Superseded { of: 0, newest: 1 })
        );
    }
    // All members of the old roster together cannot speak after its end.
    let late = sign(header(&genesis, 11, Digest::ZERO), &FIRST, &[0, 1, 2, 3]);
    assert_eq!(
        chain.verify(&late),
        Err(RosterChainError::Outside {
            index: 11,
            first: 1,
            last: 10
        })
    );
    // Nor does the new one answer for what was before it.
    assert!(matches!(
        chain.verify(&plain(1, &SECOND, 10)),
        Err(RosterChainError::Outside { index: 10, .. })
    ));
}

#[test]
fn removed_nodes_cannot_lead_the_chain_elsewhere() {
    let mut chain = advanced();
    let usurped = roster(2, &[3, 5, 6, 7]);
    // The whole old roster signs a later seal: it has been superseded.
    let fork = sign(
        header(&roster(0, &FIRST), 12, usurped.hash()),
        &FIRST,
        &[0, 1, 2, 3],
    );
    assert_eq!(
        chain.advance(&fork, usurped.clone()),
        Err(RosterChainError::Superseded { of: 0, newest: 1 })
    );
    // The removed node claims its old seat under the new roster's name.
    let mut seat = sign(
        header(&roster(1, &SECOND), 12, usurped.hash()),
        &SECOND,
        &[0, 1],
    );
    let bytes = signing_bytes(&seat.header.hash());
    seat.signatures.push((NodeIndex(3), signer(3).sign(&bytes)));
    assert_eq!(
        chain.advance(&seat, usurped.clone()),
        Err(RosterChainError::Certificate(CertificateError::Signature(
            NodeIndex(3)
        )))
    );
    // The first step again is no step.
    let RosterStep { certificate, next } = step();
    assert_eq!(
        chain.advance(&certificate, next),
        Err(RosterChainError::Number {
            found: 1,
            newest: 1
        })
    );
    assert_eq!(chain, advanced());
}

#[test]
fn steps_and_chains_survive_their_encoding_and_damage_is_seen() {
    let step = step();
    assert_eq!(RosterStep::decode(&step.encode()).unwrap(), step);
    let chain = advanced();
    let bytes = chain.encode();
    assert_eq!(RosterChain::decode(&bytes).unwrap(), chain);
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        assert!(RosterChain::decode(&damaged).is_err());
        assert!(RosterChain::decode(&bytes[..position]).is_err());
    }
    let encoded = step.encode();
    for cut in 0..encoded.len() {
        assert!(RosterStep::decode(&encoded[..cut]).is_err());
    }
    let roster = roster(7, &SECOND);
    assert_eq!(Roster::decode(&roster.encode()).unwrap(), roster);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test measures")]
fn a_thousand_steps_are_walked_in_seconds_and_memory_is_bounded() {
    let mut chain = chain();
    let members = |number: u64| -> [usize; 4] {
        let seed = usize::try_from(number).unwrap();
        [
            seed % 200,
            (seed + 1) % 200,
            (seed + 2) % 200,
            (seed + 3) % 200,
        ]
    };
    let genesis = roster(0, &members(0));
    assert_eq!(*chain.newest(), genesis);
    let steps: Vec<RosterStep> = (0..ROSTERS_KEPT_MAX as u64)
        .map(|number| {
            let next = roster(number + 1, &members(number + 1));
            let at = header(&roster(number, &members(number)), number + 1, next.hash());
            RosterStep {
                certificate: sign(at, &members(number), &QUORUM),
                next,
            }
        })
        .collect();
    let begin = Instant::now();
    for step in &steps[..1000] {
        chain.advance(&step.certificate, step.next.clone()).unwrap();
    }
    let took = begin.elapsed();
    println!(
        "1,000 steps of four members: {took:?}, {} bytes",
        chain.encode().len()
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    for step in &steps[1000..] {
        chain.advance(&step.certificate, step.next.clone()).unwrap();
    }
    // The oldest roster is forgotten: it is as unknown as a foreign one.
    assert_eq!(chain.roster(0), None);
    assert!(chain.roster(1).is_some());
    assert_eq!(
        chain.verify(&steps[0].certificate),
        Err(RosterChainError::Unknown(genesis.hash()))
    );
}
