//! `dctrl dag`: what consensus makes of a graph of events.
//!
//! Files are read and results written here; what they mean, and every
//! decision, is the consensus crate's own.

mod draw;
mod explain;
mod file;
mod json;
mod node;

pub use draw::DrawArgs;
pub use explain::ExplainArgs;

use clap::{Args, Subcommand, ValueEnum};
use dctrl_consensus::{
    OrderRule, Profile,
    explain::{Graph, GraphError},
};
use dctrl_proto::v1::{Refusal, RefusalCode};

use crate::{args::Global, failure::Failure};

/// Graphs of events: what consensus decides about them, and pictures of them.
#[derive(Debug, Subcommand)]
pub enum DagCommand {
    /// What this consensus core decides about each event of a graph
    Explain(ExplainArgs),
    /// Draw a graph, or the recent events of a running node, as SVG or text
    Draw(DrawArgs),
}

/// Rules to read a graph by, instead of those that it names itself.
#[derive(Args, Clone, Debug, Default)]
pub struct RulesArgs {
    /// Elect by rounds or by layers [default: as the graph says, else classic]
    #[arg(long, value_enum)]
    profile: Option<ProfileArg>,
    /// Order fairly or fast [default: as the graph says, else received]
    #[arg(long, value_enum)]
    order: Option<OrderArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProfileArg {
    /// The published hashgraph: rounds by strongly seeing
    Classic,
    /// One election a layer
    Layered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OrderArg {
    /// When all judges of a round know an event
    Received,
    /// When one judge knows an event
    Direct,
}

impl RulesArgs {
    fn any(&self) -> bool {
        self.profile.is_some() || self.order.is_some()
    }

    fn apply(&self, graph: &mut Graph) {
        let ordering = &mut graph.variant.ordering;
        match self.profile {
            None => {}
            Some(ProfileArg::Classic) => ordering.profile = Profile::Classic,
            Some(ProfileArg::Layered) => ordering.profile = Profile::Layered,
        }
        match self.order {
            None => {}
            Some(OrderArg::Received) => ordering.order = OrderRule::Received,
            Some(OrderArg::Direct) => ordering.order = OrderRule::Direct,
        }
    }
}

/// Runs `dctrl dag …`.
///
/// # Errors
/// Where the graph is refused, a file cannot be used, or no node answers.
pub async fn run(global: &Global, command: DagCommand) -> Result<(), Failure> {
    match command {
        DagCommand::Explain(args) => explain::run(global.json, &args),
        DagCommand::Draw(args) => draw::run(global, &args).await,
    }
}

/// A graph that the core refuses, with the event at fault as the field.
fn refused(error: &GraphError) -> Failure {
    let code = match error {
        GraphError::NotThere(_) => RefusalCode::Notfound,
        _ => RefusalCode::Invalid,
    };
    let event = error.event().unwrap_or_default();
    Failure::Refused(Refusal::field(code, error.rule(), event, error.to_string()))
}
