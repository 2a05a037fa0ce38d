//! What there is to say against a peer, said once in a while.

use std::time::Duration;

use dctrl_consensus::{DecodeError, PublicKey, message::VerifyError};
use thiserror::Error;

/// Between two complaints of one kind about one peer: a flood of bad messages
/// is not answered with a flood of lines in the log.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Why a peer's message waits longer than others, or is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Complaint {
    /// It sends faster than its messages are checked.
    #[error("its share of the inbox is full; what comes now is dropped")]
    ShareFull,
    /// Its messages take more than their share of a core.
    #[error("its messages cost more than their share; they wait")]
    BudgetSpent,
    /// Bytes that are no message.
    #[error("it sent no message: {0}")]
    Malformed(DecodeError),
    /// A message that must not reach consensus.
    #[error("its message does not hold: {0}")]
    Refused(VerifyError),
}

impl Complaint {
    const KINDS: usize = 4;

    fn kind(&self) -> usize {
        match self {
            Self::ShareFull => 0,
            Self::BudgetSpent => 1,
            Self::Malformed(_) => 2,
            Self::Refused(_) => 3,
        }
    }
}

/// What was said against one peer and when.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    said: [Said; Complaint::KINDS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Said {
    last: Option<Duration>,
    unsaid: u64,
}

impl Complaints {
    /// Says it, unless the same kind was said a short while ago. True when it
    /// was said.
    pub(crate) fn say(&mut self, from: PublicKey, complaint: &Complaint, now: Duration) -> bool {
        let said = &mut self.said[complaint.kind()];
        if said.last.is_some_and(|last| now < last + AGAIN_AFTER) {
            said.unsaid += 1;
            return false;
        }
        let before = std::mem::take(&mut said.unsaid);
        said.last = Some(now);
        tracing::warn!(%from, %complaint, unsaid_before = before, "a peer misbehaves");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_complaint_is_said_once_a_minute() {
        let mut complaints = Complaints::default();
        let mut say = |complaint: &Complaint, ms| {
            complaints.say(PublicKey([1; 32]), complaint, Duration::from_millis(ms))
        };
        let said = (0..59_999).filter(|ms| say(&Complaint::ShareFull, *ms));
        assert_eq!(said.count(), 1);
        assert!(say(&Complaint::BudgetSpent, 30_000), "another kind");
        assert!(say(&Complaint::ShareFull, 60_000), "a minute later");
    }
}
