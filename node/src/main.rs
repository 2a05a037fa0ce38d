//! `dctrl-node`: one operator's node, and the tools that belong to it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use dctrl_consensus::{OrderRule, Ordering, Profile};
use dctrl_node::{
    Fill, RunError, UNSTOPPED, config, db, fill_bulk, opaque::OpaqueConfig, run, run_effect,
    run_filled, shutdown,
};
use tracing_subscriber::EnvFilter;

/// One node of a DCTRL federation.
#[derive(Debug, Parser)]
#[command(name = "dctrl-node", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Write the log as JSON lines.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node until SIGTERM or Ctrl-C.
    Run {
        /// The configuration file.
        #[arg(long, env = "DCTRL_NODE_CONFIG")]
        config: PathBuf,
        /// Hand in so many actions first, for `cargo xtask bench restart`.
        #[arg(long, hide = true, requires = "fill_key")]
        fill: Option<u64>,
        /// The key that signs them.
        #[arg(long, hide = true)]
        fill_key: Option<PathBuf>,
    },
    /// Write a history of so many actions into the folder of a node that is
    /// alone in its federation, for `cargo xtask bench restart`.
    #[command(hide = true)]
    Fill {
        /// The configuration file.
        #[arg(long, env = "DCTRL_NODE_CONFIG")]
        config: PathBuf,
        /// How many.
        #[arg(long)]
        actions: u64,
        /// The key that signs them.
        #[arg(long)]
        key: PathBuf,
    },
    /// Check the configuration, key and genesis, and say what is wrong.
    Check {
        /// The configuration file.
        #[arg(long, env = "DCTRL_NODE_CONFIG")]
        config: PathBuf,
    },
    /// Say that this disk holds all that the node's key has signed, and that no
    /// copy of it speaks. A node on another disk asks the others for its seat by
    /// itself; this is for when too few others are left to answer.
    Vouch {
        /// The configuration file.
        #[arg(long, env = "DCTRL_NODE_CONFIG")]
        config: PathBuf,
    },
    /// Print every setting with its meaning and default.
    Settings,
    /// Run one notifier alone, beside a node, by the same code.
    Effect {
        /// Which one.
        effect: EffectName,
        /// The node's configuration file.
        #[arg(long, env = "DCTRL_NODE_CONFIG")]
        config: PathBuf,
    },
    /// Look at a stopped node's data, or set damaged data aside.
    #[command(subcommand)]
    Db(Db),
    /// Print the name of every crash point that a node may pass, for campaigns.
    #[command(hide = true)]
    CrashPoints,
    /// Check the hash chain of an event log.
    VerifyLog {
        /// The log's folder.
        dir: PathBuf,
    },
    /// Order opaque bytes, for `cargo xtask bench consensus`.
    #[command(hide = true)]
    Opaque(Opaque),
    /// Serve a simulated bitcoin chain for demonstrations and tests.
    SimChain {
        /// Address of its gRPC service.
        #[arg(long)]
        listen: SocketAddr,
        /// Mine a block in this interval; without it only on demand.
        #[arg(long)]
        block_every_ms: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
enum Db {
    /// Name every damage: exit code 0 sound, 1 damaged, 2 nothing can be said.
    Check {
        /// The node's data folder.
        data: PathBuf,
        /// The folder of its logs, too, where its effects keep files.
        #[arg(long)]
        log: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Set damaged data aside; the node fetches them from its peers when it is
    /// started. Nothing is deleted.
    Repair {
        /// The node's data folder.
        data: PathBuf,
        /// The folder of its logs, too, where its effects keep files.
        #[arg(long)]
        log: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Set everything of the data folder aside although it looks sound.
        #[arg(long)]
        all: bool,
    },
}

/// Exit code where nothing can be said of a data folder.
const DB_UNKNOWN: u8 = 2;

impl Db {
    fn run(self) -> ExitCode {
        let (json, outcome) = match self {
            Self::Check { data, log, json } => (json, db::check(&data, log.as_deref())),
            Self::Repair {
                data,
                log,
                json,
                all,
            } => (json, db::repair(&data, log.as_deref(), all)),
        };
        match outcome {
            Ok(outcome) => {
                if json {
                    println!("{}", outcome.json());
                } else {
                    print!("{}", outcome.text());
                }
                ExitCode::from(outcome.exit_code())
            }
            Err(error) => {
                if json {
                    println!("{}", serde_json::json!({"error": error.to_string()}));
                }
                eprintln!("error: {error}");
                ExitCode::from(DB_UNKNOWN)
            }
        }
    }
}

#[derive(Debug, Args)]
struct Opaque {
    /// This node's place, from 0.
    #[arg(long)]
    index: u16,
    /// How many nodes there are.
    #[arg(long)]
    nodes: u16,
    /// Port of node 0; the others follow, ten apart.
    #[arg(long)]
    base_port: u16,
    /// The data folder.
    #[arg(long)]
    data: PathBuf,
    /// From which all keys are derived.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Do not wait for the disk.
    #[arg(long)]
    no_sync: bool,
    /// Execute signed actions by the ledger of this genesis.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// Where in a transaction its label is.
    #[arg(long, default_value_t = 0)]
    label_at: usize,
    /// Do not encrypt gossip.
    #[arg(long)]
    no_encrypt: bool,
    /// Order by rounds, as published, instead of layers.
    #[arg(long)]
    classic: bool,
    /// Order as soon as one judge knows an event.
    #[arg(long)]
    direct: bool,
    /// Decide only by counted votes, also where enough first votes agree.
    #[arg(long)]
    no_unanimity: bool,
}

impl Opaque {
    fn ordering(&self) -> Ordering {
        Ordering {
            profile: if self.classic {
                Profile::Classic
            } else {
                Profile::Layered
            },
            order: if self.direct {
                OrderRule::Direct
            } else {
                OrderRule::Received
            },
            unanimity: !self.no_unanimity && !self.classic,
            ..Ordering::default()
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EffectName {
    Chain,
    Price,
    Machine,
    Log,
}

impl From<EffectName> for dctrl_node::EffectKind {
    fn from(name: EffectName) -> Self {
        match name {
            EffectName::Chain => Self::Chain,
            EffectName::Price => Self::Price,
            EffectName::Machine => Self::Machine,
            EffectName::Log => Self::Log,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr(arguments.log_json);
    if let Command::Db(db) = arguments.command {
        return db.run();
    }
    match perform(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            let known = error.downcast_ref().map(dctrl_node::exit::code);
            ExitCode::from(known.unwrap_or(dctrl_node::exit::OTHER))
        }
    }
}

/// An actor that does not stop would keep the process for ever: it is left
/// behind, with an exit code of its own.
fn ended(result: Result<(), RunError>) -> Result<(), RunError> {
    if let Err(error @ RunError::Unstopped(_)) = &result {
        tracing::error!("{error}");
        std::process::exit(UNSTOPPED.into());
    }
    result
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.init();
    }
}

/// Checks an event log and says what it holds.
fn verify_log(dir: &Path) -> anyhow::Result<()> {
    let verified = dctrl_effects::event_logger::verify(dir)
        .with_context(|| format!("the event log in {}", dir.display()))?;
    println!(
        "{} entries in {} segments are in order, up to height {}; last hash {}",
        verified.entries, verified.segments, verified.height, verified.hash
    );
    if verified.missing_blocks > 0 {
        println!(
            "{} blocks are missing, as the log itself says and why (topic _gap)",
            verified.missing_blocks
        );
    }
    if verified.torn_tail {
        println!("the last line has no end, as a power cut leaves it");
    }
    Ok(())
}

/// Runs a node; where a benchmark asks for it, hands in actions first.
async fn run_node(config: &Path, fill: Option<(u64, PathBuf)>) -> anyhow::Result<()> {
    let config = config::load(config)?;
    let result = match fill {
        Some((actions, key)) => run_filled(config, Fill { actions, key }, shutdown()).await,
        None => run(config, shutdown()).await,
    };
    Ok(ended(result)?)
}

#[tokio::main]
async fn perform(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run {
            config,
            fill,
            fill_key,
        } => run_node(&config, fill.zip(fill_key)).await?,
        Command::Fill {
            config,
            actions,
            key,
        } => {
            let height = fill_bulk(config::load(&config)?, Fill { actions, key }).await?;
            println!("filled, final at height {height}");
        }
        Command::Check { config } => {
            dctrl_node::check(&config::load(&config)?)?;
            println!("{} is in order", config.display());
        }
        Command::Vouch { config } => {
            let instance = dctrl_node::vouch(config::load(&config)?)?;
            println!("this disk speaks for the node now, as instance {instance}");
        }
        // It has an exit code of its own.
        Command::Db(_) => {}
        Command::CrashPoints => {
            for name in dctrl_node::crash::all() {
                println!("{name}");
            }
        }
        Command::Settings => print!("{}", dctrl_settings::document(config::SCHEMA)),
        Command::Effect { effect, config } => {
            ended(run_effect(effect.into(), config::load(&config)?, shutdown()).await)?;
        }
        Command::VerifyLog { dir } => verify_log(&dir)?,
        Command::Opaque(opaque) => {
            let config = OpaqueConfig {
                ordering: opaque.ordering(),
                index: opaque.index,
                nodes: opaque.nodes,
                base_port: opaque.base_port,
                data: opaque.data,
                genesis: opaque.genesis,
                label_at: opaque.label_at,
                seed: opaque.seed,
                sync: !opaque.no_sync,
                encrypted: !opaque.no_encrypt,
            };
            dctrl_node::opaque::run(config, shutdown()).await?;
        }
        Command::SimChain {
            listen,
            block_every_ms,
        } => {
            let block_every = block_every_ms.map(Duration::from_millis);
            dctrl_effects::chain::server::serve(listen, block_every, shutdown()).await?;
        }
    }
    Ok(())
}
