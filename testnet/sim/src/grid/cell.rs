//! One cell of a grid, and what its run found.

use std::fmt;

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;

use crate::{full, payouts};

/// A world that has a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridWorld {
    /// Steps of a payout.
    Payouts,
    /// Steps of a vend.
    Full,
}

/// What becomes of the transactions of the blocks that are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// They wait again, and come back in the new blocks.
    Back,
    /// They are lost. Payouts: nobody remembers them, so that somebody must send
    /// them again; but what a settled payout rests on comes back. Vends: their
    /// payers have spent the coins elsewhere.
    Lost,
    /// Payouts: the payer of a coin that the payout spends has another transaction
    /// mined in its place; the others come back.
    Replaced,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Back, Self::Lost, Self::Replaced];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Back => "back",
            Self::Lost => "lost",
            Self::Replaced => "replaced",
        }
    }
}

impl GridWorld {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Payouts, Self::Full];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Payouts => "payouts",
            Self::Full => "full",
        }
    }

    /// The names of its steps, in the order in which they are come to.
    #[must_use]
    pub fn steps(self) -> Vec<&'static str> {
        match self {
            Self::Payouts => payouts::grid_steps().collect(),
            Self::Full => full::grid_steps().collect(),
        }
    }

    /// The forms that a reorganisation of this depth has at this step.
    #[must_use]
    pub fn forms(self, step: &str, depth: u32) -> Vec<Form> {
        let mut forms = vec![Form::Back, Form::Lost];
        if self == Self::Payouts && payouts::can_replace(step, depth) {
            forms.push(Form::Replaced);
        }
        forms
    }
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Where it is played.
    pub world: GridWorld,
    /// When the reorganisation strikes.
    pub step: &'static str,
    /// So many blocks are undone.
    pub depth: u32,
    /// What becomes of what they held.
    pub form: Form,
    /// What its chance begins with.
    pub first: u64,
}

impl Cell {
    /// What the run's chance begins with: another one for each cell.
    fn seed(&self) -> u64 {
        let (world, step, form) = (self.world.name(), self.step, self.form.name());
        let (depth, first) = (self.depth.to_be_bytes(), self.first.to_be_bytes());
        let parts: [&[u8]; 7] = [
            world.as_bytes(),
            b"\0",
            step.as_bytes(),
            b"\0",
            form.as_bytes(),
            &depth,
            &first,
        ];
        let digest = sha256(b"dctrl-sim-cell\0", &parts);
        let (seed, _) = digest.0.split_at(8);
        seed.iter()
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte))
    }

    /// Plays it.
    #[must_use]
    pub fn play(&self) -> CellReport {
        let (violations, struck, digest) = match self.world {
            GridWorld::Payouts => {
                let report = payouts::play_cell(self.step, self.depth, self.form, self.seed());
                let struck = Struck::of(|what| report.seen.contains_key(what));
                (report.violations, struck, report.digest)
            }
            GridWorld::Full => {
                let lost = self.form == Form::Lost;
                let report = full::play_cell(self.step, self.depth, lost, self.seed());
                let struck = Struck::of(|what| report.seen.count(what) > 0);
                (report.violations, struck, report.digest)
            }
        };
        let mut report = CellReport {
            cell: *self,
            violations,
            struck,
            digest,
        };
        if !struck.at_all && report.violations.is_empty() {
            report
                .violations
                .push("the chain was never reorganised there".to_owned());
        }
        report
    }

    /// The command that plays this cell alone.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let (world, step, depth) = (self.world.name(), self.step, self.depth);
        let (form, first) = (self.form.name(), self.first);
        format!(
            "cargo xtask sim --world {world} --grid --steps {step} --depths {depth} \
             --forms {form} --first {first}"
        )
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (world, step, form) = (self.world.name(), self.step, self.form.name());
        write!(f, "{world} {step} {} {form}", self.depth)
    }
}

/// The worlds' names for what a cell has met.
pub(crate) const STRUCK: &str = "grid_struck";
pub(crate) const UNDONE: &str = "grid_undone";

/// What the reorganisation of a cell met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    /// It came, at its step.
    pub at_all: bool,
    /// The payout's or vend's own transaction was in a block that it undid.
    pub undone: bool,
}

impl Struck {
    fn of(met: impl Fn(&str) -> bool) -> Self {
        Self {
            at_all: met(STRUCK),
            undone: met(UNDONE),
        }
    }
}

/// What one cell found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellReport {
    /// Which one it was.
    pub cell: Cell,
    /// What went wrong; empty where nothing did.
    pub violations: Vec<String>,
    /// What the reorganisation met.
    pub struck: Struck,
    /// A digest of all that happened: the same cell gives the same.
    pub digest: Digest,
}

impl CellReport {
    /// A run that ended in a panic, which is a violation as any other.
    pub(super) fn of_panic(cell: &Cell, text: &str) -> Self {
        Self {
            cell: *cell,
            violations: vec![format!("a panic: {text}")],
            struck: Struck::of(|_| false),
            digest: Digest::ZERO,
        }
    }
}
