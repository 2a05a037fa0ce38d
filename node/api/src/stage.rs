//! Waiting for an action to come further.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dctrl_proto::v1::{Refusal, RefusalCode, Stage, SubmitReply};
use tokio::{sync::watch, time::Instant};
use tonic::Status;

use crate::{
    Gateway,
    acknowledge::{Question, acknowledge},
    limits,
    read::read,
    refusal,
};

/// The stage that is waited for. None asks for nothing but what is known; an
/// end cannot be chosen, so whoever waits for one waits for any.
pub(crate) fn wanted(stage: i32) -> Result<Stage, Status> {
    match Stage::try_from(stage) {
        Ok(Stage::Unspecified) => Ok(Stage::Received),
        Ok(Stage::Expired | Stage::Refused) => Ok(Stage::Final),
        Ok(known) => Ok(known),
        Err(_) => Err(refusal::invalid(
            "request.stage",
            "wait_for",
            "There is no such stage.",
        )),
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

/// Where the action stands now; `None` where this node does not know it.
async fn look(gateway: &Gateway, question: &Question) -> Result<Option<SubmitReply>, Status> {
    let (question, waiting) = (question.clone(), Arc::clone(&gateway.waiting));
    // Before the snapshot: what has left the waiting list is in the state.
    let waits = waiting(&question.id);
    read(gateway, move |snapshot| {
        acknowledge(snapshot, &question, waits)
    })
    .await
}

/// Waits until the action has reached `wanted` or an end, the time is over or
/// the node stops; the first and the second return what was reached.
pub(crate) async fn wait(
    gateway: &Gateway,
    stopped: &watch::Receiver<bool>,
    question: &Question,
    wanted: Stage,
    patience: Duration,
) -> Result<Option<SubmitReply>, Status> {
    let deadline = Instant::now() + patience;
    let mut progress = gateway.progress.clone();
    let mut stopped = stopped.clone();
    loop {
        // Marked as seen before the look, so that no progress is missed between the two.
        progress.borrow_and_update();
        let reached = look(gateway, question).await?;
        let stage = reached.as_ref().map(SubmitReply::stage);
        // There is nothing to wait for where only what is known is asked for.
        if wanted == Stage::Received || stage.is_some_and(|stage| stage >= wanted) {
            return Ok(reached);
        }
        let pause = expire(gateway, question, stage);
        tokio::select! {
            changed = progress.changed() => changed.map_err(|_| stopping())?,
            _ = stopped.wait_for(|stopped| *stopped) => return Err(stopping()),
            () = tokio::time::sleep(pause) => {}
            () = tokio::time::sleep_until(deadline) => return Ok(reached),
        }
    }
}

/// A federation at rest orders nothing, so its time stands still: where the
/// expiry has passed by this node's clock, it asks for a block. Returns when to
/// look again.
fn expire(gateway: &Gateway, question: &Question, stage: Option<Stage>) -> Duration {
    let never = Duration::from_millis(limits::WAIT_MS_MAX.into());
    if question.expires_at_ms == 0 || stage.is_some_and(|stage| stage >= Stage::Ordered) {
        return never;
    }
    let left_ms = question.expires_at_ms.saturating_sub(now_ms());
    if left_ms > 0 {
        return Duration::from_millis(left_ms).min(never);
    }
    (gateway.expire)(question.expires_at_ms);
    limits::EXPIRE_AGAIN
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The answer where time was over before the asked stage.
pub(crate) fn too_late(wanted: Stage, reached: &SubmitReply, patience: Duration) -> Status {
    let at = reached
        .receipt
        .as_ref()
        .map_or_else(String::new, |receipt| {
            format!(" at height {}", receipt.height)
        });
    Status::deadline_exceeded(format!(
        "the action is {}{at}, not {} after {} ms; ask again by its id",
        reached.stage().as_str_name().trim_start_matches("STAGE_"),
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
