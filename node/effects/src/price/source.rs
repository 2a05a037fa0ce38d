//! One HTTP source of a price.

use std::time::Duration;

use super::{
    agree::Quote,
    decimal::{DecimalError, minor_units},
    json,
    shape::TimeAt,
};

/// Largest answer, bytes; a ticker has a few hundred.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// What is shown of an answer that is about something else, characters.
const FOUND_CHARACTERS_MAX: usize = 40;
/// How long one answer may take, connecting included.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a price is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// For people; unique.
    pub name: String,
    /// Answers a GET with JSON.
    pub url: String,
    /// JSON pointer to the price of one bitcoin in major units, a number or
    /// a string, such as `/result/XXBTZEUR/c/0`.
    pub pointer: String,
    /// What must stand elsewhere in the answer, by JSON pointer, so that a
    /// price of another pair is not taken for this one.
    pub expects: Vec<(String, String)>,
    /// Where the answer says of when its price is; `None` where it does not, so
    /// that it counts from when it came.
    pub time: Option<TimeAt>,
    /// ISO 4217.
    pub currency: String,
    /// Decimals of the currency's minor unit: 2 for EUR, 0 for JPY.
    pub decimals: u8,
}

/// Why a source gave no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No answer within the time.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// HTTP 429: asked too often.
    #[error("rate limited, retry after {retry_after_s:?} s")]
    RateLimited {
        /// What the source asks for.
        retry_after_s: Option<u64>,
    },
    /// Any other HTTP status but 200.
    #[error("HTTP {0}")]
    Status(u16),
    /// The answer is too long.
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// The answer is something else, such as a page of HTML.
    #[error("the answer is not JSON: {0}")]
    NotJson(String),
    /// The pointer leads nowhere, or to no number.
    #[error("there is no number at {0}")]
    NoNumber(String),
    /// The answer is about something else.
    #[error("the answer has {found:?} at {pointer}, not {expected:?}")]
    WrongPair {
        /// Where it stands.
        pointer: String,
        /// What should stand there.
        expected: String,
        /// What does.
        found: String,
    },
    /// The answer does not say of when its price is.
    #[error("there is no time at {0}")]
    NoTime(String),
    /// What stands there is no time.
    #[error("the time of the quote: {0}")]
    Time(DecimalError),
    /// The number is no price.
    #[error(transparent)]
    Decimal(#[from] DecimalError),
}

/// The client for all sources.
pub(super) fn agent() -> ureq::Agent {
    agent_with(CALL_TIMEOUT)
}

fn agent_with(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(2)
        .proxy(None)
        .user_agent("dctrl")
        .build()
        .new_agent()
}

/// Asks a source once.
pub(super) fn fetch(agent: &ureq::Agent, source: &Source) -> Result<Quote, SourceError> {
    read(source, &answer(agent, source)?)
}

/// The body of an answer.
fn answer(agent: &ureq::Agent, source: &Source) -> Result<Vec<u8>, SourceError> {
    let unreachable = |error: ureq::Error| SourceError::Unreachable(error.to_string());
    let mut answer = agent
        .get(&source.url)
        .header("Accept", "application/json")
        .call()
        .map_err(unreachable)?;
    match answer.status().as_u16() {
        200 => {}
        429 => {
            let wait = answer.headers().get("retry-after");
            let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
            return Err(SourceError::RateLimited {
                retry_after_s: wait,
            });
        }
        status => return Err(SourceError::Status(status)),
    }
    let body = answer.body_mut().with_config();
    let body = body.limit(ANSWER_BYTES_MAX).read_to_vec();
    body.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => SourceError::TooLong,
        error => unreachable(error),
    })
}

/// What a body says.
fn read(source: &Source, body: &[u8]) -> Result<Quote, SourceError> {
    let at = |pointer: &str| {
        json::text_at(body, pointer).map_err(|error| SourceError::NotJson(error.to_string()))
    };
    for (pointer, expected) in &source.expects {
        let found = at(pointer)?.unwrap_or_default();
        if found != *expected {
            return Err(SourceError::WrongPair {
                pointer: pointer.clone(),
                expected: expected.clone(),
                found: found.chars().take(FOUND_CHARACTERS_MAX).collect(),
            });
        }
    }
    let text = at(&source.pointer)?.ok_or_else(|| SourceError::NoNumber(source.pointer.clone()))?;
    let minor_per_bitcoin = minor_units(&text, source.decimals)?;
    let Some(time) = &source.time else {
        return Ok(Quote {
            minor_per_bitcoin,
            at_ms: None,
        });
    };
    let text = at(&time.pointer)?.ok_or_else(|| SourceError::NoTime(time.pointer.clone()))?;
    let at_ms = minor_units(&text, time.unit.decimals()).map_err(SourceError::Time)?;
    Ok(Quote {
        minor_per_bitcoin,
        at_ms: Some(at_ms),
    })
}

#[cfg(test)]
mod tests;
