//! All rows of the benchmark's table, one federation after the other.

use anyhow::Result;

use super::{Arguments, Rate, Switch, measure, outcome::Outcome};
use crate::{programs::Programs, story::Story};

/// Loads far below the maximum, transactions a second; 0 is an idle federation.
const RATES: [f64; 5] = [0.0, 1.0, 100.0, 1_000.0, 10_000.0];

/// Loads around the maximum, as shares of it.
const SHARES: [(f64, &str); 3] = [
    (0.5, "half of the maximum"),
    (0.9, "90 % of the maximum"),
    (2.0, "twice the maximum"),
];

const HEAD: &str = "| load | offered tx/s | committed tx/s | p50 ms | p90 ms | p99 ms | max ms | \
    final p50 ms | CPU us/tx/node | wire B/tx/node | disk B/tx/node | % of a core/node | \
    wire B/s/node | RSS MB, all | refused |\n\
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

/// Measures and prints every row.
///
/// # Errors
/// Where a run fails.
pub(super) fn measure_all(
    arguments: &Arguments,
    programs: &Programs,
    story: &mut Story,
) -> Result<()> {
    let mut rows = Vec::new();
    let mut run = |name: &str, arguments: &Arguments| -> Result<Outcome> {
        let outcome = measure(arguments, programs, story)?;
        let row = row(name, &outcome);
        story.tell(&row);
        rows.push(row);
        Ok(outcome)
    };
    let at = |rate: f64| Arguments {
        rate: Rate::Fixed(rate),
        ..arguments.clone()
    };
    let max = Arguments {
        rate: Rate::Max,
        ..arguments.clone()
    };
    for rate in RATES {
        let name = if rate > 0.0 { "far below" } else { "idle" };
        run(name, &at(rate))?;
    }
    let best = run("maximum", &max)?.committed_tx_per_s();
    for (share, name) in SHARES {
        run(name, &at(best * share))?;
    }
    let unsynced = Arguments {
        sync: Switch::Off,
        ..max.clone()
    };
    run("maximum, not synced", &unsynced)?;
    let open = Arguments {
        encrypt: Switch::Off,
        ..max
    };
    run("maximum, not encrypted", &open)?;
    println!("{HEAD}");
    rows.iter().for_each(|row| println!("{row}"));
    Ok(())
}

fn row(name: &str, outcome: &Outcome) -> String {
    let json = outcome.json();
    let number = |key: &str| json[key].as_f64().unwrap_or(0.0);
    let cells = [
        format!("{:.0}", number("offered_tx_per_s")),
        format!("{:.0}", number("committed_tx_per_s")),
        format!("{:.2}", number("p50_ms")),
        format!("{:.2}", number("p90_ms")),
        format!("{:.2}", number("p99_ms")),
        format!("{:.2}", number("max_ms")),
        format!("{:.2}", number("final_p50_ms")),
        format!("{:.2}", number("cpu_us_per_tx_node")),
        format!("{:.0}", number("wire_bytes_per_tx_node")),
        format!("{:.0}", number("disk_bytes_per_tx_node")),
        format!("{:.2}", number("cpu_share_per_node") * 100.0),
        format!("{:.0}", number("wire_bytes_per_s_node")),
        format!("{:.0}", number("rss_mb_total")),
        format!("{:.0}", number("refused_tx")),
    ];
    format!("| {name} | {} |", cells.join(" | "))
}
