//! Read state off the async threads: one snapshot for one answer.

use std::sync::Arc;

use dctrl_consensus::DecodeError;
use dctrl_proto::v1::{Refusal, RefusalCode};
use dctrl_store::{Snapshot, StoreError};
use thiserror::Error;
use tonic::Status;

use crate::{Gateway, refusal};

/// Why a read gave no answer.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The caller asked for what is not there or not allowed.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The disk cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// What the store holds is not what the node once wrote.
    #[error("what is stored cannot be decoded")]
    Header(#[from] DecodeError),
    /// As above, for protobuf.
    #[error("what is stored cannot be decoded")]
    Message(#[from] prost::DecodeError),
}

/// Runs `read` on a snapshot, on a thread that may block.
pub(crate) async fn read<T: Send + 'static>(
    gateway: &Gateway,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Status> {
    let store = gateway.store.clone();
    let facts = Arc::clone(&gateway.facts);
    tokio::task::spawn_blocking(move || read(&store.snapshot()))
        .await
        .map_err(|_| Status::internal("the read was cut off"))?
        .map_err(|error| match error {
            ReadError::Refused(refused) => refusal::status(&refused),
            ReadError::Store(StoreError::Pruned { first }) => {
                let name = &facts.name;
                let message = format!("Node {name} keeps blocks from {first} on; ask another one.");
                let rule = "store.pruned";
                refusal::status(&Refusal::rule(RefusalCode::Unavailable, rule, message))
            }
            broken => {
                tracing::error!(error = &broken as &dyn std::error::Error, "a read failed");
                // Another node's disk may be well, so the caller is sent there.
                let message = format!("Node {} cannot read its disk; ask another one.", facts.name);
                refusal::status(&Refusal::rule(
                    RefusalCode::Unavailable,
                    "store.read",
                    message,
                ))
            }
        })
}
