use std::collections::BTreeSet;

use super::*;

fn draw(seed: u64, nodes: usize, minutes: u64, theme: Theme, all: bool) -> Schedule {
    let places = ["store.commit.written".to_owned()];
    let means = Means {
        disks: all,
        nets: all,
        places: &places,
    };
    Schedule::draw(seed, nodes, minutes, theme, &means)
}

#[test]
fn a_schedule_follows_from_its_seed_and_survives_its_file() {
    let drawn = |seed| draw(seed, 4, 10, Theme::Mixed, true);
    assert_eq!(drawn(3), drawn(3));
    assert_ne!(drawn(3), drawn(4));
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("schedule.json");
    drawn(3).write(&file).expect("written");
    assert_eq!(Schedule::read(&file).expect("read"), drawn(3));
}

#[test]
fn an_hour_of_a_mixed_schedule_holds_every_kind_of_fault() {
    let schedule = draw(1, 7, 60, Theme::Mixed, true);
    let rounds = schedule.rounds.iter();
    let kinds: BTreeSet<_> = rounds
        .flat_map(|round| round.faults.iter().map(|timed| timed.fault.name()))
        .collect();
    for kind in [
        "kill",
        "crash_point",
        "power_cut",
        "kill_agent",
        "agent_crash_point",
        "freeze",
        "wipe",
        "disk_full",
        "disk_error",
        "disk_slow",
        "links_slow",
        "links_flip",
        "links_stall",
        "links_half_open",
        "links_refuse",
        "links_flicker",
        "links_reset",
        "flood",
        "cable_pulled",
        "cable_mute",
        "cable_deaf",
    ] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
}

#[test]
fn without_disks_and_cables_nothing_is_drawn_that_needs_them() {
    let schedule = draw(1, 4, 60, Theme::Mixed, false);
    let rounds = schedule.rounds.iter();
    assert!(rounds.flat_map(|round| &round.faults).all(|timed| {
        let name = timed.fault.name();
        !["disk", "cable"].iter().any(|what| name.starts_with(what)) && !name.contains("power")
    }));
}

#[test]
fn no_round_wipes_more_nodes_than_may_fail() {
    let schedule = draw(9, 7, 120, Theme::Mixed, true);
    for round in &schedule.rounds {
        let wiped = round.faults.iter();
        let wiped = wiped.filter(|timed| timed.fault.name() == "wipe");
        assert!(wiped.count() <= 2);
    }
}

#[test]
fn a_schedule_that_names_a_node_too_many_is_refused() {
    let mut schedule = draw(1, 4, 1, Theme::Kills, false);
    schedule.rounds[0].faults.push(Timed {
        at_ms: 0,
        fault: Fault::Wipe { node: 4 },
    });
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("schedule.json");
    schedule.write(&file).expect("written");
    assert!(Schedule::read(&file).is_err());
}
