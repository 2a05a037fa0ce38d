//! Quotes that are refused before any payment is asked for.

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{MACHINE, Options, SLOT_EMPTY, SLOT_SATS};
use serde_json::Value;

use crate::stage::Stage;

/// Exit codes of `dctrl`, as its help documents them.
const REFUSED: i32 = 3;
const NOT_FOUND: i32 = 4;

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn an_empty_slot_and_an_unknown_machine_are_refused_without_an_address() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    for (machine, slot, exit, code) in [
        (MACHINE, SLOT_EMPTY, REFUSED, "PRECOND"),
        ("m999", SLOT_SATS, NOT_FOUND, "NOTFOUND"),
        (MACHINE, "Z9", NOT_FOUND, "NOTFOUND"),
    ] {
        let said = stage
            .cli()
            .run(&[
                "vend",
                "quote",
                "--machine",
                machine,
                "--slot",
                slot,
                "--json",
            ])
            .await?;
        ensure!(said.code == exit, "{machine} {slot}: {said:?}");
        // One object for programs; the sentence for people is on standard error.
        let report: Value = serde_json::from_str(said.out.trim())
            .with_context(|| format!("the error is no JSON: {said:?}"))?;
        ensure!(
            report["error"]["code"] == code,
            "{machine} {slot}: {report}"
        );
        ensure!(
            report["error"]["rule"]
                .as_str()
                .is_some_and(|rule| !rule.is_empty())
        );
        ensure!(
            !said.out.contains("bcrt1"),
            "an address was shown: {said:?}"
        );
    }
    ensure!(stage.client()?.vends(MACHINE).await?.is_empty());
    stage.end().await
}
