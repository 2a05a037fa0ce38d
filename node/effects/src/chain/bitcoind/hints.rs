//! bitcoind's ZeroMQ topics as hints, with the holes in them made visible.
//!
//! bitcoind publishes without acknowledgement and drops what does not fit.
//! Each topic carries its own 32-bit sequence number, so a lost message shows
//! when the next one of its topic comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bitcoin::consensus::encode;
use dctrl_follow::Bell;

use super::{
    super::{ChainError, Hash, Hint},
    BitcoindConfig, reduced,
};

/// Largest message, bytes: a transaction as large as a block.
const MESSAGE_BYTES_MAX: i64 = 8 << 20;
/// Messages that wait here. A block brings one for each transaction.
const MESSAGES_WAITING_MAX: i32 = 20_000;
const TOPICS: [&str; 3] = ["rawtx", "hashblock", "sequence"];

/// A subscription to bitcoind's notifications.
pub struct BitcoindHints {
    socket: Option<zmq::Socket>,
    bell: Bell,
    reader: Reader,
}

impl BitcoindHints {
    pub(super) fn new(config: &BitcoindConfig, context: &zmq::Context) -> Result<Self, ChainError> {
        let given = [
            ("zmq_rawtx", &config.zmq_rawtx),
            ("zmq_hashblock", &config.zmq_hashblock),
            ("zmq_sequence", &config.zmq_sequence),
        ];
        let mut endpoints = BTreeSet::new();
        let mut socket = None;
        for (field, endpoint) in given {
            let Some(endpoint) = endpoint else { continue };
            if !endpoints.insert(endpoint) {
                continue;
            }
            let unusable = |error: zmq::Error| ChainError::Config {
                field: format!("{}.{field}", config.key),
                problem: format!("{endpoint}: {error}"),
            };
            if socket.is_none() {
                socket = Some(subscriber(context).map_err(unusable)?);
            }
            if let Some(socket) = &socket {
                socket.connect(endpoint).map_err(unusable)?;
            }
        }
        let bell = Bell::new().map_err(|error| ChainError::Config {
            field: format!("{}.zmq_rawtx", config.key),
            problem: format!("too many open files: {error}"),
        })?;
        Ok(Self {
            socket,
            bell,
            reader: Reader::default(),
        })
    }

    /// Messages that were not what bitcoind sends.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.reader.malformed
    }

    pub(in crate::chain) fn waker(&self) -> Box<dyn Fn() + Send> {
        let waker = self.bell.waker();
        Box::new(move || waker.wake())
    }

    pub(in crate::chain) fn next(&mut self, timeout: Duration) -> Option<Hint> {
        if !std::mem::replace(&mut self.reader.begun, true) {
            return Some(Hint::Gap { topic: "start" });
        }
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        // Without ZeroMQ the chain is polled and this stream is empty.
        let messages = self.socket.iter().map(|one| one.as_poll_item(zmq::POLLIN));
        let mut items: Vec<zmq::PollItem<'_>> = messages.chain([self.bell.poll_item()]).collect();
        // A signal during the wait is no message; neither is a closing context.
        zmq::poll(&mut items, millis).ok()?;
        self.bell.take();
        let parts = self.socket.as_ref()?.recv_multipart(zmq::DONTWAIT).ok()?;
        self.reader.read(&parts)
    }
}

fn subscriber(context: &zmq::Context) -> Result<zmq::Socket, zmq::Error> {
    let socket = context.socket(zmq::SUB)?;
    socket.set_linger(0)?;
    socket.set_maxmsgsize(MESSAGE_BYTES_MAX)?;
    socket.set_rcvhwm(MESSAGES_WAITING_MAX)?;
    // A half-open connection would be silent for ever.
    socket.set_heartbeat_ivl(5_000)?;
    socket.set_heartbeat_timeout(15_000)?;
    for topic in TOPICS {
        socket.set_subscribe(topic.as_bytes())?;
    }
    Ok(socket)
}

/// What the messages say; knows no socket.
#[derive(Debug, Default)]
struct Reader {
    begun: bool,
    /// The next sequence number of each topic.
    expected: BTreeMap<&'static str, u32>,
    malformed: u64,
}

impl Reader {
    fn read(&mut self, parts: &[Vec<u8>]) -> Option<Hint> {
        let Some((topic, body, sequence)) = split(parts) else {
            self.malformed += 1;
            tracing::warn!(count = self.malformed, "a malformed message from bitcoind");
            return None;
        };
        let expected = self.expected.insert(topic, sequence.wrapping_add(1));
        if expected.is_some_and(|expected| expected != sequence) {
            // Looking at everything again covers this message too.
            return Some(Hint::Gap { topic });
        }
        let hint = match topic {
            "rawtx" => encode::deserialize::<bitcoin::Transaction>(body)
                .ok()
                .map(|raw| Hint::Transaction(reduced(&raw))),
            "hashblock" => (body.len() == 32).then_some(Hint::Block),
            _ => match sequence_event(body) {
                Some(Some(hint)) => Some(hint),
                Some(None) => return None,
                None => None,
            },
        };
        if hint.is_none() {
            self.malformed += 1;
        }
        hint
    }
}

/// Topic, body and sequence number of a message.
fn split(parts: &[Vec<u8>]) -> Option<(&'static str, &[u8], u32)> {
    let [topic, body, sequence] = parts else {
        return None;
    };
    let topic = TOPICS.into_iter().find(|one| one.as_bytes() == topic)?;
    let sequence = u32::from_le_bytes(sequence.as_slice().try_into().ok()?);
    Some((topic, body, sequence))
}

/// The hash (in the order of display) and a letter: block connected or
/// disconnected, transaction added or removed. The outer `None` is malformed,
/// the inner one says nothing new.
fn sequence_event(body: &[u8]) -> Option<Option<Hint>> {
    let hash = Hash::from_slice(body.get(..32)?)?;
    match (body.get(32)?, body.len()) {
        (b'C' | b'D', 33) => Some(Some(Hint::Block)),
        (b'R', 41) => Some(Some(Hint::Removed(hash))),
        // The same transaction comes whole on the topic `rawtx`.
        (b'A', 41) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, body: &[u8], sequence: u32) -> Vec<Vec<u8>> {
        vec![
            topic.as_bytes().to_vec(),
            body.to_vec(),
            sequence.to_le_bytes().to_vec(),
        ]
    }

    #[test]
    fn a_hole_in_one_topic_is_a_gap_and_other_topics_are_not_touched() {
        let mut reader = Reader::default();
        assert_eq!(
            reader.read(&message("hashblock", &[1; 32], 7)),
            Some(Hint::Block)
        );
        assert_eq!(
            reader.read(&message("hashblock", &[1; 32], 8)),
            Some(Hint::Block)
        );
        let mut removed = vec![9; 32];
        removed.push(b'R');
        removed.extend(3_u64.to_le_bytes());
        assert_eq!(
            reader.read(&message("sequence", &removed, 1)),
            Some(Hint::Removed(Hash([9; 32])))
        );
        assert_eq!(
            reader.read(&message("hashblock", &[1; 32], 10)),
            Some(Hint::Gap { topic: "hashblock" })
        );
        assert_eq!(
            reader.read(&message("hashblock", &[1; 32], 11)),
            Some(Hint::Block)
        );
    }

    #[test]
    fn a_restarted_bitcoind_is_a_gap_and_a_wrapped_number_is_not() {
        let mut reader = Reader::default();
        reader.read(&message("hashblock", &[1; 32], u32::MAX));
        assert_eq!(
            reader.read(&message("hashblock", &[1; 32], 0)),
            Some(Hint::Block)
        );
        reader.read(&message("hashblock", &[1; 32], 1));
        assert_eq!(
            reader.read(&message("hashblock", &[1; 32], 0)),
            Some(Hint::Gap { topic: "hashblock" })
        );
    }

    #[test]
    fn what_bitcoind_never_sends_is_counted_and_ignored() {
        let mut reader = Reader::default();
        let wrong = [
            vec![],
            vec![b"rawtx".to_vec()],
            message("rawtx", b"not a transaction", 0),
            message("hashtx", &[1; 32], 0),
            message("hashblock", &[1; 31], 0),
            message("sequence", &[1; 32], 0),
            vec![b"hashblock".to_vec(), vec![1; 32], vec![0; 3]],
        ];
        for parts in &wrong {
            assert_eq!(reader.read(parts), None);
        }
        assert_eq!(reader.malformed, wrong.len() as u64);
    }

    #[test]
    fn a_raw_transaction_is_read_with_its_id_and_outputs() {
        let block = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin);
        let raw = encode::serialize(&block.txdata[0]);
        let Some(Hint::Transaction(read)) = Reader::default().read(&message("rawtx", &raw, 0))
        else {
            panic!("no transaction");
        };
        assert_eq!(
            read.txid.to_string(),
            "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
        );
        assert!(read.coinbase);
        assert_eq!(read.outputs[0].amount_sats, 50 * 100_000_000);
    }
}
