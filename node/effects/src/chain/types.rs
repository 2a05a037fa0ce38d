//! The few facts about a bitcoin chain that the federation needs.

use std::fmt;

/// A transaction id or block hash in the order of display (big-endian), as
/// everywhere in the federation's messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex::encode(&self.0[..4]))
    }
}

impl Hash {
    /// Of bytes in the order of display; `None` when they are not 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Of bytes in the order in which bitcoin hashes them.
    #[must_use]
    pub fn from_internal(mut bytes: [u8; 32]) -> Self {
        bytes.reverse();
        Self(bytes)
    }

    /// The bytes in the order in which bitcoin hashes them.
    #[must_use]
    pub fn to_internal(self) -> [u8; 32] {
        let mut bytes = self.0;
        bytes.reverse();
        bytes
    }
}

/// The newest block of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Blocks above block 0.
    pub height: u32,
    /// Its hash.
    pub hash: Hash,
}

/// One output of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Position in the transaction.
    pub vout: u32,
    /// The script that must be satisfied to spend it.
    pub script: Vec<u8>,
    /// Satoshi.
    pub amount_sats: u64,
}

/// A transaction, reduced to what it spends and pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its id, which no change of witness changes.
    pub txid: Hash,
    /// A block's reward, spendable only 100 blocks later.
    pub coinbase: bool,
    /// The outputs that it spends: their transactions and positions. None of a
    /// block's reward.
    pub inputs: Vec<(Hash, u32)>,
    /// What it pays, in order.
    pub outputs: Vec<Output>,
}

/// A block, reduced to what its transactions pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Blocks above block 0.
    pub height: u32,
    /// Its hash.
    pub hash: Hash,
    /// Hash of the block below.
    pub previous: Hash,
    /// In the order of the block.
    pub transactions: Vec<Transaction>,
}

/// What a backend says to a transaction that it shall pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was new and is passed on.
    Accepted,
    /// It waits or is in a block already: somebody else was faster.
    Known,
    /// Its inputs are not there, or another transaction spends them.
    Conflict(String),
}

/// Something may have happened. The truth is asked for afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A transaction entered the mempool or a block, or left a block.
    Transaction(Transaction),
    /// A transaction left the mempool without being mined.
    Removed(Hash),
    /// Blocks were connected or disconnected.
    Block,
    /// Hints were lost or began anew: everything must be looked at again.
    Gap {
        /// Which of the backend's streams lost some.
        topic: &'static str,
    },
}

/// Why the chain backend gave no answer, by who must mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nobody answers; it may come back.
    #[error("the backend is unreachable: {0}")]
    Unreachable(String),
    /// bitcoind answers that it is still starting (RPC error -28).
    #[error("the backend is warming up: {0}")]
    WarmingUp(String),
    /// Wrong or missing cookie, user or password (HTTP 401 or 403).
    #[error("the backend refuses the credentials: {0}")]
    Unauthorised(String),
    /// The backend knows that it has not caught up with its peers.
    #[error("the backend lags: it has {blocks} blocks of {headers}")]
    Lagging {
        /// Blocks it has checked.
        blocks: u64,
        /// Headers it knows.
        headers: u64,
    },
    /// The backend is of another network than the federation.
    #[error("{key}: the backend's block 0 is {found}, the federation's is {expected}")]
    WrongChain {
        /// The setting that names the backend.
        key: String,
        /// What the federation's genesis says.
        expected: Hash,
        /// What the backend says.
        found: Hash,
    },
    /// The block or transaction is not known there.
    #[error("the backend does not have {0}")]
    NotFound(String),
    /// The block was there and has been pruned.
    #[error("the backend has pruned {0}")]
    Pruned(String),
    /// The answer is not what the protocol says.
    #[error("the backend's answer to {what} is malformed: {detail}")]
    Malformed {
        /// The call.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// What the backend shows is not proven by what it must be proven by.
    #[error("the backend does not prove {what}: {detail}")]
    Unproven {
        /// The block or transaction.
        what: String,
        /// What is wrong.
        detail: String,
    },
    /// Any other error that the backend names.
    #[error("the backend refused {what} with {code}: {message}")]
    Refused {
        /// The call.
        what: &'static str,
        /// Its error code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// The configuration is unusable.
    #[error("{field}: {problem}")]
    Config {
        /// The key at fault.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ChainError {
    /// Whether the backend failed, so that another one may be asked instead;
    /// what it lacks or refuses is an answer.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(
            self,
            Self::NotFound(_) | Self::Refused { .. } | Self::Config { .. }
        )
    }
}
