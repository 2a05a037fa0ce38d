//! The fields in which the versions differ, and how their values are read.

use super::VersionError;
use crate::maps::{Map, Reader};

/// A field without key data.
pub(super) struct Field {
    /// The first byte of its key.
    pub(super) kind: u8,
    /// For people.
    pub(super) name: &'static str,
}

const fn field(kind: u8, name: &'static str) -> Field {
    Field { kind, name }
}

pub(super) const UNSIGNED_TX: Field = field(0x00, "unsigned transaction");
pub(super) const TX_VERSION: Field = field(0x02, "transaction version");
pub(super) const FALLBACK_LOCKTIME: Field = field(0x03, "fallback lock time");
pub(super) const INPUT_COUNT: Field = field(0x04, "input count");
pub(super) const OUTPUT_COUNT: Field = field(0x05, "output count");
pub(super) const TX_MODIFIABLE: Field = field(0x06, "modifiable flags");
pub(super) const VERSION: Field = field(0xfb, "version");
pub(super) const PREVIOUS_TXID: Field = field(0x0e, "previous transaction");
pub(super) const OUTPUT_INDEX: Field = field(0x0f, "output index");
pub(super) const SEQUENCE: Field = field(0x10, "sequence");
pub(super) const TIME_LOCKTIME: Field = field(0x11, "required lock time");
pub(super) const HEIGHT_LOCKTIME: Field = field(0x12, "required lock height");
pub(super) const AMOUNT: Field = field(0x03, "amount");
pub(super) const SCRIPT: Field = field(0x04, "script");

pub(super) const OF_HEAD: [&Field; 5] = [
    &TX_VERSION,
    &FALLBACK_LOCKTIME,
    &INPUT_COUNT,
    &OUTPUT_COUNT,
    &TX_MODIFIABLE,
];
pub(super) const OF_INPUT: [&Field; 5] = [
    &PREVIOUS_TXID,
    &OUTPUT_INDEX,
    &SEQUENCE,
    &TIME_LOCKTIME,
    &HEIGHT_LOCKTIME,
];
pub(super) const OF_OUTPUT: [&Field; 2] = [&AMOUNT, &SCRIPT];

pub(super) fn value<'m>(map: &'m Map, field: &Field) -> Option<&'m [u8]> {
    map.get([field.kind].as_slice()).map(Vec::as_slice)
}

pub(super) fn needed<T>(
    map: &Map,
    place: &str,
    field: &Field,
    read: fn(&Map, &str, &Field) -> Result<Option<T>, VersionError>,
) -> Result<T, VersionError> {
    read(map, place, field)?.ok_or_else(|| missing(place, field))
}

pub(super) fn read_u32(map: &Map, place: &str, field: &Field) -> Result<Option<u32>, VersionError> {
    let Some(bytes) = value(map, field) else {
        return Ok(None);
    };
    let bytes = <[u8; 4]>::try_from(bytes).map_err(|_| bad(place, field))?;
    Ok(Some(u32::from_le_bytes(bytes)))
}

pub(super) fn read_number(
    map: &Map,
    place: &str,
    field: &Field,
) -> Result<Option<u64>, VersionError> {
    let Some(bytes) = value(map, field) else {
        return Ok(None);
    };
    let mut reader = Reader::over(bytes);
    let number = reader.number().map_err(|_| bad(place, field))?;
    reader.end().map_err(|_| bad(place, field))?;
    Ok(Some(number))
}

pub(super) fn missing(place: &str, field: &Field) -> VersionError {
    VersionError::Missing {
        place: place.to_owned(),
        field: field.name,
    }
}

pub(super) fn foreign(place: &str, field: &Field) -> VersionError {
    VersionError::Foreign {
        place: place.to_owned(),
        field: field.name,
    }
}

pub(super) fn bad(place: &str, field: &Field) -> VersionError {
    VersionError::Value {
        place: place.to_owned(),
        field: field.name,
    }
}
