//! A copayer's seed file, as it is or sealed with a passphrase.
//!
//! Sealed: ChaCha20-Poly1305 under a key of PBKDF2-HMAC-SHA-512. Nothing of
//! its content is in an error text. Deliberately absent: a passphrase as an
//! argument, where other users of the machine could read it.

use std::{
    fs,
    io::Write,
    num::NonZeroU32,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bitcoin::bip32::Xpriv;
use clap::Args;
use ring::{aead, pbkdf2};
use serde::{Deserialize, Serialize};

use crate::{context::Context, failure::Failure};

/// What `kind` of a plain file says.
const PLAIN: &str = "dctrl-copayer/1";
/// What `kind` of a sealed file says.
const SEALED: &str = "dctrl-copayer-sealed/1";
/// Rounds of PBKDF2-HMAC-SHA-512; OWASP's advice of 2023 is 210,000.
const ROUNDS: u32 = 400_000;
/// Rounds that a file may ask for.
const ROUNDS_MAX: u32 = 10_000_000;
/// Longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Shortest passphrase, bytes.
const PASSPHRASE_BYTES_MIN: usize = 10;

/// Whose seed signs.
#[derive(Args, Clone, Debug)]
pub(crate) struct SeedArgs {
    /// The copayer's seed file
    // Not required of who signs by a device instead; without it, whoever needs
    // one refuses.
    #[arg(long, value_name = "FILE", required = false)]
    seed: PathBuf,
    /// File with the passphrase of a sealed seed file, on its first line
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Options of `dctrl payout seal`.
#[derive(Args, Clone, Debug)]
pub struct SealArgs {
    /// The plain seed file; it stays where it is
    #[arg(long, value_name = "FILE")]
    seed: PathBuf,
    /// File with the passphrase, on its first line
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
    /// The sealed file to make; one that is there is not overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A master key that can sign.
pub(super) struct Seed {
    /// From which every account is derived.
    pub(super) master: Xpriv,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// The part of a plain file that signs.
#[derive(Deserialize)]
struct Plain {
    xprv: Xpriv,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    kind: String,
    rounds: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

fn wrong(file: &Path, message: impl std::fmt::Display) -> Failure {
    Failure::usage("payout.seed", format!("{}: {message}", file.display()))
}

/// Reads a seed file, with its passphrase where it is sealed.
///
/// # Errors
/// It is missing, readable by others, no seed file, or the passphrase is wrong.
pub(super) fn open(args: &SeedArgs) -> Result<Seed, Failure> {
    let file = &args.seed;
    let bytes = read(file)?;
    let no_seed = |_| wrong(file, "is no seed file");
    let kind: Kind = serde_json::from_slice(&bytes).map_err(no_seed)?;
    let plain = match kind.kind.as_str() {
        PLAIN => bytes,
        SEALED => {
            let passphrase = args.passphrase_file.as_deref();
            let passphrase = passphrase.ok_or_else(|| wrong(file, "needs --passphrase-file"))?;
            let stored: Sealed = serde_json::from_slice(&bytes).map_err(no_seed)?;
            opened(&stored, &passphrase_in(passphrase)?)
                .ok_or_else(|| wrong(file, "does not open with this passphrase"))?
        }
        _ => return Err(wrong(file, "is no seed file")),
    };
    let plain: Plain = serde_json::from_slice(&plain).map_err(no_seed)?;
    Ok(Seed { master: plain.xprv })
}

/// Runs `dctrl payout seal`.
///
/// # Errors
/// The plain file is no seed file, or the sealed one is there already.
pub(super) fn seal(context: &mut Context, args: &SealArgs) -> Result<(), Failure> {
    let plain = read(&args.seed)?;
    serde_json::from_slice::<Plain>(&plain).map_err(|_| wrong(&args.seed, "is no seed file"))?;
    let sealed = sealed(plain, &passphrase_in(&args.passphrase_file)?)?;
    let json = serde_json::to_string_pretty(&sealed).map_err(anyhow::Error::from)? + "\n";
    let mut open = fs::OpenOptions::new();
    let open = open.write(true).create_new(true).mode(0o600);
    open.open(&args.out)
        .and_then(|mut open| open.write_all(json.as_bytes()))
        .map_err(|error| wrong(&args.out, error))?;
    context.out.show(&args.out, |out| {
        format!(
            "sealed in {}; now put the plain file where nobody finds it\n",
            out.display()
        )
    })
}

/// The master key of a seed file, for a copayer's key record.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_master(args: &SeedArgs) -> Result<Xpriv, Failure> {
    open(args).map(|seed| seed.master)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let meta = fs::metadata(file).map_err(|error| wrong(file, error))?;
    if meta.len() > FILE_BYTES_MAX {
        return Err(wrong(file, "is too long"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(wrong(file, "others may read it; run chmod 600"));
    }
    fs::read(file).map_err(|error| wrong(file, error))
}

fn passphrase_in(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(file)?;
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    if first.len() < PASSPHRASE_BYTES_MIN {
        let message = format!("a passphrase has at least {PASSPHRASE_BYTES_MIN} bytes");
        return Err(wrong(file, message));
    }
    Ok(first.to_vec())
}

fn key(passphrase: &[u8], salt: &[u8], rounds: NonZeroU32) -> Option<aead::LessSafeKey> {
    let mut bytes = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        rounds,
        salt,
        passphrase,
        &mut bytes,
    );
    let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &bytes).ok()?;
    Some(aead::LessSafeKey::new(key))
}

fn sealed(mut plain: Vec<u8>, passphrase: &[u8]) -> Result<Sealed, Failure> {
    let mut salt = [0; 32];
    let mut nonce = [0; aead::NONCE_LEN];
    for bytes in [&mut salt[..], &mut nonce[..]] {
        getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    }
    let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
    let key = key(passphrase, &salt, rounds);
    let bound = aead::Aad::from(SEALED.as_bytes());
    key.and_then(|key| {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, bound, &mut plain).ok()
    })
    .ok_or_else(|| anyhow::anyhow!("the seed cannot be sealed"))?;
    Ok(Sealed {
        kind: SEALED.to_owned(),
        rounds: ROUNDS,
        salt: hex::encode(salt),
        nonce: hex::encode(nonce),
        sealed: hex::encode(plain),
    })
}

fn opened(stored: &Sealed, passphrase: &[u8]) -> Option<Vec<u8>> {
    let rounds = NonZeroU32::new(stored.rounds.min(ROUNDS_MAX))?;
    let salt = hex::decode(&stored.salt).ok()?;
    let nonce = hex::decode(&stored.nonce).ok()?;
    let nonce = aead::Nonce::try_assume_unique_for_key(&nonce).ok()?;
    let mut bytes = hex::decode(&stored.sealed).ok()?;
    let bound = aead::Aad::from(SEALED.as_bytes());
    let key = key(passphrase, &salt, rounds)?;
    let plain = key.open_in_place(nonce, bound, &mut bytes).ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_seed_opens_with_its_passphrase_only() {
        let mut sealed = sealed(b"the seed".to_vec(), b"correct horse").unwrap();
        assert_eq!(opened(&sealed, b"correct horse").unwrap(), b"the seed");
        assert_eq!(opened(&sealed, b"correct house"), None);
        assert!(!sealed.sealed.contains(&hex::encode("seed")));
        let changed = if sealed.sealed.starts_with('0') {
            "1"
        } else {
            "0"
        };
        sealed.sealed.replace_range(0..1, changed);
        assert_eq!(opened(&sealed, b"correct horse"), None);
    }
}
