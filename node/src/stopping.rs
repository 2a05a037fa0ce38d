//! An orderly end, in phases: each actor is asked in its turn and acknowledges,
//! and one that does not stop in its time is named.
//!
//! 1. *Intake*: actions are refused with `node.stopping`; all else is answered.
//! 2. *In flight*: what was taken gets its order, its certificate and with that
//!    its answer, where the federation gives them within [`IN_FLIGHT`].
//! 3. *API*: calls that wait end, connections close.
//! 4. *Followers*: each effect notes its place and ends.
//! 5. *Pipeline*: all that was performed is made durable, the network is left.
//! 6. *Bus and door*.
//!
//! An actor that is stuck keeps the phases behind it from nothing: the store is
//! closed by whoever holds it last, and all that was acknowledged is on disk
//! since then. A second signal ends the process at once, for the same reason.

use std::time::{Duration, Instant};

use dctrl_api::Progress;
use tokio::sync::watch;

use crate::admission::Admission;

/// Exit code where an actor did not stop in its time.
pub const UNSTOPPED: u8 = 4;

/// How long what was taken may still come to its end: some blocks of a
/// federation that works.
pub(crate) const IN_FLIGHT: Duration = Duration::from_secs(2);

/// How long the API may take: its own grace for open streams and a little more.
pub(crate) const API: Duration = Duration::from_secs(7);

/// How long each of the other actors may take.
pub(crate) const ACTOR: Duration = Duration::from_secs(5);

/// Who has been asked to stop, and who has not.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    late: Vec<String>,
}

impl Roll {
    /// Asks an actor to stop, on a thread of its own, and waits for what it
    /// acknowledges with; nothing where it does not within `patience`.
    pub(crate) async fn ask<T: Send + 'static>(
        &mut self,
        actor: &str,
        patience: Duration,
        stop: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let asked = tokio::task::spawn_blocking(stop);
        self.hear(actor, patience, asked).await?.ok()
    }

    /// [`Self::ask`] of an actor that is a future.
    pub(crate) async fn hear<T>(
        &mut self,
        actor: &str,
        patience: Duration,
        stopped: impl Future<Output = T>,
    ) -> Option<T> {
        let begun = Instant::now();
        let acknowledged = tokio::time::timeout(patience, stopped).await.ok();
        let took_ms = begun.elapsed().as_millis();
        if acknowledged.is_some() {
            tracing::info!(actor, took_ms, "has stopped");
        } else {
            tracing::error!(actor, took_ms, "does not stop; the others go on without it");
            self.late.push(actor.to_owned());
        }
        acknowledged
    }

    /// Those who did not stop in their time.
    pub(crate) fn late(self) -> Vec<String> {
        self.late
    }
}

/// Waits until everything that was taken has ended and is final, [`IN_FLIGHT`]
/// at most; true where it has.
pub(crate) async fn finish(admission: &Admission, mut progress: watch::Receiver<Progress>) -> bool {
    let ended =
        progress.wait_for(|now| admission.is_empty() && now.final_height >= now.applied_height);
    matches!(tokio::time::timeout(IN_FLIGHT, ended).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn who_does_not_stop_is_named_and_who_does_is_heard() {
        let mut roll = Roll::default();
        let (release, held) = mpsc::channel::<()>();
        let stuck = roll
            .ask("log", Duration::from_millis(20), move || {
                // Until the test ends.
                let _ = held.recv();
            })
            .await;
        assert_eq!(stuck, None);
        assert_eq!(roll.ask("bus", ACTOR, || 7).await, Some(7));
        assert_eq!(roll.late(), ["log"]);
        drop(release);
    }
}
