//! How large a transaction of the wallet becomes, and what that costs.
//!
//! Sizes are upper bounds: a signature is counted with 72 bytes, its longest
//! form under the low-S rule with its sighash type.

use bitcoin::Script;

use crate::Wallet;

/// Below this an output is not worth its space: Bitcoin Core's limit for
/// P2WSH at its usual dust rate.
pub const DUST_SATS: u64 = 330;
/// Bytes of a DER signature with its type, at most.
pub(crate) const SIGNATURE_BYTES: u64 = 72;
/// Version, lock time and the counts of inputs and outputs.
pub(crate) const FRAME_BYTES: u64 = 4 + 4 + 3 + 3;
/// Marker and flag.
const SEGWIT_WEIGHT: u64 = 2;
/// Outpoint, empty script and sequence number.
pub(crate) const INPUT_BYTES: u64 = 36 + 1 + 4;
/// Length prefix and script of a P2WSH output, and its amount.
pub(crate) const CHANGE_BYTES: u64 = 8 + 1 + 34;

/// The sizes of the parts of one wallet's transactions, in weight units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    input: u64,
}

impl Sizes {
    pub(crate) fn of(wallet: &Wallet) -> Self {
        let keys = wallet.keys().len() as u64;
        let signatures = wallet.threshold() as u64;
        // m, the keys, n and OP_CHECKMULTISIG; numbers above 16 take two bytes.
        let script = 2 + keys * 34 + 2 + 1;
        // Count, the empty element, the signatures, the script's length, it.
        let witness = 1 + 1 + signatures * (1 + SIGNATURE_BYTES) + 3 + script;
        Self {
            input: INPUT_BYTES * 4 + witness,
        }
    }

    /// Of a transaction with so many inputs and these scripts as outputs.
    pub(crate) fn weight<'s>(
        self,
        inputs: usize,
        scripts: impl Iterator<Item = &'s Script>,
        change: bool,
    ) -> u64 {
        let outputs: u64 = scripts.map(|script| output_bytes(script) * 4).sum();
        let change = if change { CHANGE_BYTES * 4 } else { 0 };
        FRAME_BYTES * 4 + SEGWIT_WEIGHT + self.input * inputs as u64 + outputs + change
    }

    /// What one input adds to the fee.
    pub(crate) fn input_fee(self, rate: u64) -> u64 {
        weight_fee(self.input, rate)
    }

    /// What change costs: its output now, and its input later.
    pub(crate) fn change_cost(self, rate: u64) -> u64 {
        weight_fee(CHANGE_BYTES * 4, rate).saturating_add(self.input_fee(rate))
    }
}

fn output_bytes(script: &Script) -> u64 {
    8 + 1 + script.len() as u64
}

/// Virtual bytes of so much weight.
pub(crate) fn virtual_size(weight: u64) -> u64 {
    weight.div_ceil(4)
}

fn weight_fee(weight: u64, rate: u64) -> u64 {
    fee_sats(virtual_size(weight), rate)
}

/// The fee of so many virtual bytes at a rate in satoshi for 1000 of them,
/// rounded up.
#[must_use]
pub fn fee_sats(virtual_size: u64, rate: u64) -> u64 {
    virtual_size.saturating_mul(rate).div_ceil(1000)
}
