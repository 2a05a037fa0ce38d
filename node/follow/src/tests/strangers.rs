//! Claims about addresses at which somebody else answers, for a while.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use dctrl_proto::v1::SignedAction;

use super::{block, federation, take};
use crate::socket::LOST_AFTER;
use crate::{Door, Follower, FollowerConfig, Position, Rosters};

/// An address in front of `target` whose first `strange` connections are
/// answered as by a captive portal. Its thread ends with the process.
fn portal(target: &str, strange: usize) -> String {
    let target = target.trim_start_matches("tcp://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let mut client = client.unwrap();
            if number < strange {
                client.write_all(b"HTTP/1.1 302 Found\r\n\r\n").unwrap();
                thread::spawn(move || client.read_to_end(&mut Vec::new()));
            } else {
                let server = TcpStream::connect(&target).unwrap();
                pass(client.try_clone().unwrap(), server.try_clone().unwrap());
                pass(server, client);
            }
        }
    });
    endpoint
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_follower_comes_back_to_a_node_in_whose_place_a_stranger_answered() {
    let fake = federation();
    let mut seen = fake.federation.clone();
    let node = &mut seen.nodes[0];
    (node.bus, node.door) = (portal(&node.bus, 1), portal(&node.door, 1));
    let mut follower = Follower::start(FollowerConfig {
        context: zmq::Context::new(),
        rosters: Rosters::of(&seen),
        federation: seen,
        nodes: vec![0],
        curve_secret: [7; 32],
        topics: vec!["block".to_owned()],
        after: Position::default(),
    })
    .unwrap();
    follower.lost_after = Duration::from_millis(500);
    block(&fake, &[]);
    assert_eq!(take(&mut follower, 1).len(), 1);
    assert!(follower.counters().dialled_again >= 1);
}

#[test]
fn a_door_opens_again_behind_which_a_stranger_answered() {
    let fake = federation();
    let mut seen = fake.federation.clone();
    seen.nodes[0].door = portal(&seen.nodes[0].door, 1);
    let mut door = Door::connect(zmq::Context::new(), &seen, &[0], [7; 32]);
    door.lose_after(Duration::from_millis(500));
    let begun = Instant::now();
    let action = SignedAction::default();
    while door.submit(&action, Duration::from_secs(1)).is_err() {
        assert!(begun.elapsed() < LOST_AFTER, "it is never dialled again");
    }
}
