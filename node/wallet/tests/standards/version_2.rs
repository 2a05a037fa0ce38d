//! BIP-370: PSBTs of version 2.

use bitcoin::Psbt;
use dctrl_wallet::{VersionError, read_psbt, to_version_2};

use super::bytes;

const VECTORS: &str = include_str!("../vectors/bip-370.txt");

#[test]
fn valid_psbts_of_version_2_are_read_and_survive_both_ways() {
    let valid = bytes(VECTORS, "valid");
    assert_eq!(valid.len(), 14);
    for (number, vector) in valid.iter().enumerate() {
        let psbt = read_psbt(vector).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(psbt.unsigned_tx.input.len(), 1);
        assert_eq!(psbt.unsigned_tx.output.len(), 2);
        assert_eq!(read_psbt(&psbt.serialize()).as_ref(), Ok(&psbt));
        assert_eq!(
            read_psbt(&to_version_2(&psbt)).as_ref(),
            Ok(&psbt),
            "{number}"
        );
    }
}

#[test]
fn the_conversion_keeps_every_field_that_both_versions_have() {
    // The third one has a sequence and no flags: what we write of it is what
    // it was, with its lock time of 0 and but for the order of its fields.
    let vector = [&bytes(VECTORS, "valid")[2][..], b"\x01\x03\x04\0\0\0\0"].concat();
    let again = to_version_2(&read_psbt(&bytes(VECTORS, "valid")[2]).unwrap());
    let sorted = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(sorted(&again), sorted(&vector));
}

#[test]
fn invalid_psbts_are_refused_for_what_is_wrong() {
    let invalid = bytes(VECTORS, "invalid");
    assert_eq!(invalid.len(), 24);
    let said: Vec<VersionError> = invalid
        .iter()
        .map(|vector| read_psbt(vector).unwrap_err())
        .collect();
    let foreign = |error: &&VersionError| matches!(error, VersionError::Foreign { .. });
    let missing = |error: &&VersionError| matches!(error, VersionError::Missing { .. });
    let value = |error: &&VersionError| matches!(error, VersionError::Value { .. });
    // Of the other version; then seven that are missing; then three ranges.
    assert_eq!(said[..14].iter().filter(foreign).count(), 14, "{said:?}");
    assert_eq!(said[14..21].iter().filter(missing).count(), 7, "{said:?}");
    assert_eq!(said[21..].iter().filter(value).count(), 3, "{said:?}");
}

#[test]
fn the_lock_time_is_the_latest_that_suits_all_inputs() {
    for expected in [0, 10_000, 1_657_048_460] {
        let vectors = bytes(VECTORS, &format!("lock-{expected}"));
        assert!(vectors.len() >= 2);
        for vector in vectors {
            let lock_time = read_psbt(&vector).unwrap().unsigned_tx.lock_time;
            assert_eq!(lock_time.to_consensus_u32(), expected);
        }
    }
    for vector in bytes(VECTORS, "lock-none") {
        assert_eq!(read_psbt(&vector), Err(VersionError::LockTime));
    }
}

#[test]
fn a_psbt_that_is_cut_off_anywhere_is_refused() {
    let vector = &bytes(VECTORS, "valid")[13];
    for length in 0..vector.len() {
        assert!(read_psbt(&vector[..length]).is_err(), "{length}");
    }
    let longer = [vector.as_slice(), &[0]].concat();
    assert_eq!(read_psbt(&longer), Err(VersionError::Trailing(1)));
    let long = vec![0; 10 << 20];
    assert_eq!(read_psbt(&long), Err(VersionError::TooLong(10 << 20)));
}

#[test]
fn a_count_of_inputs_that_are_not_there_costs_nothing() {
    // Version 2, transaction version 2, and 2^64 - 1 inputs.
    let head = b"psbt\xff\x01\x02\x04\x02\0\0\0\x01\x04\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05\x01\0\x01\xfb\x04\x02\0\0\0\0";
    assert_eq!(read_psbt(head), Err(VersionError::Cut));
}

#[test]
fn an_unknown_version_is_named() {
    let one = b"psbt\xff\x01\xfb\x04\x01\0\0\0\0";
    assert_eq!(read_psbt(one), Err(VersionError::Unknown(1)));
    assert!(Psbt::deserialize(one).is_err());
}
