//! One entry of a segment: checksum, kind, length and number, then the bytes.
//!
//! The checksum covers the segment's number too, so that what an earlier use
//! of a recycled file left behind its end is never taken for an entry. All
//! numbers are little-endian.

/// Bytes before the payload: checksum u32, kind u32, length u32, zero u32,
/// number u64.
pub(super) const HEADER_BYTES: usize = 24;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A consensus record; its number is the record's.
    Record = 1,
    /// A block; its number is the height.
    Block = 2,
    /// Changes for RocksDB, and the end of a batch; its number counts batches.
    Commit = 3,
    /// The end of a full segment; its number is the next segment's.
    End = 4,
}

/// An entry as it stands in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'b> {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) payload: &'b [u8],
}

impl Frame<'_> {
    /// Bytes in the segment.
    pub(super) fn length(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// What stands before the payload in this segment.
    pub(super) fn header(&self, segment: u64) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        header[4..8].copy_from_slice(&(self.kind as u32).to_le_bytes());
        header[8..12].copy_from_slice(&length.to_le_bytes());
        header[16..24].copy_from_slice(&self.number.to_le_bytes());
        let sum = checksum(segment, &header, self.payload);
        header[..4].copy_from_slice(&sum.to_le_bytes());
        header
    }
}

/// The entry at the front of `bytes`, where there is a whole one.
pub(super) fn parse(segment: u64, bytes: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let number = |at: usize| {
        let bytes = header[at..].first_chunk::<4>().copied().unwrap_or_default();
        u32::from_le_bytes(bytes)
    };
    let kind = match number(4) {
        1 => Kind::Record,
        2 => Kind::Block,
        3 => Kind::Commit,
        4 => Kind::End,
        _ => return None,
    };
    let payload = rest.get(..usize::try_from(number(8)).ok()?)?;
    if checksum(segment, header, payload) != number(0) {
        return None;
    }
    let long = header[16..].first_chunk::<8>().copied()?;
    Some(Frame {
        kind,
        number: u64::from_le_bytes(long),
        payload,
    })
}

fn checksum(segment: u64, header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&segment.to_le_bytes());
    sum.update(&header[4..]);
    sum.update(payload);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_in_its_segment_and_nothing_else_is() {
        let frame = Frame {
            kind: Kind::Record,
            number: 7,
            payload: b"payload",
        };
        let mut bytes = frame.header(3).to_vec();
        bytes.extend_from_slice(frame.payload);
        let read = parse(3, &bytes).unwrap();
        assert_eq!((read.kind, read.number), (Kind::Record, 7));
        assert_eq!(read.payload, b"payload");
        assert!(parse(4, &bytes).is_none(), "another segment");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(parse(3, &damaged).is_none(), "byte {at}");
            assert!(parse(3, &bytes[..at]).is_none(), "cut at {at}");
        }
        assert!(parse(3, &[0; 64]).is_none());
    }
}
