//! The chain of rosters that a process trusts, and the file that keeps it.
//!
//! Clones share one chain, and what is known of where the present nodes listen
//! ([`Places`]). Where it has a file, a step is on disk before it is
//! believed: whoever has once obeyed a roster never falls back to the one
//! before, whatever nodes show it after a restart.
//!
//! Absent: fetching. [`Follower`](crate::Follower) asks for steps when a
//! certificate names a roster that the chain does not know.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dctrl_consensus::{
    Certificate, ClusterId, DecodeError, Digest, NodeIndex, PublicKey, RosterChain,
    RosterChainError, RosterStep,
};

use dctrl_proto::v1::NodeRoster;

use crate::federation::Federation;
use crate::places::Places;

/// Longest file that is read, bytes: the longest chain that consensus encodes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest step, bytes: a certificate and a roster of the most members.
const STEP_BYTES_MAX: usize = 64 * 1024;
/// Most steps that one answer may hold.
const STEPS_MAX: usize = 1024;

/// Why the file of a chain cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RostersError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is damaged. Whoever deletes it trusts the genesis again.
    #[error("{} is damaged, restore it from a backup: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The file belongs to another federation.
    #[error("{} is of another federation", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// Why steps were not taken. What was taken before them is kept.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Too many steps, or one that is too long.
    #[error("the answer is larger than any chain of rosters")]
    TooLarge,
    /// A step is malformed.
    #[error("a step cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// A step does not follow.
    #[error("a step is not believed: {0}")]
    Refused(#[from] RosterChainError),
    /// The chain could not be kept.
    #[error(transparent)]
    File(#[from] RostersError),
}

/// A shared chain of rosters. Clones share it.
#[derive(Debug, Clone)]
pub struct Rosters(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    chain: RosterChain,
    file: Option<PathBuf>,
    /// Where the present nodes are, once the federation has told.
    places: Option<Places>,
}

impl Rosters {
    /// A chain that begins with the genesis and is forgotten at the end.
    #[must_use]
    pub fn of(federation: &Federation) -> Self {
        let cluster = ClusterId(Digest(federation.cluster));
        Self::with(RosterChain::new(cluster, federation.roster.clone()), None)
    }

    /// The chain that `file` keeps; it begins with the genesis where there is
    /// no file yet.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or of another federation.
    pub fn open(federation: &Federation, file: &Path) -> Result<Self, RostersError> {
        let cluster = ClusterId(Digest(federation.cluster));
        let chain = match read(file)? {
            None => RosterChain::new(cluster, federation.roster.clone()),
            Some(bytes) => {
                let chain = RosterChain::decode(&bytes).map_err(|source| {
                    let path = file.to_owned();
                    RostersError::Damaged { path, source }
                })?;
                let ours = chain.cluster() == cluster
                    && chain
                        .roster(0)
                        .is_none_or(|first| *first == federation.roster);
                if !ours {
                    let path = file.to_owned();
                    return Err(RostersError::Foreign { path });
                }
                chain
            }
        };
        Ok(Self::with(chain, Some(file.to_owned())))
    }

    fn with(chain: RosterChain, file: Option<PathBuf>) -> Self {
        let places = file
            .as_ref()
            .and_then(|file| Places::read(&places_file(file)));
        Self(Arc::new(Mutex::new(Inner {
            chain,
            file,
            places,
        })))
    }

    /// Where the present nodes are; `None` before the federation has told of a
    /// change.
    #[must_use]
    pub fn places(&self) -> Option<Places> {
        self.lock().places.clone()
    }

    /// Takes note of where the nodes of a roster are that is believed; true
    /// where it is a later one. Where it cannot be kept it is known until the
    /// end of the process.
    pub fn learn(&self, roster: &NodeRoster) -> bool {
        let mut inner = self.lock();
        let known = inner.places.as_ref().map_or(0, |places| places.number);
        let Some(places) = Places::of(roster).filter(|places| places.number > known) else {
            return false;
        };
        if let Some(file) = &inner.file
            && let Err(error) = write(&places_file(file), &Places::encode(roster))
        {
            tracing::error!(%error, "the present nodes' places cannot be kept");
        }
        inner.places = Some(places);
        true
    }

    /// The federation.
    #[must_use]
    pub fn cluster(&self) -> [u8; 32] {
        self.lock().chain.cluster().0.0
    }

    /// The number of the newest roster that is known.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.lock().chain.newest().number
    }

    /// The position of a key in the newest roster that is known.
    #[must_use]
    pub fn index_of(&self, key: &PublicKey) -> Option<NodeIndex> {
        self.lock().chain.newest().index_of(key)
    }

    /// Checks a certificate under the roster that it names; returns that
    /// roster's number.
    ///
    /// # Errors
    /// See [`RosterChain::verify`].
    pub fn verify(&self, certificate: &Certificate) -> Result<u64, RosterChainError> {
        let inner = self.lock();
        inner.chain.verify(certificate).map(|roster| roster.number)
    }

    /// Takes encoded steps, oldest first; those that were taken before are
    /// passed over. Returns how many were new.
    ///
    /// # Errors
    /// The first step that cannot be taken; those before it are kept.
    pub fn take(&self, steps: &[Vec<u8>]) -> Result<usize, StepError> {
        if steps.len() > STEPS_MAX || steps.iter().any(|step| step.len() > STEP_BYTES_MAX) {
            return Err(StepError::TooLarge);
        }
        let mut inner = self.lock();
        let mut chain = inner.chain.clone();
        let before = chain.newest().number;
        let taken = steps.iter().try_for_each(|step| {
            let step = RosterStep::decode(step)?;
            if step.next.number > chain.newest().number {
                chain.advance(&step.certificate, step.next)?;
            }
            Ok::<(), StepError>(())
        });
        let count = chain.newest().number - before;
        if count > 0 {
            if let Some(file) = &inner.file {
                write(file, &chain.encode())?;
            }
            inner.chain = chain;
        }
        taken?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    // A chain is replaced whole, so one that a panicking thread left is good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Beside the chain's file.
fn places_file(file: &Path) -> PathBuf {
    file.with_extension("places")
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RostersError> {
    let failed = |source| RostersError::File {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => Err(RostersError::Damaged {
            path: path.to_owned(),
            source: DecodeError::Trailing(usize::try_from(meta.len()).unwrap_or(usize::MAX)),
        }),
        Ok(_) => fs::read(path).map(Some).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Replaces the file so that a crash leaves the old one or the new one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), RostersError> {
    let draft = path.with_extension("draft");
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let replace = || {
        let mut file = File::create(&draft)?;
        dctrl_crash::torn("follow.rosters.half_written", || {
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
        });
        file.write_all(bytes)?;
        dctrl_crash::fallible("follow.rosters.written")?;
        file.sync_all()?;
        dctrl_crash::point("follow.rosters.synced");
        fs::rename(&draft, path)?;
        dctrl_crash::point("follow.rosters.named");
        File::open(folder)?.sync_all()
    };
    replace().map_err(|source| RostersError::File {
        path: path.to_owned(),
        source,
    })
}
