//! `dctrl dag draw`

use std::path::PathBuf;

use clap::Args;
use dctrl_consensus::explain::{self, Explanation, Graph, draw_svg, draw_text_explained};

use super::{RulesArgs, file, json::GraphJson, refused};
use crate::{args::Global, failure::Failure, output::Output};

/// What to draw, and how.
#[derive(Args, Clone, Debug)]
pub struct DrawArgs {
    /// The graph, as JSON or as a drawing in text; - for standard input
    file: PathBuf,
    /// Where the drawing goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw as text, in the notation that both commands read
    #[arg(long)]
    text: bool,
    #[command(flatten)]
    rules: RulesArgs,
}

/// Runs `dctrl dag draw`. With `--json` the graph itself is printed.
///
/// # Errors
/// Where the graph is refused, or a file cannot be used.
pub(super) async fn run(global: &Global, args: &DrawArgs) -> Result<(), Failure> {
    let mut graph = file::read(&args.file)?;
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
