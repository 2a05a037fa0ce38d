//! A JSON pointer (RFC 6901) to a number or text, without turning a number
//! into a float.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Segments of a pointer that are followed.
const DEPTH_MAX: usize = 16;

/// The text of the number, or the string, at `pointer`.
/// `Ok(None)` when there is nothing of that kind.
pub(super) fn text_at(body: &[u8], pointer: &str) -> Result<Option<String>, serde_json::Error> {
    let mut value: &RawValue = serde_json::from_slice(body)?;
    for segment in pointer.split('/').skip(1).take(DEPTH_MAX) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let inner = if value.get().starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(value.get())?;
            let index: Option<usize> = segment.parse().ok();
            index.and_then(|index| list.get(index).copied())
        } else if value.get().starts_with('{') {
            let map: BTreeMap<String, &RawValue> = serde_json::from_str(value.get())?;
            map.get(&segment).copied()
        } else {
            None
        };
        match inner {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    let text = value.get();
    Ok(match text.bytes().next() {
        Some(b'"') => Some(serde_json::from_str(text)?),
        Some(b'-' | b'0'..=b'9') => Some(text.to_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(body: &str, pointer: &str) -> Option<String> {
        text_at(body.as_bytes(), pointer).unwrap()
    }

    #[test]
    fn numbers_and_strings_are_found_with_every_digit() {
        let nested =
            r#"{"error":[],"result":{"XXBTZEUR":{"a":["1","2"],"c":["62345.10","0.01"]}}}"#;
        assert_eq!(at(nested, "/result/XXBTZEUR/c/0").unwrap(), "62345.10");
        let exact = r#"{"last": 62345.1000000000000001}"#;
        assert_eq!(at(exact, "/last").unwrap(), "62345.1000000000000001");
        assert_eq!(at(r#"{"a/b": {"~": 1}}"#, "/a~1b/~0").unwrap(), "1");
        assert_eq!(at("7", "").unwrap(), "7");
    }

    #[test]
    fn anything_else_is_nothing() {
        for (body, pointer) in [
            (r#"{"last": null}"#, "/last"),
            (r#"{"last": {"a": 1}}"#, "/last"),
            (r#"{"last": 1}"#, "/lost"),
            (r#"{"last": 1}"#, "/last/0"),
            ("[1]", "/1"),
            ("[1]", "/x"),
        ] {
            assert_eq!(at(body, pointer), None, "{body} {pointer}");
        }
        assert!(text_at(b"<html>", "/last").is_err());
        assert!(text_at(b"{\"last\": NaN}", "/last").is_err());
    }
}
