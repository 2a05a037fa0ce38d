//! Claims about a follower whose place the nodes no longer keep.

use std::time::{Duration, Instant};

use super::{DEADLINE, block, federation, follower, take};
use crate::testing::{FakeFederation, Vice};
use crate::{Follower, Forgotten, Position};

/// What the follower is told, within the deadline.
fn forgotten(follower: &mut Follower) -> Forgotten {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        assert_eq!(follower.next(Duration::from_millis(20)).unwrap(), None);
        if let Some(forgotten) = follower.forgotten() {
            return forgotten;
        }
    }
    panic!("nobody has told that the place is forgotten");
}

fn forgets(fake: &FakeFederation, firsts: &[(usize, u64)]) {
    for (node, first_height) in firsts {
        let vice = Vice {
            first_height: *first_height,
            ..Vice::default()
        };
        fake.corrupt(*node, vice);
    }
}

#[test]
fn a_follower_that_was_away_too_long_is_told_and_goes_on_behind_it() {
    let fake = federation();
    for _ in 0..30 {
        block(&fake, &["a"]);
    }
    forgets(&fake, &[(0, 20), (1, 21), (2, 20), (3, 22)]);
    let mut follower = follower(&fake, &[0, 1, 2, 3], &["a"], Position::end_of(5));
    let told = forgotten(&mut follower);
    assert_eq!(told.height, 6);
    assert!(told.by_quorum);
    assert!((20..=21).contains(&(told.go_on.height + 1)), "{told:?}");
    follower.skip_to(told.go_on);
    let count = usize::try_from(30 - told.go_on.height).unwrap();
    let frames = take(&mut follower, count);
    assert_eq!(frames[0].position.height, told.go_on.height + 1);
    let end = Instant::now() + DEADLINE;
    while !(follower.caught_up() && follower.settled() >= Position::end_of(30)) {
        assert!(Instant::now() < end, "it has not caught up");
        assert_eq!(follower.next(Duration::from_millis(20)).unwrap(), None);
    }
    // What comes from now on is handed out as ever.
    block(&fake, &["a"]);
    assert_eq!(take(&mut follower, 1)[0].position.height, 31);
}

#[test]
fn while_two_of_four_keep_the_place_nothing_is_left_out() {
    let fake = federation();
    for _ in 0..30 {
        block(&fake, &["a"]);
    }
    // One of these lies.
    forgets(&fake, &[(0, u64::MAX), (1, 20)]);
    let mut follower = follower(&fake, &[0, 1, 2, 3], &["a"], Position::end_of(5));
    let frames = take(&mut follower, 25);
    assert_eq!(frames[0].position.height, 6);
    assert_eq!(follower.forgotten(), None);
}

#[test]
fn a_follower_of_one_node_is_told_by_that_one() {
    let fake = federation();
    for _ in 0..30 {
        block(&fake, &["a"]);
    }
    forgets(&fake, &[(2, 20)]);
    let mut follower = follower(&fake, &[2], &["a"], Position::end_of(5));
    let told = forgotten(&mut follower);
    assert_eq!(told.go_on, Position::end_of(19));
    assert!(!told.by_quorum);
}

#[test]
fn a_node_that_jumps_ahead_while_it_is_followed_tells_so_too() {
    let fake = federation();
    block(&fake, &["a"]);
    let mut follower = follower(&fake, &[0], &["a"], Position::default());
    take(&mut follower, 1);
    // It takes over a later state: the blocks between are not on its disk.
    fake.corrupt(
        0,
        Vice {
            lost_permille: 1000,
            first_height: 12,
            ..Vice::default()
        },
    );
    for _ in 0..10 {
        block(&fake, &["a"]);
    }
    let told = forgotten(&mut follower);
    assert_eq!(told.go_on, Position::end_of(11));
    follower.skip_to(told.go_on);
    block(&fake, &["a"]);
    let frames = take(&mut follower, 1);
    assert_eq!(frames[0].position.height, 12);
}
