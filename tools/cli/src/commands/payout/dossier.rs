//! A payout as a quorum of nodes has signed it: from the nodes, or from a file
//! for a machine without network.

use std::{fs, ops::ControlFlow, path::Path, time::Duration};

use dctrl_proto::v1::{BusFrame, Payout, bus_body::Event};
use serde::{Deserialize, Serialize};

use super::{
    WhichArgs, ask,
    review::{AsOf, newest},
};
use crate::{
    context::Context,
    failure::Failure,
    follow::{Wanted, follow},
    verify::Verified,
};

/// What `kind` of the file says.
const KIND: &str = "dctrl-payout/1";
/// Longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How long the certified frame may take to arrive.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// A certified payout.
#[derive(Debug)]
pub(super) struct Dossier {
    /// As it was certified.
    pub(super) payout: Payout,
    /// In which block, and who signed.
    pub(super) as_of: AsOf,
    /// What they signed.
    frame: BusFrame,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kind: String,
    frame: BusFrame,
}

/// The payout, from where the arguments say.
///
/// # Errors
/// Nobody has it, or it is not certified.
pub(super) async fn open(context: &mut Context, which: &WhichArgs) -> Result<Dossier, Failure> {
    match (&which.file, &which.id) {
        (Some(file), id) => {
            let dossier = read(context, file)?;
            if id.as_ref().is_some_and(|id| *id != dossier.payout.id) {
                let message = format!("{} is of payout {}", file.display(), dossier.payout.id);
                return Err(Failure::usage("payout.file", message));
            }
            Ok(dossier)
        }
        (None, Some(id)) => fetch(context, id).await,
        (None, None) => Err(Failure::usage("payout.id", "name a payout")),
    }
}

async fn fetch(context: &mut Context, id: &str) -> Result<Dossier, Failure> {
    let shown = ask(context, id).await?;
    let txid = newest(&shown)?.txid.clone();
    let steps = shown.history.len();
    let height = shown.history.last().map_or(0, |step| step.height);
    let wanted = Wanted {
        after_height: height.saturating_sub(1),
        topics: vec!["payout".to_owned()],
        patient: false,
    };
    let mut found = None;
    let search = follow(context, &wanted, |_, verified| {
        let Some(payout) = payout_of(verified) else {
            return Ok(ControlFlow::Continue(()));
        };
        let same = payout.id == id && payout.history.len() >= steps;
        if same && newest(payout).is_ok_and(|version| version.txid == txid) {
            found = Some(Dossier {
                payout: payout.clone(),
                as_of: AsOf::of(verified),
                frame: verified.frame.clone(),
            });
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    });
    tokio::time::timeout(FRAME_TIMEOUT, search)
        .await
        .map_err(|_| Failure::Deadline("no node sent the certified payout".to_owned()))??;
    found.ok_or_else(|| Failure::Unreachable("no node sent the certified payout".to_owned()))
}

fn payout_of(verified: &Verified) -> Option<&Payout> {
    match &verified.body.event {
        Some(Event::Payout(changed)) => changed.payout.as_ref(),
        _ => None,
    }
}

fn read(context: &Context, file: &Path) -> Result<Dossier, Failure> {
    let wrong =
        |message: String| Failure::usage("payout.file", format!("{}: {message}", file.display()));
    let length = fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if length.len() > FILE_BYTES_MAX {
        return Err(wrong(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let stored: Stored =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if stored.kind != KIND {
        return Err(wrong(format!("kind {:?}, not {KIND:?}", stored.kind)));
    }
    let verified = context.verifier()?.frame(&stored.frame)?;
    let payout = payout_of(&verified).cloned();
    Ok(Dossier {
        payout: payout.ok_or_else(|| wrong("the frame is of no payout".to_owned()))?,
        as_of: AsOf::of(&verified),
        frame: stored.frame,
    })
}

impl Dossier {
    /// Writes the file that [`open`] reads.
    pub(super) fn to_json(&self) -> Result<String, Failure> {
        let stored = Stored {
            kind: KIND.to_owned(),
            frame: self.frame.clone(),
        };
        Ok(serde_json::to_string_pretty(&stored).map_err(anyhow::Error::from)? + "\n")
    }
}
