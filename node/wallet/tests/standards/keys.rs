//! BIP-67 and BIP-48: the order of keys in a script, and where they come from.

use std::str::FromStr;

use bitcoin::bip32::{DerivationPath, Xpriv, Xpub};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Network, PublicKey};
use dctrl_wallet::{Chain, Wallet};
use miniscript::Descriptor;

use super::lines;

const VECTORS: &str = include_str!("../vectors/bip-67.txt");

#[test]
fn keys_stand_in_a_script_in_the_order_of_their_bytes() {
    for (number, vector) in VECTORS.split("vector\n").skip(1).enumerate() {
        let of = |kind| lines(vector).filter(move |(found, _)| *found == kind);
        let keys = |kind| of(kind).map(|(_, key)| PublicKey::from_str(key).unwrap());
        let listed = Descriptor::new_sh_sortedmulti(2, keys("list").collect()).unwrap();
        let sorted = Descriptor::new_sh_sortedmulti(2, keys("sorted").collect()).unwrap();
        assert_eq!(listed.script_pubkey(), sorted.script_pubkey());
        let (_, script) = of("script").next().unwrap();
        assert_eq!(listed.explicit_script().unwrap().to_hex_string(), script);
        let (_, address) = of("address").next().unwrap();
        let address = Address::from_str(address).unwrap().assume_checked();
        assert_eq!(
            listed.address(Network::Bitcoin).unwrap(),
            address,
            "{number}"
        );
    }
}

#[test]
fn the_wallets_addresses_stand_where_bip_48_says() {
    let curve = Secp256k1::new();
    // Script type 2: P2WSH. The table of the BIP, by chain and index.
    for (network, coin) in [(Network::Bitcoin, 0), (Network::Testnet, 1)] {
        for account in [0, 1] {
            let masters: Vec<Xpriv> = [1, 2, 3]
                .map(|seed| Xpriv::new_master(network, &[seed; 32]).unwrap())
                .into();
            let path = format!("48h/{coin}h/{account}h/2h");
            let wallet = wallet(network, &masters, &path);
            for (chain, step) in [(Chain::Payments, 0), (Chain::Change, 1)] {
                for index in [0, 1] {
                    let whole = format!("m/{path}/{step}/{index}");
                    let whole = DerivationPath::from_str(&whole).unwrap();
                    let keys = masters.iter().map(|master| {
                        let key = master.derive_priv(&curve, &whole).unwrap();
                        key.to_priv().public_key(&curve)
                    });
                    let plain = Descriptor::new_wsh_sortedmulti(2, keys.collect()).unwrap();
                    assert_eq!(wallet.script(chain, index), plain.script_pubkey());
                }
            }
        }
    }
}

fn wallet(network: Network, masters: &[Xpriv], path: &str) -> Wallet {
    let curve = Secp256k1::new();
    let keys: Vec<String> = masters
        .iter()
        .map(|master| {
            let steps = DerivationPath::from_str(path).unwrap();
            let account = master.derive_priv(&curve, &steps).unwrap();
            let xpub = Xpub::from_priv(&curve, &account);
            format!("[{}/{path}]{xpub}/0/*", master.fingerprint(&curve))
        })
        .collect();
    let text = format!("wsh(sortedmulti(2,{}))", keys.join(","));
    let text = Descriptor::<miniscript::DescriptorPublicKey>::from_str(&text).unwrap();
    Wallet::parse(&text.to_string(), network).unwrap()
}
