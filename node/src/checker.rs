//! Peers' messages: decoded and their signatures checked before the pipeline.

use std::thread::{self, JoinHandle};

use dctrl_consensus::{ClusterId, Limits, Roster, message};

use crate::{inbox::Intake, pipeline::PipelineHandle};

/// The rules that messages are checked against.
pub(crate) struct Rules {
    pub(crate) cluster: ClusterId,
    pub(crate) roster: Roster,
    pub(crate) limits: Limits,
}

/// Checks messages until the network or the pipeline ends.
pub(crate) fn start(
    received: Intake,
    rules: Rules,
    pipeline: PipelineHandle,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("checker".to_owned())
        .spawn(move || {
            while let Some((from, bytes)) = received.take() {
                match checked(&bytes, &rules) {
                    Ok(message) => {
                        if !pipeline.receive(from, message, bytes.len()) {
                            return;
                        }
                    }
                    Err(reason) => {
                        tracing::warn!(%from, reason, "refused a peer's message");
                    }
                }
            }
        })
}

fn checked(bytes: &[u8], rules: &Rules) -> Result<message::VerifiedMessage, String> {
    message::decode(bytes, &rules.limits)
        .map_err(|error| error.to_string())?
        .verify(&rules.roster, &rules.cluster)
        .map_err(|error| error.to_string())
}
