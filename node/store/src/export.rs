//! Keep the state of a seal for peers that take it over.
//!
//! A checkpoint of RocksDB is a folder of hard links, so the state at the seal
//! stays readable while later blocks are applied, and costs what has changed
//! since. The newest [`EXPORTS_KEPT`] are kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::snapshot::{StateManifest, chunk_digest};
use dctrl_ledger::StateDigest;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use crate::error::StoreError;
use crate::limits::{EXPORTS_KEPT, STATE_CHUNK_BYTES, STATE_CHUNKS_MAX};
use crate::manifest::write_entry;
use crate::open::{live_state, read_number};
use crate::options::{self, Options};
use crate::store::{Store, damaged, family, read_error};
use crate::{columns, records};

/// In the store's folder: a folder for each seal, and its manifest beside it.
pub(crate) const FOLDER: &str = "seals";
const MANIFEST_SUFFIX: &str = "manifest";
/// What RocksDB calls a checkpoint on its way.
const UNFINISHED_SUFFIX: &str = "tmp";
const CHECK_DOMAIN: &[u8] = b"dctrl/state-export/1\0";
/// As a manifest says it.
#[allow(clippy::cast_possible_truncation, reason = "less than a megabyte")]
const CHUNK_BYTES: u32 = STATE_CHUNK_BYTES as u32;
/// Cache and buffers of a checkpoint, bytes: it is read once, in order.
const MEMORY_BYTES: usize = 1024 * 1024;

/// The state of a seal, cut into chunks. Clones share it.
#[derive(Clone)]
pub struct StateExport(Arc<Inner>);

struct Inner {
    db: DB,
    state: &'static str,
    manifest: StateManifest,
    starts: Vec<Start>,
}

/// Where a chunk begins: in the middle of an entry, mostly.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    key: Vec<u8>,
    /// Bytes of the entry that are in the chunks before.
    skip: u64,
}

impl Store {
    /// Keeps the present state aside, to be called when a sealing block has
    /// been committed and before the next one is. Returns its height. What is
    /// in memory is flushed, so it takes as long as writing that does.
    ///
    /// # Errors
    /// Before genesis, and where the disk fails.
    pub fn checkpoint(&self) -> Result<u64, StoreError> {
        // Held so that no block is committed in between.
        let writer = self.writer();
        let height = writer
            .tip
            .executed
            .ok_or_else(|| damaged(columns::META, 0))?;
        let folder = seals(self.home());
        let place = folder.join(name(height));
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        dctrl_crash::point("store.checkpoint.before");
        if !place.exists() {
            let made = Checkpoint::new(self.db()).and_then(|one| one.create_checkpoint(&place));
            made.map_err(read_error("checkpoint"))?;
        }
        dctrl_crash::point("store.checkpoint.made");
        drop(writer);
        self.drop_old_exports()?;
        Ok(height)
    }

    /// Heights whose state is kept, ascending.
    ///
    /// # Errors
    /// Where the disk cannot be read.
    pub fn exports(&self) -> Result<Vec<u64>, StoreError> {
        let folder = seals(self.home());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&folder)(error)),
        };
        let mut heights = Vec::new();
        for entry in entries {
            let entry = entry.map_err(at(&folder))?;
            heights.extend(entry.file_name().to_str().and_then(height_of));
        }
        heights.sort_unstable();
        Ok(heights)
    }

    /// The state that was kept at this height. The first call reads all of it
    /// to make the manifest, so it is for a thread that nobody waits for.
    ///
    /// # Errors
    /// Where none is kept, or it is damaged or cannot be read.
    pub fn export(&self, height: u64) -> Result<StateExport, StoreError> {
        let folder = seals(self.home());
        let (db, state) = open(&folder.join(name(height)), height)?;
        let beside = folder.join(name(height)).with_extension(MANIFEST_SUFFIX);
        let kept = fs::read(&beside).ok().and_then(|bytes| decode(&bytes));
        let (manifest, starts) = match kept {
            Some(kept) if kept.0.height == height => kept,
            _ => {
                let made = cut(&db, state, height)?;
                write(&beside, &encode(&made.0, &made.1)).map_err(at(&beside))?;
                made
            }
        };
        Ok(StateExport(Arc::new(Inner {
            db,
            state,
            manifest,
            starts,
        })))
    }

    fn drop_old_exports(&self) -> Result<(), StoreError> {
        let folder = seals(self.home());
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            // What a crash left of a checkpoint that was not finished.
            if path.extension().is_some_and(|end| end == UNFINISHED_SUFFIX) {
                fs::remove_dir_all(&path).map_err(at(&path))?;
            }
        }
        let heights = self.exports()?;
        let old = heights.len().saturating_sub(EXPORTS_KEPT);
        for height in &heights[..old] {
            let place = folder.join(name(*height));
            dctrl_crash::point("store.checkpoint.before_removal");
            // Whoever reads one now has its files open.
            fs::remove_dir_all(&place).map_err(at(&place))?;
            dctrl_crash::point("store.checkpoint.half_removed");
            let _ = fs::remove_file(place.with_extension(MANIFEST_SUFFIX));
        }
        Ok(())
    }
}

impl StateExport {
    /// What it consists of.
    #[must_use]
    pub fn manifest(&self) -> &StateManifest {
        &self.0.manifest
    }

    /// A chunk; nothing where there is none with this index.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else than the manifest.
    pub fn chunk(&self, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let inner = &*self.0;
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(start), Some(length)) = (
            inner.starts.get(position),
            inner.manifest.chunk_length(index),
        ) else {
            return Ok(None);
        };
        let skip = usize::try_from(start.skip).unwrap_or(usize::MAX);
        let mut stream = Vec::with_capacity(length);
        for entry in entries(&inner.db, inner.state, &start.key) {
            let (key, value) = entry?;
            write_entry(&mut stream, &key, &value);
            if stream.len().saturating_sub(skip) >= length {
                break;
            }
        }
        let chunk = stream.get(skip..).and_then(|rest| rest.get(..length));
        let chunk = chunk.filter(|chunk| inner.manifest.holds(index, chunk));
        match chunk {
            Some(chunk) => Ok(Some(chunk.to_vec())),
            None => Err(damaged("state chunk", u64::from(index))),
        }
    }
}

/// Cuts the whole state into chunks, and checks that it has the digest that it
/// says it has.
fn cut(
    db: &DB,
    state: &'static str,
    height: u64,
) -> Result<(StateManifest, Vec<Start>), StoreError> {
    let mut digest = StateDigest::default();
    let (mut chunks, mut starts, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut open: Vec<u8> = Vec::new();
    for entry in entries(db, state, &[]) {
        let (key, value) = entry?;
        digest.entry(&key, &value);
        let before = open.len();
        write_entry(&mut open, &key, &value);
        bytes += (open.len() - before) as u64;
        // The chunk that an empty rest begins with this entry, and each one
        // that is cut out of the middle of it.
        if before == 0 {
            let key = key.to_vec();
            starts.push(Start { key, skip: 0 });
        }
        let mut done = 0;
        while open.len() - done >= STATE_CHUNK_BYTES {
            chunks.push(chunk_digest(&open[done..done + STATE_CHUNK_BYTES]));
            done += STATE_CHUNK_BYTES;
            if done < open.len() {
                let key = key.to_vec();
                let skip = (done - before) as u64;
                starts.push(Start { key, skip });
            }
        }
        open.drain(..done);
        if chunks.len() > STATE_CHUNKS_MAX {
            return Err(StoreError::TooLong {
                what: "the state in chunks",
                found: chunks.len(),
                max: STATE_CHUNKS_MAX,
            });
        }
    }
    if !open.is_empty() {
        chunks.push(chunk_digest(&open));
    }
    let digest = digest.finish().ok_or_else(|| damaged(state, height))?;
    let manifest = StateManifest {
        height,
        state_digest: Digest(digest),
        bytes,
        chunk_bytes: CHUNK_BYTES,
        chunks,
    };
    Ok((manifest, starts))
}

type Pair = (Box<[u8]>, Box<[u8]>);

fn entries<'d>(
    db: &'d DB,
    state: &'static str,
    start: &[u8],
) -> impl Iterator<Item = Result<Pair, StoreError>> + use<'d> {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    let mode = IteratorMode::From(start, Direction::Forward);
    let entries = db.iterator_cf_opt(family(db, state), options, mode);
    entries.map(move |entry| entry.map_err(read_error(state)))
}

/// Opens a checkpoint to read it, with the name of its state.
fn open(place: &Path, height: u64) -> Result<(DB, &'static str), StoreError> {
    let memory = Options {
        cache_bytes: MEMORY_BYTES,
        write_buffer_bytes: MEMORY_BYTES,
        ..Options::default()
    };
    let (rocks, families) = (options::database(&memory), options::families(&memory));
    records::check(place)?;
    let db = DB::open_cf_descriptors_read_only(&rocks, place, families, false);
    let db = db.map_err(|source| StoreError::Open {
        folder: place.to_owned(),
        source,
    })?;
    if read_number(&db, columns::EXECUTED_KEY)? != Some(height) {
        return Err(damaged("state at seal", height));
    }
    let state = live_state(&db)?;
    Ok((db, state))
}

/// The manifest and the starts of its chunks as a file, closed by a digest.
fn encode(manifest: &StateManifest, starts: &[Start]) -> Vec<u8> {
    let mut out = Vec::new();
    write_entry(&mut out, &[], &manifest.encode());
    for start in starts {
        write_entry(&mut out, &start.key, &start.skip.to_be_bytes());
    }
    let check = sha256(CHECK_DOMAIN, &[&out]);
    out.extend(check.0);
    out
}

/// What such a file holds; nothing where it is damaged.
fn decode(bytes: &[u8]) -> Option<(StateManifest, Vec<Start>)> {
    use crate::manifest::{Front, read_entry};
    let (content, check) = bytes.split_last_chunk::<32>()?;
    if sha256(CHECK_DOMAIN, &[content]).0 != *check {
        return None;
    }
    let (mut manifest, mut starts, mut rest) = (None, Vec::new(), content);
    while !rest.is_empty() {
        let Front::Entry {
            key,
            value,
            rest: behind,
        } = read_entry(rest)
        else {
            return None;
        };
        match &manifest {
            None => manifest = Some(StateManifest::decode(value).ok()?),
            Some(_) => starts.push(Start {
                key: key.to_vec(),
                skip: u64::from_be_bytes(value.try_into().ok()?),
            }),
        }
        rest = behind;
    }
    manifest
        .filter(|one| one.chunks.len() == starts.len())
        .map(|one| (one, starts))
}

/// Replaces a file so that a crash leaves the old one or the new one.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft)?;
    dctrl_crash::torn("store.export.half_written", || {
        let _ = file.write_all(&bytes[..bytes.len() / 2]);
    });
    file.write_all(bytes)?;
    dctrl_crash::fallible("store.export.written")?;
    file.sync_all()?;
    dctrl_crash::point("store.export.synced");
    fs::rename(&draft, path)?;
    dctrl_crash::point("store.export.named");
    Ok(())
}

fn seals(folder: &Path) -> PathBuf {
    folder.join(FOLDER)
}

fn name(height: u64) -> String {
    format!("{height:020}")
}

/// The height of a folder that [`name`] made; not of one that was not finished.
fn height_of(name: &str) -> Option<u64> {
    let whole = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| name.parse().ok()).flatten()
}

fn at(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let folder = path.to_owned();
    move |source| StoreError::Folder {
        folder: folder.clone(),
        source,
    }
}
