//! JSON objects that tell whether they are as they were written.
//!
//! The last field is `check`, the first eight bytes of a SHA-256 over the object
//! without it, in hex. It finds what a disk does; it proves nothing about people.

use dctrl_consensus::crypto::sha256;
use serde::{Serialize, de::DeserializeOwned};

const DOMAIN: &[u8] = b"dctrl/effects-line/1\0";
const FIELD: &[u8] = b",\"check\":\"";
const CHECK_BYTES: usize = 8;
const END: &[u8] = b"\"}";

/// One line, without its end; the value must be an object with fields.
pub(crate) fn seal<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    let check = check(&line);
    line.pop();
    line.extend([FIELD, check.as_bytes(), END].concat());
    Ok(line)
}

/// What was sealed; `None` where a line is anything else.
pub(crate) fn open<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let rest = line.strip_suffix(END)?;
    let (rest, said) = rest.split_at_checked(rest.len().checked_sub(2 * CHECK_BYTES)?)?;
    let object = [rest.strip_suffix(FIELD)?, b"}"].concat();
    let whole = check(&object).as_bytes() == said;
    whole.then(|| serde_json::from_slice(&object).ok())?
}

fn check(object: &[u8]) -> String {
    hex::encode(&sha256(DOMAIN, &[object]).0[..CHECK_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else_is() {
        let value = ("a".to_owned(), 1);
        let sealed = seal(&std::collections::BTreeMap::from([value.clone()])).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&sealed).is_ok());
        let opened: std::collections::BTreeMap<String, i32> = open(&sealed).unwrap();
        assert_eq!(opened, [value].into());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            for line in [&damaged[..], &sealed[..at]] {
                assert_eq!(open::<serde_json::Value>(line), None, "byte {at}");
            }
        }
    }
}
