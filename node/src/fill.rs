//! Fill a node with history by the way that every action takes, for
//! `cargo xtask bench restart`: signed, admitted, ordered, applied, synced.
//!
//! Each action says again what a member's record is, so that its receipt stays
//! for ever and the rest of the state does not grow.

mod bulk;

pub use bulk::fill_bulk;

use std::path::PathBuf;

use dctrl_access::{Identity, fresh_request_id};
use dctrl_api::Progress;
use dctrl_ledger::{StateRead, query};
use dctrl_proto::v1::{MemberSet, RefusalCode, SignedAction};
use dctrl_store::Store;
use tokio::{runtime::Handle, sync::watch};

use crate::{
    admission::{Admission, wall_clock_ms},
    run::RunError,
};

/// Actions that are handed in together.
const TOGETHER: u64 = 256;

/// How long an action may take to be ordered: longer than a busy disk does.
const LIFE_MS: u64 = 3_600_000;

/// What to fill a node with.
#[derive(Debug, Clone)]
pub struct Fill {
    /// How many actions.
    pub actions: u64,
    /// The key of an operator.
    pub key: PathBuf,
}

/// Hands in all of them and waits until they are final. To be called on a
/// thread that may block, within the runtime.
pub(crate) fn fill(
    order: &Fill,
    store: &Store,
    admission: &Admission,
    mut progress: watch::Receiver<Progress>,
) -> Result<u64, RunError> {
    let member = Identity::load(&order.key)?;
    let (cluster, payload) = {
        let state = store.snapshot();
        (cluster(&state)?, payload(&state)?)
    };
    let make = |_: u64| {
        let expires_at_ms = wall_clock_ms() + LIFE_MS;
        member.sign_action(&cluster, fresh_request_id(), expires_at_ms, &payload)
    };
    let runtime = Handle::current();
    for first in (0..order.actions).step_by(usize::try_from(TOGETHER).unwrap_or(1)) {
        let mut rest: Vec<SignedAction> = (first..order.actions.min(first + TOGETHER))
            .map(make)
            .collect();
        loop {
            progress.borrow_and_update();
            let outcomes = admission.submit_all(&rest);
            let mut refused = Vec::new();
            for (action, outcome) in rest.into_iter().zip(outcomes) {
                match outcome {
                    Ok(_) => {}
                    Err(refusal) if refusal.code() == RefusalCode::Exhausted => {
                        refused.push(action)
                    }
                    Err(refusal) => return Err(RunError::Fill(refusal.to_string())),
                }
            }
            rest = refused;
            if rest.is_empty() {
                break;
            }
            // Room comes with the next block.
            let ended = |_| RunError::Fill("the pipeline has ended".to_owned());
            runtime.block_on(progress.changed()).map_err(ended)?;
        }
    }
    let all = |now: &Progress| admission.is_empty() && now.final_height >= now.applied_height;
    let ended = |_| RunError::Fill("the pipeline has ended".to_owned());
    let now = runtime.block_on(progress.wait_for(all)).map_err(ended)?;
    Ok(now.final_height)
}

/// The federation that the actions are for.
fn cluster(state: &dyn StateRead) -> Result<[u8; 32], RunError> {
    let cluster = query::meta(state).cluster.try_into();
    cluster.map_err(|_| RunError::Fill("the cluster has no id".to_owned()))
}

/// What each of them says.
fn payload(state: &dyn StateRead) -> Result<MemberSet, RunError> {
    let row = query::members(state, 1, "").rows.into_iter().next();
    let row = row.ok_or_else(|| RunError::Fill("there is no member".to_owned()))?;
    Ok(MemberSet { member: Some(row) })
}
