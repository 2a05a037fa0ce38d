//! What a refusal of a transaction means. Codes are those of bitcoind's
//! `rpc/protocol.h`, words those of its `validation.cpp`, which servers in front
//! of a bitcoind pass on.

use super::{ChainError, Sent};

/// "Transaction already in block chain", "… outputs already in utxo set".
const ALREADY_IN_CHAIN: i64 = -27;
/// "Inputs missing or spent."
const MISSING_INPUTS: i64 = -25;
const KNOWN: [&str; 4] = [
    "txn-already-in-mempool",
    "txn-already-known",
    "already in block chain",
    "already in utxo set",
];
const CONFLICT: [&str; 4] = [
    "missingorspent",
    "missing-inputs",
    "txn-mempool-conflict",
    "insufficient fee",
];

/// Sorts a refusal; `code` is 0 where only words are known.
pub(super) fn judge(what: &'static str, code: i64, message: String) -> Result<Sent, ChainError> {
    let says = |words: &[&str]| words.iter().any(|one| message.contains(one));
    if code == ALREADY_IN_CHAIN || says(&KNOWN) {
        Ok(Sent::Known)
    } else if code == MISSING_INPUTS || says(&CONFLICT) {
        Ok(Sent::Conflict(message))
    } else {
        Err(ChainError::Refused {
            what,
            code,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_transaction_is_success_and_a_spent_coin_is_a_conflict() {
        let judged = |code, message: &str| judge("send", code, message.to_owned());
        assert_eq!(judged(-27, "anything"), Ok(Sent::Known));
        assert_eq!(judged(0, "x: txn-already-in-mempool"), Ok(Sent::Known));
        assert!(matches!(judged(-25, "?"), Ok(Sent::Conflict(_))));
        let spent = judged(0, "{-25: bad-txns-inputs-missingorspent}");
        assert!(matches!(spent, Ok(Sent::Conflict(_))));
        assert!(matches!(
            judged(-26, "dust"),
            Err(ChainError::Refused { .. })
        ));
    }
}
