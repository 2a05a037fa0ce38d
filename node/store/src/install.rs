//! Take over the state of a seal from peers.
//!
//! Chunks may come from anybody, in any order: each must have the digest that
//! the manifest names, and outlives a restart (a crash may take the last ones). When all are there
//! they become the other state, and its digest must be the one that a quorum
//! has signed in the header of the seal. Then one synced write makes it the
//! present one. Before that write a crash leaves the old state, after it the
//! new one.
//!
//! Deliberately absent: whom to ask, and who vouches for manifest and header.
//! Callers have verified the certificate and agreed on the manifest with more
//! peers than may lie.

use dctrl_consensus::snapshot::{StateManifest, chunk_digest};
use dctrl_consensus::{BlockHeader, Digest};
use dctrl_ledger::StateDigest;
use rocksdb::{Direction, IteratorMode, WriteBatch};

use crate::columns::{self, number_key};
use crate::error::StoreError;
use crate::limits::{INSTALL_BATCH_BYTES, STATE_CHUNK_BYTES, STATE_KEY_BYTES_MAX};
use crate::manifest::{Front, read_entry};
use crate::store::{Store, damaged, read_error};

/// What a certified block says of its state.
#[derive(Clone, Copy, Debug)]
pub struct Seal<'a> {
    /// The encoded header of the block.
    pub header: &'a [u8],
    /// The certificate of the block.
    pub certificate: &'a [u8],
    /// Changes of membership up to and including the block that this store
    /// does not have, by the number of the roster that each begins.
    pub roster_steps: &'a [(u64, Vec<u8>)],
    /// The consensus record that goes with it, by its number: what is recorded
    /// from now on is of the epoch behind the seal.
    pub record: Option<(u64, &'a [u8])>,
}

/// Why a state is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The chunk is not the one that the manifest names: its sender lies, or
    /// the wire has changed it.
    #[error("chunk {index} is not the one that the manifest names")]
    Chunk {
        /// Its index.
        index: u32,
    },
    /// Chunks are missing.
    #[error("{0} chunks are missing")]
    Missing(usize),
    /// The header is of another block or state than the manifest.
    #[error("the sealing header is not of the state in the manifest")]
    Header,
    /// The chunks together are no state, or not the one that was certified:
    /// those who vouched for the manifest lie. Nothing of it is kept.
    #[error("the chunks do not make the state that was certified")]
    State,
    /// The store already has this state or a later one.
    #[error("the store is at height {have}, and the state is of height {found}")]
    Older {
        /// The height of the present state.
        have: u64,
        /// That of the manifest.
        found: u64,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A state on its way. Dropping it keeps what has come; beginning with another
/// manifest forgets it.
pub struct StateInstall {
    store: Store,
    manifest: StateManifest,
    present: Vec<bool>,
}

impl Store {
    /// Begins to take over the state of this manifest, or goes on where a
    /// former process has stopped.
    ///
    /// # Errors
    /// Where the present state is not older, and where the disk fails.
    pub fn install(&self, manifest: StateManifest) -> Result<StateInstall, InstallError> {
        let have = self.snapshot().executed()?;
        if let Some(have) = have.filter(|have| *have >= manifest.height) {
            let found = manifest.height;
            return Err(InstallError::Older { have, found });
        }
        let digest = manifest.digest();
        let mut install = StateInstall {
            store: self.clone(),
            present: vec![false; manifest.chunks.len()],
            manifest,
        };
        let staged = self.snapshot().read(columns::META, columns::STAGED_KEY)?;
        if staged.as_deref() == Some(&digest.0) {
            install.look_through()?;
        } else {
            let mut changes = WriteBatch::default();
            install.forget_chunks(&mut changes);
            changes.put_cf(self.family(columns::META), columns::STAGED_KEY, digest.0);
            dctrl_crash::point("store.install.before_begin");
            self.write_aside(changes)?;
            dctrl_crash::point("store.install.begun");
        }
        Ok(install)
    }
}

impl StateInstall {
    /// What is taken over.
    #[must_use]
    pub fn manifest(&self) -> &StateManifest {
        &self.manifest
    }

    /// Indexes of the chunks that have not come.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        let indexes = (0..).zip(&self.present);
        indexes
            .filter(|(_, present)| !**present)
            .map(|(index, _)| index)
    }

    /// Keeps a chunk; whether it was new.
    ///
    /// # Errors
    /// Where it is not the one of the manifest, and where the disk fails.
    pub fn put(&mut self, index: u32, chunk: &[u8]) -> Result<bool, InstallError> {
        let wrong = InstallError::Chunk { index };
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(present) = self.present.get_mut(position) else {
            return Err(wrong);
        };
        if !self.manifest.holds(index, chunk) {
            return Err(wrong);
        }
        if *present {
            return Ok(false);
        }
        let mut changes = WriteBatch::default();
        let key = number_key(u64::from(index));
        changes.put_cf(self.store.family(columns::CHUNKS), key, chunk);
        dctrl_crash::point("store.install.before_chunk");
        self.store.write_aside(changes)?;
        dctrl_crash::point("store.install.chunk_written");
        *present = true;
        Ok(true)
    }

    /// Makes a state of the chunks, beside the present one. It may take as long
    /// as writing all of it does.
    ///
    /// # Errors
    /// Where chunks are missing, or they are not the state that the manifest
    /// says: then all of them are forgotten; and where the disk fails.
    pub fn check(self) -> Result<CheckedState, InstallError> {
        match self.missing().count() {
            0 => {}
            missing => return Err(InstallError::Missing(missing)),
        }
        if self.unpack()? != Some(self.manifest.state_digest) {
            self.abandon()?;
            return Err(InstallError::State);
        }
        dctrl_crash::point("store.install.unpacked");
        Ok(CheckedState(self))
    }

    /// Forgets what has come.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn abandon(self) -> Result<(), StoreError> {
        let mut changes = WriteBatch::default();
        self.forget_chunks(&mut changes);
        self.forget_state(&mut changes, self.other());
        self.store.write_aside(changes)?;
        dctrl_crash::point("store.install.abandoned");
        Ok(())
    }

    /// Marks the chunks that are on disk and good.
    fn look_through(&mut self) -> Result<(), StoreError> {
        let store = self.store.clone();
        for (index, (expected, present)) in
            (0_u64..).zip(self.manifest.chunks.iter().zip(&mut self.present))
        {
            let family = store.family(columns::CHUNKS);
            let chunk = store.db().get_pinned_cf(family, number_key(index));
            let chunk = chunk.map_err(read_error(columns::CHUNKS))?;
            *present = chunk.is_some_and(|chunk| chunk_digest(&chunk) == *expected);
        }
        Ok(())
    }

    /// Writes the entries of all chunks to the other state. Returns their
    /// digest, or nothing where they are no state.
    fn unpack(&self) -> Result<Option<Digest>, StoreError> {
        let other = self.other();
        let mut changes = WriteBatch::default();
        self.forget_state(&mut changes, other);
        let mut digest = StateDigest::default();
        let mut open: Vec<u8> = Vec::with_capacity(2 * STATE_CHUNK_BYTES);
        let mut last: Option<Vec<u8>> = None;
        let family = self.store.family(columns::CHUNKS);
        let chunks = self
            .store
            .db()
            .iterator_cf(family, IteratorMode::From(&[], Direction::Forward));
        for (expected, chunk) in (0_u64..).zip(chunks) {
            let (key, chunk) = chunk.map_err(read_error(columns::CHUNKS))?;
            if key[..] != number_key(expected) {
                return Err(damaged(columns::CHUNKS, expected));
            }
            open.extend_from_slice(&chunk);
            let mut rest = &open[..];
            loop {
                match read_entry(rest) {
                    Front::Entry {
                        key,
                        value,
                        rest: behind,
                    } => {
                        // Ascending, so that no key is there twice.
                        if last.as_deref().is_some_and(|last| key <= last) {
                            return Ok(None);
                        }
                        last = Some(key.to_vec());
                        digest.entry(key, value);
                        changes.put_cf(self.store.family(other), key, value);
                        rest = behind;
                    }
                    Front::Begun => break,
                    Front::Malformed => return Ok(None),
                }
                if changes.size_in_bytes() >= INSTALL_BATCH_BYTES {
                    self.store.write_aside(std::mem::take(&mut changes))?;
                    dctrl_crash::point("store.install.part_unpacked");
                }
            }
            let used = open.len() - rest.len();
            open.drain(..used);
        }
        self.store.write_aside(changes)?;
        Ok(digest.finish().filter(|_| open.is_empty()).map(Digest))
    }

    /// The column family that does not hold the present state.
    fn other(&self) -> &'static str {
        let live = self.store.live().state;
        columns::STATES[usize::from(live == columns::STATES[0])]
    }

    fn forget_chunks(&self, changes: &mut WriteBatch) {
        let chunks = self.store.family(columns::CHUNKS);
        changes.delete_range_cf(chunks, number_key(0), number_key(u64::MAX));
        changes.delete_cf(self.store.family(columns::META), columns::STAGED_KEY);
    }

    fn forget_state(&self, changes: &mut WriteBatch, state: &'static str) {
        // Above every key that an entry may have.
        let end = [u8::MAX; STATE_KEY_BYTES_MAX + 1];
        changes.delete_range_cf(self.store.family(state), &[][..], &end[..]);
    }
}

/// A state that is the one of its manifest, and not the present one yet.
pub struct CheckedState(StateInstall);

impl CheckedState {
    /// Makes the state the present one, with the header and certificate of its
    /// block, in one synced write. Blocks before it are forgotten: the store
    /// goes on behind it. Batches begun before are outdated.
    ///
    /// # Errors
    /// Where the header is of another state, and where the disk fails.
    pub fn finish(self, seal: Seal<'_>) -> Result<(), InstallError> {
        let install = &self.0;
        let header = BlockHeader::decode(seal.header).map_err(|_| InstallError::Header)?;
        let manifest = &install.manifest;
        if header.index != manifest.height || header.state_digest != manifest.state_digest {
            return Err(InstallError::Header);
        }
        let (store, height) = (&install.store, manifest.height);
        let mut changes = WriteBatch::default();
        let first = store.writer().tip.first_block.saturating_sub(1);
        store.forget_blocks(&mut changes, first, height);
        let (key, next) = (number_key(height), number_key(height + 1));
        changes.put_cf(store.family(columns::HEADERS), key, seal.header);
        changes.put_cf(store.family(columns::CERTIFICATES), key, seal.certificate);
        let meta = store.family(columns::META);
        changes.put_cf(meta, columns::EXECUTED_KEY, key);
        changes.put_cf(meta, columns::FIRST_BLOCK_KEY, next);
        install.forget_chunks(&mut changes);
        install.forget_state(&mut changes, store.live().state);
        let mut roster = store.writer().tip.roster;
        for (number, step) in seal.roster_steps {
            if *number == roster + 1 {
                roster = *number;
            } else if *number > roster {
                return Err(InstallError::Store(StoreError::Order {
                    what: "roster",
                    last: roster,
                    found: *number,
                }));
            }
            let key = number_key(*number);
            changes.put_cf(store.family(columns::ROSTERS), key, step);
        }
        store.swap_state(changes, seal.record, |tip| {
            tip.executed = Some(height);
            tip.certificate = height;
            tip.first_block = height + 1;
            tip.roster = roster;
        })?;
        Ok(())
    }
}
