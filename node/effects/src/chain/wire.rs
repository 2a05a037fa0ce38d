//! The simulated chain's messages and the types of this room.

use dctrl_proto::v1::{self, sim_notice::Notice as Wire};

use super::{
    Block, ChainError, Hash, Output, Tip, Transaction,
    model::{self, Event, Notice},
};

pub(super) fn tip(tip: Tip) -> v1::SimTip {
    v1::SimTip {
        height: tip.height,
        hash: tip.hash.0.to_vec(),
        genesis_hash: model::genesis_hash().0.to_vec(),
    }
}

pub(super) fn block(block: &Block) -> v1::SimBlock {
    v1::SimBlock {
        height: block.height,
        hash: block.hash.0.to_vec(),
        previous_hash: block.previous.0.to_vec(),
        transactions: block.transactions.iter().map(transaction).collect(),
    }
}

pub(super) fn transaction(transaction: &Transaction) -> v1::SimTransaction {
    let outputs = transaction.outputs.iter().map(|output| v1::SimOutput {
        script_pubkey: output.script.clone(),
        amount_sats: output.amount_sats,
    });
    let inputs = transaction.inputs.iter().map(|(txid, vout)| v1::Outpoint {
        txid: txid.0.to_vec(),
        vout: *vout,
    });
    v1::SimTransaction {
        txid: transaction.txid.0.to_vec(),
        outputs: outputs.collect(),
        inputs: inputs.collect(),
    }
}

pub(super) fn notice(notice: &Notice) -> v1::SimNotice {
    let event = match &notice.event {
        Event::Added(added) => Wire::Added(transaction(added)),
        Event::Removed(txid) => Wire::RemovedTxid(txid.0.to_vec()),
        Event::Connected(block) => Wire::Block(tip(*block)),
        Event::Disconnected(block) => Wire::Disconnected(tip(*block)),
    };
    v1::SimNotice {
        sequence: notice.sequence,
        notice: Some(event),
    }
}

pub(super) fn read_hash(what: &'static str, bytes: &[u8]) -> Result<Hash, ChainError> {
    Hash::from_slice(bytes).ok_or_else(|| ChainError::Malformed {
        what,
        detail: format!("a hash of {} bytes", bytes.len()),
    })
}

pub(super) fn read_transaction(
    what: &'static str,
    transaction: v1::SimTransaction,
) -> Result<Transaction, ChainError> {
    let outputs = (0..).zip(transaction.outputs);
    let inputs = transaction.inputs.into_iter();
    Ok(Transaction {
        inputs: inputs
            .map(|one| Ok((read_hash(what, &one.txid)?, one.vout)))
            .collect::<Result<_, ChainError>>()?,
        txid: read_hash(what, &transaction.txid)?,
        coinbase: false,
        outputs: outputs
            .map(|(vout, output)| Output {
                vout,
                script: output.script_pubkey,
                amount_sats: output.amount_sats,
            })
            .collect(),
    })
}

pub(super) fn read_block(what: &'static str, block: v1::SimBlock) -> Result<Block, ChainError> {
    let transactions = block.transactions.into_iter();
    Ok(Block {
        height: block.height,
        hash: read_hash(what, &block.hash)?,
        previous: read_hash(what, &block.previous_hash)?,
        transactions: transactions
            .map(|one| read_transaction(what, one))
            .collect::<Result<_, _>>()?,
    })
}
