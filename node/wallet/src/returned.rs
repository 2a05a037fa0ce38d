//! What a signer gave back: the same PSBT with signatures added, or nothing
//! that is taken. A signer must only add data (BIP-174).

use bitcoin::bip32::Fingerprint;
use bitcoin::psbt::{Input, Output};
use bitcoin::secp256k1::{Message, Secp256k1, Verification};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Psbt, PublicKey, TxOut};

use crate::finish::PartialSignature;
use crate::version::version_of;

/// Longest PSBT that is looked at, bytes.
pub const PSBT_BYTES_MAX: usize = 256 * 1024;

/// Why a returned PSBT is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Deviation {
    /// Not even read.
    #[error("A PSBT has at most {PSBT_BYTES_MAX} bytes, not {0}.")]
    TooLong(usize),
    /// Not a PSBT, or cut off.
    #[error("This is no PSBT: {0}.")]
    Malformed(String),
    /// A newer version (BIP-370); [`crate::read_psbt`] makes it into this one.
    #[error("This is a PSBT of version {0}; hand it in as version 0.")]
    Version(u32),
    /// A signature's type is none that there is.
    #[error("A signature cannot be read: {0}.")]
    Signature(String),
    /// Other or changed outputs.
    #[error("Output {0} is not what was ordered.")]
    Output(usize),
    /// Another transaction.
    #[error("This is transaction {found}, not {expected}.")]
    Transaction {
        /// What was ordered.
        expected: String,
        /// What came back.
        found: String,
    },
    /// Already finalised by the signer.
    #[error("Input {0} is already final; hand in the signatures, not the finished transaction.")]
    Final(usize),
    /// Anything but SIGHASH_ALL.
    #[error("Input {0} is signed with another sighash type than ALL.")]
    Sighash(usize),
    /// A field that was not there, or says something else now.
    #[error("{place} has a field that was not ordered: {field}.")]
    Field {
        /// Such as `Input 0`.
        place: String,
        /// Its name.
        field: &'static str,
    },
    /// The key is none of the wallet's.
    #[error("Input {input} is signed by {key}, which is no key of the wallet.")]
    UnknownKey {
        /// Which.
        input: usize,
        /// In hexadecimal.
        key: String,
    },
    /// The signature does not fit.
    #[error("The signature of {fingerprint} on input {input} is not valid.")]
    Invalid {
        /// Which.
        input: usize,
        /// Of the key that is said to have signed.
        fingerprint: Fingerprint,
    },
    /// Some inputs are signed by a key and others are not.
    #[error("{0} has signed some inputs only.")]
    Incomplete(Fingerprint),
    /// Nothing was signed.
    #[error("There is no signature in it.")]
    Unsigned,
}

impl Deviation {
    /// Such as `payout.sighash`: for programs.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "psbt.size",
            Self::Malformed(_) => "psbt.malformed",
            Self::Version(_) => "psbt.version",
            Self::Output(_) => "psbt.output",
            Self::Transaction { .. } => "psbt.txid",
            Self::Final(_) => "psbt.final",
            Self::Sighash(_) => "psbt.sighash",
            Self::Field { .. } => "psbt.field",
            Self::UnknownKey { .. } => "psbt.key",
            Self::Signature(_) | Self::Invalid { .. } => "psbt.signature",
            Self::Incomplete(_) => "psbt.incomplete",
            Self::Unsigned => "psbt.unsigned",
        }
    }
}

/// The signatures in `returned`, by input and key, each of them valid for
/// `ordered`, and each key with one for every input.
///
/// # Errors
/// The first deviation; nothing may be kept then.
pub fn check_returned(ordered: &Psbt, returned: &[u8]) -> Result<Vec<PartialSignature>, Deviation> {
    if returned.len() > PSBT_BYTES_MAX {
        return Err(Deviation::TooLong(returned.len()));
    }
    let returned = read(returned)?;
    same_transaction(ordered, &returned)?;
    same_globals(ordered, &returned)?;
    for (position, (before, after)) in ordered.inputs.iter().zip(&returned.inputs).enumerate() {
        same_input(ordered, position, before, after)?;
    }
    for (position, (before, after)) in ordered.outputs.iter().zip(&returned.outputs).enumerate() {
        same_output(position, before, after)?;
    }
    signatures(ordered, &returned)
}

/// Reads all of the bytes: the library would leave what comes after the end.
fn read(mut bytes: &[u8]) -> Result<Psbt, Deviation> {
    // Version 2 has no unsigned transaction, and would be called malformed.
    match version_of(bytes) {
        None | Some(0) => {}
        Some(version) => return Err(Deviation::Version(version)),
    }
    let psbt = Psbt::deserialize_from_reader(&mut bytes).map_err(|error| match error {
        bitcoin::psbt::Error::InvalidEcdsaSignature(error) => {
            Deviation::Signature(error.to_string())
        }
        other => Deviation::Malformed(other.to_string()),
    })?;
    if bytes.is_empty() {
        Ok(psbt)
    } else {
        let left = bytes.len();
        Err(Deviation::Malformed(format!(
            "{left} bytes come after its end"
        )))
    }
}

fn same_transaction(ordered: &Psbt, returned: &Psbt) -> Result<(), Deviation> {
    let (expected, found) = (&ordered.unsigned_tx, &returned.unsigned_tx);
    if expected == found {
        return Ok(());
    }
    // A changed output is told as such where all else is the same.
    let inputs = |psbt: &Psbt| psbt.unsigned_tx.input.clone();
    if inputs(ordered) == inputs(returned) {
        let longest = expected.output.len().max(found.output.len());
        let differs = |at: &usize| expected.output.get(*at) != found.output.get(*at);
        if let Some(at) = (0..longest).find(differs) {
            return Err(Deviation::Output(at));
        }
    }
    Err(Deviation::Transaction {
        expected: expected.compute_txid().to_string(),
        found: found.compute_txid().to_string(),
    })
}

fn refused(place: impl Into<String>, field: &'static str) -> Deviation {
    Deviation::Field {
        place: place.into(),
        field,
    }
}

/// Extended keys may be named where they are the wallet's own: every key of
/// an input is derived from one of them.
fn same_globals(ordered: &Psbt, returned: &Psbt) -> Result<(), Deviation> {
    let known = |fingerprint: &Fingerprint| {
        ordered.inputs.iter().all(|input| {
            let mut sources = input.bip32_derivation.values();
            sources.any(|(known, _)| known == fingerprint)
        })
    };
    let stranger = returned.xpub.values().any(|(print, _)| !known(print));
    for (found, field) in [
        (stranger, "an extended key of a stranger"),
        (!returned.proprietary.is_empty(), "proprietary"),
        (!returned.unknown.is_empty(), "unknown"),
        (returned.version != ordered.version, "version"),
    ] {
        if found {
            return Err(refused("The head", field));
        }
    }
    Ok(())
}

fn same_input(
    ordered: &Psbt,
    position: usize,
    before: &Input,
    after: &Input,
) -> Result<(), Deviation> {
    if after.final_script_sig.is_some() || after.final_script_witness.is_some() {
        return Err(Deviation::Final(position));
    }
    let all =
        |kind: bitcoin::psbt::PsbtSighashType| kind.ecdsa_hash_ty() == Ok(EcdsaSighashType::All);
    if after.sighash_type.is_some_and(|kind| !all(kind)) {
        return Err(Deviation::Sighash(position));
    }
    let outpoint = ordered.unsigned_tx.input[position].previous_output;
    let another_parent = after.non_witness_utxo.as_ref().is_some_and(|parent| {
        let spent: Option<&TxOut> = usize::try_from(outpoint.vout)
            .ok()
            .and_then(|vout| parent.output.get(vout));
        parent.compute_txid() != outpoint.txid || spent != before.witness_utxo.as_ref()
    });
    let derivations = after
        .bip32_derivation
        .iter()
        .any(|(key, source)| before.bip32_derivation.get(key) != Some(source));
    let preimages = !after.ripemd160_preimages.is_empty()
        || !after.sha256_preimages.is_empty()
        || !after.hash160_preimages.is_empty()
        || !after.hash256_preimages.is_empty();
    let taproot = after.tap_key_sig.is_some()
        || !after.tap_script_sigs.is_empty()
        || !after.tap_scripts.is_empty()
        || !after.tap_key_origins.is_empty()
        || after.tap_internal_key.is_some()
        || after.tap_merkle_root.is_some();
    let changed = |after: bool, same: bool| after && !same;
    for (found, field) in [
        (another_parent, "non_witness_utxo"),
        (
            changed(
                after.witness_utxo.is_some(),
                after.witness_utxo == before.witness_utxo,
            ),
            "witness_utxo",
        ),
        (
            changed(
                after.witness_script.is_some(),
                after.witness_script == before.witness_script,
            ),
            "witness_script",
        ),
        (after.redeem_script.is_some(), "redeem_script"),
        (derivations, "bip32_derivation"),
        (preimages, "preimage"),
        (taproot, "taproot"),
        (!after.proprietary.is_empty(), "proprietary"),
        (!after.unknown.is_empty(), "unknown"),
    ] {
        if found {
            return Err(refused(format!("Input {position}"), field));
        }
    }
    Ok(())
}

fn same_output(position: usize, before: &Output, after: &Output) -> Result<(), Deviation> {
    let derivations = after
        .bip32_derivation
        .iter()
        .any(|(key, source)| before.bip32_derivation.get(key) != Some(source));
    let script = after.witness_script.is_some() && after.witness_script != before.witness_script;
    let taproot = after.tap_internal_key.is_some()
        || after.tap_tree.is_some()
        || !after.tap_key_origins.is_empty();
    for (found, field) in [
        (after.redeem_script.is_some(), "redeem_script"),
        (script, "witness_script"),
        (derivations, "bip32_derivation"),
        (taproot, "taproot"),
        (!after.proprietary.is_empty(), "proprietary"),
        (!after.unknown.is_empty(), "unknown"),
    ] {
        if found {
            return Err(refused(format!("Output {position}"), field));
        }
    }
    Ok(())
}

fn signatures(ordered: &Psbt, returned: &Psbt) -> Result<Vec<PartialSignature>, Deviation> {
    let curve = Secp256k1::verification_only();
    let mut cache = SighashCache::new(&ordered.unsigned_tx);
    let mut found = Vec::new();
    for (input, (before, after)) in ordered.inputs.iter().zip(&returned.inputs).enumerate() {
        if after.partial_sigs.is_empty() {
            continue;
        }
        let digest = digest(&mut cache, input, before);
        for (key, signature) in &after.partial_sigs {
            let fingerprint = fingerprint(before, key).ok_or_else(|| Deviation::UnknownKey {
                input,
                key: key.to_string(),
            })?;
            if signature.sighash_type != EcdsaSighashType::All {
                return Err(Deviation::Sighash(input));
            }
            if !holds(&curve, &digest, signature, key) {
                return Err(Deviation::Invalid { input, fingerprint });
            }
            found.push(PartialSignature {
                input,
                fingerprint,
                key: *key,
                signature: *signature,
            });
        }
    }
    if found.is_empty() {
        return Err(Deviation::Unsigned);
    }
    for one in &found {
        let same = found.iter().filter(|it| it.fingerprint == one.fingerprint);
        if same.count() != ordered.inputs.len() {
            return Err(Deviation::Incomplete(one.fingerprint));
        }
    }
    Ok(found)
}

/// What is signed of an input: the whole transaction.
fn digest(
    cache: &mut SighashCache<&bitcoin::Transaction>,
    input: usize,
    described: &Input,
) -> Message {
    let script = described.witness_script.as_ref();
    let spent = described.witness_utxo.as_ref();
    let (script, spent) = script.zip(spent).expect("we have built it with both");
    let digest = cache
        .p2wsh_signature_hash(input, script, spent.value, EcdsaSighashType::All)
        .expect("the input is there");
    Message::from(digest)
}

/// Of the master key; uncompressed spellings of a key are strangers.
fn fingerprint(described: &Input, key: &PublicKey) -> Option<Fingerprint> {
    let source = described.bip32_derivation.get(&key.inner);
    source.filter(|_| key.compressed).map(|(print, _)| *print)
}

/// Whether it holds; a signature with a high S does not, since nodes would
/// not pass it on.
fn holds<C: Verification>(
    curve: &Secp256k1<C>,
    digest: &Message,
    signature: &bitcoin::ecdsa::Signature,
    key: &PublicKey,
) -> bool {
    curve
        .verify_ecdsa(digest, &signature.signature, &key.inner)
        .is_ok()
}
