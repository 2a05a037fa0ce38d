//! Requests, replies and refusals at the door.

use std::sync::{Arc, Condvar, Mutex};

use dctrl_net::bus::{Bus, BusConfig};
use dctrl_net::limits::{DOOR_REQUEST_BYTES_MAX, DOOR_REQUESTS_PER_KEY_MAX, FRAME_BYTES_MAX};
use dctrl_net::zap::{Domain, Zap};
use dctrl_proto::v1::{
    DoorReply, DoorRequest, GetReceipt, RefusalCode, Submitted, door_reply::Reply,
    door_request::Request,
};
use prost::Message;
use zmq::Socket;

use crate::support::{client, eventually, public, secret, zap};

const NODE: u8 = 1;
const ALICE: u8 = 2;
const BOB: u8 = 3;

fn start(
    zap: &Zap,
    answer: impl Fn([u8; 32], DoorRequest) -> DoorReply + Send + Sync + 'static,
) -> Bus {
    let config = BusConfig {
        zap: zap.clone(),
        listen: "tcp://127.0.0.1:*".into(),
        door_listen: "tcp://127.0.0.1:*".into(),
        curve_secret: secret(NODE),
    };
    Bus::start(config, Box::new(answer)).unwrap()
}

/// Answers with the caller's key and the id that was asked for.
fn echo(key: [u8; 32], request: DoorRequest) -> DoorReply {
    let Some(Request::GetReceipt(GetReceipt { action_id })) = request.request else {
        panic!("the test asks for receipts only");
    };
    reply([&key[..], &action_id].concat())
}

fn reply(action_id: Vec<u8>) -> DoorReply {
    let submitted = Submitted {
        action_id,
        receipt: None,
    };
    // The id is the door's to set, whatever stands here.
    DoorReply {
        id: 999,
        reply: Some(Reply::Submitted(submitted)),
    }
}

fn caller(bus: &Bus, me: u8) -> Socket {
    let socket = client(zmq::DEALER, me, NODE);
    socket.connect(bus.door_endpoint()).unwrap();
    socket
}

fn ask(socket: &Socket, id: u64, action_id: &[u8]) {
    let action_id = action_id.to_vec();
    let request = Some(Request::GetReceipt(GetReceipt { action_id }));
    socket
        .send(DoorRequest { id, request }.encode_to_vec(), 0)
        .unwrap();
}

fn answer(socket: &Socket) -> DoorReply {
    DoorReply::decode(&*socket.recv_bytes(0).unwrap()).unwrap()
}

fn refusal(reply: &DoorReply) -> (u64, RefusalCode, String) {
    match &reply.reply {
        Some(Reply::Refusal(refusal)) => (reply.id, refusal.code(), refusal.rule.clone()),
        other => panic!("not a refusal: {other:?}"),
    }
}

#[test]
fn a_request_is_answered_with_its_id_and_the_proven_key() {
    let zap = zap(&[ALICE, BOB]);
    let bus = start(&zap, echo);
    for (name, id) in [(ALICE, 7), (BOB, 8)] {
        let socket = caller(&bus, name);
        ask(&socket, id, b"receipt");
        let reply = answer(&socket);
        assert_eq!(reply.id, id);
        let expected = [&public(name)[..], b"receipt"].concat();
        assert!(matches!(reply.reply, Some(Reply::Submitted(s)) if s.action_id == expected));
    }
}

#[test]
fn a_malformed_request_is_refused_as_invalid_and_the_door_stays_open() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap, echo);
    let socket = caller(&bus, ALICE);
    let invalid = (0, RefusalCode::Invalid, "door.request".to_owned());
    socket.send(&b"\xff\xff\xff"[..], 0).unwrap();
    assert_eq!(refusal(&answer(&socket)), invalid);
    socket.send_multipart(["two", "parts"], 0).unwrap();
    assert_eq!(refusal(&answer(&socket)), invalid);
    socket.send(vec![0; DOOR_REQUEST_BYTES_MAX + 1], 0).unwrap();
    assert_eq!(refusal(&answer(&socket)), invalid);
    socket
        .send(
            DoorRequest {
                id: 5,
                request: None,
            }
            .encode_to_vec(),
            0,
        )
        .unwrap();
    assert_eq!(
        refusal(&answer(&socket)),
        (5, RefusalCode::Invalid, "door.request".into())
    );
    assert_eq!(bus.stats().door.malformed, 4);
    ask(&socket, 6, b"still open");
    assert_eq!(answer(&socket).id, 6);
}

#[test]
fn a_caller_with_too_many_open_requests_is_refused_and_others_are_not() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let zap = zap(&[ALICE, BOB]);
    let bus = start(&zap, {
        let gate = Arc::clone(&gate);
        move |key, request| {
            let open = gate.0.lock().unwrap();
            drop(gate.1.wait_while(open, |open| !*open).unwrap());
            echo(key, request)
        }
    });
    let (alice, bob) = (caller(&bus, ALICE), caller(&bus, BOB));
    for id in 1..=DOOR_REQUESTS_PER_KEY_MAX as u64 + 1 {
        ask(&alice, id, b"");
    }
    let (id, code, rule) = refusal(&answer(&alice));
    assert_eq!(id, DOOR_REQUESTS_PER_KEY_MAX as u64 + 1);
    assert_eq!(
        (code, rule.as_str()),
        (RefusalCode::Exhausted, "door.requests_per_key")
    );
    ask(&bob, 1, b"");
    let accepted = DOOR_REQUESTS_PER_KEY_MAX as u64 + 1;
    eventually("bob's request is taken", || {
        bus.stats().door.accepted == accepted
    });
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert_eq!(answer(&bob).id, 1);
    for _ in 0..DOOR_REQUESTS_PER_KEY_MAX {
        assert!(matches!(answer(&alice).reply, Some(Reply::Submitted(_))));
    }
    ask(&alice, 100, b"");
    assert!(matches!(answer(&alice).reply, Some(Reply::Submitted(_))));
}

#[test]
fn a_revoked_caller_is_refused_on_its_open_connection() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap, echo);
    let socket = caller(&bus, ALICE);
    ask(&socket, 1, b"");
    assert_eq!(answer(&socket).id, 1);
    zap.allowed().revoke(Domain::Bus, &public(ALICE));
    ask(&socket, 2, b"");
    assert_eq!(
        refusal(&answer(&socket)),
        (2, RefusalCode::Unauth, "door.key".into())
    );
}

#[test]
fn an_answer_too_long_for_a_frame_becomes_a_refusal() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap, |_, _| reply(vec![0; FRAME_BYTES_MAX]));
    let socket = caller(&bus, ALICE);
    ask(&socket, 3, b"");
    assert_eq!(
        refusal(&answer(&socket)),
        (3, RefusalCode::Exhausted, "door.reply_bytes".into())
    );
}

#[test]
fn a_panic_of_the_node_is_answered_and_counted() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap, |_, _| panic!("on purpose"));
    let socket = caller(&bus, ALICE);
    for id in 1..=3 {
        ask(&socket, id, b"");
        assert_eq!(
            refusal(&answer(&socket)),
            (id, RefusalCode::Unavailable, "door.failed".into())
        );
    }
    assert_eq!(bus.stats().door.failed, 3);
}

#[test]
fn an_unknown_key_gets_no_answer() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap, echo);
    let stranger = caller(&bus, 99);
    ask(&stranger, 1, b"");
    eventually("the key is refused", || {
        zap.allowed().refused().unknown_key > 0
    });
    assert_eq!(stranger.recv_bytes(zmq::DONTWAIT), Err(zmq::Error::EAGAIN));
    assert_eq!(bus.stats().door.accepted, 0);
}
