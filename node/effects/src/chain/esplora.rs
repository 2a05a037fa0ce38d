//! A server of the Esplora HTTP API as a backend.
//!
//! It is asked for whole blocks, which prove themselves: the header must cost
//! what its place demands and link to the one below, and all transactions
//! together must make its Merkle root, so that none can be left out or made up.
//! What waits for a block is the server's word.
//!
//! The API pushes nothing. New blocks are met when the tip is asked, and the
//! mempool is compared every few seconds.

mod http;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bitcoin::block::Header;
use dctrl_follow::Bell;
use dctrl_proto::v1::PaymentDoubts;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Block, ChainError, ChainSource, Hash, Hint, Hints, Sent, Tip, Transaction,
    bitcoind::reduced,
    client::{Client, found},
    sent,
    spv::{self, Rules},
};
use crate::price::minor_units;
use http::Http;

/// How often the mempool is compared.
const MEMPOOL_EVERY: Duration = Duration::from_secs(10);
/// Parents of a waiting transaction that are looked at; with more it is doubted.
const PARENTS_MAX: usize = 20;

/// Where the server is and how it knows us.
#[derive(Clone, Debug)]
pub struct EsploraConfig {
    /// The setting that holds what follows, such as `chain.backend[1]`.
    pub key: String,
    /// Of the API, such as `http://127.0.0.1:3000` or `https://…/api`.
    pub url: String,
    /// User and password, where the server asks for them.
    pub login: Option<(String, String)>,
}

/// A client of one Esplora server.
#[derive(Debug)]
pub struct Esplora {
    http: Http,
    checked: Mutex<Checked>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Checked {
    /// The rules of its network, once they are known.
    rules: Option<Rules>,
    /// The last header that was checked, and its height.
    last: Option<(u32, Header)>,
}

#[derive(Deserialize)]
struct BlockInfo {
    height: u32,
}

#[derive(Deserialize)]
struct TxStatus {
    confirmed: bool,
}

/// Who spends an output, where anybody does.
#[derive(Deserialize)]
struct OutSpend {
    txid: Option<bitcoin::Txid>,
    status: Option<TxStatus>,
}

#[derive(Deserialize)]
struct TxInput {
    txid: bitcoin::Txid,
}

#[derive(Deserialize)]
struct Tx {
    vin: Vec<TxInput>,
    status: TxStatus,
}

impl Esplora {
    pub(super) fn new(config: &EsploraConfig) -> Result<Self, ChainError> {
        Ok(Self {
            http: Http::new(config)?,
            checked: Mutex::default(),
        })
    }

    fn header(&self, hash: Hash) -> Result<Header, ChainError> {
        let hex = self
            .http
            .text("block header", &format!("/block/{hash}/header"))?;
        let header: Header =
            bitcoin::consensus::encode::deserialize_hex(hex.trim()).map_err(|error| {
                ChainError::Malformed {
                    what: "block header",
                    detail: error.to_string(),
                }
            })?;
        if spv::hash_of(&header) != hash {
            return Err(ChainError::Unproven {
                what: format!("block {hash}"),
                detail: "its header is another one".to_owned(),
            });
        }
        Ok(header)
    }

    /// Checks that a header costs what its place demands, and links.
    fn check(&self, height: u32, header: &Header) -> Result<(), ChainError> {
        let Some(lower) = height.checked_sub(1) else {
            return Ok(());
        };
        let Checked { rules, last } = *self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = match rules {
            Some(rules) => rules,
            None => Rules::of(self.hash_at(0)?),
        };
        let known =
            last.filter(|(at, below)| *at == lower && below.block_hash() == header.prev_blockhash);
        let below = match known {
            Some((_, below)) => below,
            None => self.header(Hash::from_internal(*header.prev_blockhash.as_ref()))?,
        };
        rules.check(height, &below, header)?;
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        *checked = Checked {
            rules: Some(rules),
            last: Some((height, *header)),
        };
        Ok(())
    }

    /// Whether a transaction has a parent that waits for a block as well.
    fn has_waiting_parent(&self, tx: &Tx) -> Result<bool, ChainError> {
        if tx.vin.len() > PARENTS_MAX {
            return Ok(true);
        }
        for input in &tx.vin {
            let status: TxStatus = self
                .http
                .json("tx status", &format!("/tx/{}/status", input.txid))?;
            if !status.confirmed {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl ChainSource for Esplora {
    fn tip(&self) -> Result<Tip, ChainError> {
        let hash = self.http.hash("tip hash", "/blocks/tip/hash")?;
        let info: BlockInfo = self.http.json("block", &format!("/block/{hash}"))?;
        Ok(Tip {
            height: info.height,
            hash,
        })
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.http
            .hash("block height", &format!("/block-height/{height}"))
    }

    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        let raw = self
            .http
            .bytes("block raw", &format!("/block/{hash}/raw"))?;
        let block: bitcoin::Block =
            bitcoin::consensus::encode::deserialize(&raw).map_err(|error| {
                ChainError::Malformed {
                    what: "block raw",
                    detail: error.to_string(),
                }
            })?;
        let wrong = |detail: &str| ChainError::Unproven {
            what: format!("block {hash}"),
            detail: detail.to_owned(),
        };
        if spv::hash_of(&block.header) != hash {
            return Err(wrong("it is another block"));
        }
        if !block.check_merkle_root() {
            return Err(wrong("its transactions make another root"));
        }
        self.check(height, &block.header)?;
        Ok(Block {
            height,
            hash,
            previous: Hash::from_internal(*block.header.prev_blockhash.as_ref()),
            transactions: block.txdata.iter().map(reduced).collect(),
        })
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        let info: Result<BlockInfo, _> = self.http.json("block", &format!("/block/{}", block.hash));
        found(info).map(|known| known.is_some())
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        let txids: Vec<bitcoin::Txid> = self.http.json("mempool", "/mempool/txids")?;
        let txids = txids.iter();
        Ok(txids
            .map(|txid| Hash::from_internal(*txid.as_ref()))
            .collect())
    }

    /// What hangs on a transaction cannot be asked, so that one with a waiting
    /// parent is taken for a part of a long chain.
    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        let tx: Option<Tx> = found(self.http.json("tx", &format!("/tx/{txid}")))?;
        let Some(tx) = tx.filter(|tx| !tx.status.confirmed) else {
            return Ok(None);
        };
        let waits = self.has_waiting_parent(&tx)?;
        Ok(Some(PaymentDoubts {
            unconfirmed_parent: waits,
            long_chain: waits,
            not_final: false,
        }))
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        let raw = found(self.http.bytes("tx raw", &format!("/tx/{txid}/raw")))?;
        let Some(raw) = raw else { return Ok(None) };
        Ok(Some(reduced(&spv::check_transaction(txid, &raw)?)))
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        let mut spenders = BTreeSet::new();
        for (txid, vout) in outputs {
            let path = format!("/tx/{txid}/outspend/{vout}");
            let spent: Option<OutSpend> = found(self.http.json("outspend", &path))?;
            let waits = |one: &OutSpend| one.status.as_ref().is_some_and(|it| !it.confirmed);
            let spender = spent.filter(waits).and_then(|one| one.txid);
            spenders.extend(spender.map(|txid| Hash::from_internal(*txid.as_ref())));
        }
        Ok(spenders.into_iter().collect())
    }
}

impl Client for Esplora {
    fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        match self.http.post("tx", "/tx", &hex::encode(raw)) {
            Ok(_) => Ok(Sent::Accepted),
            Err(ChainError::Refused { message, .. }) => sent::judge("tx", 0, message),
            Err(error) => Err(error),
        }
    }

    /// The estimate for the most blocks that are not more than `blocks`.
    fn fee_rate(&self, blocks: u16) -> Result<Option<u64>, ChainError> {
        // Satoshi for one virtual byte, read digit by digit: no float.
        let all: BTreeMap<u16, Box<RawValue>> =
            self.http.json("fee estimates", "/fee-estimates")?;
        let Some((_, rate)) = all.range(..=blocks).next_back() else {
            return Ok(None);
        };
        let rate = minor_units(rate.get(), 3).map_err(|error| ChainError::Malformed {
            what: "fee estimates",
            detail: error.to_string(),
        })?;
        Ok(Some(rate))
    }

    fn hints(&self, _: &zmq::Context) -> Result<Hints, ChainError> {
        let bell = Bell::new()
            .map_err(|error| ChainError::Unreachable(format!("too many open files: {error}")))?;
        Ok(Hints::Esplora(Box::new(EsploraHints { bell, due: None })))
    }
}

/// A clock that asks for a look at the mempool.
#[derive(Debug)]
pub struct EsploraHints {
    bell: Bell,
    due: Option<Instant>,
}

impl EsploraHints {
    pub(in crate::chain) fn waker(&self) -> Box<dyn Fn() + Send> {
        let waker = self.bell.waker();
        Box::new(move || waker.wake())
    }

    pub(in crate::chain) fn next(&mut self, timeout: Duration) -> Option<Hint> {
        let now = Instant::now();
        let wait = self
            .due
            .map_or(Duration::ZERO, |due| due.saturating_duration_since(now));
        let millis = i64::try_from(wait.min(timeout).as_millis()).unwrap_or(i64::MAX);
        zmq::poll(&mut [self.bell.poll_item()], millis).ok()?;
        self.bell.take();
        if wait > timeout || Instant::now() < now + wait {
            return None;
        }
        self.due = Some(Instant::now() + MEMPOOL_EVERY);
        Some(Hint::Gap { topic: "poll" })
    }
}
