//! What became of every case.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What became of one damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was refused or named.
    Detected,
    /// Everything that is read is as before, and work goes on.
    Harmless,
    /// An earlier state was opened as if it were the present one.
    SetBack,
    /// Something else was taken for good.
    Served,
}

#[derive(Default)]
struct Row {
    cases: u64,
    detected: u64,
    healed: u64,
    harmless: u64,
    set_back: u64,
    served: u64,
}

/// By the type of the file.
#[derive(Default)]
pub(crate) struct Tally {
    rows: BTreeMap<&'static str, Row>,
    pub(crate) complaints: Vec<String>,
}

/// Why damage to a file of this type may change nothing.
fn reason(kind: &str) -> &'static str {
    match kind {
        "journal" => "bytes behind the last entry, or whose changes the database holds",
        "journal-tip" => "the journal is whole; the note is written again",
        "database-identity" | "database-options" => "nothing reads it",
        "database-log" => "it is empty, or its rows are in the database's files",
        "database-manifest" | "database-table" => "bytes that no row and no index needs",
        "database-current" => "it names the same file",
        "seal" => "bytes that no row needs, or a list that is made again",
        "mark" | "guard" => "it says the same",
        "effects-events" => "lines are missing at its end, and asked for again",
        "effects-alerts" => "lines are missing at its end; what is open is told anew",
        "effects-cursor" => "it is older or missing, so more blocks are looked through",
        "effects-rosters" => "it is missing, and its steps are asked for again",
        "effects-places" => "it is missing, and learned again",
        _ => "the newer file holds everything",
    }
}

impl Tally {
    pub(crate) fn add(&mut self, kind: &'static str, verdict: Verdict, healed: bool, what: &str) {
        let row = self.rows.entry(kind).or_default();
        row.cases += 1;
        match verdict {
            Verdict::Detected => row.detected += 1,
            Verdict::Harmless => row.harmless += 1,
            Verdict::SetBack => row.set_back += 1,
            Verdict::Served => row.served += 1,
        }
        row.healed += u64::from(healed && verdict == Verdict::Detected);
        if !healed || matches!(verdict, Verdict::SetBack | Verdict::Served) {
            self.complaints
                .push(format!("{kind}: {verdict:?}, healed {healed}: {what}"));
        }
    }

    pub(crate) fn json(&self, seed: u64) -> Value {
        let sum = |of: fn(&Row) -> u64| self.rows.values().map(of).sum::<u64>();
        let by_type = self.rows.iter().map(|(kind, row)| {
            let mut value = json!({
                "cases": row.cases,
                "detected": row.detected,
                "healed": row.healed,
                "harmless": row.harmless,
                "set_back": row.set_back,
                "served": row.served,
            });
            if row.harmless > 0 {
                value["harmless_because"] = json!(reason(kind));
            }
            ((*kind).to_owned(), value)
        });
        json!({
            "cases": sum(|row| row.cases),
            "seed": seed,
            "detected": sum(|row| row.detected),
            "healed": sum(|row| row.healed),
            "harmless": sum(|row| row.harmless),
            "set_back": sum(|row| row.set_back),
            "served": sum(|row| row.served),
            "by_type": by_type.collect::<serde_json::Map<_, _>>(),
        })
    }
}
