//! The file that holds a party's secrets.
//!
//! JSON: `{"kind":"dctrl-key/1","seed":"<64 hex digits>","curve_secret":"<64 hex digits>"}`,
//! mode 0600. It is written once, synced, and never overwritten: a lost key is
//! a lost identity. Unencrypted on purpose, because a machine must come back
//! after a power cut with nobody there; the platform's disk or credential
//! encryption protects it at rest.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// What `kind` must say.
pub const KIND: &str = "dctrl-key/1";

/// Longest key file that is read, bytes: far above the 200 that one needs.
const FILE_BYTES_MAX: u64 = 4096;

/// The two secrets of a party, wiped when dropped.
#[derive(Clone)]
pub struct Secrets {
    /// Ed25519 seed.
    pub seed: Zeroizing<[u8; 32]>,
    /// CurveZMQ (X25519) secret key.
    pub curve_secret: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// Why a key file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The disk or the path.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A key file stands there already.
    #[error("key file {path} exists and is never overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("key file {path} has mode {mode:03o}: others may use it; run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not JSON, a field is missing or unknown, or the file is too long.
    #[error("key file {path} is no key file (line {line}, column {column})")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where the reader stopped; 0 for the whole file.
        line: usize,
        /// Where the reader stopped; 0 for the whole file.
        column: usize,
    },
    /// Another kind of file.
    #[error("key file {path} is of kind {found:?}, not {KIND:?}")]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A secret is not 64 hex digits.
    #[error("key file {path}: `{field}` is not 64 hex digits")]
    BadHex {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
    },
    /// The seed makes no key.
    #[error("key file {path}: the seed makes no Ed25519 key")]
    BadSeed {
        /// The file.
        path: PathBuf,
    },
}

/// The JSON form, wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kind: String,
    seed: String,
    curve_secret: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.curve_secret.zeroize();
    }
}

/// Reads the secrets at `path`.
///
/// # Errors
/// See [`KeyFileError`]; nothing of the file's content is in an error text.
pub fn read(path: &Path) -> Result<Secrets, KeyFileError> {
    let io = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    // The mode of the opened file, so that no other file can slip in between.
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(io)?;
    let stored: Stored =
        serde_json::from_slice(&text).map_err(|error| KeyFileError::Malformed {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
    if stored.kind != KIND {
        return Err(KeyFileError::WrongKind {
            path: path.to_owned(),
            found: stored.kind.clone(),
        });
    }
    Ok(Secrets {
        seed: secret(path, "seed", &stored.seed)?,
        curve_secret: secret(path, "curve_secret", &stored.curve_secret)?,
    })
}

fn secret(
    path: &Path,
    field: &'static str,
    text: &str,
) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, bytes.as_mut()).map_err(|_| KeyFileError::BadHex {
        path: path.to_owned(),
        field,
    })?;
    Ok(bytes)
}

/// Writes `secrets` to a new file at `path`, mode 0600, synced with its folder.
///
/// The bytes are complete in a neighbour file before the name appears, so a
/// power cut leaves either no key file or a whole one.
///
/// # Errors
/// An existing file, or the disk.
pub fn write(path: &Path, secrets: &Secrets) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path
        .file_name()
        .ok_or_else(|| io(io::Error::from(io::ErrorKind::InvalidInput)))?;
    let draft = folder.join(format!(
        ".{}.{}.draft",
        name.to_string_lossy(),
        std::process::id()
    ));
    let outcome = write_draft(&draft, secrets)
        .map_err(io)
        .and_then(|()| publish(&draft, path));
    // The draft holds the secrets too, so it goes whatever happened.
    let removed = fs::remove_file(&draft);
    outcome?;
    removed.map_err(io)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io)
}

fn write_draft(draft: &Path, secrets: &Secrets) -> io::Result<()> {
    let stored = Stored {
        kind: KIND.to_owned(),
        seed: hex::encode(*secrets.seed),
        curve_secret: hex::encode(*secrets.curve_secret),
    };
    let mut text = Zeroizing::new(serde_json::to_vec(&stored)?);
    text.push(b'\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(&text)?;
    file.sync_all()
}

/// Gives the draft its name; unlike a rename, a link never replaces a file.
fn publish(draft: &Path, path: &Path) -> Result<(), KeyFileError> {
    fs::hard_link(draft, path).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyFileError::Exists {
                path: path.to_owned(),
            }
        } else {
            KeyFileError::Io {
                path: path.to_owned(),
                source,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn text(kind: &str, seed: &str) -> String {
        format!(
            r#"{{"kind":"{kind}","seed":"{seed}","curve_secret":"{}"}}"#,
            "1f".repeat(32)
        )
    }

    #[test]
    fn a_saved_identity_loads_as_the_same_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let identity = Identity::generate().unwrap();
        identity.save(&path).unwrap();
        let loaded = Identity::load(&path).unwrap();
        assert_eq!(loaded.public_key(), identity.public_key());
        assert_eq!(loaded.curve_public(), identity.curve_public());
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft stays"
        );
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        Identity::generate().unwrap().save(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let error = Identity::generate().unwrap().save(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        for mode in [0o604, 0o640, 0o666, 0o601] {
            let (_folder, path) = written(&text(KIND, &"0a".repeat(32)), mode);
            let error = Identity::load(&path).unwrap_err();
            assert!(
                matches!(error, KeyFileError::Exposed { mode: seen, .. } if seen == mode),
                "{error}"
            );
        }
    }

    #[test]
    fn every_malformed_key_file_has_its_own_error_and_leaks_nothing() {
        let secret = "0a".repeat(32);
        type Expected = fn(&KeyFileError) -> bool;
        let cases: [(String, Expected); 5] = [
            (text("dctrl-key/2", &secret), |e| {
                matches!(e, KeyFileError::WrongKind { .. })
            }),
            (text(KIND, &secret[2..]), |e| {
                matches!(e, KeyFileError::BadHex { field: "seed", .. })
            }),
            (text(KIND, &secret.replace('a', "z")), |e| {
                matches!(e, KeyFileError::BadHex { .. })
            }),
            (format!("{}x", text(KIND, &secret)), |e| {
                matches!(e, KeyFileError::Malformed { .. })
            }),
            (text(KIND, &secret).replace("}", ",\"more\":1}"), |e| {
                matches!(e, KeyFileError::Malformed { .. })
            }),
        ];
        for (content, expected) in cases {
            let (_folder, path) = written(&content, 0o600);
            let error = Identity::load(&path).unwrap_err();
            assert!(expected(&error), "{error}");
            assert!(!format!("{error} {error:?}").contains(&secret[2..]));
        }
        let missing = Identity::load(Path::new("/nowhere/x.key")).unwrap_err();
        assert!(matches!(missing, KeyFileError::Io { .. }));
    }
}
