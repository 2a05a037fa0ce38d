//! The claims that the model makes, each small enough for every test run.

use dctrl_model::{
    check::{layers, product, product_layers, random, votes},
    graph::Graph,
    judge::{candidates, elect, judge},
    key::fingerprint,
    random::sample,
    rules::{Planted, Rules},
    world::{Electee, Family, World, beginning},
};

const FAMILY: Family = Family {
    layers: 4,
    lag: 1,
    pause: 0,
    twins: false,
    electee: Electee::Honest,
    candidate_layer: 0,
};

#[test]
fn no_votes_of_four_to_ten_creators_split_the_observers() {
    for nodes in 4..=10 {
        let check = votes(Rules::design(nodes, true), "", false);
        assert!(check.ok, "{}", check.note);
    }
}

#[test]
fn every_planted_error_splits_the_votes_of_four() {
    for planted in Planted::ALL {
        let rules = planted.into_rules(Rules::design(4, true));
        assert!(votes(rules, "", true).ok, "{planted:?} was not found");
    }
}

#[test]
fn without_the_shortcut_its_planted_error_is_harmless() {
    let rules = Planted::Shortcut.into_rules(Rules::design(4, false));
    assert!(votes(rules, "", false).ok);
}

#[test]
fn the_thresholds_of_the_shortcut_are_those_of_the_design() {
    let known = |nodes| {
        let rules = Rules::design(nodes, true);
        (rules.shortcut_yes, rules.shortcut_no)
    };
    assert_eq!(known(4), (Some(4), Some(4)));
    assert_eq!(known(5), (Some(4), Some(5)));
    assert_eq!(known(6), (Some(5), Some(5)));
    assert_eq!(known(7), (Some(7), Some(7)));
}

#[test]
fn no_graph_of_four_layers_splits_the_observers() {
    for electee in [Electee::Honest, Electee::Liar] {
        let family = Family { electee, ..FAMILY };
        let check = layers(Rules::design(4, true), family, "", false);
        assert!(check.ok, "{}", check.note);
        assert!(check.states > 400);
    }
}

#[test]
fn a_lowered_tally_splits_the_observers_of_a_graph() {
    let rules = Planted::Tally.into_rules(Rules::design(4, true));
    let check = layers(rules, FAMILY, "", true);
    assert!(check.ok);
    assert!(check.note.contains("the candidate"));
}

#[test]
fn a_shortcut_with_three_of_four_first_votes_splits_a_random_graph() {
    let rules = Planted::Shortcut.into_rules(Rules::design(4, true));
    assert!(random(rules, 0, 2_000, true).ok);
    assert!(random(Rules::design(4, true), 0, 200, false).ok);
}

#[test]
fn twins_are_never_both_strongly_seen_unless_a_fork_is_not_noticed() {
    let count = |rules| {
        (0..50)
            .map(|seed| judge(&sample(rules, seed)))
            .fold((0, 0), |sum, found| {
                (sum.0 + found.twins, sum.1 + found.twins_seen)
            })
    };
    let (twins, seen) = count(Rules::design(4, true));
    assert!(twins > 1_000);
    assert_eq!(seen, 0);
    assert!(count(Planted::ForkBlind.into_rules(Rules::design(4, true))).1 > 0);
}

#[test]
fn an_undisturbed_federation_elects_every_candidate_by_the_shortcut() {
    let rules = Rules::design(4, true);
    let mut graph = Graph::new(rules);
    let mut tips: Vec<usize> = (0..4).map(|creator| graph.push(creator, None, 0)).collect();
    for _ in 0..3 {
        let all = tips.iter().fold(0, |set, tip| set | 1 << tip);
        tips = (0..4)
            .map(|creator| graph.push(creator, Some(tips[creator]), all & !(1 << tips[creator])))
            .collect();
    }
    let coins = vec![false; graph.events().len()];
    for candidate in candidates(&graph) {
        if graph.event(candidate).layer < 3 {
            let election = elect(&graph, &coins, candidate);
            assert_ne!(
                election.verdicts & dctrl_model::election::YES_BY_SHORTCUT,
                0
            );
        }
    }
}

#[test]
fn renaming_honest_nodes_does_not_change_the_future() {
    let rules = Rules::design(4, true);
    let family = Family {
        electee: Electee::Liar,
        ..FAMILY
    };
    let start = World::replay(rules, &family, &beginning(1));
    let one_deaf = |deaf: usize| {
        let mut world = start.clone();
        for line in 0..4 {
            // Everybody hears everybody, but for one honest node that does
            // not hear the liar.
            let all = start.moves(&family, line);
            let size = |step: &dctrl_model::world::Move| step.others.count_ones();
            let hears = |step: &&dctrl_model::world::Move| {
                if line == deaf {
                    step.others & 0b1000 == 0
                } else {
                    size(step) == 3
                }
            };
            let step = all.iter().find(hears).copied();
            world.make(&step.expect("such a move exists"));
        }
        fingerprint(&world, &family)
    };
    assert_eq!(one_deaf(0), one_deaf(1));
    assert_eq!(one_deaf(0), one_deaf(2));
}

#[test]
fn the_product_decides_what_the_model_decides() {
    for nodes in [4, 5, 7] {
        let check = product(Rules::design(nodes, true), 0, 20);
        assert!(check.ok && check.steps > 500, "{}", check.note);
    }
    let check = product_layers(Rules::design(4, true), FAMILY);
    assert!(check.ok, "{}", check.note);
}
