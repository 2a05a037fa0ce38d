//! From enough signatures to the transaction.

use bitcoin::bip32::Fingerprint;
use bitcoin::{Psbt, PublicKey, Transaction, Witness, ecdsa};

/// One key's signature of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSignature {
    /// Which.
    pub input: usize,
    /// Of the master key.
    pub fingerprint: Fingerprint,
    /// That has signed.
    pub key: PublicKey,
    /// With its sighash type.
    pub signature: ecdsa::Signature,
}

/// The signed transaction, where every input has `threshold` signatures. Of
/// more, those of the first keys in the script's order are taken, so that the
/// order in which they came does not matter. They must have been checked.
#[must_use]
pub fn finish(
    ordered: &Psbt,
    signatures: &[PartialSignature],
    threshold: usize,
) -> Option<Transaction> {
    let mut transaction = ordered.unsigned_tx.clone();
    for (position, described) in ordered.inputs.iter().enumerate() {
        let script = described.witness_script.as_ref()?;
        let mut of_input: Vec<&PartialSignature> = signatures
            .iter()
            .filter(|one| one.input == position)
            .collect();
        // BIP-67: the script has its keys in the order of their bytes.
        of_input.sort_by_key(|one| one.key.inner.serialize());
        of_input.dedup_by_key(|one| one.key);
        if of_input.len() < threshold {
            return None;
        }
        let mut witness = Witness::new();
        // CHECKMULTISIG takes one element too many off the stack.
        witness.push([]);
        for one in &of_input[..threshold] {
            witness.push(one.signature.serialize());
        }
        witness.push(script.as_bytes());
        transaction.input[position].witness = witness;
    }
    Some(transaction)
}
