//! Look at a stopped node's data: the program `dctrl-node` does it.
//!
//! The command line asks nodes and opens no database of its own, so that it
//! stays small; it becomes the node's program, which must stand beside it or in
//! the search path, and answers with that one's exit code.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::anyhow;
use clap::Subcommand;

use crate::failure::Failure;

const PROGRAM: &str = "dctrl-node";

/// `dctrl db`.
#[derive(Clone, Debug, Subcommand)]
pub enum DbCommand {
    /// Name every damage: exit code 0 sound, 1 damaged, 2 nothing can be said
    Check {
        /// The node's data folder
        data_dir: PathBuf,
        /// The folder of its logs, too, where its effects keep files
        #[arg(long)]
        log: Option<PathBuf>,
    },
    /// Set damaged data aside, for the node to fetch from its peers at its next start
    Repair {
        /// The node's data folder
        data_dir: PathBuf,
        /// The folder of its logs, too, where its effects keep files
        #[arg(long)]
        log: Option<PathBuf>,
        /// Set everything of the data folder aside although it looks sound
        #[arg(long)]
        all: bool,
    },
}

/// Becomes the node's program; returns only where that fails.
///
/// # Errors
/// Where there is no such program.
pub fn run(command: &DbCommand, json: bool) -> Result<(), Failure> {
    let mut node = Command::new(program());
    node.arg("db");
    let log = match command {
        DbCommand::Check { data_dir, log } => {
            node.arg("check").arg(data_dir);
            log
        }
        DbCommand::Repair { data_dir, log, all } => {
            node.arg("repair").arg(data_dir);
            node.args(all.then_some("--all"));
            log
        }
    };
    if let Some(log) = log {
        node.arg("--log").arg(log);
    }
    node.args(json.then_some("--json"));
    let error = node.exec();
    Err(anyhow!("cannot run {PROGRAM}, which looks at a node's data: {error}").into())
}

/// The one beside this program, or else the one in the search path.
fn program() -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own
        .as_deref()
        .and_then(Path::parent)
        .map(|folder| folder.join(PROGRAM));
    beside
        .filter(|program| program.exists())
        .unwrap_or_else(|| PathBuf::from(PROGRAM))
}
