//! How far an action has come, and waiting for it to come further.
//!
//! ORDERED means that its receipt is in this node's synced state. FINAL means
//! that this node also holds a certificate for that height or a later one,
//! whose header vouches for all before it.

use std::time::Duration;

use dctrl_ledger::query;
use dctrl_proto::v1::{Receipt, Refusal, RefusalCode, Stage, SubmitReply};
use tokio::{sync::watch, time::Instant};
use tonic::Status;

use crate::{Gateway, limits, read::read, refusal};

/// An action's id.
pub(crate) type ActionId = [u8; 32];

/// What a wait came to.
pub(crate) struct Reached {
    pub(crate) stage: Stage,
    pub(crate) receipt: Option<Receipt>,
}

impl Reached {
    pub(crate) fn into_reply(self, id: &ActionId) -> SubmitReply {
        SubmitReply {
            action_id: id.to_vec(),
            stage: self.stage.into(),
            receipt: self.receipt,
        }
    }
}

/// The wait that a request asks for.
pub(crate) fn patience(timeout_ms: u32) -> Result<Duration, Status> {
    let ms = match timeout_ms {
        0 => limits::WAIT_MS_DEFAULT,
        1..=limits::WAIT_MS_MAX => timeout_ms,
        _ => {
            return Err(refusal::invalid(
                "request.timeout",
                "timeout_ms",
                format!("{timeout_ms} ms is longer than {} ms", limits::WAIT_MS_MAX),
            ));
        }
    };
    Ok(Duration::from_millis(ms.into()))
}

/// Where the action stands now.
pub(crate) async fn look(gateway: &Gateway, id: ActionId) -> Result<Reached, Status> {
    read(gateway, move |snapshot| {
        let receipt = query::receipt(snapshot, &id);
        let final_height = snapshot.final_height()?;
        let stage = match &receipt {
            None => Stage::Received,
            Some(receipt) if final_height >= receipt.height => Stage::Final,
            Some(_) => Stage::Ordered,
        };
        Ok(Reached { stage, receipt })
    })
    .await
}

/// Waits until the action has reached `wanted`, the time is over or the node
/// stops; the first and the second return what was reached.
pub(crate) async fn wait(
    gateway: &Gateway,
    stopped: &watch::Receiver<bool>,
    id: ActionId,
    wanted: Stage,
    patience: Duration,
) -> Result<Reached, Status> {
    let deadline = Instant::now() + patience;
    let mut progress = gateway.progress.clone();
    let mut stopped = stopped.clone();
    loop {
        // Marked as seen before the look, so that no progress is missed between the two.
        progress.borrow_and_update();
        let reached = look(gateway, id).await?;
        if reached.stage >= wanted {
            return Ok(reached);
        }
        tokio::select! {
            changed = progress.changed() => changed.map_err(|_| stopping())?,
            _ = stopped.wait_for(|stopped| *stopped) => return Err(stopping()),
            () = tokio::time::sleep_until(deadline) => return Ok(reached),
        }
    }
}

/// The answer where time was over before the asked stage.
pub(crate) fn too_late(wanted: Stage, reached: &Reached, patience: Duration) -> Status {
    let at = reached
        .receipt
        .as_ref()
        .map_or_else(String::new, |receipt| {
            format!(" at height {}", receipt.height)
        });
    Status::deadline_exceeded(format!(
        "the action is {}{at}, not {} after {} ms; ask again by its id",
        reached.stage.as_str_name().trim_start_matches("STAGE_"),
        wanted.as_str_name().trim_start_matches("STAGE_"),
        patience.as_millis(),
    ))
}

fn stopping() -> Status {
    refusal::status(&Refusal::rule(
        RefusalCode::Unavailable,
        "node.stopping",
        "This node is stopping; ask another one.",
    ))
}
