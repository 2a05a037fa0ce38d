//! Back after blocks that the nodes have forgotten.
//!
//! A machine that was off for longer than the nodes keep blocks cannot read what
//! it missed. When a quorum of nodes says so the follower goes on behind it, and
//! the orders in between are never carried out: whether they have expired or not,
//! the ledger ends their vends by its deadlines. The machine says that it is not
//! ready, in words that it has never used before, so that the federation answers
//! with the machine's whole status; that names the last order it issued. Only then
//! it is ready again, and what came since it can read stands as ever.
//!
//! Whoever adopted an incarnation without having read the blocks cannot know
//! whether orders of it went to another journal. Where there were any, it is lost.
//!
//! Absent: a way to learn that the machine was reset in those blocks. Its
//! heartbeats are refused then, and it must be reset once more.

use dctrl_follow::Position;
use ring::digest::{SHA256, digest};

use super::{Effect, Machine, Place, Record, Stage};

/// Bytes of the mark that tells the words of one run from those of another.
const MARK_BYTES: usize = 4;

impl Machine {
    /// The nodes have forgotten what stands up to here.
    pub(super) fn on_skipped(&mut self, to: Position, out: &mut Vec<Effect>) {
        let place = Place {
            height: to.height,
            sub_index: to.sub_index,
        };
        self.caught_up = None;
        self.append(Record::Skipped(place), out);
        out.push(Effect::Alarm(format!(
            "the nodes have forgotten blocks up to {} before they were read; orders in them \
             are never carried out",
            to.height
        )));
        self.beat.now();
    }

    /// Why the machine is not ready while it has not rejoined, for people; and
    /// for the ledger, which answers what it has not heard before.
    pub(super) fn not_rejoined(&self) -> Option<String> {
        let skip = self.durable.skipped?;
        let mark = digest(&SHA256, &self.facts.nonce_seed);
        let mark = hex::encode(&mark.as_ref()[..MARK_BYTES]);
        let height = skip.to.height;
        Some(format!("blocks up to {height} were not read ({mark})"))
    }

    /// Goes on with the status that the federation has told of since.
    pub(super) fn rejoin(&mut self, out: &mut Vec<Effect>) {
        let Some(skip) = self.durable.skipped else {
            return;
        };
        let (Some((told_at, status)), Some(caught_up)) = (&self.status, self.caught_up) else {
            return;
        };
        // The orders that the status counts and that can be read have come.
        let is_new = told_at.height > skip.to.height && *told_at <= caught_up;
        let of_life = self
            .durable
            .life
            .as_ref()
            .is_some_and(|life| life.incarnation == status.incarnation);
        if !is_new || !of_life || !matches!(self.durable.stage, Stage::Idle) {
            return;
        }
        let incarnation = status.incarnation;
        let (last, reports_done) = (status.last_sequence, status.last_report_number);
        let mut of_this = self.pending.range((incarnation, 0)..=(incarnation, last));
        let sequence = of_this.next().map_or(last, |((_, first), _)| first - 1);
        self.append(
            Record::Rejoined {
                sequence,
                reports_done,
            },
            out,
        );
        if skip.blind && last > 0 {
            self.lose(last, out);
        }
        self.beat.now();
    }
}
