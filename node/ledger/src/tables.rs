//! Typed reading of the state's tables.
//!
//! Values are encoded messages that this crate wrote. One that does not
//! decode means a damaged disk, and the process stops rather than guess.

use dctrl_proto::v1::{
    Account, ChainTip, Genesis, LedgerMeta, Machine, Member, Outpoint, Payment, Product, Receipt,
    Slot, Vend,
};
use prost::Message;

use crate::keys;
use crate::refuse::{not_found, precond};
use crate::{Refusal, StateRead};

/// Rows per step of a walk over a whole table.
const WALK_ROWS: usize = 256;

/// The message at `key`.
pub(crate) fn read<M: Message + Default>(state: &dyn StateRead, key: &[u8]) -> Option<M> {
    state.get(key).map(|value| decode(key, &value))
}

/// Decodes a value of the state.
pub(crate) fn decode<M: Message + Default>(key: &[u8], value: &[u8]) -> M {
    match M::decode(value) {
        Ok(message) => message,
        Err(error) => panic!("state value at {} is damaged: {error}", key.escape_ascii()),
    }
}

/// All entries of a table, ascending, read in steps.
pub(crate) fn walk<'s>(
    state: &'s dyn StateRead,
    prefix: &'s [u8],
) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + 's {
    let mut after: Option<Vec<u8>> = None;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let page = state.scan(prefix, after.as_deref(), WALK_ROWS);
        done = page.len() < WALK_ROWS;
        after = page.last().map(|(key, _)| key.clone());
        Some(page)
    })
    .flatten()
}

/// All rows of a table, ascending.
pub(crate) fn rows<'s, M: Message + Default>(
    state: &'s dyn StateRead,
    prefix: &'s [u8],
) -> impl Iterator<Item = M> + 's {
    walk(state, prefix).map(|(key, value)| decode(&key, &value))
}

pub(crate) fn meta(state: &dyn StateRead) -> LedgerMeta {
    read(state, keys::META).expect("a state begins with its genesis")
}

pub(crate) fn genesis(state: &dyn StateRead) -> Genesis {
    read(state, keys::GENESIS).expect("a state begins with its genesis")
}

pub(crate) fn member(state: &dyn StateRead, id: &str) -> Option<Member> {
    read(state, &keys::member(id))
}

pub(crate) fn machine(state: &dyn StateRead, id: &str) -> Result<Machine, Refusal> {
    read(state, &keys::machine(id))
        .ok_or_else(|| not_found("machine", format!("There is no machine {id}.")))
}

pub(crate) fn product(state: &dyn StateRead, id: &str) -> Option<Product> {
    read(state, &keys::product(id))
}

pub(crate) fn slot(state: &dyn StateRead, machine_id: &str, slot: &str) -> Result<Slot, Refusal> {
    read(state, &keys::slot(machine_id, slot)).ok_or_else(|| {
        let message = format!("Machine {machine_id} has no slot {slot}.");
        not_found("slot", message)
    })
}

pub(crate) fn vend(state: &dyn StateRead, id: &str) -> Result<Vend, Refusal> {
    read(state, &keys::vend(id)).ok_or_else(|| not_found("vend", format!("There is no vend {id}.")))
}

/// The vend that an order of the machine's present incarnation was for.
pub(crate) fn ordered_vend(
    state: &dyn StateRead,
    machine: &Machine,
    sequence: u64,
) -> Result<Vend, Refusal> {
    let key = keys::order(&machine.id, machine.incarnation, sequence);
    let vend_id = state.get(&key).ok_or_else(|| {
        let last = machine.last_sequence;
        let message = format!("There is no order {sequence}; the last one was {last}.");
        precond("machine.sequence", message)
    })?;
    let vend_id = String::from_utf8(vend_id).expect("a vend's id is text");
    Ok(must(vend(state, &vend_id)))
}

/// The vend to which an address was given.
pub(crate) fn vend_at_address(state: &dyn StateRead, address_index: u32) -> Option<String> {
    let id = state.get(&keys::vend_newest(address_index))?;
    Some(String::from_utf8(id).expect("a vend's id is text"))
}

pub(crate) fn payment(state: &dyn StateRead, outpoint: &Outpoint) -> Option<Payment> {
    read(state, &keys::payment(outpoint))
}

pub(crate) fn tip(state: &dyn StateRead) -> ChainTip {
    read(state, keys::TIP).unwrap_or_default()
}

pub(crate) fn receipt(state: &dyn StateRead, action_id: &[u8]) -> Option<Receipt> {
    read(state, &keys::receipt(action_id))
}

pub(crate) fn account(state: &dyn StateRead, name: &str) -> Account {
    read(state, &keys::account(name)).unwrap_or_else(|| Account {
        name: name.to_owned(),
        balance_sats: 0,
    })
}

/// A row that another row names, so that it must be there.
pub(crate) fn must<T>(row: Result<T, Refusal>) -> T {
    match row {
        Ok(row) => row,
        Err(refusal) => panic!("a row that the state refers to is missing: {refusal}"),
    }
}
