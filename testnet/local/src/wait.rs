//! Waiting for other processes: by asking again, and never for ever.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use crate::process::Ended;

/// How often a condition is asked again.
pub const POLL: Duration = Duration::from_millis(40);

/// What a look at the world gave.
pub(crate) type Look<T> = Result<Option<T>>;

/// Asks `look` until it gives something or `deadline` has passed. A look that
/// fails counts as nothing yet: a process that starts refuses connections.
///
/// # Errors
/// After the deadline, naming `what` was awaited and the last failure; and at once
/// where a look finds that a process which must live has ended.
pub async fn until<T>(
    deadline: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Look<T>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        // A look must not outlive the deadline either.
        let left = deadline.saturating_sub(start.elapsed());
        let why = match tokio::time::timeout(left.max(POLL), look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => String::new(),
            Ok(Err(error)) if error.is::<Ended>() => {
                return Err(error).with_context(|| format!("waited for {what}"));
            }
            Ok(Err(error)) => format!(" (last: {error:#})"),
            Err(_) => " (last: no answer)".to_owned(),
        };
        if start.elapsed() >= deadline {
            return Err(anyhow!(
                "waited {} s for {what}, in vain{why}",
                deadline.as_secs()
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Bounds one operation.
///
/// # Errors
/// The operation's own, or that it took longer than `limit`.
pub async fn within<T>(
    limit: Duration,
    what: impl Display,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(anyhow!("{what} took longer than {} s", limit.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;

    #[tokio::test]
    async fn a_failing_look_is_repeated_until_it_succeeds() {
        let mut looks = 0;
        let found = until(Duration::from_secs(5), "it", async || {
            looks += 1;
            match looks {
                1 => Err(anyhow!("refused")),
                2 => Ok(None),
                _ => Ok(Some(looks)),
            }
        })
        .await;
        assert_eq!(found.expect("third look"), 3);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_process_that_has_ended() {
        let folder = tempfile::tempdir().expect("folder");
        let log = folder.path().join("log");
        let command = std::process::Command::new("false");
        let mut process = Process::start("a node", &command, &log).expect("starts");
        let error = until::<()>(Duration::from_secs(60), "a block", async || {
            process.must_live()?;
            Ok(None)
        })
        .await
        .expect_err("it never comes");
        let text = format!("{error:#}");
        assert!(
            text.contains("a block") && text.contains("exit status: 1"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn the_deadline_names_what_was_awaited_and_the_last_failure() {
        let error = until::<()>(Duration::from_millis(1), "a node", async || {
            Err(anyhow!("connection refused"))
        })
        .await
        .expect_err("never");
        let text = error.to_string();
        assert!(
            text.contains("a node") && text.contains("connection refused"),
            "{text}"
        );
    }
}
