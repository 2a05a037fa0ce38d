//! JSON-RPC over HTTP with a limit on the size of an answer, a deadline, and
//! the cookie read anew for each call, since bitcoind writes a new one at
//! every start.

use std::{fmt, io::ErrorKind, path::PathBuf, time::Duration};

use bitcoin::base64::{Engine, engine::general_purpose::STANDARD};
use bitcoincore_rpc::jsonrpc::{self, Request, Response};

use super::super::ChainError;

/// How long one call may take; a block of a busy hour takes about a second.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer, bytes. A block has at most 4,000,000 bytes, twice that in
/// hex; the id list of a full mempool stays below.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// How bitcoind knows us.
#[derive(Clone)]
pub enum Credentials {
    /// The file that bitcoind writes at each start.
    Cookie(PathBuf),
    /// As in its `rpcauth`.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(path) => write!(f, "Cookie({})", path.display()),
            Self::Password { user, .. } => write!(f, "Password({user}, …)"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Unauthorised(String),
    #[error("{0}")]
    Malformed(String),
}

pub(super) struct Transport {
    url: String,
    credentials: Credentials,
    agent: ureq::Agent,
}

impl Transport {
    pub(super) fn new(key: &str, url: &str, credentials: Credentials) -> Result<Self, ChainError> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ChainError::Config {
                field: format!("{key}.url"),
                problem: format!("{url} does not begin with http:// or https://"),
            });
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(CALL_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .new_agent();
        Ok(Self {
            url: url.to_owned(),
            credentials,
            agent,
        })
    }

    fn authorisation(&self) -> Result<String, TransportError> {
        let pair = match &self.credentials {
            Credentials::Cookie(path) => std::fs::read_to_string(path).map_err(|error| {
                let detail = format!("cookie file {}: {error}", path.display());
                match error.kind() {
                    // bitcoind removes the file when it stops.
                    ErrorKind::NotFound => TransportError::Unreachable(detail),
                    _ => TransportError::Unauthorised(detail),
                }
            })?,
            Credentials::Password { user, password } => format!("{user}:{password}"),
        };
        Ok(format!("Basic {}", STANDARD.encode(pair.trim_end())))
    }

    fn post(&self, body: &[u8]) -> Result<Vec<u8>, TransportError> {
        let unreachable =
            |error: ureq::Error| TransportError::Unreachable(format!("{}: {error}", self.url));
        let mut answer = self
            .agent
            .post(&self.url)
            .header("Authorization", self.authorisation()?)
            .header("Content-Type", "application/json")
            .send(body)
            .map_err(unreachable)?;
        let status = answer.status().as_u16();
        if matches!(status, 401 | 403) {
            let detail = format!("{}: HTTP {status}", self.url);
            return Err(TransportError::Unauthorised(detail));
        }
        let bytes = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(limit) => {
                    TransportError::Malformed(format!("longer than {limit} bytes"))
                }
                error => unreachable(error),
            })?;
        // bitcoind sends its errors as JSON with status 500 or 404; a proxy
        // in front, or a full work queue, sends text.
        if status >= 400 && !bytes.trim_ascii_start().starts_with(b"{") {
            let detail = format!("{}: HTTP {status}", self.url);
            return Err(TransportError::Unreachable(detail));
        }
        Ok(bytes)
    }

    fn ask<T: for<'a> serde::Deserialize<'a>>(
        &self,
        request: impl serde::Serialize,
    ) -> Result<T, jsonrpc::Error> {
        let body = serde_json::to_vec(&request)?;
        let bytes = self
            .post(&body)
            .map_err(|error| jsonrpc::Error::Transport(Box::new(error)))?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

impl jsonrpc::client::Transport for Transport {
    fn send_request(&self, request: Request<'_>) -> Result<Response, jsonrpc::Error> {
        self.ask(request)
    }

    fn send_batch(&self, requests: &[Request<'_>]) -> Result<Vec<Response>, jsonrpc::Error> {
        self.ask(requests)
    }

    fn fmt_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}
