//! How the demonstration ended.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::Arguments;
use crate::chain::ChainKind;

/// What was seen at the end. Its fields, in this order, are the promised keys.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    pub(super) nodes: u16,
    #[serde(skip)]
    pub(super) live: usize,
    pub(super) chain: ChainKind,
    /// As the proto calls it, in the words of the screen.
    pub(super) vend_state: String,
    pub(super) pulses: usize,
    pub(super) state_digests_equal: bool,
    /// From the chain's answer to the payment until the pin was high,
    /// milliseconds; none where there was no pulse.
    pub(super) payment_to_pulse_ms: Option<u64>,
    /// Height at which the digests were compared.
    pub(super) height: u64,
}

/// The last line for machines.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

impl Outcome {
    /// Whether the promise was kept: dispensed exactly once, and everybody agrees.
    pub(super) fn ok(&self) -> bool {
        self.vend_state == "Dispensed" && self.pulses == 1 && self.state_digests_equal
    }

    pub(super) fn json(&self) -> impl Serialize {
        Report {
            ok: self.ok(),
            outcome: self,
        }
    }

    pub(super) fn describe(&self) -> String {
        let time = self.payment_to_pulse_ms.map_or_else(
            || "never".to_owned(),
            |ms| format!("{ms} ms after the payment"),
        );
        let digests = if self.state_digests_equal {
            "equal on all"
        } else {
            "NOT equal on the"
        };
        format!(
            "vend           {}\npin            {} pulse(s), {time}\nstate digests  {digests} {} \
             running nodes at height {}\n{}",
            self.vend_state,
            self.pulses,
            self.live,
            self.height,
            if self.ok() { "ok" } else { "NOT ok" }
        )
    }

    pub(super) fn failed_before_start(arguments: &Arguments, error: &anyhow::Error) -> Value {
        Self::failed(arguments, error, &[])
    }

    pub(super) fn failed(arguments: &Arguments, error: &anyhow::Error, logs: &[PathBuf]) -> Value {
        json!({
            "ok": false,
            "nodes": arguments.nodes,
            "chain": arguments.chain,
            "reason": format!("{error:#}"),
            "logs": logs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            nodes: 4,
            live: 4,
            chain: ChainKind::Simulated,
            vend_state: "Dispensed".to_owned(),
            pulses: 1,
            state_digests_equal: true,
            payment_to_pulse_ms: Some(812),
            height: 17,
        }
    }

    #[test]
    fn the_result_has_the_promised_keys() {
        let text = serde_json::to_string(&outcome().json()).expect("JSON");
        assert_eq!(
            text,
            "{\"ok\":true,\"nodes\":4,\"chain\":\"sim\",\"vend_state\":\"Dispensed\",\"pulses\":1,\
             \"state_digests_equal\":true,\"payment_to_pulse_ms\":812,\"height\":17}"
        );
    }

    #[test]
    fn two_pulses_or_differing_digests_are_never_ok() {
        assert!(
            !Outcome {
                pulses: 2,
                ..outcome()
            }
            .ok()
        );
        assert!(
            !Outcome {
                pulses: 0,
                ..outcome()
            }
            .ok()
        );
        assert!(
            !Outcome {
                state_digests_equal: false,
                ..outcome()
            }
            .ok()
        );
        assert!(
            !Outcome {
                vend_state: "Uncertain".to_owned(),
                ..outcome()
            }
            .ok()
        );
    }
}
