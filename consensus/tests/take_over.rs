//! Claims about the state of a seal: nodes that take it over, and peers that
//! lie about theirs (reliability.md, H22).

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use common::states::Lie;
use common::{Federation, MILLISECOND, config, key};
use dctrl_consensus::snapshot::StateProblem;
use dctrl_consensus::{Config, RefusalReason};

const SECOND: u64 = 1_000 * MILLISECOND;
/// Chunks of a state here.
const CHUNKS: usize = 12;

fn short_epochs(nodes: usize) -> Config {
    let mut config = config(nodes);
    config.limits.seal_layers = 6;
    config
}

/// Submits numbered transactions at all of these nodes, a few at a time.
fn load(federation: &mut Federation, nodes: &[usize], rounds: usize) {
    for round in 0..rounds {
        for &node in nodes {
            federation.submit(node, &format!("{round} of {node} at {}", federation.now));
        }
        federation.run(3 * MILLISECOND);
    }
    federation.run(3 * SECOND);
}

/// Four nodes that keep the blocks behind two seals, the last one with an empty
/// disk, and stopped.
fn wiped(lies: &[(usize, Lie)]) -> Federation {
    let mut federation = Federation::with(short_epochs(4), 4);
    federation.prunes = true;
    load(&mut federation, &[0, 1, 2, 3], 10);
    federation.down.insert(3);
    load(&mut federation, &[0, 1, 2], 30);
    federation.lies.extend(lies.iter().copied());
    federation
}

/// Of these, the one that is asked first where one alone is asked.
fn first_asked(nodes: impl Iterator<Item = usize>) -> usize {
    nodes.min_by_key(|node| key(*node)).unwrap()
}

/// The node is where the others are, and takes part again.
fn is_back(federation: &mut Federation, node: usize) {
    let (mine, theirs) = (&federation.seen[node], &federation.seen[0]);
    assert!(mine.states.taken > 0, "a state was taken over");
    assert_eq!(mine.state, theirs.state);
    assert_eq!(mine.executed, theirs.executed);
    assert!(mine.diverged.is_empty());
    load(federation, &[0, 1, 2], 10);
    federation.submit(node, "back");
    federation.run(2 * SECOND);
    assert_eq!(federation.payload(0).last().unwrap(), "back");
    assert_eq!(federation.seen[node].state, federation.seen[0].state);
    let forked = |core: &dctrl_consensus::Core| core.summary().forked;
    assert!(federation.cores.iter().all(|core| forked(core).is_empty()));
}

#[test]
fn a_wiped_node_takes_over_the_state_of_a_seal_where_its_peers_have_pruned() {
    let mut federation = wiped(&[]);
    federation.wipe(3);
    federation.run(10 * SECOND);
    assert_eq!(federation.seen[3].states.chunks, CHUNKS);
    is_back(&mut federation, 3);
    // And serves it to the next one.
    load(&mut federation, &[0, 1, 2, 3], 30);
    federation.down.insert(0);
    federation.wipe(2);
    federation.run(10 * SECOND);
    assert_eq!(federation.seen[2].state, federation.seen[3].state);
}

#[test]
fn a_node_that_was_away_keeps_its_log_and_takes_over_what_it_has_missed() {
    let mut federation = wiped(&[]);
    federation.submit(3, "never sent");
    federation.restart(3);
    federation.run(10 * SECOND);
    assert!(federation.seen[3].epochs.len() > 2);
    is_back(&mut federation, 3);
    federation.restart(3);
    assert_eq!(
        federation.cores[3].summary().epoch,
        federation.cores[0].summary().epoch
    );
    is_back(&mut federation, 3);
}

#[test]
fn one_liar_costs_its_answer_and_is_named() {
    let named = |problem: StateProblem| Some(RefusalReason::State(problem));
    for (lie, reason) in [
        (Lie::OtherManifest, None),
        (Lie::WrongManifest, named(StateProblem::Manifest)),
        (Lie::WrongChunk, named(StateProblem::Chunk)),
        (Lie::Truncated, named(StateProblem::Manifest)),
        (Lie::Invented, None),
        (Lie::ForgedCertificate, named(StateProblem::Certificate)),
        (Lie::OldSeal, None),
        (Lie::Silent, None),
        (Lie::Endless, None),
        (Lie::Prunes, None),
    ] {
        let liar = first_asked(0..3);
        let honest = (liar + 1) % 3;
        let mut federation = wiped(&[(liar, lie)]);
        federation.wipe(3);
        federation.run(30 * SECOND);
        let seen = &federation.seen[3];
        assert!(seen.states.taken > 0, "{lie:?}");
        assert_eq!(seen.states.chunks, CHUNKS, "{lie:?}");
        assert_eq!(seen.state, federation.seen[honest].state, "{lie:?}");
        if let Some(reason) = reason {
            assert!(
                seen.refused.contains(&reason),
                "{lie:?}: {:?}",
                seen.refused
            );
        }
        federation.lies.clear();
        is_back(&mut federation, 3);
    }
}

#[test]
fn more_liars_than_may_be_keep_a_node_waiting_and_never_deceive_it() {
    for lie in [
        Lie::OtherManifest,
        Lie::WrongManifest,
        Lie::WrongChunk,
        Lie::Truncated,
        Lie::Invented,
        Lie::ForgedCertificate,
        Lie::OldSeal,
        Lie::Silent,
        Lie::Prunes,
    ] {
        let mut federation = wiped(&[(0, lie), (1, lie), (2, lie)]);
        if lie == Lie::OldSeal {
            federation.lies.insert(2, Lie::Silent);
        }
        federation.wipe(3);
        federation.run(20 * SECOND);
        let seen = &federation.seen[3];
        let (taken, state) = (seen.states.taken, seen.state);
        if lie == Lie::OldSeal {
            // It is a true one, however old.
            assert!(taken <= federation.seen[0].states.first());
        } else {
            assert_eq!(taken, 0, "{lie:?}");
        }
        assert!(seen.diverged.is_empty());
        assert!(state != federation.seen[0].state, "{lie:?}");
        // When they tell the truth, it comes along.
        federation.lies.clear();
        load(&mut federation, &[0, 1, 2], 30);
        federation.run(30 * SECOND);
        assert_eq!(
            federation.seen[3].state, federation.seen[0].state,
            "{lie:?}"
        );
    }
}

#[test]
fn a_crash_at_any_step_of_the_take_over_leaves_the_old_state_or_the_new_one() {
    // Begin, chunks, check, before and behind the write that finishes.
    for steps in 0..CHUNKS + 4 {
        let mut federation = wiped(&[]);
        federation.crash = Some((3, steps));
        federation.restart(3);
        federation.run(10 * SECOND);
        assert_eq!(federation.crash, None, "step {steps} was reached");
        let chunks = federation.seen[3].states.chunks;
        assert_eq!(chunks, CHUNKS, "none came twice, crash at step {steps}");
        is_back(&mut federation, 3);
    }
}

#[test]
fn a_node_that_joins_later_walks_the_rosters_to_the_seal() {
    for lie in [None, Some(Lie::ForkedSteps), Some(Lie::NoSteps)] {
        let mut federation = Federation::with(short_epochs(4), 7);
        federation.prunes = true;
        federation.down.insert(6);
        load(&mut federation, &[0, 1, 2, 3], 5);
        federation.submit(0, "members 0 1 2 3 4");
        federation.run(SECOND);
        load(&mut federation, &[0, 1, 2, 3, 4], 5);
        federation.submit(0, "members 0 1 2 3 4 5");
        federation.run(SECOND);
        load(&mut federation, &[0, 1, 2, 3, 5], 5);
        federation.submit(0, "members 0 1 2 3 4 5 6");
        federation.run(SECOND);
        load(&mut federation, &[0, 1, 2, 3, 5], 30);
        let liar = first_asked(0..4);
        federation.lies.extend(lie.map(|lie| (liar, lie)));
        federation.restart(6);
        federation.run(20 * SECOND);
        if lie.is_some() {
            let problem = RefusalReason::State(StateProblem::Steps);
            assert!(federation.seen[6].refused.contains(&problem), "{lie:?}");
        }
        federation.lies.clear();
        assert_eq!(federation.seen[6].states.steps.len(), 3);
        is_back(&mut federation, 6);
    }
}

#[test]
fn a_membership_seal_is_taken_over_with_the_roster_that_it_names() {
    let mut federation = Federation::with(config(4), 5);
    federation.prunes = true;
    federation.down.insert(4);
    federation.submit(0, "forgotten");
    federation.run(SECOND);
    federation.submit(0, "members 0 1 2 3 4");
    federation.run(SECOND);
    federation.submit(1, "behind it");
    federation.run(SECOND);
    // Every node has forgotten the blocks before the only seal there is.
    federation.restart(4);
    federation.run(10 * SECOND);
    assert_eq!(federation.seen[4].states.taken, 2);
    assert_eq!(federation.payload(4), ["behind it"]);
    federation.submit(4, "of the new member");
    federation.run(SECOND);
    assert_eq!(federation.payload(0).last().unwrap(), "of the new member");
}

#[test]
fn a_node_far_behind_takes_the_state_though_its_peers_keep_all_blocks() {
    for (gap, takes) in [(20, true), (100_000, false)] {
        let mut config = short_epochs(4);
        config.pace.snapshot_gap = gap;
        let mut federation = Federation::with(config, 4);
        load(&mut federation, &[0, 1, 2, 3], 3);
        federation.down.insert(3);
        load(&mut federation, &[0, 1, 2], 60);
        federation.restart(3);
        federation.run(10 * SECOND);
        assert_eq!(federation.seen[3].states.taken > 0, takes);
        assert_eq!(federation.seen[3].state, federation.seen[0].state);
    }
}

#[test]
fn a_node_that_forgot_events_of_the_present_epoch_makes_none_in_it() {
    let mut config = config(4);
    config.limits.seal_layers = 40;
    let mut federation = Federation::with(config, 4);
    federation.prunes = true;
    while federation.cores[0].summary().epoch < 3 {
        load(&mut federation, &[0, 1, 2, 3], 2);
    }
    // It has made events in this epoch, and forgets them.
    load(&mut federation, &[3], 2);
    let epoch = federation.cores[0].summary().epoch;
    federation.wipe(3);
    federation.run(10 * SECOND);
    assert!(federation.seen[3].states.taken > 0);
    assert_eq!(federation.cores[3].summary().epoch, epoch);
    federation.submit(3, "too early");
    federation.run(2 * SECOND);
    assert_eq!(federation.seen[3].amnesia.len(), 1);
    assert!(!federation.payload(0).contains(&"too early".to_owned()));
    while federation.cores[0].summary().epoch == epoch {
        load(&mut federation, &[0, 1, 2], 2);
    }
    is_back(&mut federation, 3);
}
