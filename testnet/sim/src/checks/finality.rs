//! FINAL is the only acknowledgement: what it covered once, it covers for ever.

use dctrl_consensus::{Certificate, Digest};

use crate::engine::Seat;

/// The certificates that honest nodes put out.
#[derive(Debug, Default)]
pub(crate) struct Finality {
    headers: Vec<Digest>,
}

impl Finality {
    /// The last block that some honest node held to be final.
    pub(crate) fn last(&self) -> u64 {
        self.headers.len() as u64
    }

    /// The header that was certified under this index.
    pub(crate) fn header(&self, index: u64) -> Option<Digest> {
        let place = usize::try_from(index.checked_sub(1)?).ok()?;
        self.headers.get(place).copied()
    }

    /// Whether a header with this hash is certified.
    pub(crate) fn knows(&self, header: &Digest) -> bool {
        self.headers.contains(header)
    }

    /// A node put out a certificate, which was checked. True where it is the
    /// first one for its block.
    pub(crate) fn certified(
        &mut self,
        seat: Seat,
        certificate: &Certificate,
    ) -> Result<bool, String> {
        let (index, hash) = (certificate.header.index, certificate.header.hash());
        match self.header(index) {
            Some(before) if before != hash => {
                Err(format!("two headers are certified for block {index}"))
            }
            Some(_) => Ok(false),
            None if index == self.last() + 1 => {
                self.headers.push(hash);
                Ok(true)
            }
            None => Err(format!(
                "node {seat} has block {index} final behind {}",
                self.last()
            )),
        }
    }
}
