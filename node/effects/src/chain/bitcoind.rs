//! A real bitcoind as a backend: JSON-RPC for the truth, ZeroMQ for hints.
//!
//! Only calls that a pruned node without transaction index answers are used.

mod hints;
mod transport;

use std::collections::BTreeSet;

use bitcoin::{block::BlockHash, consensus::encode};
use bitcoincore_rpc::{Client, RpcApi, jsonrpc};
use dctrl_proto::v1::PaymentDoubts;
use serde::Deserialize;
use serde_json::{Value, json};

pub use hints::BitcoindHints;
pub use transport::Credentials;
use transport::{Transport, TransportError};

use super::{
    Block, ChainError, ChainSource, Hash, Hints, Output, Sent, Tip, Transaction,
    client::{self, found},
    sent,
};
use crate::price::minor_units;

/// Transactions that hang together in the mempool; with more, a payment can be
/// kept from being confirmed cheaply.
const CHAIN_MAX: u64 = 5;
/// Headers that may be ahead of blocks for a moment while a block arrives.
const LAG_BLOCKS_MAX: u64 = 2;

/// JSON-RPC's code for a method that there is not.
const METHOD_NOT_FOUND: i64 = -32_601;

/// Where bitcoind is and how it knows us.
#[derive(Clone, Debug)]
pub struct BitcoindConfig {
    /// The setting that holds what follows, such as `chain.backend[1]`.
    pub key: String,
    /// Of the RPC server, such as `http://127.0.0.1:8332`.
    pub url: String,
    /// Cookie file, or user and password.
    pub credentials: Credentials,
    /// Endpoint of `-zmqpubrawtx`, where given.
    pub zmq_rawtx: Option<String>,
    /// Endpoint of `-zmqpubhashblock`, where given.
    pub zmq_hashblock: Option<String>,
    /// Endpoint of `-zmqpubsequence`, where given.
    pub zmq_sequence: Option<String>,
}

/// A client of one bitcoind.
#[derive(Debug)]
pub struct Bitcoind {
    config: BitcoindConfig,
    client: Client,
}

#[derive(Deserialize)]
struct ChainInfo {
    chain: String,
    blocks: u64,
    headers: u64,
    bestblockhash: BlockHash,
    initialblockdownload: bool,
}

/// Both counts include the transaction itself.
#[derive(Deserialize)]
struct MempoolEntry {
    ancestorcount: u64,
    descendantcount: u64,
}

impl MempoolEntry {
    /// bitcoind keeps nothing in its mempool that is not final for the next
    /// block, so that a lock time never speaks against what is there.
    fn doubts(&self) -> PaymentDoubts {
        let chain = self.ancestorcount.saturating_add(self.descendantcount);
        PaymentDoubts {
            unconfirmed_parent: self.ancestorcount > 1,
            long_chain: chain > CHAIN_MAX + 1,
            not_final: false,
        }
    }
}

impl Bitcoind {
    pub(super) fn new(config: &BitcoindConfig) -> Result<Self, ChainError> {
        let transport = Transport::new(&config.key, &config.url, config.credentials.clone())?;
        let client = jsonrpc::Client::with_transport(transport);
        Ok(Self {
            config: config.clone(),
            client: Client::from_jsonrpc(client),
        })
    }

    fn header(&self, hash: Hash) -> Result<(), ChainError> {
        let header: Result<Value, _> = self.call("getblockheader", &[json!(hash.to_string())]);
        header.map(|_| ())
    }

    fn mempool_entry(&self, txid: Hash) -> Result<PaymentDoubts, ChainError> {
        let entry: MempoolEntry = self.call("getmempoolentry", &[json!(txid.to_string())])?;
        Ok(entry.doubts())
    }

    fn transaction(&self, txid: Hash) -> Result<Transaction, ChainError> {
        let hex: String = self.call(
            "getrawtransaction",
            &[json!(txid.to_string()), json!(false)],
        )?;
        Ok(reduced(&decode("getrawtransaction", &hex)?))
    }

    fn call<T: for<'a> Deserialize<'a>>(
        &self,
        what: &'static str,
        arguments: &[Value],
    ) -> Result<T, ChainError> {
        self.client
            .call(what, arguments)
            .map_err(|error| blame(what, error))
    }
}

impl ChainSource for Bitcoind {
    fn tip(&self) -> Result<Tip, ChainError> {
        let info: ChainInfo = self.call("getblockchaininfo", &[])?;
        // On regtest a chain without recent blocks is not behind anybody.
        let downloading = info.initialblockdownload && info.chain != "regtest";
        if downloading || info.headers > info.blocks + LAG_BLOCKS_MAX {
            return Err(ChainError::Lagging {
                blocks: info.blocks,
                headers: info.headers,
            });
        }
        let height = u32::try_from(info.blocks).map_err(|_| ChainError::Malformed {
            what: "getblockchaininfo",
            detail: format!("{} blocks", info.blocks),
        })?;
        Ok(Tip {
            height,
            hash: Hash::from_internal(*info.bestblockhash.as_ref()),
        })
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        let hash: BlockHash = self.call("getblockhash", &[json!(height)])?;
        Ok(Hash::from_internal(*hash.as_ref()))
    }

    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        let hex: String = self.call("getblock", &[json!(hash.to_string()), json!(0)])?;
        let block: bitcoin::Block = decode("getblock", &hex)?;
        Ok(Block {
            height,
            hash,
            previous: Hash::from_internal(*block.header.prev_blockhash.as_ref()),
            transactions: block.txdata.iter().map(reduced).collect(),
        })
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        let txids: Vec<bitcoin::Txid> = self.call("getrawmempool", &[])?;
        let txids = txids.iter();
        Ok(txids
            .map(|txid| Hash::from_internal(*txid.as_ref()))
            .collect())
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        found(self.header(block.hash)).map(|known| known.is_some())
    }

    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        found(self.mempool_entry(txid))
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        found(self.transaction(txid))
    }

    /// `gettxspendingprevout`, of bitcoind 24 and later; nothing from an older one.
    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        #[derive(Deserialize)]
        struct Spent {
            spendingtxid: Option<bitcoin::Txid>,
        }
        let outputs: Vec<Value> = outputs
            .iter()
            .map(|(txid, vout)| json!({ "txid": txid.to_string(), "vout": vout }))
            .collect();
        let what = "gettxspendingprevout";
        let answer: Result<Vec<Spent>, _> = self.call(what, &[Value::Array(outputs)]);
        match answer {
            Ok(spent) => {
                let txids = spent.into_iter().filter_map(|one| one.spendingtxid);
                let txids = txids.map(|txid| Hash::from_internal(*txid.as_ref()));
                Ok(BTreeSet::from_iter(txids).into_iter().collect())
            }
            Err(ChainError::Refused { code, .. }) if code == METHOD_NOT_FOUND => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl client::Client for Bitcoind {
    fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let sent: Result<String, _> = self.call("sendrawtransaction", &[json!(hex::encode(raw))]);
        match sent {
            Ok(_) => Ok(Sent::Accepted),
            Err(ChainError::Refused { code, message, .. }) => {
                sent::judge("sendrawtransaction", code, message)
            }
            Err(error) => Err(error),
        }
    }

    /// Satoshi for 1000 virtual bytes; none where bitcoind has too little to
    /// estimate from, as on regtest.
    fn fee_rate(&self, blocks: u16) -> Result<Option<u64>, ChainError> {
        #[derive(Deserialize)]
        struct Estimate {
            feerate: Option<Box<serde_json::value::RawValue>>,
        }
        let estimate: Estimate = self.call("estimatesmartfee", &[json!(blocks)])?;
        let Some(rate) = estimate.feerate else {
            return Ok(None);
        };
        // Bitcoin for 1000 virtual bytes, read digit by digit: no float.
        minor_units(rate.get(), 8)
            .map(Some)
            .map_err(|error| ChainError::Malformed {
                what: "estimatesmartfee",
                detail: error.to_string(),
            })
    }

    fn hints(&self, context: &zmq::Context) -> Result<Hints, ChainError> {
        let hints = BitcoindHints::new(&self.config, context)?;
        Ok(Hints::Bitcoind(Box::new(hints)))
    }
}

fn decode<T: encode::Decodable>(what: &'static str, hex: &str) -> Result<T, ChainError> {
    encode::deserialize_hex(hex).map_err(|error| ChainError::Malformed {
        what,
        detail: error.to_string(),
    })
}

/// What a transaction spends and pays.
pub(super) fn reduced(transaction: &bitcoin::Transaction) -> Transaction {
    let outputs = (0..).zip(&transaction.output);
    let coinbase = transaction.is_coinbase();
    let inputs = transaction.input.iter().filter(|_| !coinbase);
    Transaction {
        inputs: inputs
            .map(|input| {
                let spent = input.previous_output;
                (Hash::from_internal(*spent.txid.as_ref()), spent.vout)
            })
            .collect(),
        txid: Hash::from_internal(*transaction.compute_txid().as_ref()),
        coinbase,
        outputs: outputs
            .map(|(vout, output)| Output {
                vout,
                script: output.script_pubkey.to_bytes(),
                amount_sats: output.value.to_sat(),
            })
            .collect(),
    }
}

/// Sorts an error by who must mend it.
fn blame(what: &'static str, error: bitcoincore_rpc::Error) -> ChainError {
    use bitcoincore_rpc::Error;
    match error {
        Error::JsonRpc(jsonrpc::Error::Rpc(error)) => refused(what, error),
        Error::JsonRpc(jsonrpc::Error::Transport(error)) => {
            match error.downcast::<TransportError>() {
                Ok(error) => match *error {
                    TransportError::Unauthorised(detail) => ChainError::Unauthorised(detail),
                    TransportError::Unreachable(detail) => ChainError::Unreachable(detail),
                    TransportError::Malformed(detail) => ChainError::Malformed { what, detail },
                },
                Err(error) => ChainError::Unreachable(error.to_string()),
            }
        }
        other => ChainError::Malformed {
            what,
            detail: other.to_string(),
        },
    }
}

/// The codes of bitcoind's `rpc/protocol.h` that mean something to us.
fn refused(what: &'static str, error: jsonrpc::error::RpcError) -> ChainError {
    match error.code {
        -28 => ChainError::WarmingUp(error.message),
        // Invalid address or key: no such transaction or block. Invalid
        // parameter: "Block height out of range".
        -5 | -8 => ChainError::NotFound(error.message),
        -1 if error.message.contains("pruned") => ChainError::Pruned(error.message),
        code => ChainError::Refused {
            what,
            code: i64::from(code),
            message: error.message,
        },
    }
}

#[cfg(test)]
mod tests;
