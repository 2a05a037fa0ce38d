//! The sum of many cells.

use std::collections::BTreeMap;

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;
use serde_json::{Value, json};

use super::{Cell, CellReport};

/// What the cells of one step came to.
#[derive(Debug, Clone, Copy, Default)]
struct OfStep {
    cells: u64,
    struck: u64,
    undone: u64,
    failed: u64,
}

/// The sum.
#[derive(Debug, Clone, Default)]
pub struct GridTotal {
    all: OfStep,
    violations: u64,
    by_step: BTreeMap<(&'static str, &'static str), OfStep>,
    by_form: BTreeMap<(&'static str, &'static str), u64>,
    first_failing: Option<Cell>,
    digest: Digest,
}

impl GridTotal {
    /// Adds a cell.
    pub fn add(&mut self, report: &CellReport) {
        let cell = &report.cell;
        let failed = !report.violations.is_empty();
        let world = cell.world.name();
        let of_step = self.by_step.entry((world, cell.step)).or_default();
        for one in [&mut self.all, of_step] {
            one.cells += 1;
            one.struck += u64::from(report.struck.at_all);
            one.undone += u64::from(report.struck.undone);
            one.failed += u64::from(failed);
        }
        *self.by_form.entry((world, cell.form.name())).or_default() += 1;
        self.violations += report.violations.len() as u64;
        if failed && self.first_failing.is_none() {
            self.first_failing = Some(*cell);
        }
        let parts = [&self.digest.0[..], &report.digest.0];
        self.digest = sha256(b"dctrl-sim-grid\0", &parts);
    }

    /// Cells that were played.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.all.cells
    }

    /// Cells in which the reorganisation undid the transaction of its own payout
    /// or vend, at this step of any world.
    #[must_use]
    pub fn undone_at(&self, step: &str) -> u64 {
        let of_step = self.by_step.iter().filter(|((_, name), _)| *name == step);
        of_step.map(|(_, one)| one.undone).sum()
    }

    /// Whether there were cells, and nothing went wrong in any.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations == 0 && self.all.cells > 0 && self.all.struck == self.all.cells
    }

    /// The sum as one JSON object. Nothing in it depends on the machine.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut steps: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for ((world, step), one) in &self.by_step {
            steps.entry(world).or_default().insert(step, of_step(one));
        }
        let mut forms: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((world, form), cells) in &self.by_form {
            forms.entry(world).or_default().insert(form, *cells);
        }
        json!({
            "grid": "reorganisations",
            "cells": self.all.cells,
            "struck": self.all.struck,
            "undone": self.all.undone,
            "failed": self.all.failed,
            "violations": self.violations,
            "forms": forms,
            "steps": steps,
            "first_failing": self.first_failing.map(|cell| cell.replay_command()),
            "runs_digest": self.digest.to_string(),
        })
    }
}

fn of_step(one: &OfStep) -> Value {
    json!({
        "cells": one.cells,
        "struck": one.struck,
        "undone": one.undone,
        "failed": one.failed,
    })
}
