//! The maps of a PSBT (BIP-174) before anything is known of what they mean:
//! one for the whole, one for each input, one for each output.

use std::collections::BTreeMap;

use crate::version::VersionError;

/// How every PSBT begins.
const MAGIC: &[u8] = b"psbt\xff";

/// Values by their whole keys: a type, and what it is of. Sorted, so that the
/// same content has the same bytes.
pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is left to read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Behind the magic bytes.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, VersionError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(VersionError::NoPsbt)?;
        Ok(Self(rest))
    }

    /// Behind what else is a number of the format.
    pub(crate) fn over(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One map, with the zero that ends it.
    pub(crate) fn map(&mut self, place: &str) -> Result<Map, VersionError> {
        let mut map = Map::new();
        loop {
            let key = self.counted()?;
            if key.is_empty() {
                return Ok(map);
            }
            let value = self.counted()?.to_vec();
            if map.insert(key.to_vec(), value).is_some() {
                return Err(VersionError::Twice {
                    place: place.to_owned(),
                    key: hex(key),
                });
            }
        }
    }

    /// Nothing may come behind the last map.
    pub(crate) fn end(&self) -> Result<(), VersionError> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(VersionError::Trailing(left)),
        }
    }

    /// A number in the shortest of its four forms.
    pub(crate) fn number(&mut self) -> Result<u64, VersionError> {
        let first = self.take(1)?[0];
        let (length, least) = match first {
            0xfd => (2, 0xfd),
            0xfe => (4, 0x1_0000),
            0xff => (8, 0x1_0000_0000),
            small => return Ok(u64::from(small)),
        };
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(self.take(length)?);
        match u64::from_le_bytes(bytes) {
            number if number >= least => Ok(number),
            _ => Err(VersionError::Number),
        }
    }

    fn counted(&mut self) -> Result<&'a [u8], VersionError> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| VersionError::Cut)?)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], VersionError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(VersionError::Cut)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// The bytes of a PSBT with these maps, in this order.
pub(crate) fn write<'m>(maps: impl IntoIterator<Item = &'m Map>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for map in maps {
        for (key, value) in map {
            for part in [key, value] {
                bytes.extend(number(part.len()));
                bytes.extend(part);
            }
        }
        bytes.push(0);
    }
    bytes
}

/// A number in the shortest of its forms.
pub(crate) fn number(number: usize) -> Vec<u8> {
    let length = u64::try_from(number).expect("no address space is larger");
    bitcoin::consensus::serialize(&bitcoin::VarInt(length))
}

fn hex(bytes: &[u8]) -> String {
    use bitcoin::hex::DisplayHex;
    bytes.to_lower_hex_string()
}
