//! A server of the Electrum protocol (1.4 to 1.6) as a backend.
//!
//! Such a server indexes by script: it is told which scripts matter, and a
//! block shows of its transactions those in the scripts' histories. Each is
//! proven by its Merkle branch to a header that costs what its place demands
//! and links to the one below. That a history is complete is the server's word,
//! which a second backend checks, and so is what waits for a block.
//!
//! A block is shown only from histories that were read while its chain was the
//! server's present one, so that none of its transactions is missed.
//!
//! Deliberately absent: TLS. A server elsewhere is reached through a tunnel.

mod hints;
mod histories;
mod session;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bitcoin::block::Header;
use dctrl_proto::v1::PaymentDoubts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Block, ChainError, ChainSource, Hash, Hints, Sent, Tip, Transaction,
    bitcoind::reduced,
    client::{Client, found},
    sent,
    spv::{self, Rules},
};
use crate::price::minor_units;
pub use hints::ElectrumHints;
use hints::Interest;
use histories::{Histories, script_hash};
use session::Session;

/// Coins whose spending is watched.
const COINS_MAX: usize = 10_000;

/// Where the server is.
#[derive(Clone, Debug)]
pub struct ElectrumConfig {
    /// The setting that holds what follows, such as `chain.backend[1]`.
    pub key: String,
    /// Such as `tcp://127.0.0.1:50001`.
    pub url: String,
}

impl ElectrumConfig {
    /// Host and port.
    fn address(&self) -> Result<&str, ChainError> {
        self.url
            .strip_prefix("tcp://")
            .filter(|address| address.contains(':'))
            .ok_or_else(|| ChainError::Config {
                field: format!("{}.url", self.key),
                problem: format!("{} is not tcp://HOST:PORT", self.url),
            })
    }
}

/// A client of one Electrum server.
#[derive(Debug)]
pub struct Electrum {
    address: String,
    interest: Arc<Interest>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    rules: Option<Rules>,
    /// The last header that was checked.
    checked: Option<(u32, Header)>,
    histories: Histories,
    /// Coins whose spending is watched, and the hashes of their scripts.
    coins: BTreeMap<(Hash, u32), String>,
}

#[derive(Deserialize)]
struct HeaderAnswer {
    hex: String,
    height: u32,
}

#[derive(Deserialize)]
struct MerkleAnswer {
    merkle: Vec<String>,
    pos: u64,
}

impl Electrum {
    pub(super) fn new(config: &ElectrumConfig) -> Result<Self, ChainError> {
        Ok(Self {
            address: config.address()?.to_owned(),
            interest: Arc::default(),
            state: Mutex::default(),
        })
    }

    /// Works with a session, which is opened where there is none and given up
    /// where it failed.
    fn work<T>(
        &self,
        work: impl FnOnce(&mut State, &mut Session) -> Result<T, ChainError>,
    ) -> Result<T, ChainError> {
        let mut state = self.state();
        let mut session = match state.session.take() {
            Some(session) if session.is_alive() => session,
            _ => {
                // Subscriptions ended with the old one.
                state.histories.forget_subscriptions();
                Session::open(&self.address)?
            }
        };
        let done = work(&mut state, &mut session);
        match &done {
            Err(error) if error.is_failure() => {}
            _ => state.session = Some(session),
        }
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A block's header, checked against its place and the one below.
    fn header(&mut self, session: &mut Session, height: u32) -> Result<Header, ChainError> {
        let header = read_header(session, height)?;
        let Some(lower) = height.checked_sub(1) else {
            return Ok(header);
        };
        let rules = match self.rules {
            Some(rules) => rules,
            None => Rules::of(spv::hash_of(&read_header(session, 0)?)),
        };
        self.rules = Some(rules);
        let last = self
            .checked
            .filter(|(at, below)| *at == lower && below.block_hash() == header.prev_blockhash);
        let below = match last {
            Some((_, below)) => below,
            None => read_header(session, lower)?,
        };
        rules.check(height, &below, &header)?;
        self.checked = Some((height, header));
        Ok(header)
    }

    fn block(
        &mut self,
        session: &mut Session,
        touched: BTreeSet<String>,
        height: u32,
        hash: Hash,
    ) -> Result<Block, ChainError> {
        let tip = self.histories.read(session, touched)?;
        let gone = || ChainError::NotFound(format!("block {hash} at height {height}"));
        if height > tip.height {
            return Err(gone());
        }
        let header = self.header(session, height)?;
        if spv::hash_of(&header) != hash {
            return Err(gone());
        }
        let mut transactions = Vec::new();
        for txid in self.histories.in_block(height) {
            let position = prove(session, &header, height, txid)?;
            transactions.push((position, transaction(session, txid)?));
        }
        transactions.sort_by_key(|(position, _)| *position);
        // Were the histories those of this chain until the end?
        if read_tip(session)? != tip {
            return Err(gone());
        }
        Ok(Block {
            height,
            hash,
            previous: Hash::from_internal(*header.prev_blockhash.as_ref()),
            transactions: transactions.into_iter().map(|(_, one)| one).collect(),
        })
    }

    /// What waits and spends one of these coins, of which it was told.
    fn spenders(
        &self,
        session: &mut Session,
        coins: &[(Hash, u32)],
    ) -> Result<Vec<Hash>, ChainError> {
        let scripts = coins.iter().filter_map(|coin| self.coins.get(coin));
        let mut spenders = Vec::new();
        for txid in self.histories.waiting_for(scripts) {
            let waiting = found(transaction(session, txid))?;
            let spends = |one: Transaction| one.inputs.iter().any(|coin| coins.contains(coin));
            if waiting.is_some_and(spends) {
                spenders.push(txid);
            }
        }
        Ok(spenders)
    }

    /// The script that a coin is locked with; none where there is no such coin.
    fn script_of(session: &mut Session, coin: (Hash, u32)) -> Result<Option<Vec<u8>>, ChainError> {
        let paid = found(transaction(session, coin.0))?;
        let output = paid.and_then(|paid| {
            let mut outputs = paid.outputs.into_iter();
            outputs.find(|output| output.vout == coin.1)
        });
        Ok(output.map(|output| output.script))
    }
}

fn read_tip(session: &mut Session) -> Result<Tip, ChainError> {
    let answer = session.call("blockchain.headers.subscribe", json!([]))?;
    let answer: HeaderAnswer = parse("blockchain.headers.subscribe", answer)?;
    Ok(Tip {
        height: answer.height,
        hash: spv::hash_of(&decode_header(&answer.hex)?),
    })
}

/// Servers have no common word for a height above their tip.
fn read_header(session: &mut Session, height: u32) -> Result<Header, ChainError> {
    let answer = session.call("blockchain.block.header", json!([height]));
    match answer {
        Ok(answer) => decode_header(&parse::<String>("blockchain.block.header", answer)?),
        Err(ChainError::Refused { message, .. }) => Err(ChainError::NotFound(message)),
        Err(error) => Err(error),
    }
}

fn decode_header(hex: &str) -> Result<Header, ChainError> {
    bitcoin::consensus::encode::deserialize_hex(hex).map_err(|error| ChainError::Malformed {
        what: "header",
        detail: error.to_string(),
    })
}

/// Proves that a transaction is in a block; its position there.
fn prove(
    session: &mut Session,
    header: &Header,
    height: u32,
    txid: Hash,
) -> Result<u64, ChainError> {
    let what = "blockchain.transaction.get_merkle";
    let answer = session.call(what, json!([txid.to_string(), height]));
    let answer: MerkleAnswer = match answer {
        Ok(answer) => parse(what, answer)?,
        // It left the block under our feet.
        Err(ChainError::Refused { message, .. }) => return Err(ChainError::NotFound(message)),
        Err(error) => return Err(error),
    };
    let branch: Option<Vec<Hash>> = answer.merkle.iter().map(|one| read_hash(one)).collect();
    let branch = branch.ok_or_else(|| ChainError::Malformed {
        what,
        detail: "a hash has 32 bytes".to_owned(),
    })?;
    spv::check_branch(header, txid, answer.pos, &branch)?;
    Ok(answer.pos)
}

fn transaction(session: &mut Session, txid: Hash) -> Result<Transaction, ChainError> {
    let what = "blockchain.transaction.get";
    let answer = session.call(what, json!([txid.to_string()]));
    let hex: String = match answer {
        Ok(answer) => parse(what, answer)?,
        Err(ChainError::Refused { message, .. }) => return Err(ChainError::NotFound(message)),
        Err(error) => return Err(error),
    };
    let raw = hex::decode(hex).map_err(|error| ChainError::Malformed {
        what,
        detail: error.to_string(),
    })?;
    Ok(reduced(&spv::check_transaction(txid, &raw)?))
}

fn read_hash(hex: &str) -> Option<Hash> {
    Hash::from_slice(&hex::decode(hex).ok()?)
}

fn parse<T: for<'a> Deserialize<'a>>(what: &'static str, answer: Value) -> Result<T, ChainError> {
    serde_json::from_value(answer).map_err(|error| ChainError::Malformed {
        what,
        detail: error.to_string(),
    })
}

impl ChainSource for Electrum {
    fn tip(&self) -> Result<Tip, ChainError> {
        self.work(|_, session| read_tip(session))
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.work(|_, session| Ok(spv::hash_of(&read_header(session, height)?)))
    }

    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        self.work(|state, session| state.block(session, self.interest.take_touched(), height, hash))
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        let there = found(self.hash_at(block.height))?;
        Ok(there == Some(block.hash))
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        self.work(|state, session| {
            state
                .histories
                .read(session, self.interest.take_touched())?;
            Ok(state.histories.waiting())
        })
    }

    /// What hangs on a transaction cannot be asked, so that one with a waiting
    /// parent is taken for a part of a long chain.
    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        self.work(|state, session| {
            state
                .histories
                .read(session, self.interest.take_touched())?;
            let parent_waits = state.histories.waits(txid);
            Ok(parent_waits.map(|waits| PaymentDoubts {
                unconfirmed_parent: waits,
                long_chain: waits,
                not_final: false,
            }))
        })
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        self.work(|state, session| match state.histories.waits(txid) {
            Some(_) => found(transaction(session, txid)),
            None => Ok(None),
        })
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        self.work(|state, session| {
            let touched = self.interest.take_touched();
            state.histories.read(session, touched)?;
            state.spenders(session, outputs)
        })
    }

    fn watch_coins(&self, coins: &BTreeSet<(Hash, u32)>) -> Result<(), ChainError> {
        self.work(|state, session| {
            for coin in coins {
                if state.coins.len() >= COINS_MAX {
                    break;
                }
                if state.coins.contains_key(coin) {
                    continue;
                }
                // One that is not there yet is asked for again.
                if let Some(script) = State::script_of(session, *coin)? {
                    let hash = script_hash(&script);
                    let watched = std::slice::from_ref(&hash);
                    state.histories.add(watched)?;
                    self.interest.add(watched);
                    state.coins.insert(*coin, hash);
                }
            }
            Ok(())
        })
    }

    fn follow(&self, scripts: &[Vec<u8>]) -> Result<Option<u32>, ChainError> {
        if scripts.is_empty() {
            return Ok(None);
        }
        let hashes: Vec<String> = scripts.iter().map(|script| script_hash(script)).collect();
        self.work(|state, session| {
            state.histories.add(&hashes)?;
            self.interest.add(&hashes);
            state
                .histories
                .read(session, self.interest.take_touched())?;
            Ok(state.histories.lowest(&hashes))
        })
    }
}

impl Client for Electrum {
    fn broadcast(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let what = "blockchain.transaction.broadcast";
        let answer = self.work(|_, session| session.call(what, json!([hex::encode(raw)])));
        match answer {
            Ok(_) => Ok(Sent::Accepted),
            Err(ChainError::Refused { message, .. }) => sent::judge(what, 0, message),
            Err(error) => Err(error),
        }
    }

    fn fee_rate(&self, blocks: u16) -> Result<Option<u64>, ChainError> {
        let what = "blockchain.estimatefee";
        let answer = self.work(|_, session| session.call(what, json!([blocks])))?;
        // Bitcoin for 1000 virtual bytes, read digit by digit; -1 for unknown.
        Ok(minor_units(&answer.to_string(), 8).ok())
    }

    fn hints(&self, _: &zmq::Context) -> Result<Hints, ChainError> {
        let hints = ElectrumHints::new(self.address.clone(), self.interest.clone())?;
        Ok(Hints::Electrum(Box::new(hints)))
    }
}
