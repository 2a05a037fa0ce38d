//! The canonical byte encoding: fixed order, big-endian integers, counted lists.
//!
//! There is exactly one encoding of each value, because what is hashed and
//! signed is these bytes. The reader never reads past the end, never trusts a
//! count for an allocation, and refuses trailing bytes.

use bytes::Bytes;

use crate::id::{Digest, NodeIndex, Signature, Timestamp};

/// Why bytes are not the canonical encoding of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end in the middle of a value.
    #[error("the bytes end too early")]
    Short,
    /// Bytes are left over behind the value.
    #[error("{0} bytes are left over behind the value")]
    Trailing(usize),
    /// The format version is not known here.
    #[error("format version {0} is not known")]
    Version(u16),
    /// The kind byte is not known here.
    #[error("kind {0} is not known")]
    Kind(u8),
    /// A size or a count is above its bound.
    #[error("{what} is {actual}, at most {bound} are allowed")]
    TooLarge {
        /// The name of the bound in [`crate::Limits`].
        what: &'static str,
        /// What the bytes claim.
        actual: u64,
        /// What is allowed.
        bound: u64,
    },
    /// A list is not in its one allowed order, or a flag not in its one form.
    #[error("{0} is not in canonical form")]
    NotCanonical(&'static str),
}

/// Appends canonical values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn digest(&mut self, digest: &Digest) {
        self.raw(&digest.0);
    }

    pub(crate) fn signature(&mut self, signature: &Signature) {
        self.raw(&signature.0);
    }

    pub(crate) fn node(&mut self, node: NodeIndex) {
        self.u16(node.0);
    }

    /// A count of at most `u32::MAX`; our own lists are bounded far below that.
    pub(crate) fn count(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        assert!(
            count != u32::MAX,
            "a list of ours is bounded far below 2^32"
        );
        self.u32(count);
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes canonical values from the front of a shared buffer without copying.
#[derive(Debug)]
pub(crate) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::Short);
        }
        Ok(self.rest.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(&self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, DecodeError> {
        Ok(Digest(self.array()?))
    }

    pub(crate) fn signature(&mut self) -> Result<Signature, DecodeError> {
        Ok(Signature(self.array()?))
    }

    pub(crate) fn node(&mut self) -> Result<NodeIndex, DecodeError> {
        Ok(NodeIndex(self.u16()?))
    }

    pub(crate) fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        Ok(Timestamp(self.u64()?))
    }

    /// A list count, refused above `bound` before anything is allocated.
    pub(crate) fn count(&mut self, what: &'static str, bound: usize) -> Result<usize, DecodeError> {
        let count = self.u32()?;
        let in_memory = usize::try_from(count).unwrap_or(usize::MAX);
        if in_memory > bound {
            return Err(DecodeError::TooLarge {
                what,
                actual: u64::from(count),
                bound: bound as u64,
            });
        }
        Ok(in_memory)
    }

    pub(crate) fn blob(&mut self, what: &'static str, bound: usize) -> Result<Bytes, DecodeError> {
        let count = self.count(what, bound)?;
        self.take(count)
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}
