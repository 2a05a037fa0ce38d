//! The election without the graph: only how many vote what, exhaustively and
//! for any number of steps.
//!
//! This allows more than any graph does (an over-approximation). Of the graph
//! it keeps three facts: an honest creator has one V_k; of a liar's V_k at
//! most one is ever strongly seen by anybody (unless the rules break that
//! lemma); a V_{k+1}, a liar's too, counts the V_k of at least a quorum of
//! creators and follows the rule. Which ones it counts, what the liars' first
//! votes and all coins are, and which steps from the third on are coin steps,
//! is chosen against us. Every vote that could decide counts as seen by
//! somebody. So if nobody disagrees here, nobody does in any graph.
//!
//! States are counts, because nothing depends on names. They are finitely
//! many, so the check covers elections of unbounded length.

use stateright::{Model, Property};

use crate::{
    election::{
        AT_ONCE, NO, NO_BY_CLOSING, NO_BY_EARLY_CLOSING, NO_BY_SHORTCUT, NO_BY_TALLY, YES,
        YES_BY_SHORTCUT, YES_BY_TALLY,
    },
    layers::{AGREEMENT, PLAIN_AGREEMENT},
    rules::Rules,
};

/// The name of the property that what all honest first votes say stands.
pub const VALIDITY: &str = "what all honest first votes say is never contradicted";

/// The elections under these rules.
#[derive(Debug, Clone)]
pub struct Votes {
    /// The rules.
    pub rules: Rules,
}

/// One step of the election.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Whether the votes are first votes.
    first: bool,
    /// Honest creators that vote YES in this step; all others vote NO.
    yes: usize,
    /// Liars whose strongly seen vote of this step is YES.
    liars_yes: usize,
    /// Whether the next step takes coins.
    coin: bool,
    /// Honest votes of the next step: YES, NO.
    next: (usize, usize),
    /// The same of liars.
    liars_next: (usize, usize),
    /// The decisions that somebody can have drawn.
    verdicts: u8,
    /// What all honest first votes said, if they were equal.
    united: Option<bool>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An honest creator votes so in the next step.
    Cast(bool),
    /// A liar does.
    LiarCast(bool),
    /// The next step becomes the present one, and whether the step after it
    /// takes coins.
    Advance(bool),
}

impl Votes {
    fn honest(&self) -> usize {
        self.rules.nodes - self.rules.faulty()
    }

    /// Most YES and most NO that one event can count. Where twins are not kept
    /// apart, every liar may be counted on either side, which is more than its
    /// votes allow: the planted errors are looked for, nothing is proven then.
    fn most(&self, state: &State) -> (usize, usize) {
        let liars = self.rules.faulty();
        let no = self.honest() - state.yes;
        if self.rules.keeps_twins_apart() {
            (state.yes + state.liars_yes, no + liars - state.liars_yes)
        } else {
            (state.yes + liars, no + liars)
        }
    }

    /// Adds the decisions that can be drawn from the present step's votes.
    fn judged(&self, mut state: State) -> State {
        let rules = &self.rules;
        let (yes, no) = self.most(&state);
        if !state.coin {
            if yes >= rules.tally {
                state.verdicts |= YES_BY_TALLY;
            }
            if no >= rules.tally {
                state.verdicts |= NO_BY_TALLY;
            }
        }
        if state.first {
            // A liar shows everybody the first vote that suits it.
            let liars = rules.faulty();
            let (yes, ignorant) = (state.yes + liars, self.honest() - state.yes + liars);
            let reaches = |known: Option<usize>, votes| known.is_some_and(|known| votes >= known);
            if reaches(rules.shortcut_yes, yes) {
                state.verdicts |= YES_BY_SHORTCUT;
            }
            if reaches(rules.shortcut_no, ignorant) {
                state.verdicts |= NO_BY_SHORTCUT;
            }
            if reaches(rules.closing, ignorant) {
                state.verdicts |= NO_BY_EARLY_CLOSING;
            }
            if no >= rules.quorum {
                state.verdicts |= NO_BY_CLOSING;
            }
        }
        state
    }

    /// Whether an event of the next step can come to this vote.
    fn can_vote(&self, state: &State, vote: bool) -> bool {
        let rules = &self.rules;
        let (most_yes, most_no) = self.most(state);
        (0..=most_yes).any(|yes| {
            (0..=most_no)
                .filter(|no| (rules.quorum..=rules.nodes).contains(&(yes + no)))
                .any(
                    |no| match (state.coin, yes >= rules.tally, no >= rules.tally) {
                        (true, false, false) => true,
                        _ => (yes >= no) == vote,
                    },
                )
        })
    }

    fn coin_choices(&self, first: bool) -> &'static [bool] {
        match (self.rules.coin_every, first) {
            (0, _) | (3.., true) => &[false],
            _ => &[false, true],
        }
    }
}

impl Model for Votes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut states = Vec::new();
        for yes in 0..=self.honest() {
            for liars_yes in 0..=self.rules.faulty() {
                for coin in self.coin_choices(true) {
                    let united = (yes == 0).then_some(false);
                    states.push(self.judged(State {
                        first: true,
                        yes,
                        liars_yes,
                        coin: *coin,
                        next: (0, 0),
                        liars_next: (0, 0),
                        verdicts: 0,
                        united: united.or((yes == self.honest()).then_some(true)),
                    }));
                }
            }
        }
        states
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let votes = [false, true].into_iter();
        let votes = votes.filter(|vote| self.can_vote(state, *vote));
        if state.next.0 + state.next.1 < self.honest() {
            actions.extend(votes.map(Action::Cast));
        } else if state.liars_next.0 + state.liars_next.1 < self.rules.faulty() {
            actions.extend(votes.map(Action::LiarCast));
        } else {
            let coins = self.coin_choices(false).iter().copied();
            actions.extend(coins.map(Action::Advance));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Cast(true) => state.next.0 += 1,
            Action::Cast(false) => state.next.1 += 1,
            Action::LiarCast(true) => state.liars_next.0 += 1,
            Action::LiarCast(false) => state.liars_next.1 += 1,
            Action::Advance(coin) => {
                state = self.judged(State {
                    first: false,
                    yes: state.next.0,
                    liars_yes: state.liars_next.0,
                    coin,
                    next: (0, 0),
                    liars_next: (0, 0),
                    ..state
                });
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AGREEMENT, |_, s: &State| !is_split(s.verdicts)),
            Property::always(PLAIN_AGREEMENT, |_, s: &State| {
                !is_split(s.verdicts & !AT_ONCE)
            }),
            Property::always(VALIDITY, |_, s: &State| match s.united {
                Some(true) => s.verdicts & NO == 0,
                Some(false) => s.verdicts & YES == 0,
                None => true,
            }),
            Property::sometimes("YES by tally", |_, s: &State| {
                s.verdicts & YES_BY_TALLY != 0
            }),
            Property::sometimes("NO by tally", |_, s: &State| s.verdicts & NO_BY_TALLY != 0),
        ]
    }
}

fn is_split(verdicts: u8) -> bool {
    verdicts & YES != 0 && verdicts & NO != 0
}
