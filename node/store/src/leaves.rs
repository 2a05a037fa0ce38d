//! All leaves of a height in one value: a count, then length and bytes of
//! each, numbers as u32 big-endian.

/// The value for these leaves.
pub(crate) fn encode(leaves: &[Vec<u8>]) -> Vec<u8> {
    let bytes: usize = leaves.iter().map(|leaf| 4 + leaf.len()).sum();
    let mut value = Vec::with_capacity(4 + bytes);
    value.extend(length(leaves.len()));
    for leaf in leaves {
        value.extend(length(leaf.len()));
        value.extend(leaf);
    }
    value
}

/// The leaves of a value, or nothing where it is not one.
pub(crate) fn decode(value: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = take_length(value)?;
    // Each leaf needs at least its length, so a false count allocates little.
    let mut leaves = Vec::with_capacity(count.min(rest.len() / 4));
    for _ in 0..count {
        let (bytes, after) = take_length(rest)?;
        let (leaf, after) = after.split_at_checked(bytes)?;
        leaves.push(leaf);
        rest = after;
    }
    rest.is_empty().then_some(leaves)
}

/// A batch is far below 4 GiB, so every length in it fits.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_frozen() {
        let value = encode(&[b"ab".to_vec(), Vec::new()]);
        assert_eq!(value, [0, 0, 0, 2, 0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0]);
    }

    #[test]
    fn what_was_encoded_is_decoded_and_nothing_else_is() {
        for leaves in [vec![], vec![b"one".to_vec()], vec![vec![], vec![7; 300]]] {
            let value = encode(&leaves);
            assert_eq!(decode(&value).unwrap(), leaves);
            for cut in 0..value.len() {
                assert!(decode(&value[..cut]).is_none());
            }
            assert!(decode(&[&value[..], &[0]].concat()).is_none());
        }
        assert!(decode(&[255; 8]).is_none());
    }
}
