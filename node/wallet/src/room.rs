//! How many coins one transaction of a wallet may spend: so many that its PSBT
//! (BIP-174) with the signatures of all copayers goes into one action. The more
//! keys the wallet has, the fewer they are.
//!
//! A field of a PSBT is the length of its key, the key's type, what the key says
//! more, the length of the value, and the value; an empty key ends each map.
//! Each input brings
//!
//! - its place in the unsigned transaction,
//! - the output that it spends, the sighash type and the witness script, once,
//! - for each key of the wallet its derivation and its signature.
//!
//! What is left of [`SIGNED_BYTES_MAX`] when [`RECIPIENTS_MAX`] outputs and the
//! change are counted goes to inputs.

use crate::{Key, Wallet, size};

/// Most inputs of a transaction, however few keys the wallet has: each costs
/// every node a row of its state and every signer its time.
pub const INPUTS_MAX: usize = 100;
/// Recipients of one payout: few, so that no child of one can pin it.
pub const RECIPIENTS_MAX: usize = 20;
/// Longest PSBT with all its signatures, bytes: an action may have 64 KiB, and
/// what is around the PSBT there takes less than 512 bytes.
pub const SIGNED_BYTES_MAX: u64 = 64 * 1024 - 512;

/// Magic bytes, the unsigned transaction's key and length, and the end of the map.
const HEAD_BYTES: u64 = 5 + 2 + 3 + 1;
/// Longest script of an address: a witness program of 40 bytes (BIP-141).
const RECIPIENT_SCRIPT_BYTES: u64 = 2 + 40;
/// A recipient's output, and its empty map.
const RECIPIENT_BYTES: u64 = 8 + 1 + RECIPIENT_SCRIPT_BYTES + 1;
/// A public key.
const KEY_BYTES: u64 = 33;
/// A sighash type.
const SIGHASH_BYTES: u64 = 4;
/// The steps below an account: chain and index.
const STEPS: u64 = 2;

impl Wallet {
    /// Most inputs of one of its transactions.
    #[must_use]
    pub fn inputs_max(&self) -> usize {
        let left = SIGNED_BYTES_MAX.saturating_sub(frame_bytes(self));
        let fit = usize::try_from(left / input_bytes(self));
        fit.map_or(INPUTS_MAX, |fit| fit.min(INPUTS_MAX))
    }
}

/// One copayer's signatures of so many inputs.
pub(crate) fn signatures_bytes(inputs: usize) -> u64 {
    inputs as u64 * field_bytes(KEY_BYTES, size::SIGNATURE_BYTES)
}

/// All but the inputs: a full list of recipients, and the change.
fn frame_bytes(wallet: &Wallet) -> u64 {
    let recipients = RECIPIENTS_MAX as u64 * RECIPIENT_BYTES;
    let change = size::CHANGE_BYTES + described_bytes(wallet) + 1;
    HEAD_BYTES + size::FRAME_BYTES + recipients + change
}

/// One input with the signatures of all copayers.
fn input_bytes(wallet: &Wallet) -> u64 {
    let spent = field_bytes(0, size::CHANGE_BYTES);
    let sighash = field_bytes(0, SIGHASH_BYTES);
    let signatures = wallet.keys().len() as u64 * signatures_bytes(1);
    size::INPUT_BYTES + spent + sighash + described_bytes(wallet) + signatures + 1
}

/// What is said of an address: its witness script, and the way to each key.
fn described_bytes(wallet: &Wallet) -> u64 {
    let number = |value: usize| if value > 16 { 2 } else { 1 };
    let (keys, threshold) = (wallet.keys(), wallet.threshold());
    // m, the keys, n and OP_CHECKMULTISIG.
    let script = number(threshold) + keys.len() as u64 * (1 + KEY_BYTES) + number(keys.len()) + 1;
    let derivation = |key: &Key| field_bytes(KEY_BYTES, 4 + 4 * (key.path.len() as u64 + STEPS));
    field_bytes(0, script) + keys.iter().map(derivation).sum::<u64>()
}

/// A field whose key says `key` bytes behind its type.
fn field_bytes(key: u64, value: u64) -> u64 {
    let length = if value < 0xfd { 1 } else { 3 };
    1 + 1 + key + length + value
}
