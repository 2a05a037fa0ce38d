//! Ordered bytes without a meaning: the state is a running hash over them. Or,
//! to measure that too, signed actions: the state is the ledger's.

use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use dctrl_consensus::{Block, Digest, NodeIndex, Origin, crypto::sha256};
use dctrl_ledger::{ChangeSet, StateRead};
use dctrl_proto::v1::Genesis;
use dctrl_store::{Store, StoreError};

use super::report::{Report, now_ns};
use crate::{
    boot::BootError,
    pipeline::{Application, Execution, PipelineError, applied},
    signatures::ActionSignatures,
};

const STATE_DOMAIN: &[u8] = b"dctrl/opaque/state/1\0";

/// The one key of the state.
const STATE_KEY: &[u8] = b"digest";

/// Bytes of each transaction that the load process gets back.
const LABEL_BYTES: usize = 8;

/// Writes the state of height 0 where there is none.
pub(super) fn prepare(store: &Store, genesis: Option<&Genesis>) -> Result<(), BootError> {
    if store.snapshot().executed()?.is_none() {
        let mut batch = store.begin();
        if let Some(genesis) = genesis {
            let applied = dctrl_ledger::genesis(genesis).map_err(BootError::Genesis)?;
            batch.state(&applied.changes);
        }
        batch.executed(0);
        store.commit(batch)?;
    }
    Ok(())
}

/// The application; tells the load process what has become durable.
pub(super) struct Opaque {
    me: NodeIndex,
    /// Who judges actions; `None` where the bytes mean nothing.
    ledger: Option<ActionSignatures>,
    /// Where in a transaction its label is.
    label_at: usize,
    digest: Digest,
    reports: SyncSender<Report>,
}

/// What is told about a block.
pub(super) struct Notice {
    digest: Digest,
    transactions: u32,
    labels: Vec<u8>,
}

impl Opaque {
    pub(super) fn new(
        store: &Store,
        me: NodeIndex,
        ledger: Option<ActionSignatures>,
        label_at: usize,
        reports: SyncSender<Report>,
    ) -> Result<Self, StoreError> {
        let stored = store.snapshot().get(STATE_KEY);
        let digest = stored.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        Ok(Self {
            me,
            ledger,
            label_at,
            digest: digest.map_or(Digest::ZERO, Digest),
            reports,
        })
    }

    fn notice(&self, block: &Block, digest: Digest, taken: usize) -> Notice {
        let is_own = |origin: Origin| origin.creator == self.me;
        let own = block.transactions.iter();
        let own = own.filter(|transaction| transaction.origin.is_some_and(is_own));
        let label = |bytes: &Bytes| {
            bytes
                .get(self.label_at..)?
                .first_chunk::<LABEL_BYTES>()
                .copied()
        };
        Notice {
            digest,
            transactions: u32::try_from(taken).unwrap_or(u32::MAX),
            labels: own.filter_map(|own| label(&own.bytes)).flatten().collect(),
        }
    }

    /// Where the load process does not keep up, it finds a gap in the heights.
    fn tell(&self, report: Report) {
        let _ = self.reports.try_send(report);
    }
}

impl Application for Opaque {
    type Notice = Notice;

    fn execute(&mut self, block: &Block, state: &dyn StateRead) -> Execution<Notice> {
        if let Some(signatures) = &self.ledger {
            let done = applied(block, state, signatures);
            let taken = done.notice.receipts.iter();
            let taken = taken.filter(|receipt| receipt.refusal.is_none()).count();
            return Execution {
                changes: done.changes,
                outputs: done.outputs,
                state_digest: done.state_digest,
                next_roster: done.next_roster,
                notice: self.notice(block, done.state_digest, taken),
            };
        }
        let parts: [&[u8]; 3] = [
            &self.digest.0,
            &block.index.to_be_bytes(),
            &block.payload_root.0,
        ];
        self.digest = sha256(STATE_DOMAIN, &parts);
        let value = Some(self.digest.0.to_vec());
        Execution {
            changes: ChangeSet::from([(STATE_KEY.to_vec(), value)]),
            outputs: Vec::new(),
            state_digest: self.digest,
            next_roster: None,
            notice: self.notice(block, self.digest, block.transactions.len()),
        }
    }

    fn durable(&mut self, height: u64, notice: Notice) {
        self.tell(Report::Durable {
            height,
            at_ns: now_ns(),
            digest: notice.digest,
            transactions: notice.transactions,
            labels: notice.labels,
        });
    }

    fn taken_over(&mut self, _height: u64, state: &dyn StateRead) {
        let stored = state.get(STATE_KEY);
        let digest = stored.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        self.digest = digest.map_or(Digest::ZERO, Digest);
    }

    fn certified(&mut self, height: u64) -> Result<(), PipelineError> {
        self.tell(Report::Final {
            height,
            at_ns: now_ns(),
        });
        Ok(())
    }
}
