//! A federation of four nodes in memory: keys, a genesis, one block at a
//! time, and a full audit after each.

pub(crate) mod genesis;
pub(crate) mod nodes;
pub(crate) mod payouts;

use dctrl_ledger::{Applied, BlockInput, MemoryState, apply, audit, query};
use dctrl_proto::action::{Payload, body, signing_bytes};
use dctrl_proto::order::{NO_RECEIPT, receipt_hash};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{
    BusBody, ChainObserve, MachineAccept, MachineHeartbeat, MachineReceipt, Order, Outcome,
    Outpoint, PaymentObserve, PaymentView, Receipt, Refusal, SignedAction, TimeTick, Vend,
    VendQuote, VendState,
};
use prost::Message;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// When the genesis was made.
pub(crate) const START_MS: u64 = 1_800_000_000_000;
pub(crate) const PRICE: u64 = 1500;

/// A party's signing key, from a seed of one repeated byte.
pub(crate) struct Key(Ed25519KeyPair);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

pub(crate) const ALICE: u8 = 31;
pub(crate) const OPERATOR: u8 = 30;
pub(crate) const STAFF: u8 = 32;
pub(crate) const MACHINE: u8 = 20;
pub(crate) const OTHER_MACHINE: u8 = 21;
pub(crate) const NODES: [u8; 4] = [10, 11, 12, 13];

pub(crate) struct Federation {
    pub(crate) state: MemoryState,
    pub(crate) cluster: [u8; 32],
    pub(crate) height: u64,
    pub(crate) now_ms: u64,
    pub(crate) last: Option<Applied>,
    /// Everything the blocks have told so far.
    pub(crate) told: Vec<BusBody>,
    pub(crate) receipt_hash: [u8; 32],
    /// Every block so far: its time and its transactions.
    pub(crate) log: Vec<(u64, Vec<Vec<u8>>)>,
    requests: u128,
}

impl Federation {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A federation whose genesis is changed first.
    pub(crate) fn with(change: impl FnOnce(&mut dctrl_proto::v1::Genesis)) -> Self {
        let mut genesis = genesis::genesis();
        change(&mut genesis);
        let applied = dctrl_ledger::genesis(&genesis).unwrap();
        let mut state = MemoryState::default();
        state.apply(&applied.changes);
        audit::full(&state).unwrap();
        let mut federation = Self {
            state,
            cluster: dctrl_proto::genesis::cluster_id(&genesis),
            height: 0,
            now_ms: START_MS,
            last: None,
            told: Vec::new(),
            receipt_hash: NO_RECEIPT,
            log: Vec::new(),
            requests: 0,
        };
        federation.heartbeat(true);
        federation
    }

    pub(crate) fn action<P: Payload>(&mut self, seed: u8, payload: &P) -> SignedAction {
        self.requests += 1;
        let request_id = self.requests.to_be_bytes();
        let body = body(&self.cluster, request_id, self.now_ms + 60_000, payload);
        self.sign(seed, body.encode_to_vec())
    }

    pub(crate) fn sign(&self, seed: u8, body: Vec<u8>) -> SignedAction {
        let key = Key::new(seed);
        SignedAction {
            signature: key.sign(&signing_bytes(&body)),
            key: key.public(),
            body,
        }
    }

    /// Applies a block of encoded actions, one millisecond after the last
    /// block, and audits everything: also that its frames tell of all that has
    /// become of the facts.
    pub(crate) fn raw_block(&mut self, transactions: &[&[u8]]) -> Applied {
        self.height += 1;
        self.now_ms += 1;
        let block = BlockInput {
            height: self.height,
            time_ms: self.now_ms,
            transactions,
        };
        let copy = transactions.iter().map(|bytes| bytes.to_vec()).collect();
        self.log.push((self.now_ms, copy));
        let applied = apply(&self.state, &block);
        let before = self.state.clone();
        self.state.apply(&applied.changes);
        if let Err(failure) = audit::full(&self.state) {
            panic!("after block {}: {failure}", self.height);
        }
        assert_eq!(applied.state_digest, query::state_digest(&self.state));
        assert_eq!(
            applied.next_deadline_ms,
            query::next_deadline_ms(&self.state)
        );
        self.last = Some(applied.clone());
        let told = self.outputs();
        crate::facts::assert_folds(&before, &told, &self.state);
        self.told.extend(told);
        applied
    }

    pub(crate) fn block(&mut self, actions: &[SignedAction]) -> Vec<Receipt> {
        let bytes: Vec<Vec<u8>> = actions.iter().map(Message::encode_to_vec).collect();
        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        self.raw_block(&slices).receipts
    }

    /// One action in a block of its own.
    pub(crate) fn submit<P: Payload>(&mut self, seed: u8, payload: &P) -> Result<String, Refusal> {
        let action = self.action(seed, payload);
        let receipt = self.block(&[action]).remove(0);
        match receipt.refusal {
            None => Ok(receipt.subject),
            Some(refusal) => Err(refusal),
        }
    }

    /// Consensus time passes, and a node ticks.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.submit(NODES[0], &TimeTick {}).unwrap();
    }

    pub(crate) fn heartbeat(&mut self, ready: bool) {
        let heartbeat = MachineHeartbeat {
            machine_id: "m1".into(),
            incarnation: self.incarnation(),
            nonce: vec![7; 16],
            ready,
            detail: if ready { "" } else { "door open" }.into(),
        };
        self.submit(MACHINE, &heartbeat).unwrap();
    }

    pub(crate) fn incarnation(&self) -> u32 {
        query::machine(&self.state, "m1").unwrap().incarnation
    }

    pub(crate) fn try_quote(&mut self, slot: &str) -> Result<Vend, Refusal> {
        let quote = VendQuote {
            machine_id: "m1".into(),
            slot: slot.into(),
            member_id: "alice".into(),
            ..VendQuote::default()
        };
        let id = self.submit(ALICE, &quote)?;
        Ok(self.vend(&id))
    }

    pub(crate) fn quote(&mut self) -> Vend {
        self.try_quote("A1").unwrap()
    }

    /// A quote for nobody in particular, asked for at the machine.
    pub(crate) fn guest_quote(&mut self) -> Vend {
        let quote = VendQuote {
            machine_id: "m1".into(),
            slot: "A1".into(),
            member_id: String::new(),
            ..VendQuote::default()
        };
        let id = self.submit(MACHINE, &quote).unwrap();
        self.vend(&id)
    }

    pub(crate) fn vend(&self, id: &str) -> Vend {
        query::vend(&self.state, id).unwrap()
    }

    pub(crate) fn state_of(&self, vend: &Vend) -> VendState {
        self.vend(&vend.id).state()
    }

    /// What the given nodes see of a payment, one block each.
    pub(crate) fn see(&mut self, nodes: &[u8], payment: &PaymentObserve) {
        for node in nodes {
            self.submit(*node, payment).unwrap();
        }
    }

    /// All nodes see `payment` in the block at `height`, and that block as tip.
    pub(crate) fn confirm(&mut self, payment: &PaymentObserve, height: u32) {
        self.see(&NODES, &in_block(payment, height));
        self.tip(height);
    }

    pub(crate) fn tip(&mut self, height: u32) {
        for node in NODES {
            self.submit(node, &tip(height)).unwrap();
        }
    }

    /// A payment of `sats` that all nodes see, one confirmation deep.
    pub(crate) fn pay(&mut self, vend: &Vend, number: u8, sats: u64) -> PaymentObserve {
        let payment = payment(vend, number, sats);
        self.see(&NODES, &payment);
        self.confirm(&payment, 100);
        payment
    }

    /// The order that was issued last.
    pub(crate) fn order(&self) -> Order {
        let mut orders = self.told.iter().filter_map(|body| match &body.event {
            Some(Event::Order(order)) => Some(order),
            _ => None,
        });
        orders.next_back().unwrap().clone()
    }

    /// What the latest block told.
    pub(crate) fn outputs(&self) -> Vec<BusBody> {
        let outputs = &self.last.as_ref().unwrap().outputs;
        outputs
            .iter()
            .map(|bytes| BusBody::decode(&**bytes).unwrap())
            .collect()
    }

    pub(crate) fn accept(&mut self, vend: &Vend) -> Result<String, Refusal> {
        let vend = self.vend(&vend.id);
        let accept = MachineAccept {
            machine_id: vend.machine_id,
            incarnation: vend.incarnation,
            sequence: vend.sequence,
            order_hash: vend.order_hash,
        };
        self.submit(MACHINE, &accept)
    }

    pub(crate) fn receipt(&self, vend: &Vend, outcome: Outcome) -> MachineReceipt {
        let vend = self.vend(&vend.id);
        MachineReceipt {
            machine_id: vend.machine_id,
            incarnation: vend.incarnation,
            sequence: vend.sequence,
            order_hash: vend.order_hash,
            outcome: outcome.into(),
            previous_receipt_hash: self.receipt_hash.to_vec(),
            ..MachineReceipt::default()
        }
    }

    /// The machine's receipt for a vend's order.
    pub(crate) fn finish(&mut self, vend: &Vend, outcome: Outcome) -> MachineReceipt {
        let receipt = self.receipt(vend, outcome);
        self.submit(MACHINE, &receipt).unwrap();
        self.receipt_hash = receipt_hash(&receipt.encode_to_vec());
        receipt
    }

    /// A vend that is paid and whose order is out.
    pub(crate) fn dispatched(&mut self) -> Vend {
        let vend = self.quote();
        let number = u8::try_from(vend.address_index).unwrap();
        self.pay(&vend, 200 - number, PRICE);
        assert_eq!(self.state_of(&vend), VendState::Dispatched);
        self.vend(&vend.id)
    }

    pub(crate) fn balance(&self, account: &str) -> i64 {
        let accounts = query::balances(&self.state, account);
        accounts
            .iter()
            .find(|one| one.name == account)
            .map_or(0, |one| one.balance_sats)
    }

    pub(crate) fn stock(&self) -> (u32, u32, u64) {
        let slots = query::slots(&self.state, "m1");
        let slot = slots.iter().find(|slot| slot.slot == "A1").unwrap();
        (slot.stock, slot.held, slot.sold)
    }

    /// The states a vend went through.
    pub(crate) fn path(&self, vend: &Vend) -> Vec<VendState> {
        let history = self.vend(&vend.id).history;
        let mut path: Vec<VendState> = history.iter().map(|step| step.state()).collect();
        path.dedup();
        path
    }
}

/// A payment to a vend's address, in the mempool.
pub(crate) fn payment(vend: &Vend, number: u8, sats: u64) -> PaymentObserve {
    PaymentObserve {
        outpoint: Some(Outpoint {
            txid: vec![number; 32],
            vout: 0,
        }),
        address_index: vend.address_index,
        amount_sats: sats,
        view: PaymentView::InMempool.into(),
        ..PaymentObserve::default()
    }
}

pub(crate) fn in_block(payment: &PaymentObserve, height: u32) -> PaymentObserve {
    PaymentObserve {
        view: PaymentView::InBlock.into(),
        block_height: height,
        block_hash: tip(height).hash,
        ..payment.clone()
    }
}

pub(crate) fn absent(payment: &PaymentObserve) -> PaymentObserve {
    PaymentObserve {
        view: PaymentView::Absent.into(),
        ..payment.clone()
    }
}

pub(crate) fn tip(height: u32) -> ChainObserve {
    ChainObserve {
        height,
        hash: vec![u8::try_from(height % 256).unwrap(); 32],
    }
}

/// Every order in which sequences can be merged, each kept in its own order,
/// as the position of the sequence that comes next.
pub(crate) fn merges(lengths: &[usize]) -> Vec<Vec<usize>> {
    fn go(left: &mut [usize], before: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if left.iter().all(|rest| *rest == 0) {
            all.push(before.clone());
            return;
        }
        for position in 0..left.len() {
            if left[position] > 0 {
                left[position] -= 1;
                before.push(position);
                go(left, before, all);
                before.pop();
                left[position] += 1;
            }
        }
    }
    let mut all = Vec::new();
    go(&mut lengths.to_vec(), &mut Vec::new(), &mut all);
    all
}
