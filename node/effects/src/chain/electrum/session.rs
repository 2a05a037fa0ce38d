//! One connection to an Electrum server: JSON in lines, answers by number, and
//! notices between them.
//!
//! Own code, though there is a crate (`electrum-client`): that one reads lines
//! without a bound, keeps notices without a bound, and cannot wait for one.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::ChainError;

/// How long one call, or one batch of them, may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest line, bytes: a history as long as servers give, or a transaction as
/// large as a block, in hex.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Notices that wait to be taken; more are only known to have been.
const NOTICES_MAX: usize = 1_024;
/// Calls that are under way at once.
pub(super) const BATCH_MAX: usize = 100;
/// Headers that are asked for beside each call. A server that pads what it sends
/// (ElectrumX since 1.19) keeps a short answer back for a second, in which more
/// may come, and sends 1024 bytes and more at once.
const FILL_HEADERS: usize = 8;
/// Servers end a connection on which nothing is said for ten minutes.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// What the server says unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// It has another newest block.
    Header,
    /// Something happened to a script, by its hash.
    Script(String),
}

#[derive(Debug)]
pub(super) struct Session {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are known to hold no end of a line.
    searched: usize,
    number: u64,
    used: Instant,
    /// A version is agreed on, before which nothing else may be asked.
    agreed: bool,
    notices: VecDeque<Notice>,
    lost_notices: bool,
}

#[derive(Deserialize)]
struct Answer {
    id: Option<u64>,
    #[serde(default)]
    result: Value,
    error: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
}

impl Session {
    /// Connects and agrees on a version.
    pub(super) fn open(address: &str) -> Result<Self, ChainError> {
        let unreachable =
            |error: std::io::Error| ChainError::Unreachable(format!("{address}: {error}"));
        let mut places = address.to_socket_addrs().map_err(unreachable)?;
        let place = places
            .next()
            .ok_or_else(|| ChainError::Unreachable(format!("{address}: no such host")))?;
        let stream = TcpStream::connect_timeout(&place, CONNECT_TIMEOUT).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream
            .set_write_timeout(Some(CALL_TIMEOUT))
            .map_err(unreachable)?;
        let mut session = Self {
            stream,
            buffer: Vec::new(),
            searched: 0,
            number: 0,
            used: Instant::now(),
            agreed: false,
            notices: VecDeque::new(),
            lost_notices: false,
        };
        session.call("server.version", json!(["dctrl", ["1.4", "1.6"]]))?;
        session.agreed = true;
        Ok(session)
    }

    /// Whether the server has not been left alone for too long.
    pub(super) fn is_alive(&self) -> bool {
        self.used.elapsed() < IDLE_MAX
    }

    /// To be waited for.
    pub(super) fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Asks once.
    pub(super) fn call(
        &mut self,
        method: &'static str,
        params: Value,
    ) -> Result<Value, ChainError> {
        let mut answers = self.batch(method, vec![params])?;
        answers
            .pop()
            .unwrap_or_else(|| Err(malformed(method, "no answer")))
    }

    /// Asks the same of many, [`BATCH_MAX`] at once; the answers in their order.
    pub(super) fn batch(
        &mut self,
        method: &'static str,
        params: Vec<Value>,
    ) -> Result<Vec<Result<Value, ChainError>>, ChainError> {
        let mut answers = Vec::with_capacity(params.len());
        for chunk in params.chunks(BATCH_MAX) {
            answers.extend(self.chunk(method, chunk)?);
        }
        Ok(answers)
    }

    fn chunk(
        &mut self,
        method: &'static str,
        params: &[Value],
    ) -> Result<Vec<Result<Value, ChainError>>, ChainError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let first = self.number;
        let mut text = String::new();
        for params in params {
            self.request(&mut text, method, params);
        }
        let after = self.number;
        if self.agreed {
            let fill = json!([0, FILL_HEADERS]);
            self.request(&mut text, "blockchain.block.headers", &fill);
        }
        self.stream
            .write_all(text.as_bytes())
            .map_err(unreachable)?;
        let mut answers = BTreeMap::new();
        while answers.len() < params.len() {
            let answer = self.answer(method, deadline)?;
            if let Some(id) = answer.id.filter(|id| (first..after).contains(id)) {
                answers.insert(id, result(method, answer));
            } else {
                // A notice, or what was asked for to fill.
                self.note(&answer);
            }
        }
        self.used = Instant::now();
        Ok(answers.into_values().collect())
    }

    fn request(&mut self, text: &mut String, method: &str, params: &Value) {
        let id = self.number;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        *text += &request.to_string();
        text.push('\n');
        self.number += 1;
    }

    /// What the server has said unasked since this was last asked, and whether
    /// more was said than was kept.
    pub(super) fn take_notices(&mut self) -> (VecDeque<Notice>, bool) {
        let lost = std::mem::take(&mut self.lost_notices);
        (std::mem::take(&mut self.notices), lost)
    }

    /// Reads notices that have come, without waiting for more.
    pub(super) fn listen(&mut self) -> Result<(), ChainError> {
        let now = Instant::now() + Duration::from_millis(1);
        while let Some(line) = self.line(now)? {
            let answer = read("notice", &line)?;
            self.note(&answer);
        }
        Ok(())
    }

    fn note(&mut self, answer: &Answer) {
        let notice = match answer.method.as_deref() {
            Some("blockchain.headers.subscribe") => Notice::Header,
            Some("blockchain.scripthash.subscribe") => match answer.params.get(0) {
                Some(Value::String(hash)) => Notice::Script(hash.clone()),
                _ => return,
            },
            _ => return,
        };
        if self.notices.contains(&notice) {
            return;
        }
        if self.notices.len() < NOTICES_MAX {
            self.notices.push_back(notice);
        } else {
            self.lost_notices = true;
        }
    }

    fn answer(&mut self, what: &'static str, deadline: Instant) -> Result<Answer, ChainError> {
        match self.line(deadline)? {
            Some(line) => read(what, &line),
            None => Err(ChainError::Unreachable(format!("{what} timed out"))),
        }
    }

    /// The next line; none when there is none by the deadline.
    fn line(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, ChainError> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(malformed("line", "longer than the limit"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream
                .set_read_timeout(Some(left))
                .map_err(unreachable)?;
            let mut chunk = [0; CHUNK_BYTES];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(ChainError::Unreachable(
                        "the server ended the connection".to_owned(),
                    ));
                }
                Ok(count) => self
                    .buffer
                    .extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(unreachable(error)),
            }
        }
    }
}

fn unreachable(error: std::io::Error) -> ChainError {
    ChainError::Unreachable(error.to_string())
}

fn malformed(what: &'static str, detail: impl ToString) -> ChainError {
    ChainError::Malformed {
        what,
        detail: detail.to_string(),
    }
}

fn read(what: &'static str, line: &[u8]) -> Result<Answer, ChainError> {
    serde_json::from_slice(line).map_err(|error| malformed(what, error))
}

/// Sorts a refusal by who must mend it; servers share few words.
fn result(what: &'static str, answer: Answer) -> Result<Value, ChainError> {
    let Some(error) = answer.error.filter(|error| !error.is_null()) else {
        return Ok(answer.result);
    };
    let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
    let message = match error.get("message") {
        Some(Value::String(message)) => message.clone(),
        _ => error.to_string(),
    };
    let lower = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|one| lower.contains(one));
    Err(if says(&["loading block", "warming up", "still syncing"]) {
        ChainError::WarmingUp(message)
    } else if says(&["unauthorized", "unauthorised"]) {
        ChainError::Unauthorised(message)
    } else if says(&["excessive resource", "server busy", "too many"]) {
        ChainError::Unreachable(message)
    } else {
        ChainError::Refused {
            what,
            code,
            message,
        }
    })
}

#[cfg(test)]
mod tests;
