//! Ordered bytes without a meaning: the state is a running hash over them.

use std::sync::mpsc::SyncSender;

use dctrl_consensus::{Block, Digest, NodeIndex, crypto::sha256};
use dctrl_ledger::{ChangeSet, StateRead};
use dctrl_store::{Store, StoreError};

use super::report::{Report, now_ns};
use crate::pipeline::{Application, Execution, PipelineError};

const STATE_DOMAIN: &[u8] = b"dctrl/opaque/state/1\0";

/// The one key of the state.
const STATE_KEY: &[u8] = b"digest";

/// Bytes at the front of each transaction that the load process gets back.
const LABEL_BYTES: usize = 8;

/// Writes the state of height 0 where there is none.
pub(super) fn prepare(store: &Store) -> Result<(), StoreError> {
    if store.snapshot().executed()?.is_none() {
        let mut batch = store.begin();
        batch.executed(0);
        store.commit(batch)?;
    }
    Ok(())
}

/// The application; tells the load process what has become durable.
pub(super) struct Opaque {
    me: NodeIndex,
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
        reports: SyncSender<Report>,
    ) -> Result<Self, StoreError> {
        let stored = store.snapshot().get(STATE_KEY);
        let digest = stored.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        Ok(Self {
            me,
            digest: digest.map_or(Digest::ZERO, Digest),
            reports,
        })
    }

    /// Where the load process does not keep up, it finds a gap in the heights.
    fn tell(&self, report: Report) {
        let _ = self.reports.try_send(report);
    }
}

impl Application for Opaque {
    type Notice = Notice;

    fn execute(&mut self, block: &Block, _state: &dyn StateRead) -> Execution<Notice> {
        let parts: [&[u8]; 3] = [
            &self.digest.0,
            &block.index.to_be_bytes(),
            &block.payload_root.0,
        ];
        self.digest = sha256(STATE_DOMAIN, &parts);
        let own = block.transactions.iter();
        let labels = own
            .filter(|transaction| {
                transaction
                    .origin
                    .is_some_and(|origin| origin.creator == self.me)
            })
            .filter_map(|transaction| transaction.bytes.first_chunk::<LABEL_BYTES>())
            .flatten()
            .copied()
            .collect();
        let value = Some(self.digest.0.to_vec());
        Execution {
            changes: ChangeSet::from([(STATE_KEY.to_vec(), value)]),
            outputs: Vec::new(),
            state_digest: self.digest,
            next_roster: None,
            notice: Notice {
                digest: self.digest,
                transactions: u32::try_from(block.transactions.len()).unwrap_or(u32::MAX),
                labels,
            },
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

    fn certified(&mut self, height: u64) -> Result<(), PipelineError> {
        self.tell(Report::Final {
            height,
            at_ns: now_ns(),
        });
        Ok(())
    }
}
