//! The bytes on the wire and under signatures are frozen: a change of any of
//! them breaks running federations, so it must be seen and meant.
//!
//! After a meant change: `DCTRL_BLESS=1 cargo test -p dctrl-proto`.

use std::{env, fs, path::Path};

use dctrl_proto::{
    action::{action_id, body, signing_bytes},
    genesis::cluster_id,
    proposal::proposal_digest,
    receipt::{receipt_digest, receipts_digest},
    v1::{
        ActionBody, Beacon, BlockApplied, BusBody, BusFrame, DoorRequest, FiatPrice, Genesis,
        Machine, MachineReceipt, MerkleProof, Node, NodeAdd, NodeApproval, NodeApprove, NodeChange,
        NodeLeave, NodeProposal, NodeReincarnate, NodeRemove, NodeRenew, NodeReplace, NodeRoster,
        NodeUpdate, Order, Outcome, Outpoint, PaymentObserve, PaymentView, Policy, Product,
        ProposalChanged, ProposalState, Replay, RosterChange, RosterChanged, RosterNode,
        SignedAction, VendQuote, bus_body::Event, door_request::Request, node_change::Kind,
        product::Price,
    },
};
use prost::Message;

fn check(name: &str, bytes: &[u8]) {
    // Cargo runs the tests of a crate in its folder.
    let path = Path::new("golden").join(format!("{name}.hex"));
    let now = hex::encode(bytes);
    if env::var_os("DCTRL_BLESS").is_some() {
        fs::write(&path, format!("{now}\n")).expect("the golden folder is writable");
    }
    let frozen = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; see the module's doc", path.display()));
    assert_eq!(now, frozen.trim(), "the bytes of {name} have changed");
}

fn quote() -> SignedAction {
    let payload = VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        member_id: "alice".into(),
        ..VendQuote::default()
    };
    SignedAction {
        body: body(&[7; 32], [9; 16], 1_700_000_000_000, &payload).encode_to_vec(),
        key: vec![1; 32],
        signature: vec![2; 64],
    }
}

fn order() -> Order {
    Order {
        domain: "dctrl/vend/1".into(),
        cluster: vec![7; 32],
        roster_epoch: 0,
        machine_id: "m1".into(),
        incarnation: 1,
        sequence: 3,
        vend_id: "v0011223344556677".into(),
        slot: "A1".into(),
        product_id: "club-mate".into(),
        price_sats: 1500,
        issued_at_ms: 1_700_000_000_000,
        expires_at_ms: 1_700_000_060_000,
    }
}

fn frame_body(event: Event) -> BusBody {
    BusBody {
        topic: "machine.m1.order".into(),
        cluster: vec![7; 32],
        height: 12,
        sub_index: 2,
        previous_height: 9,
        previous_sub_index: 1,
        time_ms: 1_700_000_000_000,
        event: Some(event),
    }
}

#[test]
fn a_signed_action_keeps_its_bytes_its_signed_bytes_and_its_id() {
    let action = quote();
    check("signed_action", &action.encode_to_vec());
    check("action_signing_bytes", &signing_bytes(&action.body));
    check("action_id", &action_id(&action));
}

#[test]
fn a_bus_frame_keeps_its_bytes() {
    check("order", &order().encode_to_vec());
    let body = frame_body(Event::Order(order())).encode_to_vec();
    check("bus_body_order", &body);
    let beacon = Event::Beacon(Beacon {
        machine_id: "m1".into(),
        incarnation: 1,
        nonce: vec![5; 16],
        time_ms: 1_700_000_000_000,
    });
    check("bus_body_beacon", &frame_body(beacon).encode_to_vec());
    let block = Event::Block(BlockApplied {
        actions: 3,
        refused: 1,
        receipts: receipts_digest([&receipt_digest(b"one"), &receipt_digest(b"two")]),
    });
    check("bus_body_block", &frame_body(block).encode_to_vec());
    let frame = BusFrame {
        body,
        proof: Some(MerkleProof {
            leaf_count: 3,
            path: vec![vec![1; 32], vec![2; 32]],
        }),
        certificate: vec![4; 8],
    };
    check("bus_frame", &frame.encode_to_vec());
}

#[test]
fn observations_and_receipts_keep_their_bytes() {
    let payment = PaymentObserve {
        outpoint: Some(Outpoint {
            txid: vec![8; 32],
            vout: 1,
        }),
        address_index: 5,
        amount_sats: 1500,
        view: PaymentView::InBlock.into(),
        block_height: 800_000,
        block_hash: vec![6; 32],
        ..PaymentObserve::default()
    };
    check("payment_observe", &payment.encode_to_vec());
    let receipt = MachineReceipt {
        machine_id: "m1".into(),
        incarnation: 1,
        sequence: 3,
        order_hash: vec![3; 32],
        outcome: Outcome::Dispensed.into(),
        reason: String::new(),
        previous_receipt_hash: vec![0; 32],
        pulses: 1,
    };
    check("machine_receipt", &receipt.encode_to_vec());
}

#[test]
fn a_door_request_keeps_its_bytes() {
    let request = DoorRequest {
        id: 77,
        request: Some(Request::Replay(Replay {
            after_height: 12,
            after_sub_index: 2,
            topics: vec!["machine.m1.".into()],
            frames_max: 10,
        })),
    };
    check("door_request", &request.encode_to_vec());
}

fn echo() -> Node {
    Node {
        name: "echo".into(),
        key: vec![4; 32],
        curve_key: vec![5; 32],
        gossip_endpoint: "tcp://192.0.2.5:7000".into(),
        bus_endpoint: "tcp://192.0.2.5:7001".into(),
        door_endpoint: "tcp://192.0.2.5:7002".into(),
    }
}

/// Every kind of change, by the name of its golden file.
fn changes() -> [(&'static str, NodeChange); 5] {
    let (key, node, evidence) = (vec![2; 32], Some(echo()), vec![9; 32]);
    let add = Kind::Add(NodeAdd { node: node.clone() });
    let remove = Kind::Remove(NodeRemove {
        key: key.clone(),
        evidence: evidence.clone(),
    });
    let replace = Kind::Replace(NodeReplace {
        key: key.clone(),
        node,
        evidence,
    });
    let update = Kind::Update(NodeUpdate {
        key: key.clone(),
        curve_key: vec![5; 32],
        gossip_endpoint: "tcp://192.0.2.5:7000".into(),
        bus_endpoint: "tcp://192.0.2.5:7001".into(),
        door_endpoint: "tcp://192.0.2.5:7002".into(),
    });
    let reincarnate = Kind::Reincarnate(NodeReincarnate {
        key,
        incarnation: 2,
        new_key: vec![6; 32],
        new_curve_key: vec![7; 32],
        instance: 0,
    });
    let change = |kind| NodeChange {
        kind: Some(kind),
        reason: "a new hall".into(),
        expires_at_ms: 1_700_000_000_000,
        force: true,
    };
    [
        ("node_change_add", change(add)),
        ("node_change_remove", change(remove)),
        ("node_change_replace", change(replace)),
        ("node_change_update", change(update)),
        ("node_change_reincarnate", change(reincarnate)),
    ]
}

#[test]
fn what_operators_approve_keeps_its_bytes_and_its_digest() {
    let mut digests = Vec::new();
    for (name, change) in changes() {
        check(name, &change.encode_to_vec());
        digests.extend(proposal_digest(&[7; 32], &change));
    }
    check("proposal_digests", &digests);
    let [(_, add), ..] = changes();
    assert_ne!(
        proposal_digest(&[7; 32], &add),
        proposal_digest(&[8; 32], &add)
    );
    check(
        "node_approve",
        &NodeApprove {
            proposal: vec![3; 32],
        }
        .encode_to_vec(),
    );
    let leave = NodeLeave {
        name: "echo".into(),
        reason: "closed".into(),
        force: true,
    };
    check("node_leave", &leave.encode_to_vec());
    let renew = NodeRenew {
        incarnation: 2,
        instance: 9,
    };
    check("node_renew", &renew.encode_to_vec());
    let on_another_disk = RosterNode {
        node: None,
        seat: 3,
        incarnation: 2,
        instance: 9,
    };
    check("roster_node_renewed", &on_another_disk.encode_to_vec());
}

#[test]
fn a_roster_keeps_its_bytes_in_its_frame() {
    let [(_, add), ..] = changes();
    let roster = NodeRoster {
        number: 3,
        since_height: 13,
        since_ms: 1_700_000_000_000,
        nodes: vec![RosterNode {
            node: Some(echo()),
            seat: 4,
            incarnation: 1,
            instance: 0,
        }],
        changes: vec![RosterChange {
            change: Some(add.clone()),
            proposal: vec![3; 32],
            approved_by: vec![0, 1, 2],
        }],
    };
    let told = Event::Roster(RosterChanged {
        roster: Some(roster),
    });
    check("bus_body_roster", &frame_body(told).encode_to_vec());
    let proposal = NodeProposal {
        digest: vec![3; 32],
        change: Some(add),
        proposed_by: "member/olga".into(),
        height: 11,
        time_ms: 1_700_000_000_000,
        approvals: vec![NodeApproval {
            seat: 2,
            height: 12,
            time_ms: 1_700_000_000_001,
        }],
    };
    let told = Event::Proposal(ProposalChanged {
        proposal: Some(proposal),
        state: ProposalState::Open.into(),
        detail: "x".into(),
    });
    check("bus_body_proposal", &frame_body(told).encode_to_vec());
}

fn genesis() -> Genesis {
    Genesis {
        name: "golden".into(),
        network: "regtest".into(),
        chain_genesis_hash: vec![1; 32],
        descriptor: "wsh(…)".into(),
        nodes: vec![Node {
            name: "alpha".into(),
            key: vec![2; 32],
            curve_key: vec![3; 32],
            gossip_endpoint: "tcp://127.0.0.1:17000".into(),
            bus_endpoint: "tcp://127.0.0.1:17001".into(),
            door_endpoint: "tcp://127.0.0.1:17002".into(),
        }],
        machines: vec![Machine {
            id: "m1".into(),
            enabled: true,
            ..Machine::default()
        }],
        products: vec![Product {
            id: "mate".into(),
            name: "Mate".into(),
            version: 1,
            price: Some(Price::PriceFiat(FiatPrice {
                currency: "EUR".into(),
                minor_units: 250,
            })),
        }],
        policy: Some(Policy {
            quote_ms: 900_000,
            ..Policy::default()
        }),
        created_at_ms: 1_700_000_000_000,
        ..Genesis::default()
    }
}

#[test]
fn the_identity_of_a_federation_is_the_digest_of_its_genesis() {
    check("genesis", &genesis().encode_to_vec());
    check("cluster_id", &cluster_id(&genesis()));
    let other = Genesis {
        created_at_ms: 1,
        ..genesis()
    };
    assert_ne!(cluster_id(&genesis()), cluster_id(&other));
}

#[test]
fn a_genesis_survives_its_json_with_the_same_identity() {
    let text = serde_json::to_string_pretty(&genesis()).unwrap();
    let read: Genesis = serde_json::from_str(&text).unwrap();
    assert_eq!(cluster_id(&read), cluster_id(&genesis()));
}

#[test]
fn unknown_fields_of_a_body_do_not_change_what_was_signed() {
    // A newer peer's extra field must survive hashing: bytes are never re-encoded.
    let mut action = quote();
    action.body.extend([0xf8, 0x01, 0x01]);
    let decoded = ActionBody::decode(action.body.as_slice()).unwrap();
    assert_ne!(decoded.encode_to_vec(), action.body);
    assert_ne!(action_id(&action), action_id(&quote()));
}
