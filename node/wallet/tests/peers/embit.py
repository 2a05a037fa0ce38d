"""What embit makes of a wallet and a PSBT, as JSON.

Standard input: the descriptor of both chains, how many addresses, a PSBT in
base64 and the master key that signs it.
"""

import json
import sys

from embit.bip32 import HDKey
from embit.descriptor import Descriptor
from embit.networks import NETWORKS
from embit.psbt import PSBT
from embit.script import Script

REGTEST = NETWORKS["regtest"]


def main():
    asked = json.load(sys.stdin)
    descriptor = Descriptor.from_string(asked["descriptor"])
    chains = [
        [
            descriptor.derive(index, branch_index=chain).address(REGTEST)
            for index in range(asked["addresses"])
        ]
        for chain in (0, 1)
    ]
    psbt = PSBT.from_string(asked["psbt"])
    owned = [descriptor.owns(one) for one in psbt.inputs + psbt.outputs]
    said = {
        "chains": chains,
        "version": psbt.version or 0,
        "txid": psbt.tx.txid().hex(),
        "fee": psbt.fee(),
        "outputs": [
            [out.script_pubkey.address(REGTEST), out.value] for out in psbt.tx.vout
        ],
        "owned": owned,
        "signatures": psbt.sign_with(HDKey.from_string(asked["xprv"])),
        "psbt": psbt.to_string(),
    }
    json.dump(said, sys.stdout)


main()
