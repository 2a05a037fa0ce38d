//! Addresses of quotes, against a derivation by hand.

use std::str::FromStr;

use crate::common::Federation;
use bitcoin::bip32::{ChildNumber, DerivationPath, Xpriv};
use bitcoin::blockdata::{opcodes, script::Builder};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Network};

/// The address number `index` as BIP-32, BIP-48, BIP-67 and BIP-141 say, from
/// the copayers' private seeds and without any descriptor.
fn by_hand(index: u32) -> String {
    let secp = Secp256k1::new();
    let account = DerivationPath::from_str("48'/1'/0'/2'/0").unwrap();
    let mut keys: Vec<_> = [1u8, 2, 3]
        .iter()
        .map(|seed| {
            let root = Xpriv::new_master(Network::Regtest, &[*seed; 32]).unwrap();
            let path = account.child(ChildNumber::Normal { index });
            let child = root.derive_priv(&secp, &path).unwrap();
            bitcoin::PublicKey::new(child.private_key.public_key(&secp))
        })
        .collect();
    keys.sort_by_key(|key| key.inner.serialize());
    let mut script = Builder::new().push_int(2);
    for key in &keys {
        script = script.push_key(key);
    }
    let script = script
        .push_int(3)
        .push_opcode(opcodes::all::OP_CHECKMULTISIG)
        .into_script();
    Address::p2wsh(&script, Network::Regtest).to_string()
}

#[test]
fn every_quote_shows_the_next_address_of_the_copayers_wallet() {
    let mut federation = Federation::new();
    for index in 0..4 {
        let vend = federation.quote();
        assert_eq!(vend.address_index, index);
        assert_eq!(vend.address, by_hand(index));
    }
}

#[test]
fn the_first_addresses_stay_what_they_were() {
    assert_eq!(
        by_hand(0),
        "bcrt1qkpad42v3wkkt9hfww7vs7udr72pm32vyz5kgphkjm5m3z57pgz0swjhzs8"
    );
    assert_eq!(
        by_hand(1000),
        "bcrt1q7nqmg2ne8lgnzhf2vk9tuunza335kavcs5hrl39xd094xaj05xvs3hzngt"
    );
}

#[test]
fn an_expired_quotes_address_is_not_shown_again() {
    let mut federation = Federation::new();
    let first = federation.quote();
    federation.wait(700_000);
    assert_ne!(federation.quote().address, first.address);
}
