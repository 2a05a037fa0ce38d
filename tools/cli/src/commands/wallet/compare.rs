//! What differs between the federation's wallet and one that a file describes.
//!
//! The order of the keys does not matter: scripts sort them (BIP-67).

use dctrl_wallet::{Chain, Key, Wallet};

use super::formats::Found;

/// So many addresses of each chain are compared.
pub(super) const ADDRESSES: u32 = 20;

/// In words; nothing where both are the same.
pub(super) fn differences(ours: &Wallet, found: &Found) -> Vec<String> {
    let theirs = &found.wallet;
    let mut all = Vec::new();
    if ours.threshold() != theirs.threshold() {
        let (ours, theirs) = (ours.threshold(), theirs.threshold());
        all.push(format!("{theirs} signatures are needed there, {ours} here"));
    }
    for key in ours.keys() {
        all.extend(of_key(key, theirs.keys()));
    }
    for key in theirs.keys() {
        if !ours
            .keys()
            .iter()
            .any(|one| same_key(one, key) || same_name(one, key))
        {
            all.push(format!("a stranger signs there: {}", key.fingerprint));
        }
    }
    if ours.has_change() != theirs.has_change() {
        all.push("only one of them has a chain for change".to_owned());
    }
    let first = ours.address(Chain::Payments, 0).to_string();
    if let Some(named) = found
        .first_address
        .as_ref()
        .filter(|named| **named != first)
    {
        all.push(format!(
            "the file names {named} as its first address, not {first}"
        ));
    }
    if all.is_empty() {
        all.extend(of_addresses(ours, theirs));
    }
    all
}

/// The same account, whatever it is called.
fn same_key(one: &Key, other: &Key) -> bool {
    let of = |key: &Key| (key.xpub.public_key, key.xpub.chain_code);
    of(one) == of(other)
}

fn same_name(one: &Key, other: &Key) -> bool {
    one.fingerprint == other.fingerprint
}

fn of_key(key: &Key, theirs: &[Key]) -> Option<String> {
    let name = key.fingerprint;
    let Some(same) = theirs.iter().find(|one| same_key(one, key)) else {
        return Some(match theirs.iter().find(|one| same_name(one, key)) {
            Some(other) => format!("{name} has another key there: {}", other.xpub),
            None => format!("the key of {name} is missing there"),
        });
    };
    if !same_name(same, key) {
        return Some(format!(
            "{name} has the fingerprint {} there",
            same.fingerprint
        ));
    }
    (same.path != key.path)
        .then(|| format!("{name} has the path {} there, not {}", same.path, key.path))
}

fn of_addresses(ours: &Wallet, theirs: &Wallet) -> Option<String> {
    let chains = [Chain::Payments, Chain::Change];
    let chains = chains
        .into_iter()
        .filter(|chain| *chain == Chain::Payments || ours.has_change());
    chains
        .flat_map(|chain| (0..ADDRESSES).map(move |index| (chain, index)))
        .find(|(chain, index)| ours.script(*chain, *index) != theirs.script(*chain, *index))
        .map(|(chain, index)| format!("address {index} of {chain:?} differs"))
}
