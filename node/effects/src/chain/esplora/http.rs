//! GET and POST with a limit on the size of an answer and a deadline.

use std::time::Duration;

use bitcoin::base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;

use super::{
    super::{ChainError, Hash},
    EsploraConfig,
};

/// How long one call may take; a block of a busy hour takes about a second.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer, bytes: the ids of a full mempool. A block is smaller.
const ANSWER_BYTES_MAX: u64 = 32 << 20;
/// Characters of a refusal that are kept.
const MESSAGE_CHARACTERS_MAX: usize = 300;

#[derive(Debug)]
pub(super) struct Http {
    base: String,
    authorisation: Option<String>,
    agent: ureq::Agent,
}

impl Http {
    pub(super) fn new(config: &EsploraConfig) -> Result<Self, ChainError> {
        let url = &config.url;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ChainError::Config {
                field: format!("{}.url", config.key),
                problem: format!("{url} does not begin with http:// or https://"),
            });
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(CALL_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent("dctrl")
            .build()
            .new_agent();
        let login = config.login.as_ref();
        let pair = login.map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            authorisation: pair.map(|pair| format!("Basic {pair}")),
            agent,
        })
    }

    pub(super) fn bytes(&self, what: &'static str, path: &str) -> Result<Vec<u8>, ChainError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(authorisation) = &self.authorisation {
            request = request.header("Authorization", authorisation);
        }
        self.read(what, request.call())
    }

    pub(super) fn post(
        &self,
        what: &'static str,
        path: &str,
        body: &str,
    ) -> Result<Vec<u8>, ChainError> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(authorisation) = &self.authorisation {
            request = request.header("Authorization", authorisation);
        }
        self.read(what, request.send(body))
    }

    pub(super) fn text(&self, what: &'static str, path: &str) -> Result<String, ChainError> {
        let bytes = self.bytes(what, path)?;
        String::from_utf8(bytes).map_err(|error| malformed(what, error))
    }

    pub(super) fn hash(&self, what: &'static str, path: &str) -> Result<Hash, ChainError> {
        let text = self.text(what, path)?;
        let bytes = hex::decode(text.trim()).map_err(|error| malformed(what, error))?;
        Hash::from_slice(&bytes).ok_or_else(|| malformed(what, "a hash has 32 bytes"))
    }

    pub(super) fn json<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
    ) -> Result<T, ChainError> {
        let bytes = self.bytes(what, path)?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(what, error))
    }

    fn read(
        &self,
        what: &'static str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, ChainError> {
        let unreachable =
            |error: ureq::Error| ChainError::Unreachable(format!("{}: {error}", self.base));
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let bytes = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(limit) => {
                    malformed(what, format!("longer than {limit} bytes"))
                }
                error => unreachable(error),
            })?;
        if status == 200 {
            return Ok(bytes);
        }
        let words = String::from_utf8_lossy(&bytes);
        let words: String = words.trim().chars().take(MESSAGE_CHARACTERS_MAX).collect();
        Err(blame(what, status, words))
    }
}

/// Sorts a status by who must mend it. Some servers say with 400 or 500 that
/// there is no such thing.
fn blame(what: &'static str, status: u16, words: String) -> ChainError {
    let lower = words.to_lowercase();
    let said = format!("HTTP {status}: {words}");
    match status {
        401 | 403 => ChainError::Unauthorised(said),
        404 => ChainError::NotFound(format!("{what}: {words}")),
        _ if lower.contains("not found") => ChainError::NotFound(format!("{what}: {words}")),
        429 | 500..=599 => {
            if lower.contains("warming up") || lower.contains("loading") {
                ChainError::WarmingUp(said)
            } else {
                ChainError::Unreachable(said)
            }
        }
        _ => ChainError::Refused {
            what,
            code: i64::from(status),
            message: words,
        },
    }
}

fn malformed(what: &'static str, detail: impl ToString) -> ChainError {
    ChainError::Malformed {
        what,
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_who_must_mend_it() {
        let of = |status, words: &str| blame("tx", status, words.to_owned());
        assert!(matches!(of(401, ""), ChainError::Unauthorised(_)));
        assert!(matches!(
            of(404, "Block not found"),
            ChainError::NotFound(_)
        ));
        assert!(matches!(
            of(400, "Transaction not found"),
            ChainError::NotFound(_)
        ));
        assert!(matches!(of(429, "slow down"), ChainError::Unreachable(_)));
        assert!(matches!(
            of(503, "still warming up"),
            ChainError::WarmingUp(_)
        ));
        assert!(matches!(of(400, "dust"), ChainError::Refused { .. }));
    }
}
