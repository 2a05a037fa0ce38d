//! Fan-out, the last-value cache, and who may subscribe.

use bytes::Bytes;
use dctrl_net::bus::{Bus, BusConfig};
use dctrl_net::limits::FRAME_BYTES_MAX;
use dctrl_net::zap::{Domain, Zap};
use dctrl_proto::topic;
use dctrl_proto::v1::{DoorReply, TipHint};
use prost::Message;
use zmq::{Context, Socket};

use crate::support::{client, eventually, free_endpoint, public, secret, throw_garbage, zap};

const NODE: u8 = 1;
const ALICE: u8 = 2;
const BOB: u8 = 3;

fn start(zap: &Zap) -> Bus {
    start_at(zap, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*")
}

fn start_at(zap: &Zap, listen: &str, door_listen: &str) -> Bus {
    let config = BusConfig {
        zap: zap.clone(),
        listen: listen.to_owned(),
        door_listen: door_listen.to_owned(),
        curve_secret: secret(NODE),
    };
    Bus::start(config, Box::new(|_, _| DoorReply::default())).unwrap()
}

/// Subscribes and waits until the bus has taken it.
fn subscribe(bus: &Bus, me: u8, subscriptions: &[&str]) -> Socket {
    let socket = client(zmq::SUB, me, NODE);
    for subscription in subscriptions {
        socket
            .set_subscribe(&topic::wire_subscription(subscription))
            .unwrap();
    }
    let expected = bus.stats().publish.subscriptions + subscriptions.len() as u64;
    socket.connect(bus.endpoint()).unwrap();
    eventually("subscribed", || {
        bus.stats().publish.subscriptions >= expected
    });
    socket
}

/// libzmq subscribes again after a reconnection when the subscriber next
/// looks at its socket.
fn await_return(subscriber: &Socket, mut subscribed: impl FnMut() -> bool) {
    eventually("the subscriber is back", || {
        subscriber.poll(zmq::POLLIN, 1).unwrap();
        subscribed()
    });
}

fn publish(bus: &Bus, topic: &str, frame: &'static str) {
    bus.publish(topic, Bytes::from_static(frame.as_bytes()));
}

fn next(socket: &Socket) -> (String, String) {
    let parts = socket.recv_multipart(0).unwrap();
    let [name, frame] = parts.as_slice() else {
        panic!("{} parts", parts.len());
    };
    let name = name.strip_suffix(b"\0").unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(name), text(frame))
}

fn pair(topic: &str, frame: &str) -> (String, String) {
    (topic.to_owned(), frame.to_owned())
}

#[test]
fn a_subscriber_gets_whole_topics_only() {
    let zap = zap(&[ALICE, BOB]);
    let bus = start(&zap);
    let exact = subscribe(&bus, ALICE, &["machine.m1.order"]);
    let prefix = subscribe(&bus, BOB, &["machine.m1."]);
    publish(&bus, "machine.m10.order", "not yours");
    publish(&bus, "machine.m1.orders", "not yours either");
    publish(&bus, "machine.m1.order", "dispense");
    assert_eq!(next(&exact), pair("machine.m1.order", "dispense"));
    assert_eq!(next(&prefix), pair("machine.m1.orders", "not yours either"));
    assert_eq!(next(&prefix), pair("machine.m1.order", "dispense"));
}

#[test]
fn whoever_subscribes_gets_the_last_value_of_state_topics() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap);
    publish(&bus, "price.EUR", "old");
    publish(&bus, "price.EUR", "new");
    publish(&bus, "vend.m1", "an event, not a state");
    eventually("published", || bus.stats().publish.published == 3);
    let alice = subscribe(&bus, ALICE, &["price.", "vend.m1"]);
    assert_eq!(next(&alice), pair("price.EUR", "new"));
    publish(&bus, "vend.m1", "live");
    assert_eq!(next(&alice), pair("vend.m1", "live"));
}

#[test]
fn the_tip_hint_names_the_final_height() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap);
    let alice = subscribe(&bus, ALICE, &[topic::TIP_HINT]);
    bus.tip_hint(42);
    let parts = alice.recv_multipart(0).unwrap();
    assert_eq!(parts[0], topic::wire(topic::TIP_HINT));
    assert_eq!(TipHint::decode(&*parts[1]).unwrap().final_height, 42);
}

#[test]
fn neither_an_unknown_key_nor_a_plain_socket_gets_a_frame() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap);
    let stranger = client(zmq::SUB, 99, NODE);
    let plain = Context::new().socket(zmq::SUB).unwrap();
    for socket in [&stranger, &plain] {
        socket.set_subscribe(b"").unwrap();
        socket.connect(bus.endpoint()).unwrap();
    }
    eventually("both are refused", || {
        let seen = bus.stats().publish.connections;
        // Whichever side notices first that the handshake cannot work hangs up.
        let plain_refused = seen.handshake_protocol + seen.handshake_other > 0;
        zap.allowed().refused().unknown_key > 0 && plain_refused
    });
    let alice = subscribe(&bus, ALICE, &["block"]);
    publish(&bus, "block", "for the known");
    assert_eq!(next(&alice), pair("block", "for the known"));
    for socket in [&stranger, &plain] {
        assert_eq!(socket.recv_bytes(zmq::DONTWAIT), Err(zmq::Error::EAGAIN));
    }
    assert_eq!(bus.stats().publish.subscriptions, 1);
}

#[test]
fn a_key_that_is_refused_and_then_allowed_comes_in_by_itself() {
    let zap = zap(&[]);
    let bus = start(&zap);
    let alice = client(zmq::SUB, ALICE, NODE);
    alice
        .set_subscribe(&topic::wire_subscription("block"))
        .unwrap();
    alice.connect(bus.endpoint()).unwrap();
    eventually("alice is refused", || {
        zap.allowed().refused().unknown_key > 0
    });
    zap.allowed().allow(Domain::Bus, public(ALICE)).unwrap();
    await_return(&alice, || bus.stats().publish.subscriptions >= 1);
    publish(&bus, "block", "for the new machine");
    assert_eq!(next(&alice), pair("block", "for the new machine"));
}

#[test]
fn a_revoked_subscriber_is_cut_and_the_others_return() {
    let zap = zap(&[ALICE, BOB]);
    let bus = start(&zap);
    let alice = subscribe(&bus, ALICE, &["price."]);
    let bob = subscribe(&bus, BOB, &["price."]);
    zap.allowed().revoke(Domain::Bus, &public(BOB));
    eventually("bob is refused", || zap.allowed().refused().unknown_key > 0);
    await_return(&alice, || bus.stats().publish.subscriptions >= 3);
    publish(&bus, "price.EUR", "for members");
    assert_eq!(next(&alice), pair("price.EUR", "for members"));
    assert_eq!(bob.recv_bytes(zmq::DONTWAIT), Err(zmq::Error::EAGAIN));
    assert_eq!(bus.stats().publish.reopened, 1);
}

#[test]
fn frames_that_no_subscriber_would_accept_are_refused() {
    let zap = zap(&[]);
    let bus = start(&zap);
    bus.publish("block", Bytes::from(vec![0; FRAME_BYTES_MAX + 1]));
    publish(&bus, "", "no topic");
    publish(&bus, "a\0b", "two topics in one");
    publish(&bus, &"x".repeat(topic::TOPIC_BYTES_MAX + 1), "long topic");
    assert_eq!(bus.stats().publish.unsendable, 4);
}

#[test]
fn garbage_on_either_port_leaves_the_bus_alive() {
    let zap = zap(&[ALICE]);
    let bus = start(&zap);
    throw_garbage(bus.endpoint());
    throw_garbage(bus.door_endpoint());
    let alice = subscribe(&bus, ALICE, &["block"]);
    publish(&bus, "block", "alive");
    assert_eq!(next(&alice), pair("block", "alive"));
}

#[test]
fn a_stopped_bus_starts_again_on_the_same_ports() {
    let zap = zap(&[ALICE]);
    // Nobody else takes these while nobody listens there.
    let (listen, door_listen) = (free_endpoint(), free_endpoint());
    let first = start_at(&zap, &listen, &door_listen);
    let alice = subscribe(&first, ALICE, &["block"]);
    first.stop();
    let second = start_at(&zap, &listen, &door_listen);
    assert_eq!(second.endpoint(), listen);
    await_return(&alice, || second.stats().publish.subscriptions == 1);
    publish(&second, "block", "again");
    assert_eq!(next(&alice), pair("block", "again"));
}
