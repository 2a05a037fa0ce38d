//! Claims about reorganisations at every step of payouts and vends.

use dctrl_sim::full::{self, Planted as Vends};
use dctrl_sim::grid::{DEPTH_MAX, Form, Grid, GridTotal, GridWorld};
use dctrl_sim::payouts::{self, Planted as Payouts};

fn short(world: GridWorld) -> GridTotal {
    let grid = Grid {
        worlds: vec![world],
        steps: Vec::new(),
        // One block, the last one that undoes nothing settled and the two behind
        // it, and as many as there may be.
        depths: vec![1, 5, 6, 7, DEPTH_MAX],
        forms: Vec::new(),
        first: 0,
        threads: 2,
    };
    let mut found = Vec::new();
    let total = grid.run(|report| {
        let cell = &report.cell;
        let replay = cell.replay_command();
        for what in &report.violations {
            found.push(format!("{cell}: {what}\nreplay: {replay}"));
        }
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(total.is_clean(), "{}", total.json());
    total
}

#[test]
fn at_each_step_of_a_payout_a_reorganisation_leaves_the_books_balanced_and_pays_nothing_twice() {
    let total = short(GridWorld::Payouts);
    for step in [
        "confirmed_1",
        "settled",
        "bump_overtaken",
        "child_confirmed",
    ] {
        let undone = total.undone_at(step);
        assert!(undone > 0, "nothing was undone at {step}");
    }
}

#[test]
fn at_each_step_of_a_vend_a_reorganisation_leaves_the_books_balanced_and_sells_nothing_twice() {
    let total = short(GridWorld::Full);
    for step in ["counting_1", "firing", "dispensed", "final", "can_final"] {
        let undone = total.undone_at(step);
        assert!(undone > 0, "nothing was undone at {step}");
    }
}

#[test]
fn a_cell_whose_step_is_never_reached_fails() {
    let cell = dctrl_sim::grid::Cell {
        world: GridWorld::Full,
        step: "never",
        depth: 1,
        form: Form::Back,
        first: 0,
    };
    let found = cell.play().violations;
    assert!(
        found.iter().any(|what| what.contains("never reorganised")),
        "{found:?}"
    );
}

#[test]
fn a_node_that_is_silent_about_what_was_undone_is_found_in_a_cell() {
    let payouts = [
        ("confirmed_1", Payouts::StaysInBlock, "the books have"),
        ("ready", Payouts::Unwatched, "has not come to an end"),
    ];
    for (step, planted, what) in payouts {
        let found = payouts::find_planted_in_cell(step, 7, Form::Replaced, planted);
        let found = found.unwrap_or_default();
        assert!(found.contains(what), "{planted:?} was found as {found:?}");
    }
    let vends = [
        ("counting_1", Vends::NeverGone, "not settled"),
        ("dispensed", Vends::CreditTwice, "all accounts come to"),
    ];
    for (step, planted, what) in vends {
        let found = full::find_planted_in_cell(step, 7, true, planted);
        let found = found.unwrap_or_default();
        assert!(found.contains(what), "{planted:?} was found as {found:?}");
    }
}
