//! All column families and keys. Numbers are big-endian, so that RocksDB's
//! order of bytes is the order of numbers.

/// Version of everything in this file. Another version is refused.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// Where ordered blocks stand in the journal, by height, from 1.
pub(crate) const BLOCKS: &str = "blocks";
/// Block headers by height.
pub(crate) const HEADERS: &str = "headers";
/// The ledger's state; its keys and values belong to the ledger. One of the
/// two holds it, and the other is where one that is taken over from peers
/// grows; [`LIVE_KEY`] says which.
pub(crate) const STATES: [&str; 2] = ["state", "state-other"];
/// Chunks of a state that is being taken over, by their index.
pub(crate) const CHUNKS: &str = "chunks";
/// What a block put out, all leaves of a height in one value.
pub(crate) const OUTPUTS: &str = "outputs";
/// Certificates by height.
pub(crate) const CERTIFICATES: &str = "certificates";
/// Changes of membership by the number of the roster that begins, from 1.
pub(crate) const ROSTERS: &str = "rosters";
/// Schema version, executed height, cursors.
pub(crate) const META: &str = "meta";

/// Every column family, with whether its values are long enough to compress.
pub(crate) const ALL: [(&str, bool); 9] = [
    (BLOCKS, false),
    (HEADERS, false),
    (STATES[0], false),
    (STATES[1], false),
    (CHUNKS, true),
    (OUTPUTS, true),
    (CERTIFICATES, false),
    (ROSTERS, false),
    (META, false),
];

/// In `meta`: [`SCHEMA_VERSION`] as u32.
pub(crate) const SCHEMA_KEY: &[u8] = b"schema";
/// In `meta`: the last executed height as u64; absent before genesis.
pub(crate) const EXECUTED_KEY: &[u8] = b"executed";

/// In `meta`: the last batch of the journal that is in the database.
pub(crate) const MARK_KEY: &[u8] = b"journal";
/// In `meta`: the last consensus record that is not needed any more, and the
/// segment in which the ones after it begin, both u64.
pub(crate) const PRUNED_KEY: &[u8] = b"pruned";

/// In `meta`: the position in [`STATES`] of the present state, one byte; absent
/// before a state was first taken over.
pub(crate) const LIVE_KEY: &[u8] = b"live";
/// In `meta`: the first height with outputs; absent where it is 1.
pub(crate) const FIRST_BLOCK_KEY: &[u8] = b"first-block";
/// In `meta`: the digest of the manifest whose chunks are being taken over.
pub(crate) const STAGED_KEY: &[u8] = b"staged";

/// In `meta`: the place of a follower.
pub(crate) fn cursor_key(name: &str) -> Vec<u8> {
    [b"cursor/", name.as_bytes()].concat()
}

/// A record number or height as key.
pub(crate) fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The number of a key made by [`number_key`].
pub(crate) fn key_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}
