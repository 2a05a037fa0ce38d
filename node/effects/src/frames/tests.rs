//! Claims about a feed, over real sockets on loopback.

use std::sync::{
    atomic::{AtomicBool, Ordering},
    mpsc::sync_channel,
};

use dctrl_follow::{Rosters, testing::FakeFederation, testing::Vice};
use dctrl_proto::v1::{BlockApplied, Evidence, bus_body::Event};

use super::*;
use crate::{Common, common::tests::common};

const DEADLINE: Duration = Duration::from_secs(20);

fn says(detail: &str) -> Event {
    Event::Evidence(Evidence {
        subject: String::new(),
        detail: detail.to_owned(),
    })
}

fn block(fake: &FakeFederation) {
    let detail = format!("frame {}", fake.height() + 1);
    let end = Event::Block(BlockApplied::default());
    let outputs = vec![("a".to_owned(), says(&detail)), ("block".to_owned(), end)];
    fake.commit(1_000 + fake.height(), outputs);
}

/// What the node tells of its state at this height.
fn state(fake: &FakeFederation, height: u64, details: &[&str]) {
    let fact = |detail: &&str| BusBody {
        topic: "a".to_owned(),
        height,
        event: Some(says(detail)),
        ..BusBody::default()
    };
    fake.state_facts(height, details.iter().map(fact).collect());
}

fn feed(fake: &FakeFederation) -> Feed {
    let common = Common {
        rosters: Rosters::of(&fake.federation),
        federation: fake.federation.clone(),
        ..common(Arc::new(|| 0))
    };
    common
        .feed(&["a"], &Health::default(), &Arc::default())
        .unwrap()
}

/// What is told until the feed has caught up and said so much.
fn told(feed: &mut Feed, count: usize) -> Vec<String> {
    let end = Instant::now() + DEADLINE;
    let mut all = Vec::new();
    while all.len() < count || !feed.is_caught_up() {
        assert!(Instant::now() < end, "only {all:?}");
        let next = feed.next(Duration::from_millis(50)).unwrap();
        if let Some(Event::Evidence(evidence)) = next.and_then(|told| told.into_body().event) {
            all.push(evidence.detail);
        }
    }
    all
}

#[test]
fn an_effect_begins_with_facts_and_needs_no_frame_from_before_them() {
    let fake = FakeFederation::start(4, |_| {});
    (0..30).for_each(|_| block(&fake));
    fake.forget_before(25);
    state(&fake, 28, &["one", "two", "three"]);
    let mut feed = feed(&fake);
    assert_eq!(
        told(&mut feed, 5),
        ["one", "two", "three", "frame 29", "frame 30"]
    );
}

#[test]
fn an_effect_whose_node_jumps_ahead_reads_the_facts_again_and_goes_on() {
    let fake = FakeFederation::start(4, |_| {});
    state(&fake, 0, &["at first"]);
    let mut feed = feed(&fake);
    assert_eq!(told(&mut feed, 1), ["at first"]);
    // It takes over the state of block 12, and never has the blocks before.
    let vice = |lost_permille| Vice {
        lost_permille,
        first_height: 13,
        ..Vice::default()
    };
    fake.corrupt(0, vice(1000));
    (0..12).for_each(|_| block(&fake));
    // Its state is of an earlier block for a moment: of no use.
    state(&fake, 11, &["too early"]);
    let early = Instant::now() + Duration::from_secs(1);
    while Instant::now() < early {
        assert!(feed.next(Duration::from_millis(50)).unwrap().is_none());
    }
    state(&fake, 12, &["after the jump"]);
    block(&fake);
    assert_eq!(told(&mut feed, 2), ["after the jump", "frame 13"]);
}

#[test]
fn a_bus_that_is_never_still_does_not_keep_an_effect_from_beginning() {
    let fake = Arc::new(FakeFederation::start(4, |_| {}));
    state(&fake, 0, &["at first"]);
    let feed = feed(&fake);
    let over = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let (fake, over) = (fake.clone(), over.clone());
        move || {
            while !over.load(Ordering::Relaxed) {
                block(&fake);
            }
        }
    });
    let (events, received) = sync_channel(1);
    let stop = feed.stop.clone();
    let passing = std::thread::spawn(move || pass(feed, &events, |_| None, || "caught up"));
    let said = received.recv_timeout(DEADLINE);
    over.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    stop.set();
    passing.join().unwrap();
    assert_eq!(said, Ok("caught up"));
}
