//! The PSBT of a transaction: BIP-174 with the fields that a signer needs.

use bitcoin::absolute::LockTime;
use bitcoin::psbt::PsbtSighashType;
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::transaction::Version;
use bitcoin::{Amount, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use miniscript::psbt::PsbtExt;

use crate::{Chain, Coin, Terms, Wallet};

/// May be replaced (BIP-125), and honours the lock time.
pub(crate) const SEQUENCE: Sequence = Sequence(0xffff_fffd);

/// Builds it, with inputs and outputs in the order of BIP-69; also the inputs
/// in that order, and which output is the change.
pub(crate) fn build(
    wallet: &Wallet,
    mut inputs: Vec<Coin>,
    terms: &Terms,
    change: Option<(u32, u64)>,
) -> (Psbt, Vec<Coin>, Option<u32>) {
    inputs.sort_by_key(Coin::place);
    let mut outputs: Vec<(TxOut, bool)> = terms
        .recipients
        .iter()
        .map(|one| (output(one.script.clone(), one.sats), false))
        .collect();
    if let Some((index, sats)) = change {
        outputs.push((output(wallet.script(Chain::Change, index), sats), true));
    }
    outputs.sort_by(|(a, _), (b, _)| {
        (a.value, a.script_pubkey.as_bytes()).cmp(&(b.value, b.script_pubkey.as_bytes()))
    });
    let vout = outputs.iter().position(|(_, change)| *change);
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_height(terms.lock_time).unwrap_or(LockTime::ZERO),
        input: inputs.iter().map(input).collect(),
        output: outputs.into_iter().map(|(output, _)| output).collect(),
    };
    let mut psbt = Psbt::from_unsigned_tx(transaction).expect("no input is signed");
    for (position, coin) in inputs.iter().enumerate() {
        let descriptor = wallet.at(coin.chain, coin.index);
        let described = &mut psbt.inputs[position];
        described.witness_utxo = Some(output(descriptor.script_pubkey(), coin.sats));
        described.sighash_type = Some(PsbtSighashType::from(EcdsaSighashType::All));
        psbt.update_input_with_descriptor(position, &descriptor)
            .expect("the output spent is of this descriptor");
    }
    if let Some((vout, (index, _))) = vout.zip(change) {
        psbt.update_output_with_descriptor(vout, &wallet.at(Chain::Change, index))
            .expect("the change is of this descriptor");
    }
    let vout = vout.map(|vout| u32::try_from(vout).expect("a transaction has few outputs"));
    (psbt, inputs, vout)
}

fn input(coin: &Coin) -> TxIn {
    TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: SEQUENCE,
        witness: Witness::new(),
    }
}

fn output(script_pubkey: ScriptBuf, sats: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey,
    }
}
