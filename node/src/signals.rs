//! When to stop: SIGTERM from a service manager, Ctrl-C from a person.

use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a process that was told twice, as a shell shows SIGINT.
const TOLD_TWICE: i32 = 130;

/// Ends at the first signal. From then on a second one ends the process.
pub(crate) async fn shutdown() {
    first_signal().await;
    tokio::spawn(async {
        first_signal().await;
        tracing::warn!("told twice: ends at once; all that was acknowledged is on disk");
        std::process::exit(TOLD_TWICE);
    });
}

async fn first_signal() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught; only Ctrl-C stops orderly");
            // An error here leaves only SIGKILL, which the store survives.
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
