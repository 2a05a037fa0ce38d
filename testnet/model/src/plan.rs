//! Which checks a run makes.

use crate::{
    check::{layers, product, product_layers, random, votes},
    report::Report,
    rules::{Planted, Rules},
    world::{Electee, Family},
};

/// How far a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Layers of the enumerated graphs; several bounds where not given.
    pub layers: Option<usize>,
    /// First seed of the random graphs.
    pub first: u64,
    /// Random graphs for each number of nodes.
    pub seeds: Option<u64>,
    /// Whether to go on for hours.
    pub long: bool,
    /// Whether to print nothing on the way.
    pub quiet: bool,
}

const SEEDS: u64 = 500;
const LONG_SEEDS: u64 = 250_000;
/// Of so many random graphs one is given to the product's code too, which is
/// slower because events are named there.
const PRODUCT_SHARE: u64 = 10;
/// Seeds that may pass before a planted error has to be found.
const CONTROL_SEEDS: u64 = 20_000;
/// Numbers of nodes whose elections are checked as votes.
const VOTE_NODES: std::ops::RangeInclusive<usize> = 4..=10;
/// Numbers of nodes of the random graphs.
const RANDOM_NODES: std::ops::RangeInclusive<usize> = 4..=7;

const STEADY: Family = Family {
    layers: 5,
    lag: 1,
    pause: 0,
    twins: false,
    electee: Electee::Honest,
    candidate_layer: 0,
};

/// One variant of the rules, which is claimed to be right.
pub fn custom(report: &mut Report, rules: Rules, bounds: &Bounds) {
    report.add(votes(rules, "these rules", false), bounds.quiet);
    for check in families(bounds) {
        report.add(layers(rules, check, "", false), bounds.quiet);
    }
    let seeds = bounds.seeds.unwrap_or(SEEDS);
    report.add(random(rules, bounds.first, seeds, false), bounds.quiet);
}

/// All that is claimed, and all planted errors.
pub fn standard(report: &mut Report, bounds: &Bounds) {
    for nodes in VOTE_NODES {
        let rules = Rules::design(nodes, true);
        report.add(
            votes(rules, "agreement with and without the shortcut", false),
            bounds.quiet,
        );
    }
    vote_controls(report, bounds);
    for family in families(bounds) {
        report.add(
            layers(Rules::design(4, true), family, "", false),
            bounds.quiet,
        );
    }
    for family in product_families(bounds) {
        report.add(product_layers(Rules::design(4, true), family), bounds.quiet);
    }
    layer_controls(report, bounds);
    let seeing = Rules {
        layer_sees: true,
        ..Rules::design(4, true)
    };
    let seeds = bounds.seeds.unwrap_or(SEEDS);
    let mut check = random(seeing, bounds.first, seeds, false);
    check.name.push_str(", layers by what is seen");
    report.add(check, bounds.quiet);
    for nodes in RANDOM_NODES {
        for coin_every in [6, 3] {
            let mut rules = Rules::design(nodes, true);
            rules.coin_every = coin_every;
            let seeds = bounds
                .seeds
                .unwrap_or(if bounds.long { LONG_SEEDS } else { SEEDS });
            report.add(random(rules, bounds.first, seeds, false), bounds.quiet);
            let seeds = seeds / PRODUCT_SHARE;
            report.add(product(rules, bounds.first, seeds), bounds.quiet);
        }
    }
}

/// The planted errors as votes: for four nodes all of them, for every number
/// of nodes that each threshold of the shortcut cannot be one lower.
fn vote_controls(report: &mut Report, bounds: &Bounds) {
    for planted in Planted::ALL {
        let rules = planted.into_rules(Rules::design(4, true));
        report.add(
            votes(rules, &format!("{planted:?} planted"), true),
            bounds.quiet,
        );
    }
    for nodes in VOTE_NODES {
        let right = Rules::design(nodes, true);
        let yes = Rules {
            shortcut_yes: right.shortcut_yes.map(|known| known - 1),
            ..right
        };
        let no = Rules {
            shortcut_no: right.shortcut_no.map(|known| known - 1),
            ..right
        };
        report.add(
            votes(yes, "one first vote too few for YES", true),
            bounds.quiet,
        );
        report.add(
            votes(no, "one first vote too few for NO", true),
            bounds.quiet,
        );
    }
}

/// The families of graphs that are enumerated.
fn families(bounds: &Bounds) -> Vec<Family> {
    let mut families = Vec::new();
    for electee in [Electee::Honest, Electee::Liar] {
        let steady = Family { electee, ..STEADY };
        let twins = Family {
            twins: true,
            ..steady
        };
        if let Some(layers) = bounds.layers {
            families.push(Family { layers, ..steady });
            families.push(Family { layers, ..twins });
        } else if bounds.long {
            families.push(Family {
                layers: 7,
                ..steady
            });
            families.push(Family { pause: 1, ..steady });
            families.push(Family {
                lag: 2,
                layers: 4,
                ..steady
            });
            families.push(Family {
                candidate_layer: 1,
                layers: 5,
                ..twins
            });
            families.push(twins);
        } else {
            families.push(steady);
            families.push(Family { layers: 4, ..twins });
        }
    }
    families
}

/// The families whose states the product's code judges too.
fn product_families(bounds: &Bounds) -> Vec<Family> {
    let steady = Family {
        electee: Electee::Liar,
        ..STEADY
    };
    let twins = Family {
        twins: true,
        layers: 4,
        ..steady
    };
    if bounds.long {
        vec![STEADY, steady, twins]
    } else {
        vec![
            Family {
                layers: 4,
                ..STEADY
            },
            twins,
        ]
    }
}

/// Planted errors in graphs. Two of them need six layers and twins, so a
/// short run looks for these among random graphs instead.
fn layer_controls(report: &mut Report, bounds: &Bounds) {
    let rules = |planted: Planted| planted.into_rules(Rules::design(4, true));
    let tally = layers(rules(Planted::Tally), STEADY, ", Tally planted", true);
    report.add(tally, bounds.quiet);
    let six = Family {
        layers: 6,
        twins: true,
        electee: Electee::Liar,
        ..STEADY
    };
    for planted in [Planted::Shortcut, Planted::StronglySee] {
        let mut check = if bounds.long {
            layers(rules(planted), six, "", true)
        } else {
            random(rules(planted), bounds.first, CONTROL_SEEDS, true)
        };
        check.name.push_str(&format!(", {planted:?} planted"));
        report.add(check, bounds.quiet);
    }
}
