//! The bytes of a journal file, without a file: what is written for each record,
//! and what such bytes say.
//!
//! [`Journal`](super::Journal) writes the same bytes; a simulated disk keeps,
//! tears and damages them here, and asks what the agent would make of it.

use std::io;

use super::line::{CHAIN_START, Chain, encode};
use super::{Summary, file};
use crate::machine::{Durable, Record};

/// One file: its bytes, and what they add up to.
#[derive(Debug, Clone)]
pub struct Image {
    bytes: Vec<u8>,
    chain: Chain,
    generation: u64,
    durable: Durable,
}

impl Image {
    /// A new file that begins with a summary of all that was before.
    ///
    /// # Errors
    /// Where the summary cannot be encoded.
    pub fn begin(generation: u64, durable: Durable) -> io::Result<Self> {
        let summary = Summary {
            generation,
            durable,
        };
        let (bytes, chain) = encode(&CHAIN_START, &summary)?;
        Ok(Self {
            bytes,
            chain,
            generation,
            durable: summary.durable,
        })
    }

    /// What a start finds in these bytes; the second is whether the last line
    /// was torn, so that the file must not be written on.
    ///
    /// # Errors
    /// The offset of damage that is no torn end.
    pub fn read(mut bytes: Vec<u8>) -> Result<(Self, bool), usize> {
        let found = file::read(&bytes)?;
        bytes.truncate(usize::try_from(found.length).unwrap_or(usize::MAX));
        let image = Self {
            bytes,
            chain: found.chain,
            generation: found.generation,
            durable: found.durable,
        };
        Ok((image, found.torn))
    }

    /// Appends the line of a record, and gives its length.
    ///
    /// # Errors
    /// Where the record is too long.
    pub fn append(&mut self, record: &Record) -> io::Result<usize> {
        let (line, chain) = encode(&self.chain, record)?;
        self.bytes.extend_from_slice(&line);
        self.chain = chain;
        self.durable.apply(record);
        Ok(line.len())
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Grows by one with each file.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the records add up to.
    #[must_use]
    pub fn durable(&self) -> &Durable {
        &self.durable
    }
}
