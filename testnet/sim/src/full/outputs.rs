//! What a block puts out, decoded once for all nodes of a run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{Block, Digest, merkle};
use dctrl_ledger::{Applied, BlockInput, StateRead, apply_with, query};
use dctrl_proto::action::action_id;
use dctrl_proto::v1::{BusBody, BusFrame, MerkleProof, SignedAction};
use prost::Message;

use super::parties::Judge;
use super::plan::Planted;
use super::planted;

/// Blocks whose execution is remembered.
const REMEMBERED_MAX: usize = 256;

/// The outputs of a block.
pub(super) struct Outputs {
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) bodies: Vec<Rc<BusBody>>,
    tree: merkle::Tree,
}

impl Outputs {
    pub(super) fn of(leaves: Vec<Vec<u8>>) -> Self {
        let decode = |leaf: &Vec<u8>| BusBody::decode(leaf.as_slice()).unwrap_or_default();
        Self {
            bodies: leaves.iter().map(decode).map(Rc::new).collect(),
            tree: merkle::Tree::new(&leaves),
            leaves,
        }
    }

    pub(super) fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The frame of one output, with this certificate.
    pub(super) fn frame(&self, sub_index: usize, certificate: &[u8]) -> BusFrame {
        let path = self.tree.proof(sub_index);
        BusFrame {
            body: self.leaves[sub_index].clone(),
            proof: Some(MerkleProof {
                leaf_count: u32::try_from(self.leaves.len()).unwrap_or(u32::MAX),
                path: path.into_iter().map(|digest| digest.0.to_vec()).collect(),
            }),
            certificate: certificate.to_vec(),
        }
    }
}

/// What executing a block led to.
pub(super) struct Done {
    pub(super) applied: Applied,
    pub(super) outputs: Rc<Outputs>,
    /// By action, who signed it.
    pub(super) signers: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Executes blocks. The same block over the same state leads to the same, so
/// nodes share what one of them found; now and then each finds it anew, and
/// the two must be equal.
pub(super) struct Executor {
    judge: Rc<Judge>,
    done: RefCell<BTreeMap<Digest, Rc<Done>>>,
    order: RefCell<Vec<Digest>>,
    /// One block of so many is executed by every node itself.
    again_every: u64,
    planted: Option<Planted>,
}

impl Executor {
    pub(super) fn new(judge: Rc<Judge>, again_every: u64, planted: Option<Planted>) -> Self {
        Self {
            judge,
            done: RefCell::default(),
            order: RefCell::default(),
            again_every,
            planted,
        }
    }

    /// What the ledger makes of the block; `Err` where it made something else
    /// of the same before.
    pub(super) fn execute(&self, block: &Block, state: &dyn StateRead) -> Result<Rc<Done>, String> {
        let numbers = [block.index, block.time.0].map(u64::to_be_bytes).concat();
        let key = sha256(
            b"dctrl-sim-executed\0",
            &[&query::state_digest(state), &numbers, &block.payload_root.0],
        );
        let known = self.done.borrow().get(&key).cloned();
        let again = block.index.is_multiple_of(self.again_every);
        if let Some(known) = &known
            && !again
        {
            return Ok(Rc::clone(known));
        }
        let transactions: Vec<&[u8]> = block
            .transactions
            .iter()
            .map(|one| &one.bytes[..])
            .collect();
        let input = BlockInput {
            height: block.index,
            time_ms: block.time.as_millis(),
            transactions: &transactions,
        };
        let mut applied = apply_with(state, &input, &*self.judge);
        if let Some(planted) = self.planted {
            planted::spoil(planted, &mut applied);
        }
        if let Some(known) = known {
            return if known.applied == applied {
                Ok(known)
            } else {
                Err(format!("block {} was executed in two ways", block.index))
            };
        }
        let outputs = Rc::new(Outputs::of(applied.outputs.clone()));
        let signers = transactions
            .iter()
            .filter_map(|bytes| SignedAction::decode(*bytes).ok())
            .map(|action| (action_id(&action).to_vec(), action.key))
            .collect();
        let done = Rc::new(Done {
            applied,
            outputs,
            signers,
        });
        self.remember(key, &done);
        Ok(done)
    }

    fn remember(&self, key: Digest, done: &Rc<Done>) {
        let mut order = self.order.borrow_mut();
        if order.len() >= REMEMBERED_MAX {
            let oldest = order.remove(0);
            self.done.borrow_mut().remove(&oldest);
        }
        order.push(key);
        self.done.borrow_mut().insert(key, Rc::clone(done));
    }
}
