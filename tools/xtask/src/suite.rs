//! `cargo xtask test`: everything that CI checks, in the order in which it
//! fails soonest.
//!
//! Tests that start processes or need bitcoind are marked `#[ignore]`, so that
//! a plain `cargo test` stays quick; they run here, one at a time, because
//! each starts a whole federation.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    build::{self, Profile, cargo},
    command::{execute, exists, say},
    deny,
    place::Place,
    setup, tidy,
};

/// One thing that is checked.
struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

/// Runs everything; a failed check does not keep the others from running.
///
/// # Errors
/// Where the machine cannot be prepared, the build fails, or a check failed.
pub(crate) fn run(place: &Place) -> Result<()> {
    setup::packages()?;
    let bitcoind = setup::bitcoind::install(place)?;
    let embit = setup::embit::install(place)
        .inspect_err(|error| say(&format!("embit is not compared: {error:#}")))
        .ok();
    let electrum = setup::electrum::install(place)
        .inspect_err(|error| say(&format!("Electrum is not compared: {error:#}")))
        .ok();
    let electrumx = setup::electrumx::install(place)
        .inspect_err(|error| say(&format!("no Electrum server is tested: {error:#}")))
        .ok();
    let mut outcomes = vec![
        check("formatting", || format(place)),
        check("house rules", || tidy::run(place)),
    ];
    build::workspace(place, Profile::Development)?;
    outcomes.push(check("lints", || clippy(place)));
    if deny::available(place) {
        outcomes.push(check("dependencies", || deny::offline(place)));
    } else {
        say("cargo-deny is not installed, so dependencies are not judged; see `cargo xtask deny`");
    }
    outcomes.push(check("unit tests", || unit_tests(place)));
    outcomes.push(check("documentation tests", || doc_tests(place)));
    outcomes.push(check("simulation", || build::short_simulation(place)));
    outcomes.push(check("whole system", || {
        build::short_whole_simulation(place)
    }));
    outcomes.push(check("payouts", || build::short_payouts(place)));
    outcomes.push(check("system tests", || {
        let fetched = [
            ("embit", "DCTRL_EMBIT", embit.as_deref()),
            ("electrum_derives", "DCTRL_ELECTRUM", electrum.as_deref()),
            ("electrumx", "DCTRL_ELECTRUMX", electrumx.as_deref()),
        ];
        system_tests(place, &bitcoind, fetched)
    }));
    summary(&outcomes)
}

fn check(name: &'static str, work: impl FnOnce() -> Result<()>) -> Outcome {
    say(&format!("Checking: {name}"));
    let start = Instant::now();
    let result = work();
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    Outcome {
        name,
        took: start.elapsed(),
        result,
    }
}

fn format(place: &Place) -> Result<()> {
    execute(cargo(place).args(["fmt", "--all", "--check"]))
}

fn clippy(place: &Place) -> Result<()> {
    execute(cargo(place).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn unit_tests(place: &Place) -> Result<()> {
    let mut command = cargo(place);
    if exists("cargo-nextest") {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--status-level",
            "fail",
        ]);
    } else {
        command.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    execute(&mut command)
}

/// nextest runs no documentation tests; they are few, so both runners are
/// followed by this.
fn doc_tests(place: &Place) -> Result<()> {
    execute(cargo(place).args(["test", "--workspace", "--doc", "--quiet"]))
}

/// `fetched` are programs of others that tests are compared with: a word in the
/// names of those tests, the variable that tells them, and where the program is.
/// Where it is not there is nothing to compare with, which was said above.
fn system_tests(
    place: &Place,
    bitcoind: &setup::bitcoind::Bitcoind,
    fetched: [(&str, &str, Option<&Path>); 3],
) -> Result<()> {
    let missing = fetched.iter().filter(|(_, _, program)| program.is_none());
    let present = fetched
        .iter()
        .filter_map(|(_, name, it)| Some((name, (*it)?)));
    execute(
        cargo(place)
            .args([
                "test",
                "--workspace",
                // What it ignores are campaigns of minutes.
                "--exclude=dctrl-consensus",
                "--tests",
                "--no-fail-fast",
                "--",
                "--ignored",
                "--test-threads=1",
                // Campaigns, and what writes into the source tree.
                "--skip=corruption_campaign",
                "--skip=no_mutated_psbt_of_a_million",
                "--skip=fixture::make",
                "--skip=conforms_in_full",
            ])
            // The last arguments go to the tests.
            .args(missing.map(|(word, ..)| format!("--skip={word}")))
            .envs(present)
            .env(
                "DCTRL_PROGRAMS",
                build::programs(place, Profile::Development),
            )
            .env("DCTRL_BITCOIND", &bitcoind.bin),
    )
}

fn summary(outcomes: &[Outcome]) -> Result<()> {
    say("Summary");
    for outcome in outcomes {
        let word = if outcome.result.is_ok() {
            "ok"
        } else {
            "FAILED"
        };
        println!(
            "{word:6} {:20} {:6.1} s",
            outcome.name,
            outcome.took.as_secs_f64()
        );
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .count();
    println!(
        "checks: {} passed, {failed} failed",
        outcomes.len() - failed
    );
    if failed > 0 {
        bail!("{failed} of {} checks failed", outcomes.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_fails_the_run_and_the_others_still_count() {
        let passed = check("passes", || Ok(()));
        let failed = check("fails", || bail!("broken"));
        let error = summary(&[passed, failed]).expect_err("one failed");
        assert_eq!(error.to_string(), "1 of 2 checks failed");
        assert!(summary(&[check("passes", || Ok(()))]).is_ok());
    }
}
