//! What a server says of the scripts that matter: which transactions touch
//! them, and where those are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bitcoin::hashes::{Hash as _, sha256};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{ChainError, Hash, Tip},
    read_hash, read_tip,
    session::{Notice, Session},
};

/// Scripts of which one server is asked.
pub(super) const SCRIPTS_MAX: usize = 50_000;
/// Transactions of one script; with more it is no address of ours.
const HISTORY_MAX: usize = 10_000;
/// A chain that changes while it is read is read again, this often.
const ROUNDS_MAX: usize = 5;
/// All scripts are asked for again after this, should a notice have been lost.
const ALL_EVERY: Duration = Duration::from_secs(60);

/// The hash by which servers know a script.
pub(super) fn script_hash(script: &[u8]) -> String {
    let mut hash = sha256::Hash::hash(script).to_byte_array();
    hash.reverse();
    hex::encode(hash)
}

#[derive(Debug, Default)]
struct Known {
    /// As the server names the present history; none for an empty one.
    status: Option<String>,
    subscribed: bool,
    /// Transactions and where they are: a height, 0 for waiting, -1 for waiting
    /// with a parent that waits.
    history: Vec<(Hash, i64)>,
}

/// The histories of all scripts that matter.
#[derive(Debug, Default)]
pub(super) struct Histories {
    scripts: BTreeMap<String, Known>,
    /// The tip of the chain that they were read from.
    as_of: Option<Tip>,
    all_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Item {
    tx_hash: String,
    height: i64,
}

impl Histories {
    /// These matter as well.
    pub(super) fn add(&mut self, hashes: &[String]) -> Result<(), ChainError> {
        for hash in hashes {
            if self.scripts.len() >= SCRIPTS_MAX && !self.scripts.contains_key(hash) {
                return Err(ChainError::Refused {
                    what: "follow",
                    code: 0,
                    message: format!("more than {SCRIPTS_MAX} addresses for one Electrum server"),
                });
            }
            self.scripts.entry(hash.clone()).or_default();
        }
        Ok(())
    }

    /// A new session knows nothing.
    pub(super) fn forget_subscriptions(&mut self) {
        for known in self.scripts.values_mut() {
            known.subscribed = false;
        }
        self.as_of = None;
    }

    /// Brings all up to date, those that are `touched` in any case; the tip that
    /// they belong to.
    pub(super) fn read(
        &mut self,
        session: &mut Session,
        mut touched: BTreeSet<String>,
    ) -> Result<Tip, ChainError> {
        for _ in 0..ROUNDS_MAX {
            let tip = read_tip(session)?;
            self.round(session, tip, &touched)?;
            touched.clear();
            if read_tip(session)? == tip {
                self.as_of = Some(tip);
                return Ok(tip);
            }
        }
        Err(ChainError::Unreachable(
            "the server's chain changes faster than it can be read".to_owned(),
        ))
    }

    fn round(
        &mut self,
        session: &mut Session,
        tip: Tip,
        touched: &BTreeSet<String>,
    ) -> Result<(), ChainError> {
        let (notices, lost) = session.take_notices();
        let told: BTreeSet<String> = notices
            .into_iter()
            .filter_map(|notice| match notice {
                Notice::Script(hash) => Some(hash),
                Notice::Header => None,
            })
            .collect();
        let rested = self.all_at.is_none_or(|at| at.elapsed() >= ALL_EVERY);
        let all = lost || rested || self.as_of != Some(tip);
        let asked = self.scripts.iter().filter(|(hash, known)| {
            all || !known.subscribed || told.contains(*hash) || touched.contains(*hash)
        });
        let asked: Vec<String> = asked.map(|(hash, _)| hash.clone()).collect();
        let changed = self.subscribe(session, &asked)?;
        self.fetch(session, &changed)?;
        if all {
            self.all_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Asks for the present statuses; the scripts whose history is another one
    /// than is known.
    fn subscribe(
        &mut self,
        session: &mut Session,
        asked: &[String],
    ) -> Result<Vec<(String, Option<String>)>, ChainError> {
        let what = "blockchain.scripthash.subscribe";
        let params = asked.iter().map(|hash| json!([hash])).collect();
        let answers = session.batch(what, params)?;
        let mut changed = Vec::new();
        for (hash, answer) in asked.iter().zip(answers) {
            let status = match answer? {
                Value::Null => None,
                Value::String(status) => Some(status),
                other => return Err(malformed(what, &other)),
            };
            let Some(known) = self.scripts.get_mut(hash) else {
                continue;
            };
            known.subscribed = true;
            if known.status != status {
                changed.push((hash.clone(), status));
            }
        }
        Ok(changed)
    }

    fn fetch(
        &mut self,
        session: &mut Session,
        changed: &[(String, Option<String>)],
    ) -> Result<(), ChainError> {
        let what = "blockchain.scripthash.get_history";
        let params = changed.iter().map(|(hash, _)| json!([hash])).collect();
        let answers = session.batch(what, params)?;
        for ((hash, status), answer) in changed.iter().zip(answers) {
            let history = history(what, answer?)?;
            if let Some(known) = self.scripts.get_mut(hash) {
                known.history = history;
                known.status.clone_from(status);
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = (Hash, i64)> {
        let all = self.scripts.values();
        all.flat_map(|known| known.history.iter().copied())
    }

    /// The transactions at a height.
    pub(super) fn in_block(&self, height: u32) -> BTreeSet<Hash> {
        let all = self.all().filter(|(_, at)| *at == i64::from(height));
        all.map(|(txid, _)| txid).collect()
    }

    /// The transactions that wait for a block.
    pub(super) fn waiting(&self) -> Vec<Hash> {
        let all = self.waiting_for(self.scripts.keys());
        all.into_iter().collect()
    }

    /// The transactions that wait for a block and touch one of these scripts.
    pub(super) fn waiting_for<'a>(
        &self,
        hashes: impl Iterator<Item = &'a String>,
    ) -> BTreeSet<Hash> {
        let known = hashes.filter_map(|hash| self.scripts.get(hash));
        let all = known.flat_map(|known| &known.history);
        all.filter(|(_, at)| *at <= 0).map(|one| one.0).collect()
    }

    /// Whether a transaction waits for a block: with a parent that waits as
    /// well, or without one.
    pub(super) fn waits(&self, txid: Hash) -> Option<bool> {
        let mut parent = None;
        for (_, at) in self.all().filter(|(one, _)| *one == txid) {
            if at > 0 {
                return None;
            }
            parent = Some(parent.unwrap_or(false) || at < 0);
        }
        parent
    }

    /// The lowest block that concerns one of these.
    pub(super) fn lowest(&self, hashes: &[String]) -> Option<u32> {
        let known = hashes.iter().filter_map(|hash| self.scripts.get(hash));
        let heights = known.flat_map(|known| known.history.iter().map(|(_, at)| *at));
        heights
            .filter(|at| *at > 0)
            .filter_map(|at| u32::try_from(at).ok())
            .min()
    }
}

fn history(what: &'static str, answer: Value) -> Result<Vec<(Hash, i64)>, ChainError> {
    let items: Vec<Item> =
        serde_json::from_value(answer).map_err(|error| malformed(what, &error))?;
    if items.len() > HISTORY_MAX {
        return Err(malformed(what, &"more transactions than an address has"));
    }
    let read = items.iter().map(|item| {
        let txid = read_hash(&item.tx_hash);
        txid.map(|txid| (txid, item.height))
            .ok_or_else(|| malformed(what, &item.tx_hash))
    });
    read.collect()
}

fn malformed(what: &'static str, detail: &dyn std::fmt::Display) -> ChainError {
    ChainError::Malformed {
        what,
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the protocol's documentation: the output script of block
    /// 0's first address.
    #[test]
    fn a_script_is_known_by_its_hash_backwards() {
        let script = hex::decode("76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac").unwrap();
        assert_eq!(
            script_hash(&script),
            "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161"
        );
    }

    #[test]
    fn where_a_transaction_is_follows_from_all_histories_together() {
        let id = |name: u8| Hash([name; 32]);
        let mut histories = Histories::default();
        let (one, two) = ("one".to_owned(), "two".to_owned());
        histories.add(&[one.clone(), two.clone()]).unwrap();
        let set = |histories: &mut Histories, script: &str, history: Vec<(Hash, i64)>| {
            histories.scripts.get_mut(script).unwrap().history = history;
        };
        set(
            &mut histories,
            "one",
            vec![(id(1), 7), (id(2), 0), (id(3), -1)],
        );
        set(
            &mut histories,
            "two",
            vec![(id(1), 7), (id(4), 5), (id(2), 9)],
        );
        assert_eq!(histories.in_block(7), BTreeSet::from([id(1)]));
        assert_eq!(
            histories.waits(id(2)),
            None,
            "one history has it in a block"
        );
        assert_eq!(histories.waits(id(3)), Some(true));
        assert_eq!(histories.waits(id(9)), None);
        assert_eq!(histories.lowest(&[one]), Some(7));
        assert_eq!(histories.lowest(&[two]), Some(5));
    }

    #[test]
    fn more_scripts_than_a_server_is_asked_for_are_refused() {
        let mut histories = Histories::default();
        let many: Vec<String> = (0..=SCRIPTS_MAX).map(|one| one.to_string()).collect();
        assert!(histories.add(&many[..SCRIPTS_MAX]).is_ok());
        assert!(histories.add(&many[..1]).is_ok(), "known already");
        assert!(matches!(
            histories.add(&many),
            Err(ChainError::Refused { .. })
        ));
    }
}
