//! Claims about whom to ask and what to believe.

use super::*;

fn at(height: u64) -> Position {
    Position::end_of(height)
}

fn ids(asks: &[Ask]) -> Vec<(usize, Position)> {
    asks.iter().map(|ask| (ask.node, ask.after)).collect()
}

#[test]
fn one_node_that_claims_completeness_is_not_believed_alone() {
    let now = Instant::now();
    let mut replays = Replays::new(4, 4, at(0), now);
    replays.completed(2, at(u64::MAX));
    assert_eq!(replays.agreed(), at(0));
    replays.completed(0, at(7));
    assert_eq!(replays.agreed(), at(7));
}

#[test]
fn the_only_node_that_is_followed_is_believed_about_completeness() {
    let now = Instant::now();
    let mut replays = Replays::new(1, 4, at(0), now);
    replays.completed(0, at(3));
    assert_eq!(replays.agreed(), at(3));
}

#[test]
fn an_unanswered_gap_is_asked_of_the_next_node() {
    let start = Instant::now();
    let mut replays = Replays::new(3, 3, at(5), start);
    for node in 0..3 {
        replays.completed(node, at(5));
    }
    let gap = || [("a", at(2))].into_iter();
    assert_eq!(ids(&replays.due(start, gap())), [(0, at(2))]);
    assert!(replays.due(start, gap()).is_empty(), "asked once at a time");
    let later = start + REPLAY_TIMEOUT;
    assert_eq!(replays.expire(later), 1);
    assert_eq!(ids(&replays.due(later, gap())), [(1, at(2))]);
}

#[test]
fn a_hint_that_no_reply_bears_out_is_forgotten() {
    let now = Instant::now();
    let mut replays = Replays::new(1, 1, at(0), now);
    replays.hint(0, u64::MAX);
    let asks = replays.due(now, std::iter::empty());
    assert_eq!(ids(&asks), [(0, at(0))]);
    assert_eq!(
        replays.answered(0, asks[0].id),
        Some((Need::CatchUp, at(0)))
    );
    replays.completed(0, at(9));
    assert!(replays.due(now, std::iter::empty()).is_empty());
}

#[test]
fn a_follower_that_is_up_to_date_asks_once_to_know_it() {
    let now = Instant::now();
    let mut replays = Replays::new(1, 1, at(5), now);
    replays.hint(0, 5);
    assert!(!replays.caught_up());
    let asks = replays.due(now, std::iter::empty());
    assert_eq!(ids(&asks), [(0, at(5))]);
    replays.answered(0, asks[0].id);
    replays.completed(0, at(5));
    assert!(replays.caught_up());
    assert!(replays.due(now, std::iter::empty()).is_empty());
}

#[test]
fn a_reply_from_another_node_answers_nothing() {
    let now = Instant::now();
    let mut replays = Replays::new(2, 2, at(0), now);
    let asks = replays.due(now, std::iter::empty());
    assert_eq!(replays.answered(1 - asks[0].node, asks[0].id), None);
    assert!(replays.answered(asks[0].node, asks[0].id).is_some());
}

#[test]
fn nodes_that_always_promise_more_leave_the_honest_ones_their_turn() {
    let now = Instant::now();
    let mut replays = Replays::new(7, 7, at(0), now);
    for height in 1..20 {
        for ask in replays.due(now, std::iter::empty()) {
            replays.answered(ask.node, ask.id);
            match ask.node {
                0 | 1 => assert!(replays.went_on(ask.node, at(100 + height))),
                honest => replays.completed(honest, at(1)),
            }
        }
    }
    assert!(replays.caught_up());
    assert!(!replays.went_on(0, at(1)), "that is no progress");
}

fn says(replays: &mut Replays, firsts: &[(usize, u64)]) {
    for (node, first) in firsts {
        replays.keeps(*node, *first, at(0), Instant::now());
    }
}

fn goes_on(replays: &Replays, height: u64) -> Option<(Position, bool)> {
    let forgotten = replays.forgotten(height)?;
    Some((forgotten.go_on, forgotten.by_quorum))
}

#[test]
fn history_is_given_up_when_a_quorum_has_forgotten_it_and_not_before() {
    let mut replays = Replays::new(4, 4, at(2), Instant::now());
    assert!(replays.keeps(0, 50, at(2), Instant::now()));
    assert!(
        !replays.keeps(1, 3, at(2), Instant::now()),
        "it has the next"
    );
    says(&mut replays, &[(1, 40), (1, 40), (0, 50)]);
    assert_eq!(goes_on(&replays, 3), None, "said twice by the same");
    says(&mut replays, &[(2, 3)]);
    assert_eq!(goes_on(&replays, 3), None, "the third one has it");
    says(&mut replays, &[(3, 60)]);
    assert_eq!(goes_on(&replays, 3), Some((at(49), true)));
    assert_eq!(goes_on(&replays, 45), None, "some still have that");
}

#[test]
fn liars_cannot_send_a_follower_beyond_what_honest_nodes_keep() {
    let mut replays = Replays::new(4, 4, at(2), Instant::now());
    says(&mut replays, &[(0, u64::MAX), (1, 40), (2, 41)]);
    assert_eq!(goes_on(&replays, 3), Some((at(40), true)));
    says(&mut replays, &[(3, 42)]);
    assert_eq!(
        goes_on(&replays, 3),
        Some((at(41), true)),
        "a quorum keeps it"
    );
    let mut seven = Replays::new(7, 7, at(2), Instant::now());
    says(
        &mut seven,
        &[(0, u64::MAX), (1, u64::MAX), (2, 10), (3, 11)],
    );
    assert_eq!(goes_on(&seven, 3), None);
    says(&mut seven, &[(4, 12)]);
    assert_eq!(goes_on(&seven, 3), Some((at(11), true)));
}

#[test]
fn who_follows_one_node_is_told_by_it_but_not_in_the_federations_name() {
    let mut replays = Replays::new(1, 4, at(2), Instant::now());
    says(&mut replays, &[(0, 9)]);
    assert_eq!(goes_on(&replays, 3), Some((at(8), false)));
    replays.skip(at(8), Instant::now());
    assert_eq!(replays.agreed(), at(8));
    assert!(!replays.caught_up());
}
