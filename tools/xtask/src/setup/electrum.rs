//! Fetch Electrum, as a signer of payouts that shares no line with ours.
//!
//! Debian's packages are downloaded with the machine's own apt, which checks
//! their signatures, and unpacked into one folder; what Electrum imports comes
//! into a Python environment of its own there. The machine stays as it is.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{bitcoind::unpack, python, stamped};
use crate::{
    command::{execute, exists, say},
    place::Place,
};

/// Electrum and the curve that it signs with.
const PACKAGES: [&str; 2] = ["python3-electrum", "libsecp256k1-1"];

/// What Electrum 4.3 imports; it does not run with newer ones of two of them.
const IMPORTS: [&str; 9] = [
    "aiorpcx<0.23",
    "aiohttp",
    "aiohttp_socks",
    "attrs",
    "bitstring",
    "certifi",
    "dnspython",
    "protobuf<4",
    "cryptography",
];

/// Raise it when the way of unpacking changes: an older folder is made anew.
const STAMP: &str = "dctrl electrum 1\n";

/// Makes sure that there is a Python that can import Electrum; its path.
///
/// # Errors
/// Where the machine is no Debian with Python, or is offline.
pub(crate) fn install(place: &Place) -> Result<PathBuf> {
    let home = place.cache.join("electrum");
    let stamp = home.join("stamp");
    let program = home.join("python");
    if stamped(&stamp, STAMP) {
        return Ok(program);
    }
    for needed in ["apt-get", "dpkg", "python3"] {
        ensure!(exists(needed), "{needed} is not here");
    }
    say("Fetching Electrum, an independent signer");
    // A folder that a stopped run left half made is made anew.
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot clear {}", home.display()))?;
    }
    let (downloads, files) = (home.join("packages"), home.join("root"));
    fs::create_dir_all(&downloads)?;
    execute(
        Command::new("apt-get")
            .args(["download", "--quiet"])
            .args(PACKAGES)
            .current_dir(&downloads)
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
    .context("cannot download Electrum's packages: is this Debian 12, and online?")?;
    unpack(&downloads, &files)?;
    let environment = home.join("environment");
    python::environment(&environment, &IMPORTS)?;
    wrapper(&files, &environment, &program)?;
    execute(
        Command::new(&program)
            .args(["-c", "import electrum.wallet"])
            .stdout(Stdio::null()),
    )
    .context("the Electrum that was fetched does not run")?;
    fs::remove_dir_all(&downloads)?;
    fs::write(&stamp, STAMP)?;
    say(&format!("Electrum is ready: {}", program.display()));
    Ok(program)
}

/// A small script that starts Python with the unpacked packages.
fn wrapper(files: &Path, environment: &Path, program: &Path) -> Result<()> {
    let modules = files.join("usr/lib/python3/dist-packages");
    let libraries = fs::read_dir(files.join("usr/lib"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.join("libsecp256k1.so.1").exists())
        .context("the unpacked packages have no libsecp256k1")?;
    let script = format!(
        "#!/bin/sh\nPYTHONPATH='{}' LD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
        modules.display(),
        libraries.display(),
        environment.join("bin/python").display()
    );
    fs::write(program, script)?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
