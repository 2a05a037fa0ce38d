"""Sign a PSBT with Electrum, as a copayer who uses it would.

Arguments: the copayer's seed file, the genesis, the PSBT, where the signed one
goes, and an empty folder. Electrum builds its own wallet of the descriptor's
keys and finds out by itself which inputs and outputs are its own.
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


def own(master, path):
    root = bip32.BIP32Node.from_xkey(master)._replace(xtype="p2wsh")
    account = root.subkey_at_private_derivation(path)
    store = keystore.BIP32_KeyStore({})
    store.add_xprv(account.to_xprv())
    store.add_key_origin_from_root_node(derivation_prefix=path, root_node=root)
    return store


def foreign(xpub, fingerprint, path):
    node = bip32.BIP32Node.from_xkey(xpub)._replace(xtype="p2wsh")
    store = keystore.BIP32_KeyStore({})
    store.add_xpub(node.to_xpub())
    store.add_key_origin(derivation_prefix=path, root_fingerprint=fingerprint)
    return store


def wallet(descriptor, copayer, folder):
    threshold = re.search(r"sortedmulti\((\d+),", descriptor).group(1)
    keys = re.findall(r"\[([0-9a-f]{8})/([0-9h'/]+)\](tpub\w+)/0/\*", descriptor)
    db = WalletDB("", manual_upgrades=False)
    db.put("wallet_type", f"{threshold}of{len(keys)}")
    for number, (fingerprint, path, xpub) in enumerate(keys, 1):
        path = "m/" + path
        if fingerprint == copayer["fingerprint"]:
            store = own(copayer["xprv"], path)
        else:
            store = foreign(xpub, fingerprint, path)
        db.put(f"x{number}/", store.dump())
    return Multisig_Wallet(db, None, config=SimpleConfig({"electrum_path": folder}))


def main(copayer, genesis, unsigned, signed, folder):
    with open(copayer) as file:
        copayer = json.load(file)
    with open(genesis) as file:
        descriptor = json.load(file)["descriptor"]
    with open(unsigned, "rb") as file:
        transaction = PartialTransaction.from_raw_psbt(file.read())
    # Electrum wants its event loop even where nothing is asked of a network.
    loop, stopping, thread = util.create_and_start_event_loop()
    wallet(descriptor, copayer, folder).sign_transaction(transaction, None)
    loop.call_soon_threadsafe(stopping.set_result, 1)
    thread.join()
    if not all(len(one.part_sigs) == 1 for one in transaction.inputs()):
        sys.exit("Electrum has not signed every input")
    with open(signed, "wb") as file:
        file.write(transaction.serialize_as_bytes())
    print(transaction.txid())


main(*sys.argv[1:])
