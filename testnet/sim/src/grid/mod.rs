//! Reorganisations at every step: for each step of a payout and of a vend, each
//! depth of 1 to 100 blocks and each form, one small run in which a
//! reorganisation of exactly that depth strikes when the first payout or vend
//! has just come to that step.
//!
//! What flows where: [`Grid`] (which cells) → the worlds' own runs, calm but for
//! that one blow, with all their own checks → [`CellReport`] → [`GridTotal`].
//!
//! Invariants: a cell in which the step was never reached, or the chain was not
//! reorganised there, is a failure, so that a grid cannot pass emptily; and a
//! cell's run follows from the cell and the first number alone, so that it can
//! be played without the others.
//!
//! Deliberately absent: chance about when and how deep, which the campaigns of
//! both worlds have, with every other fault beside it.

mod cell;
mod total;

pub use cell::{Cell, CellReport, Form, GridWorld};
pub(crate) use cell::{STRUCK, UNDONE};
pub use total::GridTotal;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Deepest reorganisation of a grid, blocks.
pub const DEPTH_MAX: u32 = 100;
/// Cells between two times at which reports are handed over.
const BATCH: usize = 64;
/// One cell of so many is played twice, to see that it happens the same way.
const REPEAT_EVERY: usize = 64;

/// Which cells are played.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Worlds, each with all of its steps.
    pub worlds: Vec<GridWorld>,
    /// Names of steps; all where there are none.
    pub steps: Vec<String>,
    /// Depths, 1 to [`DEPTH_MAX`] blocks.
    pub depths: Vec<u32>,
    /// Forms; all where there are none.
    pub forms: Vec<Form>,
    /// What the chance of all cells begins with.
    pub first: u64,
    /// Threads.
    pub threads: usize,
}

impl Grid {
    /// All cells, in the order in which they are reported.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let wanted = |step: &str| self.steps.is_empty() || self.steps.iter().any(|one| one == step);
        let mut cells = Vec::new();
        for world in &self.worlds {
            for step in world.steps().into_iter().filter(|step| wanted(step)) {
                for depth in self.depths.iter().copied() {
                    let forms = world.forms(step, depth).into_iter();
                    let forms = forms.filter(|it| self.forms.is_empty() || self.forms.contains(it));
                    cells.extend(forms.map(|form| Cell {
                        world: *world,
                        step,
                        depth,
                        form,
                        first: self.first,
                    }));
                }
            }
        }
        cells
    }

    /// Plays all, and hands each report over in the order of the cells.
    ///
    /// # Panics
    /// Where a thread of the grid panicked.
    pub fn run(&self, mut each: impl FnMut(&CellReport)) -> GridTotal {
        let cells = self.cells();
        let mut total = GridTotal::default();
        for (number, batch) in cells.chunks(BATCH).enumerate() {
            for report in self.run_batch(batch, number * BATCH) {
                each(&report);
                total.add(&report);
            }
        }
        total
    }

    fn run_batch(&self, cells: &[Cell], before: usize) -> Vec<CellReport> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(cells.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(cell) = cells.get(at) else { break };
                        let again = (before + at).is_multiple_of(REPEAT_EVERY);
                        let report = play(cell, again);
                        done.lock().expect("no thread panics").push((at, report));
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no thread panicked");
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, report)| report).collect()
    }
}

fn play(cell: &Cell, again: bool) -> CellReport {
    let mut report = catch_unwind(|| cell.play()).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        CellReport::of_panic(cell, text.unwrap_or("without a word"))
    });
    if again && report.violations.is_empty() && cell.play().digest != report.digest {
        let what = "the same cell happened another way".to_owned();
        report.violations.push(what);
    }
    report
}
