//! The checks that a run is made of.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    draw::draw,
    judge::{Findings, judge},
    layers::{AGREEMENT, Layers, PLAIN_AGREEMENT, PRODUCT},
    product::{compare, observe},
    random::sample,
    report::{Check, Kind, seconds},
    rules::Rules,
    votes::{VALIDITY, Votes},
    world::{Electee, Family},
};

/// The longest that one exhaustive check may take before it is reported as
/// not finished, which counts as a violation.
const CHECK_TIME_MAX: Duration = Duration::from_secs(4 * 3600);

/// Every election of `rules.nodes` creators as votes alone.
#[must_use]
pub fn votes(rules: Rules, name: &str, control: bool) -> Check {
    let start = Instant::now();
    let checker = Votes { rules }.checker().spawn_bfs().join();
    let failed: Vec<&str> = [AGREEMENT, PLAIN_AGREEMENT, VALIDITY]
        .into_iter()
        .filter(|property| checker.discovery(property).is_some())
        .collect();
    let note = match failed
        .first()
        .and_then(|property| checker.discovery(property))
    {
        Some(path) if !control => {
            let steps: Vec<String> = path
                .into_actions()
                .iter()
                .map(|a| format!("{a:?}"))
                .collect();
            format!("not so: {}\n{}", failed.join("; "), steps.join(", "))
        }
        _ => String::new(),
    };
    Check {
        name: format!("votes, n = {}, any number of steps: {name}", rules.nodes),
        kind: if control {
            Kind::Control
        } else {
            Kind::Exhaustive
        },
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        seconds: seconds(start.elapsed()),
        ok: failed.is_empty() != control,
        note,
    }
}

/// Every graph of a family, n = 4.
#[must_use]
pub fn layers(rules: Rules, family: Family, name: &str, control: bool) -> Check {
    explore(
        Layers {
            rules,
            family,
            product: false,
        },
        name,
        control,
    )
}

/// Every graph of a family, each state's judged by the product's code too.
#[must_use]
pub fn product_layers(rules: Rules, family: Family) -> Check {
    let model = Layers {
        rules,
        family,
        product: true,
    };
    explore(model, ", the product too", false)
}

fn explore(model: Layers, name: &str, control: bool) -> Check {
    let start = Instant::now();
    let family = model.family;
    let checker = model.checker().timeout(CHECK_TIME_MAX);
    let checker = checker
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_dfs()
        .join();
    let finished = start.elapsed() < CHECK_TIME_MAX;
    let properties = [AGREEMENT, PLAIN_AGREEMENT, PRODUCT];
    let failure = properties.into_iter().find_map(|p| checker.discovery(p));
    let found = failure.is_some();
    let note = failure.map_or_else(String::new, |path| draw(&path.last_state().world));
    Check {
        name: format!("{}{name}", describe(&family)),
        kind: if control {
            Kind::Control
        } else {
            Kind::Exhaustive
        },
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        seconds: seconds(start.elapsed()),
        ok: found == control && finished,
        note,
    }
}

fn describe(family: &Family) -> String {
    let whose = match family.electee {
        Electee::Honest => "honest",
        Electee::Liar => "liar's",
    };
    format!(
        "graphs, {} layers, {whose} candidate of layer {}{}{}{}",
        family.layers,
        family.candidate_layer,
        if family.twins {
            ", twins"
        } else {
            ", no twins"
        },
        if family.pause > 0 { ", pauses" } else { "" },
        if family.lag > 1 { ", late parents" } else { "" },
    )
}

/// The product's code on random graphs: the model's layers, candidates and
/// verdicts, and the same judges for observers of different parts.
#[must_use]
pub fn product(rules: Rules, first: u64, seeds: u64) -> Check {
    let start = Instant::now();
    let (mut verdicts, mut layers) = (0, 0);
    let mut fault = String::new();
    for seed in first..first.saturating_add(seeds) {
        let sample = sample(rules, seed);
        let found = compare(&sample.graph, &sample.coins);
        match found.and_then(|verdicts| Ok((verdicts, observe(&sample, seed)?))) {
            Ok(found) => (verdicts, layers) = (verdicts + found.0, layers + found.1),
            Err(error) => {
                fault = format!("; seed {seed}: {error}");
                break;
            }
        }
    }
    Check {
        name: format!(
            "the product on random graphs, n = {}, coin every {} steps",
            rules.nodes, rules.coin_every
        ),
        kind: Kind::Sampled,
        states: usize::try_from(seeds).unwrap_or(usize::MAX),
        steps: verdicts,
        seconds: seconds(start.elapsed()),
        ok: fault.is_empty(),
        note: format!("{verdicts} verdicts and {layers} closed layers compared{fault}"),
    }
}

/// Random graphs: `seeds` of them from `first` on.
#[must_use]
pub fn random(rules: Rules, first: u64, seeds: u64, control: bool) -> Check {
    let start = Instant::now();
    let mut findings = Findings::default();
    let mut failing = None;
    let mut graphs = 0;
    for seed in first..first.saturating_add(seeds) {
        let found = judge(&sample(rules, seed));
        if !found.is_clean() {
            failing = failing.or(Some(seed));
        }
        findings.add(&found);
        graphs += 1;
        if control && failing.is_some() {
            break;
        }
    }
    let first_failure = failing.map_or_else(String::new, |seed| format!("; first seed {seed}"));
    Check {
        name: format!(
            "random graphs, n = {}, coin every {} steps",
            rules.nodes, rules.coin_every
        ),
        kind: if control {
            Kind::Control
        } else {
            Kind::Sampled
        },
        states: graphs,
        steps: findings.elections,
        seconds: seconds(start.elapsed()),
        ok: failing.is_some() == control,
        note: format!(
            "{} splits, {} without the shortcut, {} of {} pairs of twins both strongly seen, \
             {} undecided, {} of {} with coins too{first_failure}",
            findings.splits,
            findings.plain_splits,
            findings.twins_seen,
            findings.twins,
            findings.undecided,
            findings.unlucky,
            findings.coins,
        ),
    }
}
