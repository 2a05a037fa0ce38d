//! The state before the first block.

mod check;

use dctrl_proto::genesis::cluster_id;
use dctrl_proto::order::NO_RECEIPT;
use dctrl_proto::v1::{Genesis, LedgerMeta, Machine, Product, Refusal, Slot};

use crate::caller::{Principal, hold_key};
use crate::founded::Founded;
use crate::scope::Scope;
use crate::{Applied, MemoryState, audit, digest, keys, roster, stock};

/// Checks `genesis` and makes the state at height 0. It has no outputs: no
/// certificate covers what was agreed on before the first block.
///
/// # Errors
/// Every problem of the genesis, not only the first.
pub fn genesis(genesis: &Genesis) -> Result<Applied, Vec<Refusal>> {
    check::check(genesis)?;
    let nothing = MemoryState::default();
    let roster = roster::first(&genesis.nodes, genesis.created_at_ms);
    let seats: Vec<u32> = roster.nodes.iter().map(|node| node.seat).collect();
    let meta = LedgerMeta {
        cluster: cluster_id(genesis).to_vec(),
        next_journal_number: 1,
        next_seat: u32::try_from(seats.len()).expect("a genesis was checked to have few nodes"),
        seats,
        ..LedgerMeta::default()
    };
    let mut scope = Scope::new(
        &nothing,
        Founded::new(genesis.clone()),
        meta,
        0,
        genesis.created_at_ms,
    );
    scope.put(keys::GENESIS.to_vec(), genesis);
    for node in &roster.nodes {
        let who = Principal::Node(node.seat);
        hold_key(&mut scope, &who, &[], &roster::row(node).key);
    }
    scope.put(keys::roster(roster.number), &roster);
    for member in &genesis.members {
        let who = Principal::Member(member.id.clone());
        hold_key(&mut scope, &who, &[], &member.key);
        scope.put(keys::member(&member.id), member);
    }
    for machine in &genesis.machines {
        let who = Principal::Machine(machine.id.clone());
        hold_key(&mut scope, &who, &[], &machine.key);
        scope.put(keys::machine(&machine.id), &fresh_machine(machine));
    }
    for product in &genesis.products {
        let product = Product {
            version: 1,
            ..product.clone()
        };
        scope.put(keys::product(&product.id), &product);
    }
    for slot in &genesis.slots {
        let slot = fresh_slot(slot);
        assert!(stock::adds_up(&slot), "a slot was checked for its capacity");
        scope.put(keys::slot(&slot.machine_id, &slot.slot), &slot);
    }
    audit::block(&scope);
    let (overlay, _) = scope.close();
    let (changes, state_digest) = digest::close(overlay);
    Ok(Applied {
        changes,
        outputs: Vec::new(),
        receipts: Vec::new(),
        next_roster: None,
        state_digest,
        next_deadline_ms: None,
    })
}

/// Incarnation of a machine that never lost its journal.
pub(crate) const FIRST_INCARNATION: u32 = 1;

/// A machine as people describe it; what the ledger decides starts anew.
fn fresh_machine(described: &Machine) -> Machine {
    Machine {
        id: described.id.clone(),
        site: described.site.clone(),
        key: described.key.clone(),
        curve_key: described.curve_key.clone(),
        enabled: described.enabled,
        incarnation: described.incarnation.max(FIRST_INCARNATION),
        last_receipt_hash: NO_RECEIPT.to_vec(),
        ..Machine::default()
    }
}

/// A slot with its first stock, which counts as received.
fn fresh_slot(described: &Slot) -> Slot {
    Slot {
        machine_id: described.machine_id.clone(),
        slot: described.slot.clone(),
        product_id: described.product_id.clone(),
        capacity: described.capacity,
        stock: described.stock,
        received: u64::from(described.stock),
        ..Slot::default()
    }
}
