//! The two versions of PSBTs: 0 (BIP-174), which everything here works with,
//! and 2 (BIP-370), which some signers give back. One is made into the other
//! without a loss: version 2 says in fields of its own what version 0 says in
//! its unsigned transaction.
//!
//! Deliberately absent: adding inputs or outputs to a PSBT. The flags by which
//! version 2 allows that are dropped.

mod convert;
mod fields;

use std::collections::BTreeSet;

use bitcoin::consensus::serialize;
use bitcoin::{OutPoint, Psbt, TxIn, TxOut};

use self::convert::converted;
use self::fields::{
    AMOUNT, FALLBACK_LOCKTIME, Field, INPUT_COUNT, OF_HEAD, OF_INPUT, OF_OUTPUT, OUTPUT_COUNT,
    OUTPUT_INDEX, PREVIOUS_TXID, SCRIPT, SEQUENCE, TX_VERSION, UNSIGNED_TX, VERSION, bad, foreign,
    missing, read_u32, value,
};
use crate::maps::{Map, Reader, number, write};
use crate::returned::PSBT_BYTES_MAX;

/// Why bytes are no PSBT of version 0 or 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not even read.
    #[error("a PSBT has at most {PSBT_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Something else altogether.
    #[error("it does not begin as a PSBT does")]
    NoPsbt,
    /// Cut off.
    #[error("it ends too early")]
    Cut,
    /// A length that is longer than it has to be.
    #[error("a length is not written in its shortest form")]
    Number,
    /// Bytes behind the end.
    #[error("{0} bytes come after its end")]
    Trailing(usize),
    /// A key that stands twice in one map.
    #[error("{place} has the key {key} twice")]
    Twice {
        /// Such as `input 0`.
        place: String,
        /// In hexadecimal.
        key: String,
    },
    /// Neither 0 nor 2.
    #[error("there is no version {0}")]
    Unknown(u32),
    /// A field that its version must have.
    #[error("{place} lacks its {field}")]
    Missing {
        /// Such as `input 0`.
        place: String,
        /// Its name.
        field: &'static str,
    },
    /// A field of the other version.
    #[error("{place} has a field of another version: {field}")]
    Foreign {
        /// Such as `input 0`.
        place: String,
        /// Its name.
        field: &'static str,
    },
    /// A value of another length, or out of its range.
    #[error("{place} has a bad {field}")]
    Value {
        /// Such as `input 0`.
        place: String,
        /// Its name.
        field: &'static str,
    },
    /// One input needs a height, another one a time.
    #[error("no lock time suits all inputs")]
    LockTime,
    /// Something in it cannot be read.
    #[error("{0}")]
    Content(String),
}

/// Which version it says it is of, where its head can be read.
pub(crate) fn version_of(bytes: &[u8]) -> Option<u32> {
    let head = Reader::open(bytes).ok()?.map("the head").ok()?;
    read_u32(&head, "the head", &VERSION).map_or(Some(0), |version| version.or(Some(0)))
}

/// Reads a PSBT of version 0 or 2, as version 0.
///
/// # Errors
/// What is wrong with it.
pub fn read_psbt(bytes: &[u8]) -> Result<Psbt, VersionError> {
    if bytes.len() > PSBT_BYTES_MAX {
        return Err(VersionError::TooLong(bytes.len()));
    }
    let mut reader = Reader::open(bytes)?;
    let head = reader.map("the head")?;
    let version = read_u32(&head, "the head", &VERSION)?.unwrap_or(0);
    let old = match version {
        0 => {
            old_fields_only(&head, &mut reader)?;
            bytes.to_vec()
        }
        2 => converted(head, &mut reader)?,
        other => return Err(VersionError::Unknown(other)),
    };
    reader.end()?;
    Psbt::deserialize(&old).map_err(|error| VersionError::Content(error.to_string()))
}

/// A PSBT as version 2, which says the same.
#[must_use]
pub fn to_version_2(psbt: &Psbt) -> Vec<u8> {
    let bytes = psbt.serialize();
    let mut reader = Reader::open(&bytes).expect("a PSBT was written");
    let mut head = reader.map("the head").expect("a PSBT was written");
    let transaction = &psbt.unsigned_tx;
    head.remove(&vec![UNSIGNED_TX.kind]);
    for (field, value) in [
        (&TX_VERSION, transaction.version.0.to_le_bytes().to_vec()),
        (
            &FALLBACK_LOCKTIME,
            transaction
                .lock_time
                .to_consensus_u32()
                .to_le_bytes()
                .to_vec(),
        ),
        (&INPUT_COUNT, number(transaction.input.len())),
        (&OUTPUT_COUNT, number(transaction.output.len())),
        (&VERSION, 2_u32.to_le_bytes().to_vec()),
    ] {
        head.insert(vec![field.kind], value);
    }
    let mut maps = vec![head];
    for input in &transaction.input {
        let mut map = reader.map("an input").expect("a PSBT was written");
        let OutPoint { txid, vout } = input.previous_output;
        map.insert(vec![PREVIOUS_TXID.kind], serialize(&txid));
        map.insert(vec![OUTPUT_INDEX.kind], vout.to_le_bytes().to_vec());
        map.insert(vec![SEQUENCE.kind], input.sequence.0.to_le_bytes().to_vec());
        maps.push(map);
    }
    for output in &transaction.output {
        let mut map = reader.map("an output").expect("a PSBT was written");
        let sats = output.value.to_sat().to_le_bytes();
        map.insert(vec![AMOUNT.kind], sats.to_vec());
        map.insert(vec![SCRIPT.kind], output.script_pubkey.to_bytes());
        maps.push(map);
    }
    write(&maps)
}

/// Version 0 with fields of version 2 would say two things at once.
fn old_fields_only(head: &Map, reader: &mut Reader<'_>) -> Result<(), VersionError> {
    only(head, "the head", &OF_HEAD)?;
    let transaction = value(head, &UNSIGNED_TX).ok_or_else(|| missing("the head", &UNSIGNED_TX))?;
    let (inputs, outputs) = counts(transaction)?;
    for position in 0..inputs {
        let place = format!("input {position}");
        only(&reader.map(&place)?, &place, &OF_INPUT)?;
    }
    for position in 0..outputs {
        let place = format!("output {position}");
        only(&reader.map(&place)?, &place, &OF_OUTPUT)?;
    }
    Ok(())
}

/// Inputs and outputs of a transaction without witnesses. Read by hand: the
/// library takes one without inputs for one with witnesses.
fn counts(transaction: &[u8]) -> Result<(usize, usize), VersionError> {
    let mut rest = transaction.get(4..).ok_or(VersionError::Cut)?;
    let wrong = |error: bitcoin::consensus::encode::Error| VersionError::Content(error.to_string());
    let inputs: Vec<TxIn> = partial(&mut rest).map_err(wrong)?;
    let outputs: Vec<TxOut> = partial(&mut rest).map_err(wrong)?;
    if rest.len() != 4 {
        return Err(bad("the head", &UNSIGNED_TX));
    }
    Ok((inputs.len(), outputs.len()))
}

fn partial<T: bitcoin::consensus::Decodable>(
    rest: &mut &[u8],
) -> Result<T, bitcoin::consensus::encode::Error> {
    let (found, used) = bitcoin::consensus::deserialize_partial(rest)?;
    *rest = &rest[used..];
    Ok(found)
}

fn only(map: &Map, place: &str, foreigners: &[&Field]) -> Result<(), VersionError> {
    let kinds: BTreeSet<u8> = map.keys().map(|key| key[0]).collect();
    match foreigners.iter().find(|field| kinds.contains(&field.kind)) {
        Some(found) => Err(foreign(place, found)),
        None => Ok(()),
    }
}
