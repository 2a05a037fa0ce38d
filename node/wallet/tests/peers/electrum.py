"""What Electrum makes of a wallet and a PSBT, as JSON.

Standard input: the threshold, the account keys as descriptors write them, how
many addresses, a PSBT in base64, the master key that signs it, and an empty
folder. Electrum builds a wallet of its own of the keys, and finds out by itself
which inputs and outputs are that wallet's.
"""

import json
import re
import sys

from electrum import bip32, constants, keystore, util

constants.set_regtest()

from electrum.simple_config import SimpleConfig
from electrum.transaction import PartialTransaction
from electrum.wallet import Multisig_Wallet
from electrum.wallet_db import WalletDB


def store(key, master):
    fingerprint, path, xpub = re.fullmatch(r"\[([0-9a-f]{8})/(.+)\](\w+)", key).groups()
    path = "m/" + path
    root = bip32.BIP32Node.from_xkey(master)
    made = keystore.BIP32_KeyStore({})
    if root.calc_fingerprint_of_this_node().hex() == fingerprint:
        root = root._replace(xtype="p2wsh")
        made.add_xprv(root.subkey_at_private_derivation(path).to_xprv())
    else:
        made.add_xpub(bip32.BIP32Node.from_xkey(xpub)._replace(xtype="p2wsh").to_xpub())
    made.add_key_origin(derivation_prefix=path, root_fingerprint=fingerprint)
    return made


def made_of(asked):
    db = WalletDB("", manual_upgrades=False)
    db.put("wallet_type", f"{asked['threshold']}of{len(asked['keys'])}")
    for number, key in enumerate(asked["keys"], 1):
        db.put(f"x{number}/", store(key, asked["master"]).dump())
    config = SimpleConfig({"electrum_path": asked["folder"]})
    wallet = Multisig_Wallet(db, None, config=config)
    chains = [
        [wallet.derive_address(chain, index) for index in range(asked["addresses"])]
        for chain in (0, 1)
    ]
    # What it has derived and noted it recognises.
    for chain in (0, 1):
        for _ in range(asked["addresses"]):
            wallet.create_new_address(bool(chain))
    transaction = PartialTransaction.from_raw_psbt(asked["psbt"])
    transaction.add_info_from_wallet(wallet)
    both = transaction.inputs() + transaction.outputs()
    said = {
        "chains": chains,
        "txid": transaction.txid(),
        "fee": transaction.get_fee(),
        "outputs": [[out.address, out.value] for out in transaction.outputs()],
        "owned": [wallet.is_mine(one.address) for one in both],
    }
    wallet.sign_transaction(transaction, None)
    said["signatures"] = sum(len(one.part_sigs) for one in transaction.inputs())
    said["psbt"] = transaction._serialize_as_base64()
    return said


def main():
    asked = json.load(sys.stdin)
    # Electrum wants its event loop even where nothing is asked of a network.
    loop, stopping, thread = util.create_and_start_event_loop()
    try:
        said = made_of(asked)
    finally:
        loop.call_soon_threadsafe(stopping.set_result, 1)
        thread.join()
    json.dump(said, sys.stdout)


main()
