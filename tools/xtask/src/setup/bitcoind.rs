//! Fetch a bitcoind for regtest, on a Debian that has none.
//!
//! Debian's unstable suite carries Bitcoin Knots, a derivative of Bitcoin
//! Core. Its packages are downloaded with a private apt configuration (own
//! sources, lists and cache; the machine's own are not touched), checked by
//! the machine's own Debian archive keyring, unpacked into one folder and
//! started through that folder's own dynamic loader, so that the libraries of
//! the machine stay as they are.
//!
//! The mirror is the one that the machine already uses; none is written here.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use super::stamped;
use crate::{
    command::{execute, exists, output, say},
    place::Place,
};

/// The suite that has bitcoind.
const SUITE: &str = "sid";

/// What bitcoind needs beyond itself is found by apt; these are the roots.
const ROOTS: [&str; 2] = ["bitcoin-knots", "libc6"];

/// Raise it when the way of unpacking changes: an older folder is made anew.
const STAMP: &str = "dctrl bitcoind 1\n";

/// Where the programs are, once installed.
#[derive(Debug, Clone)]
pub(crate) struct Bitcoind {
    /// Holds `bitcoind` and `bitcoin-cli`.
    pub(crate) bin: PathBuf,
}

/// Makes sure that there is a bitcoind: one on the path, or one in the cache.
///
/// # Errors
/// Where the machine is no Debian, is offline, or a signature does not hold.
pub(crate) fn install(place: &Place) -> Result<Bitcoind> {
    let home = place.cache.join("bitcoind");
    let stamp = home.join("stamp");
    let found = Bitcoind {
        bin: home.join("bin"),
    };
    if stamped(&stamp, STAMP) {
        return Ok(found);
    }
    for program in ["apt-get", "apt-cache", "dpkg"] {
        ensure!(
            exists(program),
            "{program} is not here: on a system other than Debian, put bitcoind and bitcoin-cli \
             (version 28 or later, with ZeroMQ) into {} and write the line `{}` to {}",
            found.bin.display(),
            STAMP.trim_end(),
            stamp.display()
        );
    }
    say("Fetching bitcoind for regtest (about 17 MB)");
    // A folder that a stopped run left half made is made anew.
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot clear {}", home.display()))?;
    }
    let apt = PrivateApt::new(&home.join("apt"))?;
    apt.run("update", &["--quiet"])
        .context("cannot read the package lists of the mirror")?;
    let packages = apt.closure()?;
    let downloads = home.join("packages");
    fs::create_dir_all(&downloads)?;
    apt.download(&packages, &downloads)?;
    let files = home.join("root");
    unpack(&downloads, &files)?;
    wrappers(&files, &found.bin)?;
    let version = output(Command::new(found.bin.join("bitcoind")).arg("-version"))
        .context("the bitcoind that was fetched does not run")?;
    fs::remove_dir_all(&downloads)?;
    fs::remove_dir_all(home.join("apt"))?;
    fs::write(&stamp, STAMP)?;
    say(&format!(
        "{} is ready in {}",
        version.lines().next().unwrap_or("bitcoind"),
        found.bin.display()
    ));
    Ok(found)
}

/// An apt that reads and writes nothing of the machine's but its keyring.
struct PrivateApt {
    home: PathBuf,
    architecture: String,
}

impl PrivateApt {
    fn new(home: &Path) -> Result<Self> {
        for folder in ["lists/partial", "cache/archives/partial", "empty"] {
            fs::create_dir_all(home.join(folder))?;
        }
        fs::write(home.join("status"), "")?;
        let architecture = output(Command::new("dpkg").arg("--print-architecture"))?
            .trim()
            .to_owned();
        let mirror = mirror()?;
        let keyring = keyring()?;
        fs::write(
            home.join("sources.list"),
            format!(
                "deb [arch={architecture} signed-by={}] {mirror} {SUITE} main\n",
                keyring.display()
            ),
        )?;
        Ok(Self {
            home: home.to_path_buf(),
            architecture,
        })
    }

    fn command(&self, program: &str) -> Command {
        let home = self.home.display();
        let mut command = Command::new(program);
        for option in [
            format!("Dir::Etc::sourcelist={home}/sources.list"),
            // What the machine configured stays out; so do its preferences,
            // which may pin our suite away.
            format!("Dir::Etc::sourceparts={home}/empty"),
            format!("Dir::Etc::preferences={home}/empty/none"),
            format!("Dir::Etc::preferencesparts={home}/empty"),
            format!("Dir::State={home}"),
            format!("Dir::State::lists={home}/lists"),
            format!("Dir::State::status={home}/status"),
            format!("Dir::Cache={home}/cache"),
            // Not dropped to a user who may not enter our folder.
            "APT::Sandbox::User=root".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }

    fn run(&self, what: &str, options: &[&str]) -> Result<()> {
        execute(
            self.command("apt-get")
                .arg(what)
                .args(options)
                .stdout(std::process::Stdio::null()),
        )
    }

    /// bitcoind and everything that it needs, down to the C library.
    fn closure(&self) -> Result<Vec<String>> {
        let text = output(
            self.command("apt-cache")
                .args([
                    "depends",
                    "--recurse",
                    "--no-recommends",
                    "--no-suggests",
                    "--no-conflicts",
                    "--no-breaks",
                    "--no-replaces",
                    "--no-enhances",
                ])
                .args(ROOTS),
        )
        .context("apt does not know the packages of bitcoind")?;
        let packages = parse_depends(&text, &self.architecture);
        for root in ROOTS {
            ensure!(
                packages.iter().any(|one| one == root),
                "the mirror's {SUITE} suite has no package {root}"
            );
        }
        Ok(packages)
    }

    fn download(&self, packages: &[String], into: &Path) -> Result<()> {
        execute(
            self.command("apt-get")
                .args(["download", "--quiet"])
                .args(packages)
                .current_dir(into)
                .stdout(std::process::Stdio::null()),
        )
        .context("cannot download the packages of bitcoind")
    }
}

/// Packages that no program of ours loads: they configure a whole system.
const NOT_NEEDED: [&str; 5] = ["debconf", "perl-base", "cdebconf", "dpkg", "tar"];

/// The packages in the answer of `apt-cache depends --recurse`: those are the
/// lines that are not indented and name no virtual package.
fn parse_depends(text: &str, architecture: &str) -> Vec<String> {
    let suffix = format!(":{architecture}");
    let mut packages: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with([' ', '|', '<']) && !line.is_empty())
        .map(|line| line.strip_suffix(&suffix).unwrap_or(line))
        .filter(|name| !name.contains(':') && !NOT_NEEDED.contains(name))
        .map(str::to_owned)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The mirror that the machine takes its own Debian packages from.
fn mirror() -> Result<String> {
    let text = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(SUITE) $(ORIGIN)",
        "Created-By: Packages",
    ]))?;
    parse_mirror(&text).context(
        "apt knows no Debian mirror: run `apt-get update` once, or add one to the apt sources",
    )
}

/// The first plain Debian archive; the security and updates archives carry no
/// unstable suite.
fn parse_mirror(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (uri, suite, origin) = (words.next()?, words.next()?, words.next());
        let plain = !suite.contains('-') && !uri.contains("security");
        let debian = origin.is_none_or(|origin| origin == "Debian");
        (plain && debian).then(|| uri.to_owned())
    })
}

fn keyring() -> Result<PathBuf> {
    for name in [
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "/usr/share/keyrings/debian-archive-keyring.pgp",
    ] {
        let path = PathBuf::from(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!("the Debian archive keyring is missing: install the package debian-archive-keyring")
}

/// Unpacks every package in `downloads`; installs nothing.
pub(super) fn unpack(downloads: &Path, files: &Path) -> Result<()> {
    for entry in fs::read_dir(downloads)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            execute(Command::new("dpkg").arg("-x").arg(&path).arg(files))
                .with_context(|| format!("cannot unpack {}", path.display()))?;
        }
    }
    Ok(())
}

/// Small scripts that start the programs through the unpacked loader.
fn wrappers(files: &Path, bin: &Path) -> Result<()> {
    let libraries = library_folder(files)?;
    let loader = fs::read_dir(&libraries)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("ld-linux-"))
        })
        .context("the unpacked C library has no dynamic loader")?;
    fs::create_dir_all(bin)?;
    for program in ["bitcoind", "bitcoin-cli"] {
        let real = files.join("usr/bin").join(program);
        ensure!(real.is_file(), "the package has no {program}");
        let script = format!(
            "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
            loader.display(),
            libraries.display(),
            real.display()
        );
        let path = bin.join(program);
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// `usr/lib/<triplet>`: the folder that holds the C library.
fn library_folder(files: &Path) -> Result<PathBuf> {
    fs::read_dir(files.join("usr/lib"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.join("libc.so.6").exists())
        .context("the unpacked packages have no C library")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_machines_plain_archive() {
        let text = "http://one.example/debian-security/ oldstable-security Debian\n\
                    http://one.example/debian/ oldstable-updates Debian\n\
                    http://two.example/other/ stable Other\n\
                    http://one.example/debian/ oldstable Debian\n";
        assert_eq!(
            parse_mirror(text).as_deref(),
            Some("http://one.example/debian/")
        );
        assert_eq!(parse_mirror(""), None);
    }

    #[test]
    fn the_answer_of_apt_is_read_without_virtual_and_foreign_packages() {
        let text = "bitcoin-knots\n  Depends: libc6\n |Depends: <debconf-2.0>\n    debconf\n\
                    libc6\n<debconf-2.0>\nlibzmq5:amd64\nlibfoo:i386\ndebconf\nlibc6\n";
        assert_eq!(
            parse_depends(text, "amd64"),
            ["bitcoin-knots", "libc6", "libzmq5"]
        );
    }

    #[test]
    fn the_wrapper_starts_the_program_through_the_unpacked_loader() {
        let folder = std::env::temp_dir().join(format!("xtask-wrapper-{}", std::process::id()));
        let libraries = folder.join("usr/lib/some-triplet");
        fs::create_dir_all(&libraries).expect("libraries");
        fs::create_dir_all(folder.join("usr/bin")).expect("programs");
        fs::write(libraries.join("libc.so.6"), "").expect("libc");
        // A stand-in for the loader shows what it was asked to do.
        let loader = libraries.join("ld-linux-test.so.2");
        fs::write(&loader, "#!/bin/sh\necho \"$@\"\n").expect("loader");
        fs::set_permissions(&loader, fs::Permissions::from_mode(0o755)).expect("executable");
        for program in ["bitcoind", "bitcoin-cli"] {
            fs::write(folder.join("usr/bin").join(program), "").expect("program");
        }
        wrappers(&folder, &folder.join("bin")).expect("wrappers");
        let said = output(Command::new(folder.join("bin/bitcoind")).arg("-version")).expect("runs");
        fs::remove_dir_all(&folder).expect("cleared");
        assert!(said.starts_with("--library-path "), "{said}");
        assert!(
            said.trim_end().ends_with("usr/bin/bitcoind -version"),
            "{said}"
        );
    }
}
