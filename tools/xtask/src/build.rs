//! Building with cargo, and handing over to what was built.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    command::{become_program, execute, say},
    place::Place,
    setup,
};

/// How a build is optimised. The development profile already optimises the
/// dependencies, so everything but a benchmark uses it and `RocksDB` compiles
/// once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For demonstrations, tests and checks.
    Development,
    /// For measurements.
    Release,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Development => "debug",
            Self::Release => "release",
        }
    }
}

/// Where a profile's programs are.
pub(crate) fn programs(place: &Place, profile: Profile) -> PathBuf {
    place.target.join(profile.folder())
}

/// `cargo`, the same that runs us, in the root and with our build folder.
///
/// Without what it has told us about this package: build scripts that look at
/// that (ring's does) would run again whenever somebody uses cargo without us, and
/// half of the dependencies would be compiled anew with them.
pub(crate) fn cargo(place: &Place) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .current_dir(&place.root)
        .env("CARGO_TARGET_DIR", &place.target);
    for (name, _) in env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if told
            .iter()
            .any(|it| name.as_encoded_bytes().starts_with(it.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Builds every program of the workspace.
///
/// Always the whole workspace: with a part of it cargo would unite other
/// features and compile the heavy dependencies a second time.
///
/// # Errors
/// Where the build fails.
pub(crate) fn workspace(place: &Place, profile: Profile) -> Result<()> {
    if !has_rocksdb(&programs(place, profile)) {
        say("Building; the first build compiles RocksDB and takes 10 to 20 minutes on two cores");
    } else {
        say("Building");
    }
    let mut command = cargo(place);
    command.args(["build", "--workspace", "--bins"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    execute(&mut command)
}

fn has_rocksdb(folder: &Path) -> bool {
    std::fs::read_dir(folder.join("deps")).is_ok_and(|entries| {
        entries.filter_map(Result::ok).any(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("librocksdb")
        })
    })
}

/// Builds the simulator alone, without RocksDB, and becomes it.
///
/// # Errors
/// Where the build fails or the simulator cannot be started.
pub(crate) fn simulator(place: &Place, arguments: &[String]) -> Result<()> {
    become_program(built_simulator(place)?.args(arguments))
}

/// The campaign that every change has to pass: two thousand runs, and in them
/// every fault, lie and rare branch.
///
/// # Errors
/// Where the build fails, or the campaign finds anything.
pub(crate) fn short_simulation(place: &Place) -> Result<()> {
    execute(built_simulator(place)?.args(["--seeds", "1000", "--nodes", "4,7", "--json"]))
}

/// The short form of the whole system: some seeds with every fault, and a kill
/// at every named crash point.
///
/// # Errors
/// Where the build fails, or anything is found.
pub(crate) fn short_whole_simulation(place: &Place) -> Result<()> {
    let full = ["--world", "full", "--json"];
    let seeds = ["--seeds", "8", "--nodes", "4"];
    execute(built_simulator(place)?.args(full).args(seeds))?;
    let sweep = ["--sweep", "--seeds", "1", "--nodes", "4"];
    execute(built_simulator(place)?.args(full).args(sweep))
}

/// The short form of the world of payouts: some runs with every fault, and an
/// error planted for each check.
///
/// # Errors
/// Where the build fails, or anything is found, or a planted error is not.
pub(crate) fn short_payouts(place: &Place) -> Result<()> {
    let payouts = ["--world", "payouts"];
    let runs = ["--payouts", "500", "--json"];
    execute(built_simulator(place)?.args(payouts).args(runs))?;
    execute(built_simulator(place)?.args(payouts).arg("--planted"))
}

fn built_simulator(place: &Place) -> Result<Command> {
    execute(cargo(place).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "dctrl-sim",
        "--bins",
    ]))?;
    Ok(Command::new(
        programs(place, Profile::Release).join("dctrl-sim"),
    ))
}

/// Builds the model checker alone and becomes it.
///
/// # Errors
/// Where the build fails or the checker cannot be started.
pub(crate) fn model(place: &Place, arguments: &[String]) -> Result<()> {
    execute(cargo(place).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "dctrl-model",
        "--bins",
    ]))?;
    become_program(
        Command::new(programs(place, Profile::Release).join("dctrl-model")).args(arguments),
    )
}

/// Runs the long searches of the election, which tests leave out.
///
/// # Errors
/// Where the build fails, or the election does not do as it is defined.
pub(crate) fn election_campaign(place: &Place) -> Result<()> {
    execute(cargo(place).args([
        "test",
        "--release",
        "--package",
        "dctrl-consensus",
        "--lib",
        "--",
        "--ignored",
    ]))
}

/// Runs the criterion benches.
///
/// # Errors
/// Where the build or a bench fails.
pub(crate) fn core_benches(place: &Place, arguments: &[String]) -> Result<()> {
    setup::packages()?;
    execute(
        cargo(place)
            .args(["bench", "--package", "dctrl-benches", "--benches", "--"])
            .args(arguments),
    )
}
