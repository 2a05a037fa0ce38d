//! Ask the others to let this node speak from its new disk.
//!
//! A node whose disk is not the one that the roster names makes no events
//! (`disk` says why), so it entrusts a signed `node.renew` to the others, one
//! after the other, until the roster names its disk. Where another disk took
//! its place after it, it says so and only follows. Where the disk looked like
//! the one of the roster, and proves at work to be older than what was sent from
//! it, it becomes another one first.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dctrl_access::Identity;
use dctrl_api::Progress;
use dctrl_ledger::{StateRead, query};
use dctrl_proto::v1::{NodeRenew, RosterNode};
use dctrl_store::Store;
use prost::Message;
use tokio::{sync::watch, time::sleep};

use crate::{
    admission::wall_clock_ms,
    disk::{Disk, DiskError},
    pipeline::PipelineHandle,
};

/// Between two requests: each reaches another node, and takes effect within a
/// second where the federation works.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// How long a request can be ordered, milliseconds.
const EXPIRY_MS: u64 = 60_000;
/// Rosters read from the state at once.
const ROSTERS_PER_PAGE: usize = 100;

/// Waits for the next look at the roster; whether there is none, because the
/// pipeline has ended.
async fn next_look(waits: bool, progress: &mut watch::Receiver<Progress>) -> bool {
    if !waits && progress.changed().await.is_err() {
        return true;
    }
    sleep(ASK_EVERY).await;
    false
}

/// How this node's disk stands to the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The node is in no roster.
    Stranger,
    /// The roster names this disk.
    Seated,
    /// The roster names the one before, at this incarnation.
    Waits(u32),
    /// The roster names one that came after it.
    Superseded,
}

/// What is needed to ask.
#[derive(Clone)]
pub(crate) struct Renewal {
    pub(crate) store: Store,
    pub(crate) pipeline: PipelineHandle,
    pub(crate) identity: Arc<Identity>,
    pub(crate) cluster: [u8; 32],
    pub(crate) disk: Disk,
    /// The number of the disk.
    pub(crate) instance: u64,
}

impl Renewal {
    /// Looks after every block, and asks while that is needed.
    pub(crate) async fn run(mut self, mut progress: watch::Receiver<Progress>) {
        let set_back = self.pipeline.set_back();
        let mut before = None;
        loop {
            let standing = standing(
                &self.store.snapshot(),
                &self.identity.public_key(),
                self.instance,
            );
            if before.replace(standing) != Some(standing) {
                self.tell(standing);
            }
            let waits = matches!(standing, Standing::Waits(_));
            if let Standing::Waits(incarnation) = standing {
                self.ask(incarnation.saturating_add(1));
            }
            let ended = tokio::select! {
                () = set_back.notified() => self.become_another().await,
                ended = next_look(waits, &mut progress) => ended,
            };
            if ended {
                return;
            }
        }
    }

    /// The disk is noted as another one before anything is said from it; whether
    /// that failed.
    async fn become_another(&mut self) -> bool {
        let (disk, pipeline) = (self.disk.clone(), self.pipeline.clone());
        let became = tokio::task::spawn_blocking(move || {
            let instance = disk.become_another()?;
            pipeline.speak_from(instance);
            Ok::<_, DiskError>(instance)
        });
        match became.await {
            Ok(Ok(instance)) => {
                self.instance = instance;
                false
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the node stays silent");
                true
            }
            // The process ends.
            Err(_) => true,
        }
    }

    fn ask(&self, incarnation: u32) {
        let renew = NodeRenew {
            incarnation,
            instance: self.instance,
        };
        let action = self.identity.sign_action(
            &self.cluster,
            dctrl_access::fresh_request_id(),
            wall_clock_ms() + EXPIRY_MS,
            &renew,
        );
        self.pipeline.entrust(Bytes::from(action.encode_to_vec()));
    }

    fn tell(&self, standing: Standing) {
        let instance = self.instance;
        match standing {
            Standing::Stranger => tracing::info!("the node is in no roster and follows"),
            Standing::Seated => tracing::info!(instance, "the roster names this node's disk"),
            Standing::Waits(_) => tracing::warn!(
                instance,
                "the roster names another disk of this node; the others are asked to let this \
                 one speak"
            ),
            Standing::Superseded => tracing::error!(
                instance,
                "a newer disk speaks for this node: this one only follows. Stop one of the two"
            ),
        }
    }
}

fn standing(state: &dyn StateRead, key: &[u8], instance: u64) -> Standing {
    let present = query::roster(state);
    let Some(own) = of_key(&present.nodes, key) else {
        return Standing::Stranger;
    };
    if own.instance == instance {
        return Standing::Seated;
    }
    if has_been_seated(state, own.seat, instance) {
        Standing::Superseded
    } else {
        Standing::Waits(own.incarnation)
    }
}

fn of_key<'r>(nodes: &'r [RosterNode], key: &[u8]) -> Option<&'r RosterNode> {
    let is = |one: &&RosterNode| one.node.as_ref().is_some_and(|node| node.key == key);
    nodes.iter().find(is)
}

/// Whether an earlier roster names this disk for the seat.
fn has_been_seated(state: &dyn StateRead, seat: u32, instance: u64) -> bool {
    let mut after = String::new();
    loop {
        let Ok(page) = query::rosters(state, ROSTERS_PER_PAGE, &after) else {
            return false;
        };
        let mut nodes = page.rows.iter().flat_map(|roster| &roster.nodes);
        if nodes.any(|node| node.seat == seat && node.instance == instance) {
            return true;
        }
        if page.next.is_empty() {
            return false;
        }
        after = page.next;
    }
}
