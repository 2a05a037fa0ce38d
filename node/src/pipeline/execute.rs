//! Where consensus and ledger meet: an ordered block becomes state.

use dctrl_api::Progress;
use dctrl_consensus::{Block, Digest, PublicKey, Roster, RosterMember};
use dctrl_ledger::{BlockInput, Signatures, StateRead, apply_with, query};
use dctrl_net::gossip::Peer;
use dctrl_proto::v1::{NodeRoster, Receipt, SignedAction};
use dctrl_settings::Detours;
use dctrl_store::Store;
use prost::Message;
use tokio::sync::watch;

use super::{
    PipelineError, Publisher,
    application::{Application, Execution},
};
use crate::{admission::Admission, machines::Machines, signatures::ActionSignatures};

/// The federation's ledger as an application of the engine.
pub(crate) struct LedgerApplication {
    pub(crate) store: Store,
    pub(crate) signatures: ActionSignatures,
    pub(crate) publisher: Publisher,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) next_deadline: Box<dyn Fn(Option<u64>) + Send>,
    pub(crate) machines: Machines,
    pub(crate) admission: Admission,
    pub(crate) detours: Detours,
}

/// What effects and machines are told about a block.
pub(crate) struct Notice {
    time_ms: u64,
    next_deadline_ms: Option<u64>,
    pub(crate) receipts: Vec<Receipt>,
}

impl Application for LedgerApplication {
    type Notice = Notice;

    fn execute(&mut self, block: &Block, state: &dyn StateRead) -> Execution<Notice> {
        applied(block, state, &self.signatures)
    }

    fn peers(&self, state: &dyn StateRead) -> Option<Vec<Peer>> {
        Some(reached(query::roster(state), &self.detours))
    }

    fn entrusted(&mut self, from: PublicKey, transaction: &[u8]) {
        let submitted = SignedAction::decode(transaction)
            .map_err(|error| error.to_string())
            .and_then(|action| {
                // Apart from what users hand in: this thread waits for nobody.
                let outcomes = self.admission.submit_all(&[action]).into_iter();
                let outcome: Result<Vec<_>, _> = outcomes.collect();
                outcome.map_err(|refusal| refusal.to_string())
            });
        if let Err(problem) = submitted {
            tracing::debug!(?from, problem, "a node's action was not passed on");
        }
    }

    fn durable(&mut self, height: u64, notice: Notice) {
        self.progress
            .send_modify(|progress| progress.applied_height = height);
        self.admission.ordered(&notice.receipts, notice.time_ms);
        (self.next_deadline)(notice.next_deadline_ms);
        self.machines
            .after_block(&notice.receipts, &self.store.snapshot());
    }

    fn taken_over(&mut self, height: u64, state: &dyn StateRead) {
        self.publisher.skip_to(height);
        self.progress.send_modify(|progress| {
            progress.applied_height = height;
            progress.final_height = height;
        });
        (self.next_deadline)(query::next_deadline_ms(state));
        self.machines.refresh(state);
    }

    fn certified(&mut self, _height: u64) -> Result<(), PipelineError> {
        let final_height = self.publisher.publish_final(&self.store)?;
        self.progress
            .send_modify(|progress| progress.final_height = final_height);
        Ok(())
    }
}

/// What the ledger makes of a block.
pub(crate) fn applied(
    block: &Block,
    state: &dyn StateRead,
    signatures: &dyn Signatures,
) -> Execution<Notice> {
    let transactions: Vec<&[u8]> = block
        .transactions
        .iter()
        .map(|transaction| transaction.bytes.as_ref())
        .collect();
    let input = BlockInput {
        height: block.index,
        time_ms: block.time.as_millis(),
        transactions: &transactions,
    };
    let applied = apply_with(state, &input, signatures);
    Execution {
        changes: applied.changes,
        outputs: applied.outputs,
        state_digest: Digest(applied.state_digest),
        next_roster: applied.next_roster.as_ref().and_then(roster_of),
        notice: Notice {
            time_ms: block.time.as_millis(),
            next_deadline_ms: applied.next_deadline_ms,
            receipts: applied.receipts,
        },
    }
}

/// The ledger's nodes as gossip reaches them: those of the roster with this
/// number, or of the present one where it is not known any more.
pub(crate) fn peers_of(state: &dyn StateRead, number: u64, detours: &Detours) -> Vec<Peer> {
    let present = query::roster(state);
    if present.number == number {
        return reached(present, detours);
    }
    let before = number.checked_sub(1);
    let after = before.map(|before| before.to_string()).unwrap_or_default();
    let page = query::rosters(state, 1, &after).map(|page| page.rows);
    let mut found = page.unwrap_or_default().into_iter();
    let found = found.find(|roster| roster.number == number);
    reached(found.unwrap_or(present), detours)
}

fn reached(roster: NodeRoster, detours: &Detours) -> Vec<Peer> {
    let nodes = roster.nodes.into_iter();
    let peer = |node: dctrl_proto::v1::RosterNode| {
        let node = node.node?;
        Some(Peer {
            key: PublicKey(node.key.try_into().ok()?),
            endpoint: detours.lead(&node.gossip_endpoint).to_owned(),
            curve_public: node.curve_key.try_into().ok()?,
        })
    };
    nodes.filter_map(peer).collect()
}

/// The ledger's nodes as consensus counts them. The ledger admits no node that
/// makes this fail; if it did, all nodes would keep the roster they have.
fn roster_of(nodes: &NodeRoster) -> Option<Roster> {
    let member = |row: &dctrl_proto::v1::RosterNode| {
        let node = row.node.as_ref()?;
        let key = <[u8; 32]>::try_from(node.key.as_slice()).ok()?;
        Some(RosterMember {
            name: node.name.clone(),
            key: PublicKey(key),
            instance: row.instance,
        })
    };
    let members: Option<Vec<_>> = nodes.nodes.iter().map(member).collect();
    let roster = Roster::new(nodes.number, members?);
    roster
        .inspect_err(|error| tracing::error!(%error, "the ledger named members that are no roster"))
        .ok()
}
