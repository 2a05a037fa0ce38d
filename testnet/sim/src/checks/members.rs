//! Epochs follow each other alike at all nodes, no block is certified by two
//! rosters, whoever knows the first roster alone can walk to the last one, and
//! nobody who was removed gets a word in.

use dctrl_consensus::event::Event;
use dctrl_consensus::{Certificate, Digest, Roster, RosterChain};

use crate::engine::{Seat, Setting};
use crate::people::Rosters;

/// A light client that is shown every certificate, and nothing else.
#[derive(Debug)]
pub(crate) struct Members {
    /// The real one, where signatures are real.
    chain: Option<RosterChain>,
    current: Roster,
    epoch: u64,
    /// Steps from one roster to another.
    steps: u64,
}

impl Members {
    pub(crate) fn new(setting: &Setting) -> Self {
        let chain = || RosterChain::new(setting.cluster, setting.genesis.clone());
        Self {
            chain: setting.real_signatures.then(chain),
            current: setting.genesis.clone(),
            epoch: 0,
            steps: 0,
        }
    }

    /// The certificate of the next block, seen for the first time; `next` is
    /// the roster that the executing node arrived at.
    pub(crate) fn certified(
        &mut self,
        setting: &Setting,
        certificate: &Certificate,
        next: &Roster,
    ) -> Result<(), String> {
        let header = &certificate.header;
        let index = header.index;
        if header.epoch != self.epoch || header.roster != self.current.hash() {
            let (epoch, here) = (header.epoch, self.epoch);
            return Err(format!(
                "block {index} is certified by epoch {epoch} while epoch {here} lasts"
            ));
        }
        if !setting.proves(certificate, &self.current) {
            return Err(format!("the certificate of block {index} proves nothing"));
        }
        if header.next_roster == Digest::ZERO {
            return Ok(());
        }
        self.epoch += 1;
        if header.next_roster == self.current.hash() {
            return Ok(());
        }
        if header.next_roster != next.hash() || next.number != self.current.number + 1 {
            return Err(format!("block {index} names a roster that nobody knows"));
        }
        self.steps += 1;
        self.current = next.clone();
        let chain = self.chain.as_mut();
        match chain.map(|chain| chain.advance(certificate, next.clone())) {
            Some(Err(error)) => Err(format!("a light client stops at block {index}: {error}")),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// How often the members changed.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// An event that an honest node took into its graph: whoever signed it must
    /// be a member of its epoch.
    pub(crate) fn taken(
        setting: &Setting,
        rosters: &Rosters,
        by: Seat,
        event: &Event,
    ) -> Result<(), String> {
        let epoch = event.header().epoch;
        let roster = rosters.roster(epoch);
        let of_member = |roster| event.verify_by(setting.scheme(), roster).is_ok();
        if roster.is_some_and(of_member) {
            Ok(())
        } else {
            Err(format!(
                "node {by} took an event of epoch {epoch} that no member of it made"
            ))
        }
    }
}
