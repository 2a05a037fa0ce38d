//! How the demonstration ended.

use serde::Serialize;

use crate::chain::ChainKind;

/// The last line for machines. Its fields are the promised keys.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    /// Settled, broadcast once, and the books balance.
    pub(super) ok: bool,
    pub(super) chain: ChainKind,
    pub(super) txid: String,
    /// What each copayer signed with.
    pub(super) signers: Vec<String>,
    pub(super) confirmations: u32,
    /// Times that a backend took the transaction as new.
    pub(super) broadcasts: usize,
    pub(super) books_balanced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl Outcome {
    pub(super) fn failed(chain: ChainKind, error: &anyhow::Error) -> Self {
        Self {
            ok: false,
            chain,
            txid: String::new(),
            signers: Vec::new(),
            confirmations: 0,
            broadcasts: 0,
            books_balanced: false,
            reason: Some(format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_has_the_promised_keys() {
        let outcome = Outcome {
            ok: true,
            chain: ChainKind::Bitcoind,
            txid: "00ff".to_owned(),
            signers: vec!["dctrl".to_owned(), "electrum".to_owned()],
            confirmations: 6,
            broadcasts: 1,
            books_balanced: true,
            reason: None,
        };
        let text = serde_json::to_string(&outcome).expect("JSON");
        assert_eq!(
            text,
            "{\"ok\":true,\"chain\":\"bitcoind\",\"txid\":\"00ff\",\"signers\":[\"dctrl\",\
             \"electrum\"],\"confirmations\":6,\"broadcasts\":1,\"books_balanced\":true}"
        );
    }
}
