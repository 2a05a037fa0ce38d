//! A block's transactions as the store keeps them: a `BlockPayload`, written
//! straight from the transactions' own memory.

use dctrl_consensus::{Block, Transaction};
use dctrl_store::Part;

/// Field 1, length-delimited.
const TRANSACTION_TAG: u8 = 0x0A;

/// The longest varint of a length.
const VARINT_BYTES_MAX: usize = 10;

/// The encoding of `BlockPayload` with these transactions.
pub(super) fn encode(transactions: &[Transaction]) -> Vec<u8> {
    let bytes: usize = transactions
        .iter()
        .map(|transaction| 1 + VARINT_BYTES_MAX + transaction.bytes.len())
        .sum();
    let mut encoded = Vec::with_capacity(bytes);
    for transaction in transactions {
        encoded.push(TRANSACTION_TAG);
        prost::encoding::encode_varint(transaction.bytes.len() as u64, &mut encoded);
        encoded.extend_from_slice(&transaction.bytes);
    }
    encoded
}

/// The records that hold the block's transactions, and how many of their last
/// bytes: each transaction stands there behind four bytes of length.
pub(super) fn parts(block: &Block) -> Vec<Part> {
    let mut rest = block.transactions.as_slice();
    let part = |piece: &dctrl_consensus::Piece| {
        let (own, others) = rest.split_at(piece.transactions.min(rest.len()));
        rest = others;
        Part {
            record: piece.record,
            bytes: own.iter().map(|it| 4 + it.bytes.len()).sum(),
        }
    };
    block.pieces.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dctrl_proto::v1::BlockPayload;
    use prost::Message;

    use super::*;

    #[test]
    fn it_is_what_the_wire_format_says() {
        let lengths = [1, 127, 128, 20_000];
        let transactions = lengths.map(|length| Transaction {
            bytes: Bytes::from(vec![7; length]),
            origin: None,
        });
        let decoded = BlockPayload::decode(encode(&transactions).as_slice()).expect("decodes");
        let found: Vec<usize> = decoded.transactions.iter().map(Vec::len).collect();
        assert_eq!(found, lengths);
    }
}
