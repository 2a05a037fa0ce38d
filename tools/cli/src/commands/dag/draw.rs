//! `dctrl dag draw`

use std::path::PathBuf;

use clap::Args;
use dctrl_consensus::explain::{self, Explanation, Graph, draw_svg, draw_text_explained};

use super::{RulesArgs, file, json::GraphJson, node, refused};
use crate::{args::Global, context::Context, failure::Failure, output::Output};

/// What to draw, and how.
#[derive(Args, Clone, Debug)]
pub struct DrawArgs {
    /// The graph, as JSON or as a drawing in text; - for standard input
    /// [default: the latest events of a node]
    file: Option<PathBuf>,
    /// Where the drawing goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw as text, in the notation that both commands read
    #[arg(long)]
    text: bool,
    /// How many of a node's latest events to draw
    #[arg(
        long,
        value_name = "EVENTS",
        default_value = "200",
        conflicts_with = "file",
        value_parser = clap::value_parser!(u32).range(1..=2000)
    )]
    last: u32,
    #[command(flatten)]
    rules: RulesArgs,
}

/// Runs `dctrl dag draw`. With `--json` the graph itself is printed.
///
/// # Errors
/// Where the graph is refused, a file cannot be used, or no node answers.
pub(super) async fn run(global: &Global, args: &DrawArgs) -> Result<(), Failure> {
    let Some(file) = &args.file else {
        if args.rules.any() {
            return Err(Failure::usage(
                "graph.rules",
                "a node has decided by its own rules; save its graph with --json to try others",
            ));
        }
        let context = Context::new(global)?;
        let (graph, explanation) = node::latest(&context, args.last).await?;
        return draw(global.json, args, &graph, &explanation);
    };
    let mut graph = file::read(file)?;
    args.rules.apply(&mut graph);
    let explained = explain::explain(&graph).map_err(|error| refused(&error))?;
    draw(global.json, args, &graph, explained.explanation())
}

fn draw(
    json: bool,
    args: &DrawArgs,
    graph: &Graph,
    explanation: &Explanation,
) -> Result<(), Failure> {
    let drawing = if json {
        serde_json::to_string(&GraphJson::from(graph)).map_err(anyhow::Error::from)? + "\n"
    } else if args.text {
        draw_text_explained(graph, explanation)
    } else {
        draw_svg(graph, explanation)
    };
    match &args.out {
        Some(out) => file::write(out, &drawing),
        None => Output::stdout(false).show(&drawing, String::clone),
    }
}
