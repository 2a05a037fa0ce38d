//! A federation's history in small: blocks that name each other, signed by a
//! quorum, with states, outputs and a change of membership. The same seed gives
//! the same history, so each test has peers that hold all of it.

use dctrl_consensus::certificate::{HEADER_VERSION, signing_bytes};
use dctrl_consensus::crypto::{Ed25519Signer, Signer, sha256};
use dctrl_consensus::{
    BlockHeader, Certificate, ClusterId, Digest, NodeIndex, Roster, RosterMember, RosterStep,
    Timestamp, merkle,
};
use dctrl_ledger::{ChangeSet, MemoryState, StateDigest, StateRead};
use dctrl_proto::v1::{BlockPayload, BusBody};
use dctrl_store::{Part, Store};
use prost::Message;

/// The height whose block seals the first roster's last epoch.
pub(crate) const SEAL: u64 = 5;
/// Keys of the state that each block changes.
const KEYS: u8 = 12;
/// What stands before the transactions in a record.
const RECORD_HEAD: &[u8] = b"event";

/// Everything of one height.
pub(crate) struct Made {
    pub(crate) header: BlockHeader,
    pub(crate) certificate: Certificate,
    pub(crate) outputs: Vec<Vec<u8>>,
    pub(crate) transactions: Vec<Vec<u8>>,
    pub(crate) changes: ChangeSet,
    pub(crate) step: Option<RosterStep>,
}

/// A history and who signed it.
pub(crate) struct Chain {
    pub(crate) cluster: ClusterId,
    pub(crate) genesis: Roster,
    pub(crate) genesis_state: ChangeSet,
    /// From height 1.
    pub(crate) blocks: Vec<Made>,
}

fn signer(seed: u64, number: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&sha256(b"signer", &[&seed.to_be_bytes(), &[number]]).0)
}

fn roster(number: u64, signers: &[Ed25519Signer]) -> Roster {
    let member = |(at, one): (usize, &Ed25519Signer)| {
        RosterMember::new(format!("node {number} {at}"), one.public_key())
    };
    Roster::new(number, signers.iter().enumerate().map(member).collect()).unwrap()
}

fn noise(seed: u64, height: u64, number: u8, bytes: usize) -> Vec<u8> {
    let block = sha256(
        b"noise",
        &[&seed.to_be_bytes(), &height.to_be_bytes(), &[number]],
    );
    block.0.into_iter().cycle().take(bytes).collect()
}

/// The changes of a height, closed by the state's accumulator.
fn changes(seed: u64, height: u64, state: &mut MemoryState) -> (ChangeSet, Digest) {
    let mut changes: ChangeSet = (0..KEYS)
        .filter(|key| height == 0 || !(u64::from(*key) + height).is_multiple_of(3))
        .map(|key| {
            (
                vec![b's', key],
                Some(noise(seed, height, key, 40 + 30 * usize::from(key))),
            )
        })
        .collect();
    changes.insert(b"height".to_vec(), Some(height.to_be_bytes().to_vec()));
    state.apply(&changes);
    let mut digest = StateDigest::default();
    let kept = digest.kept_entry().0;
    for (key, value) in state.scan(b"", None, usize::MAX) {
        if key != kept {
            digest.entry(&key, &value);
        }
    }
    let (key, value) = digest.kept_entry();
    digest.entry(&key, &value);
    changes.insert(key, Some(value));
    state.apply(&changes);
    (changes, Digest(digest.finish().unwrap()))
}

impl Chain {
    /// A history of so many blocks.
    pub(crate) fn new(seed: u64, heights: u64) -> Self {
        let first: Vec<_> = (0..4).map(|number| signer(seed, number)).collect();
        let second: Vec<_> = (1..5).map(|number| signer(seed, number)).collect();
        let (genesis, next) = (roster(0, &first), roster(1, &second));
        let cluster = ClusterId(sha256(b"cluster", &[&seed.to_be_bytes()]));
        let mut state = MemoryState::default();
        let (genesis_state, _) = changes(seed, 0, &mut state);
        let mut blocks = Vec::new();
        let mut previous = Digest::ZERO;
        for height in 1..=heights {
            let after = height > SEAL;
            let (signers, present) = if after {
                (&second, &next)
            } else {
                (&first, &genesis)
            };
            let transactions: Vec<_> = (0..3).map(|tx| noise(seed, height, 100 + tx, 90)).collect();
            let outputs: Vec<Vec<u8>> = (0..2).map(|sub_index| output(height, sub_index)).collect();
            let (changes, state_digest) = changes(seed, height, &mut state);
            let header = BlockHeader {
                version: HEADER_VERSION,
                cluster,
                epoch: u64::from(after),
                index: height,
                round: height,
                time: Timestamp(height),
                previous,
                payload_root: merkle::root(&transactions),
                state_digest,
                outputs_root: merkle::root(&outputs),
                roster: present.hash(),
                next_roster: if height == SEAL {
                    next.hash()
                } else {
                    Digest::ZERO
                },
            };
            previous = header.hash();
            let bytes = signing_bytes(&previous);
            let signed = |(at, one): (u16, &Ed25519Signer)| (NodeIndex(at), one.sign(&bytes));
            let signatures = (0..).zip(&signers[..3]).map(signed).collect();
            let certificate = Certificate {
                header: header.clone(),
                signatures,
            };
            let step = (height == SEAL).then(|| RosterStep {
                certificate: certificate.clone(),
                next: next.clone(),
            });
            blocks.push(Made {
                header,
                certificate,
                outputs,
                transactions,
                changes,
                step,
            });
        }
        Self {
            cluster,
            genesis,
            genesis_state,
            blocks,
        }
    }

    /// Brings a store from where it is to this height.
    pub(crate) fn grow(&self, store: &Store, height: u64) {
        let executed = store.snapshot().executed().unwrap();
        if executed.is_none() {
            let mut batch = store.begin();
            batch.state(&self.genesis_state).executed(0);
            store.commit(batch).unwrap();
        }
        let executed = executed.unwrap_or(0);
        if store.snapshot().final_height().unwrap() < executed {
            self.certify(store, executed);
        }
        for next in executed + 1..=height {
            self.write(store, next);
            self.certify(store, next);
        }
    }

    fn write(&self, store: &Store, height: u64) {
        let made = &self.blocks[usize::try_from(height).unwrap() - 1];
        let header = made.header.encode();
        let record: Vec<u8> = made
            .transactions
            .iter()
            .fold(RECORD_HEAD.to_vec(), |all, tx| {
                let length = u32::try_from(tx.len()).unwrap().to_be_bytes();
                [&all[..], &length, tx].concat()
            });
        let mut batch = store.begin();
        let bytes = record.len() - RECORD_HEAD.len();
        batch.record(height, record);
        // As the pipeline does it: from its own records, or from peers.
        if height.is_multiple_of(2) {
            let parts = vec![Part {
                record: height,
                bytes,
            }];
            batch.block_of_records(height, parts, &header);
        } else {
            let payload = BlockPayload {
                transactions: made.transactions.clone(),
            };
            batch.block(height, payload.encode_to_vec(), &header);
        }
        batch.outputs(height, &made.outputs).state(&made.changes);
        batch.cursor("follower", &height.to_be_bytes());
        batch.executed(height);
        store.commit(batch).unwrap();
    }

    fn certify(&self, store: &Store, height: u64) {
        let made = &self.blocks[usize::try_from(height).unwrap() - 1];
        let mut batch = store.begin();
        batch.certificate(height, &made.certificate.encode());
        if let Some(step) = &made.step {
            batch.roster_step(step.next.number, &step.encode());
        }
        store.commit(batch).unwrap();
    }

    /// The digest of the state at a height.
    pub(crate) fn digest(&self, height: u64) -> Digest {
        self.blocks[usize::try_from(height).unwrap() - 1]
            .header
            .state_digest
    }
}

fn output(height: u64, sub_index: u32) -> Vec<u8> {
    let body = BusBody {
        topic: "block".to_owned(),
        height,
        sub_index,
        ..BusBody::default()
    };
    body.encode_to_vec()
}

/// All that a store says, to compare.
pub(crate) fn dump(store: &Store) -> Vec<Vec<u8>> {
    let snapshot = store.snapshot();
    let height = snapshot.height().unwrap();
    let mut all = vec![
        height.to_be_bytes().to_vec(),
        snapshot.final_height().unwrap().to_be_bytes().to_vec(),
        snapshot.first_block().unwrap().to_be_bytes().to_vec(),
        snapshot.cursor("follower").unwrap().unwrap_or_default(),
    ];
    for one in 1..=height {
        all.push(snapshot.header(one).unwrap().unwrap_or_default());
        all.push(snapshot.block(one).unwrap().unwrap_or_default());
        all.push(snapshot.certificate(one).unwrap().unwrap_or_default());
        all.extend(snapshot.outputs(one).unwrap().unwrap_or_default());
    }
    all.extend(snapshot.roster_steps(0).unwrap().steps);
    all.extend(store.records().unwrap().map(|record| record.unwrap().1));
    for (key, value) in snapshot.scan(b"", None, usize::MAX) {
        all.extend([key, value]);
    }
    all
}
