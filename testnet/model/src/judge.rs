//! What has to hold of a sampled graph: agreement on every candidate of every
//! layer, the lemma on twins, and that layers close once the network is fair.

use crate::{
    election::{Election, NO, YES},
    graph::{Graph, Set, bit, elements},
    random::Sample,
};

/// What was found in one graph.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Findings {
    /// Candidates whose elections were held.
    pub elections: usize,
    /// Candidates on which two observers can decide differently.
    pub splits: usize,
    /// The same if nobody takes the shortcut.
    pub plain_splits: usize,
    /// Pairs of twins that were both seen strongly.
    pub twins_seen: usize,
    /// Pairs of twins that were looked at.
    pub twins: usize,
    /// Candidates of the hostile part that nobody decided although their
    /// elections reached no coin step.
    pub undecided: usize,
    /// The same with coins, whose luck may last.
    pub unlucky: usize,
    /// Elections that reached a coin step.
    pub coins: usize,
}

impl Findings {
    /// Whether nothing that must not be was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.splits + self.plain_splits + self.twins_seen + self.undecided == 0
    }

    /// Adds up.
    pub fn add(&mut self, other: &Self) {
        self.elections += other.elections;
        self.splits += other.splits;
        self.plain_splits += other.plain_splits;
        self.twins_seen += other.twins_seen;
        self.twins += other.twins;
        self.undecided += other.undecided;
        self.unlucky += other.unlucky;
        self.coins += other.coins;
    }
}

/// The events that stand for election: the first of their lines in a layer.
#[must_use]
pub fn candidates(graph: &Graph) -> Vec<usize> {
    (0..graph.events().len())
        .filter(|event| {
            let event = graph.event(*event);
            let below = event.self_parent.map(|below| graph.event(below).layer);
            below != Some(event.layer)
        })
        .collect()
}

/// The election of one event of a graph, with everybody's votes.
#[must_use]
pub fn elect(graph: &Graph, coins: &[bool], candidate: usize) -> Election {
    let mut election = Election::new(graph.event(candidate).layer);
    election.candidate.event = Some(candidate);
    for (event, coin) in coins.iter().enumerate() {
        election.insert(graph, event, *coin);
    }
    election
}

/// Judges one graph.
#[must_use]
pub fn judge(sample: &Sample) -> Findings {
    let graph = &sample.graph;
    let mut findings = Findings::default();
    for candidate in candidates(graph) {
        let election = elect(graph, &sample.coins, candidate);
        findings.elections += 1;
        findings.splits += usize::from(election.is_split(true));
        findings.plain_splits += usize::from(election.is_split(false));
        let coin = graph.rules().coin_every as usize;
        let coins = coin != 0 && election.voters(coin) != 0;
        findings.coins += usize::from(coins);
        let settled = election.verdicts & (YES | NO) != 0;
        let due = candidate < sample.hostile && !settled;
        findings.undecided += usize::from(due && !coins);
        findings.unlucky += usize::from(due && coins);
    }
    look_at_twins(sample, &mut findings);
    findings
}

/// Counts the pairs of twins that some events see strongly, one each.
fn look_at_twins(sample: &Sample, findings: &mut Findings) {
    let graph = &sample.graph;
    for liar in sample.liars_from..graph.rules().nodes {
        let own: Vec<(usize, Set)> = elements(graph.of_creator(liar))
            .map(|event| (event, graph.event(event).line))
            .collect();
        let seen: Vec<bool> = own
            .iter()
            .map(|(y, _)| (0..graph.events().len()).any(|x| graph.strongly_see(x, *y)))
            .collect();
        for (b, (_, line)) in own.iter().enumerate() {
            for (a, (first, _)) in own[..b].iter().enumerate() {
                if line & bit(*first) == 0 {
                    findings.twins += 1;
                    findings.twins_seen += usize::from(seen[a] && seen[b]);
                }
            }
        }
    }
}
