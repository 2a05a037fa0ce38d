//! More liars than f: no order is safe then. But a split must come out: every
//! honest node comes to hold proof of forks by liars, or finds that others
//! certified something else.

use std::collections::BTreeMap;

use dctrl_consensus::{Certificate, Digest};

use super::World;
use crate::engine::Seat;
use crate::marks::Mark;
use crate::scenario::{SECOND, Theme};

/// Virtual time after the healing in which a split must have come out.
const TIME_TO_DETECT: u64 = 10 * SECOND;

/// What is known of a split.
#[derive(Debug, Default)]
pub(super) struct Split {
    certified: BTreeMap<u64, Digest>,
    happened: bool,
    /// By seat, whether the node has told its driver.
    alarmed: Vec<bool>,
}

impl Split {
    pub(super) fn new(seats: usize) -> Self {
        Self {
            alarmed: vec![false; seats],
            ..Self::default()
        }
    }

    pub(super) fn alarm(&mut self, seat: Seat) {
        self.alarmed[seat] = true;
    }
}

impl World {
    /// Whether the usual checks are void, because too many lie.
    pub(super) fn too_many_lie(&self) -> bool {
        self.scenario.theme == Theme::Collusion
    }

    /// A certificate in a run in which two may contradict each other.
    pub(super) fn certified_under_collusion(&mut self, certificate: &Certificate) {
        let hash = certificate.header.hash();
        let index = certificate.header.index;
        let first = *self.split.certified.entry(index).or_insert(hash);
        self.split.happened |= first != hash;
        if !self.setting.proves(certificate, &self.setting.genesis) {
            self.violation(format!("the certificate of block {index} proves nothing"));
        }
    }

    /// Runs until a split must have come out, and looks whether it has.
    pub(super) fn check_detection(&mut self) {
        self.run_until(self.scenario.heal_at + TIME_TO_DETECT);
        self.marks.hit(Mark::Colluded);
        if !self.split.happened {
            return;
        }
        self.marks.hit(Mark::SplitDetected);
        let quiet: Vec<Seat> = self
            .sound()
            .filter(|seat| !self.split.alarmed[*seat])
            .collect();
        for seat in quiet {
            self.violation(format!(
                "the order is split, and node {seat} knows nothing of it"
            ));
        }
    }
}
