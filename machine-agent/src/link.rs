//! The two threads that talk to the federation.
//!
//! One follows the machine's topics and hands in certified frames, the other
//! hands actions to a node's door. Both are joined by bounded queues: frames
//! wait for the machine (the bus replays them), actions that find the queue
//! full are dropped (the machine says them again). Where a quorum of nodes has
//! forgotten what comes next, the follower goes on behind it, and the machine is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dctrl_follow::{Door, DoorError, FollowError, Follower, Position};

use crate::agent::Event;
use crate::machine::Sending;

/// How long a node may take to take an action.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(4);
/// What a machine says of an order.
const ANSWERS: [&str; 2] = ["machine.accept", "machine.receipt"];
/// A stop lets a receipt and an acceptance go out for so long. A receipt is said
/// again after the next start anyway.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often it is looked whether everything has come that there was.
const CATCH_UP_LOOK: Duration = Duration::from_millis(50);
/// The same, once it has come: it only serves to note the place.
const AT_REST: Duration = Duration::from_secs(2);

/// What is said where nothing can come any more.
const TOO_FEW: &str = "the nodes that are followed have forgotten what comes next, but are too \
                       few to be believed: name more of them";

/// Follows the bus until `stop` is set or nobody listens.
pub(crate) fn follow(
    mut follower: Follower,
    events: SyncSender<Event>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Result<(), FollowError>> {
    thread::spawn(move || {
        let mut told: Option<Position> = None;
        let mut warned = false;
        while !stop.load(Ordering::Relaxed) {
            let settled = told == Some(follower.settled());
            let wait = if settled { AT_REST } else { CATCH_UP_LOOK };
            if let Some(frame) = follower.next(wait)? {
                if events.send(Event::Frame(Box::new(frame))).is_err() {
                    break;
                }
                continue;
            }
            match follower.forgotten() {
                Some(forgotten) if forgotten.by_quorum => {
                    follower.skip_to(forgotten.go_on);
                    if events.send(Event::Skipped(forgotten.go_on)).is_err() {
                        break;
                    }
                    told = None;
                    continue;
                }
                Some(forgotten) if !warned => {
                    warned = true;
                    let height = forgotten.height;
                    tracing::error!(height, "{TOO_FEW}");
                }
                _ => {}
            }
            let settled = follower.settled();
            if follower.caught_up() && told != Some(settled) {
                told = Some(settled);
                if events.send(Event::CaughtUp(settled)).is_err() {
                    break;
                }
            }
        }
        Ok(())
    })
}

/// Hands actions to a door until nobody can send any more. Behind a stop only
/// what the last vend had to say goes out, and not for long.
pub(crate) fn submit(
    door: Door,
    actions: Receiver<Sending>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut farewell = None;
        for sending in actions {
            let mut timeout = SUBMIT_TIMEOUT;
            if stop.load(Ordering::Relaxed) {
                let until = *farewell.get_or_insert_with(|| Instant::now() + FAREWELL);
                timeout = until.saturating_duration_since(Instant::now());
                if timeout.is_zero() || !ANSWERS.contains(&sending.name) {
                    continue;
                }
            }
            if sending.another {
                door.prefer_next();
            }
            hand_in(&door, &sending, timeout);
        }
    })
}

/// A refusal is one node's word, and one that is behind the others does not know
/// the order yet that is answered: each node is asked then until one takes it. With
/// anything else the next node is asked the next time.
fn hand_in(door: &Door, sending: &Sending, timeout: Duration) {
    let name = sending.name;
    let deadline = Instant::now() + timeout;
    let nodes = if ANSWERS.contains(&name) {
        // Without any the door says so.
        door.nodes().max(1)
    } else {
        1
    };
    for _ in 0..nodes {
        let left = deadline.saturating_duration_since(Instant::now());
        match door.submit(&sending.action, left) {
            Ok(submitted) => {
                let refusal = submitted.receipt.and_then(|receipt| receipt.refusal);
                if let Some(refusal) = refusal {
                    tracing::warn!(name, %refusal, "the federation refused an action");
                } else {
                    tracing::debug!(name, "a node took an action");
                }
                return;
            }
            Err(DoorError::Refused(refusal)) => {
                tracing::warn!(name, %refusal, "a node refused an action");
                door.prefer_next();
            }
            Err(error) => {
                tracing::warn!(name, %error, "an action was not handed in");
                return;
            }
        }
    }
}
