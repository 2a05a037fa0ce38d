//! A campaign in namespaces of its own: what it mounts and which networks it
//! makes is seen by nobody else, and is gone with it however it ends.

use std::{convert::Infallible, env, os::unix::process::CommandExt, process::Command};

use anyhow::{Result, bail, ensure};

use super::{Wanted, disks, nets};
use crate::story::Story;

/// Set where we are in namespaces of our own; says which.
const APART: &str = "DCTRL_CHAOS_APART";

/// A mount namespace.
const MOUNTS: &str = "mounts";

/// A network namespace, too.
const NETWORKS: &str = "mounts and networks";

/// What the machine gives a campaign.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Grounds {
    /// Disks that lose power.
    pub(super) disks: bool,
    /// A network for each node.
    pub(super) nets: bool,
}

/// Finds out what can be had, and goes on in namespaces of our own where
/// something can, as another run of this program.
///
/// # Errors
/// Where something is required and this machine has it not.
pub(super) fn prepare(disks: Wanted, nets: Wanted, story: &Story) -> Result<Grounds> {
    if disks == Wanted::Off && nets == Wanted::Off {
        return Ok(Grounds::default());
    }
    let apart = match env::var(APART) {
        Ok(which) => Ok(which),
        Err(_) => match go(nets != Wanted::Off) {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
    };
    let has = |wanted, what, probe: fn() -> Result<()>| {
        let found = match (&apart, wanted) {
            (_, Wanted::Off) => return Ok(false),
            (Ok(_), _) => probe(),
            (Err(error), _) => Err(anyhow::anyhow!("{error:#}")),
        };
        match found {
            Ok(()) => Ok(true),
            Err(error) if wanted == Wanted::Required => {
                Err(error.context(format!("{what} cannot be had here")))
            }
            Err(error) => {
                story.tell(format!("SKIPPED: {what} cannot be had here: {error:#}"));
                Ok(false)
            }
        }
    };
    Ok(Grounds {
        disks: has(disks, "disks that lose power", disks::probe)?,
        nets: has(nets, "a network for each node", || {
            let own = env::var(APART).is_ok_and(|which| which == NETWORKS);
            ensure!(own, "`unshare --net` is not permitted");
            nets::probe()
        })?,
    })
}

/// Becomes this program in namespaces of its own; where we are not root, in a
/// user namespace in which we are.
fn go(networks: bool) -> Result<Infallible> {
    const MOUNT: [&str; 3] = ["--mount", "--propagation", "private"];
    const USER: [&str; 2] = ["--user", "--map-root-user"];
    let kinds: &[(&str, &[&str])] = &[(NETWORKS, &["--net"]), (MOUNTS, &[])];
    for (which, network) in &kinds[usize::from(!networks)..] {
        for user in [&[][..], &USER] {
            let way = || {
                let mut command = Command::new("unshare");
                command.args(user).args(MOUNT).args(*network);
                command
            };
            let works = way().arg("true").output();
            if !works.is_ok_and(|output| output.status.success()) {
                continue;
            }
            let mut command = way();
            command
                .arg(env::current_exe()?)
                .args(env::args_os().skip(1))
                .env(APART, which);
            // It comes back only where it fails.
            return Err(command.exec().into());
        }
    }
    bail!("`unshare --mount` is not permitted")
}
