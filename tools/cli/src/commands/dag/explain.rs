//! `dctrl dag explain`

use std::path::PathBuf;

use clap::Args;
use dctrl_consensus::{
    Profile,
    explain::{self, Explained, Explanation, Graph, Relation},
};

use super::{RulesArgs, file, json::ExplanationJson, refused};
use crate::{failure::Failure, output::Output, table::Table};

/// What to explain.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The graph, as JSON or as a drawing in text; - for standard input
    file: PathBuf,
    /// Answer only whether A stands in a relation to B, with true or false; may
    /// be repeated. Relations: `ancestor` (B is A or an ancestor of A), `see`,
    /// `strongly_see`
    #[arg(long, num_args = 3, value_names = ["RELATION", "A", "B"])]
    query: Vec<String>,
    #[command(flatten)]
    rules: RulesArgs,
}

/// Runs `dctrl dag explain`.
///
/// # Errors
/// Where the file cannot be read, or the graph is refused.
pub(super) fn run(json: bool, args: &ExplainArgs) -> Result<(), Failure> {
    let relations = relations(&args.query)?;
    let mut graph = file::read(&args.file)?;
    args.rules.apply(&mut graph);
    let explained = explain::explain(&graph).map_err(|error| refused(&error))?;
    let mut out = Output::stdout(json);
    if relations.is_empty() {
        let shown = ExplanationJson {
            graph: &graph,
            explanation: explained.explanation(),
        };
        return out.show(&shown, |shown| human(shown.graph, shown.explanation));
    }
    for (relation, a, b) in relations {
        answer(&mut out, &explained, relation, a, b)?;
    }
    Ok(())
}

/// The questions asked, three words each.
fn relations(words: &[String]) -> Result<Vec<(Relation, &str, &str)>, Failure> {
    let question = |words: &'_ [String]| match words {
        [relation, ..] => match relation.as_str() {
            "ancestor" => Ok(Relation::Ancestor),
            "see" => Ok(Relation::See),
            "strongly_see" | "strongly-see" => Ok(Relation::StronglySee),
            other => Err(Failure::usage(
                "graph.query",
                format!("{other:?} is none of ancestor, see and strongly_see"),
            )),
        },
        [] => Err(Failure::usage("graph.query", "a query has three words")),
    };
    words
        .chunks(3)
        .map(|words| Ok((question(words)?, words[1].as_str(), words[2].as_str())))
        .collect()
}

fn answer(
    out: &mut Output,
    explained: &Explained,
    relation: Relation,
    a: &str,
    b: &str,
) -> Result<(), Failure> {
    let holds = explained
        .holds(relation, a, b)
        .map_err(|error| refused(&error))?;
    out.show(&holds, |holds| format!("{holds}\n"))
}

fn human(graph: &Graph, explanation: &Explanation) -> String {
    let level = match explanation.profile {
        Profile::Classic => "ROUND",
        Profile::Layered => "LAYER",
    };
    let mut table = Table::new(&[
        "EVENT",
        ">CREATOR",
        &format!(">{level}"),
        "WITNESS",
        "FAMOUS",
        ">RECEIVED",
        ">LAMPORT",
        ">ORDER",
        "FORKS",
    ]);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for (event, decided) in graph.events.iter().zip(&explanation.events) {
        let fame = match decided.famous {
            Some(true) => "yes",
            Some(false) => "no",
            None if decided.witness => "undecided",
            None => "",
        };
        let forks: Vec<String> = decided
            .forked_creators_seen
            .iter()
            .map(|creator| format!("knows {creator}'s"))
            .chain(decided.twin.then(|| "is a twin".to_owned()))
            .collect();
        table.row([
            event.id.clone(),
            event.creator.to_string(),
            decided.level.to_string(),
            if decided.witness { "yes" } else { "" }.to_owned(),
            fame.to_owned(),
            number(decided.received),
            decided.lamport.to_string(),
            number(decided.order),
            forks.join(", "),
        ]);
    }
    let mut text = table.to_string();
    let level = level.to_lowercase();
    for judges in &explanation.judges {
        let names = judges.events.join(" ");
        text += &format!("{level} {} judged by {names}\n", judges.level);
    }
    for block in &explanation.blocks {
        text += &format!(
            "block {} of {level} {} at {} ms: {}\n",
            block.index,
            block.received,
            block.timestamp_ms,
            block.transactions.join(" "),
        );
    }
    text
}
