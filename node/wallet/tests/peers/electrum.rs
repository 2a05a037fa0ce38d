//! Electrum, which copayers use, as Debian ships it.

use bitcoin::base64::{Engine, engine::general_purpose::STANDARD};
use bitcoin::hashes::Hash;
use bitcoin::{Address, Network, OutPoint, Txid};
use dctrl_wallet::{Chain, Coin, check_returned, finish};
use serde_json::json;

use crate::{account, asked, master, payout, signed, wallet};

const SCRIPT: &str = include_str!("electrum.py");
const ADDRESSES: u32 = 20;

#[test]
#[ignore = "needs Electrum; run by cargo xtask test"]
fn electrum_derives_the_same_addresses_and_its_signatures_are_taken() {
    let wallet = wallet();
    let coin = Coin {
        outpoint: OutPoint::new(Txid::from_byte_array([9; 32]), 1),
        sats: 100_000,
        chain: Chain::Payments,
        index: 4,
    };
    let plan = payout(&wallet, coin);
    let folder = tempfile::tempdir().unwrap();
    let said = asked(
        ("DCTRL_ELECTRUM", "electrum/python"),
        SCRIPT,
        &json!({
            "threshold": 2,
            "keys": [account(1), account(2), account(3)],
            "addresses": ADDRESSES,
            "psbt": STANDARD.encode(plan.psbt.serialize()),
            "master": master(2).to_string(),
            "folder": folder.path(),
        }),
    );
    for (position, chain) in [Chain::Payments, Chain::Change].into_iter().enumerate() {
        for index in 0..ADDRESSES {
            let ours = wallet.address(chain, index).to_string();
            assert_eq!(said["chains"][position][index as usize], ours);
        }
    }
    assert_eq!(said["txid"], plan.txid.to_string());
    assert_eq!(said["fee"], plan.fee_sats);
    for (position, output) in plan.psbt.unsigned_tx.output.iter().enumerate() {
        let address = Address::from_script(&output.script_pubkey, Network::Regtest).unwrap();
        let ours = json!([address.to_string(), output.value.to_sat()]);
        assert_eq!(said["outputs"][position], ours);
    }
    // The input and the change are of the wallet.
    let owned = said["owned"].as_array().unwrap();
    assert_eq!(owned.iter().filter(|one| **one == true).count(), 2);
    assert_eq!(said["signatures"], 1);
    let returned = STANDARD.decode(said["psbt"].as_str().unwrap()).unwrap();
    let theirs = check_returned(&plan.psbt, &returned).unwrap();
    let ours = check_returned(&plan.psbt, &signed(&plan.psbt, 3).serialize()).unwrap();
    assert!(finish(&plan.psbt, &[ours, theirs].concat(), 2).is_some());
}
