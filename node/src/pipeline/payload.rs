//! A block's transactions as the store keeps them: a `BlockPayload`, written
//! straight from the transactions' own memory.

use dctrl_consensus::Transaction;

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
