//! embit, a library of Python that shares no line with ours.

use bitcoin::Psbt;
use bitcoin::base64::{Engine, engine::general_purpose::STANDARD};
use dctrl_wallet::{check_returned, finish, read_psbt, to_version_2};
use serde_json::json;

use crate::{ADDRESSES, asked, assert_same, coin, master, payout, signed, wallet};

const SCRIPT: &str = include_str!("embit.py");

#[test]
#[ignore = "needs embit; run by cargo xtask test"]
fn embit_derives_the_same_addresses_and_its_signatures_are_taken() {
    let wallet = wallet();
    let plan = payout(&wallet, coin());
    for (version, bytes) in [(0, plan.psbt.serialize()), (2, to_version_2(&plan.psbt))] {
        let said = asked(
            ("DCTRL_EMBIT", "embit/environment/bin/python"),
            SCRIPT,
            &json!({
                "descriptor": wallet.multipath(),
                "addresses": ADDRESSES,
                "psbt": STANDARD.encode(&bytes),
                "xprv": master(2).to_string(),
            }),
        );
        assert_eq!(said["version"], version);
        assert_same(&said, &wallet, &plan);
        let returned = STANDARD.decode(said["psbt"].as_str().unwrap()).unwrap();
        let old: Psbt = read_psbt(&returned).unwrap();
        let theirs = check_returned(&plan.psbt, &old.serialize()).unwrap();
        let ours = check_returned(&plan.psbt, &signed(&plan.psbt, 1).serialize()).unwrap();
        assert!(finish(&plan.psbt, &[ours, theirs].concat(), 2).is_some());
    }
}
