//! From the fields of version 2 to the unsigned transaction of version 0.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use super::VersionError;
use super::fields::{
    AMOUNT, FALLBACK_LOCKTIME, Field, HEIGHT_LOCKTIME, INPUT_COUNT, OF_HEAD, OF_INPUT, OF_OUTPUT,
    OUTPUT_COUNT, OUTPUT_INDEX, PREVIOUS_TXID, SCRIPT, SEQUENCE, TIME_LOCKTIME, TX_VERSION,
    UNSIGNED_TX, VERSION, bad, foreign, missing, needed, read_number, read_u32, value,
};
use crate::maps::{Map, Reader, write};

/// Lock times from here on are seconds, and heights of blocks below.
const SECONDS_FROM: u32 = 500_000_000;

/// The bytes of version 0.
pub(super) fn converted(mut head: Map, reader: &mut Reader<'_>) -> Result<Vec<u8>, VersionError> {
    let place = "the head";
    if head.contains_key(&vec![UNSIGNED_TX.kind]) {
        return Err(foreign(place, &UNSIGNED_TX));
    }
    let version = needed(&head, place, &TX_VERSION, read_u32)?;
    let fallback = read_u32(&head, place, &FALLBACK_LOCKTIME)?.unwrap_or(0);
    let inputs = needed(&head, place, &INPUT_COUNT, read_number)?;
    let outputs = needed(&head, place, &OUTPUT_COUNT, read_number)?;
    without(&mut head, &OF_HEAD);
    without(&mut head, &[&VERSION]);
    // Every map has a byte at least, so that what is read bounds what is kept.
    let mut maps = Vec::new();
    let mut transaction = Transaction {
        version: Version(version.cast_signed()),
        lock_time: LockTime::ZERO,
        input: Vec::new(),
        output: Vec::new(),
    };
    let mut locks = Vec::new();
    for position in 0..inputs {
        let place = format!("input {position}");
        let mut map = reader.map(&place)?;
        transaction.input.push(input(&map, &place)?);
        locks.push(lock(&map, &place)?);
        without(&mut map, &OF_INPUT);
        maps.push(map);
    }
    for position in 0..outputs {
        let place = format!("output {position}");
        let mut map = reader.map(&place)?;
        transaction.output.push(output(&map, &place)?);
        without(&mut map, &OF_OUTPUT);
        maps.push(map);
    }
    transaction.lock_time = LockTime::from_consensus(lock_time(fallback, &locks)?);
    head.insert(vec![UNSIGNED_TX.kind], unsigned(&transaction));
    Ok(write(std::iter::once(&head).chain(&maps)))
}

fn input(map: &Map, place: &str) -> Result<TxIn, VersionError> {
    let txid = value(map, &PREVIOUS_TXID).ok_or_else(|| missing(place, &PREVIOUS_TXID))?;
    let txid = deserialize(txid).map_err(|_| bad(place, &PREVIOUS_TXID))?;
    let vout = needed(map, place, &OUTPUT_INDEX, read_u32)?;
    let sequence = read_u32(map, place, &SEQUENCE)?;
    Ok(TxIn {
        previous_output: OutPoint { txid, vout },
        script_sig: ScriptBuf::new(),
        sequence: sequence.map_or(Sequence::MAX, Sequence),
        witness: Witness::new(),
    })
}

fn output(map: &Map, place: &str) -> Result<TxOut, VersionError> {
    let sats = value(map, &AMOUNT).ok_or_else(|| missing(place, &AMOUNT))?;
    let sats = <[u8; 8]>::try_from(sats).map_err(|_| bad(place, &AMOUNT))?;
    let sats = u64::from_le_bytes(sats);
    if sats > Amount::MAX_MONEY.to_sat() {
        return Err(bad(place, &AMOUNT));
    }
    let script = value(map, &SCRIPT).ok_or_else(|| missing(place, &SCRIPT))?;
    Ok(TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
    })
}

/// The height and the time before which an input cannot be spent.
#[derive(Clone, Copy)]
struct Lock {
    height: Option<u32>,
    seconds: Option<u32>,
}

fn lock(map: &Map, place: &str) -> Result<Lock, VersionError> {
    let height = read_u32(map, place, &HEIGHT_LOCKTIME)?;
    if height.is_some_and(|height| height == 0 || height >= SECONDS_FROM) {
        return Err(bad(place, &HEIGHT_LOCKTIME));
    }
    let seconds = read_u32(map, place, &TIME_LOCKTIME)?;
    if seconds.is_some_and(|seconds| seconds < SECONDS_FROM) {
        return Err(bad(place, &TIME_LOCKTIME));
    }
    Ok(Lock { height, seconds })
}

/// The latest of the kind that all inputs with a demand can live with; a
/// height where both would do.
fn lock_time(fallback: u32, locks: &[Lock]) -> Result<u32, VersionError> {
    let demands = || {
        let mut locks = locks.iter();
        std::iter::from_fn(move || locks.find(|lock| lock.height.or(lock.seconds).is_some()))
    };
    if demands().next().is_none() {
        return Ok(fallback);
    }
    let latest = |kind: fn(&Lock) -> Option<u32>| {
        let all: Option<Vec<u32>> = demands().map(kind).collect();
        all.and_then(|all| all.into_iter().max())
    };
    latest(|lock| lock.height)
        .or_else(|| latest(|lock| lock.seconds))
        .ok_or(VersionError::LockTime)
}

/// Without witnesses, whatever their number: a PSBT has no other form.
fn unsigned(transaction: &Transaction) -> Vec<u8> {
    let mut bytes = serialize(&transaction.version);
    bytes.extend(serialize(&transaction.input));
    bytes.extend(serialize(&transaction.output));
    bytes.extend(serialize(&transaction.lock_time));
    bytes
}

fn without(map: &mut Map, fields: &[&Field]) {
    map.retain(|key, _| !fields.iter().any(|field| key[..] == [field.kind]));
}
