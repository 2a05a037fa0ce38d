//! What the rows mean, and whether they belong together.

use dctrl_consensus::{BlockHeader, Certificate, Digest, RosterChain, RosterStep, merkle};
use dctrl_ledger::StateDigest;
use dctrl_proto::v1::BlockPayload;
use prost::Message;

use super::{Report, Trust};
use crate::columns;
use crate::error::StoreError;
use crate::snapshot::Snapshot;
use crate::store::Store;

pub(super) fn all(store: &Store, trust: Trust<'_>, report: &mut Report) {
    let snapshot = store.snapshot();
    let numbers = || -> Result<_, StoreError> {
        Ok((
            snapshot.executed()?,
            snapshot.first_block()?,
            snapshot.final_height()?,
        ))
    };
    let Some((executed, first, last_final)) = report.keep(columns::META, 0, numbers()) else {
        return;
    };
    records(store, report);
    let Some(height) = executed else {
        return;
    };
    (report.height, report.final_height) = (height, last_final);
    if last_final > height {
        report.find(
            columns::CERTIFICATES,
            Some(last_final),
            "its block was not executed",
        );
    }
    let rosters = rosters(&snapshot, trust, report);
    blocks(&snapshot, (first, height), rosters.as_ref(), report);
    state(&snapshot, height, report);
    exports(store, &snapshot, report);
}

/// The log of consensus, without a gap.
fn records(store: &Store, report: &mut Report) {
    let read = store
        .records()
        .and_then(|mut all| all.try_for_each(|one| one.map(drop)));
    report.keep("records", 0, read);
}

/// All changes of membership, each vouched for by the roster before it.
fn rosters(snapshot: &Snapshot<'_>, trust: Trust<'_>, report: &mut Report) -> Option<RosterChain> {
    let mut chain = trust(snapshot).map(|(cluster, first)| RosterChain::new(cluster, first));
    let mut after = 0;
    loop {
        let page = report.keep(columns::ROSTERS, after + 1, snapshot.roster_steps(after))?;
        for bytes in &page.steps {
            after += 1;
            let Ok(step) = RosterStep::decode(bytes) else {
                report.find(
                    columns::ROSTERS,
                    Some(after),
                    "it is no change of membership",
                );
                return None;
            };
            if step.next.number != after {
                report.find(columns::ROSTERS, Some(after), "it is of another number");
            }
            if let Some(known) = &mut chain
                && let Err(error) = known.advance(&step.certificate, step.next)
            {
                report.find(columns::ROSTERS, Some(after), error.to_string());
                chain = None;
            }
        }
        if !page.more {
            return chain;
        }
    }
}

/// Headers, blocks, outputs and certificates.
fn blocks(
    snapshot: &Snapshot<'_>,
    (first, last): (u64, u64),
    rosters: Option<&RosterChain>,
    report: &mut Report,
) {
    let mut previous = match first {
        0 | 1 => Some(Digest::ZERO),
        // Kept only where the state behind it was taken over.
        _ => header(snapshot, first - 1, report).map(|header| header.hash()),
    };
    let mut given_up = true;
    for height in first..=last {
        let Some(header) = header(snapshot, height, report) else {
            report.find(columns::HEADERS, Some(height), "it is missing or damaged");
            previous = None;
            continue;
        };
        if previous.is_some_and(|previous| previous != header.previous) {
            report.find(
                columns::HEADERS,
                Some(height),
                "it does not follow the one before",
            );
        }
        previous = Some(header.hash());
        match report.keep(columns::BLOCKS, height, snapshot.block(height)) {
            Some(Some(block)) => {
                given_up = false;
                if !is_block(&block, &header) {
                    report.find(columns::BLOCKS, Some(height), "it is not the header's");
                }
            }
            // Old ones are given up, oldest first.
            Some(None) if !given_up => report.find(columns::BLOCKS, Some(height), "it is missing"),
            _ => {}
        }
        outputs(snapshot, &header, report);
        if height <= report.final_height {
            certificate(snapshot, &header, rosters, report);
        }
        report.blocks += 1;
    }
}

fn header(snapshot: &Snapshot<'_>, height: u64, report: &mut Report) -> Option<BlockHeader> {
    let bytes = report.keep(columns::HEADERS, height, snapshot.header(height))??;
    match BlockHeader::decode(&bytes) {
        Ok(header) if header.index == height => Some(header),
        Ok(_) => {
            report.find(columns::HEADERS, Some(height), "it is of another height");
            None
        }
        Err(error) => {
            report.find(columns::HEADERS, Some(height), error.to_string());
            None
        }
    }
}

fn is_block(bytes: &[u8], header: &BlockHeader) -> bool {
    BlockPayload::decode(bytes)
        .is_ok_and(|block| merkle::root(&block.transactions) == header.payload_root)
}

fn outputs(snapshot: &Snapshot<'_>, header: &BlockHeader, report: &mut Report) {
    let height = header.index;
    match report.keep(columns::OUTPUTS, height, snapshot.outputs(height)) {
        Some(Some(leaves)) if merkle::root(&leaves) != header.outputs_root => {
            report.find(columns::OUTPUTS, Some(height), "they are not the header's");
        }
        Some(None) => report.find(columns::OUTPUTS, Some(height), "they are missing"),
        _ => {}
    }
}

fn certificate(
    snapshot: &Snapshot<'_>,
    header: &BlockHeader,
    rosters: Option<&RosterChain>,
    report: &mut Report,
) {
    let height = header.index;
    let read = snapshot.certificate(height);
    let Some(read) = report.keep(columns::CERTIFICATES, height, read) else {
        return;
    };
    let decoded = read.and_then(|bytes| Certificate::decode(&bytes).ok());
    let problem = match decoded {
        None => Some("it is missing or damaged".to_owned()),
        Some(found) if found.header != *header => Some("it is of another block".to_owned()),
        Some(found) => rosters
            .and_then(|rosters| rosters.verify(&found).err())
            .map(|error| error.to_string()),
    };
    if let Some(problem) = problem {
        report.find(columns::CERTIFICATES, Some(height), problem);
    }
}

/// The whole state against the last header.
fn state(snapshot: &Snapshot<'_>, height: u64, report: &mut Report) {
    let mut digest = StateDigest::default();
    let name = snapshot.state_name();
    for entry in snapshot.entries(name, &[], None) {
        let Some((key, value)) = report.keep(name, height, entry) else {
            return;
        };
        digest.entry(&key, &value);
    }
    let Some(found) = digest.finish().map(Digest) else {
        report.find(
            name,
            Some(height),
            "its digest is not the one that it keeps",
        );
        return;
    };
    report.state_digest = Some(found);
    let wanted = header(snapshot, height, &mut Report::default());
    if wanted.is_some_and(|header| header.state_digest != found) {
        report.find(name, Some(height), "it is not the state of the last header");
    }
}

/// The states that are kept for peers.
fn exports(store: &Store, snapshot: &Snapshot<'_>, report: &mut Report) {
    let Some(heights) = report.keep(EXPORTS, 0, store.exports()) else {
        return;
    };
    for height in heights {
        let Some(export) = report.keep(EXPORTS, height, store.export(height)) else {
            continue;
        };
        let header = header(snapshot, height, &mut Report::default());
        let digest = export.manifest().state_digest;
        if header.is_some_and(|header| header.state_digest != digest) {
            report.find(EXPORTS, Some(height), "it is not the state of the header");
        }
        for index in 0..u32::try_from(export.manifest().chunks.len()).unwrap_or(u32::MAX) {
            if report.keep(EXPORTS, height, export.chunk(index)).is_none() {
                break;
            }
        }
    }
}

/// As [`super::Finding::place`] names them.
pub(super) const EXPORTS: &str = crate::export::FOLDER;
