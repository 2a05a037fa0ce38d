//! One HTTP source of a price.

use std::time::Duration;

use super::{
    decimal::{DecimalError, minor_units},
    json,
};

/// Largest answer, bytes; a ticker has a few hundred.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
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
    /// The number is no price.
    #[error(transparent)]
    Decimal(#[from] DecimalError),
}

/// The client for all sources.
pub(super) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(CALL_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(2)
        .proxy(None)
        .user_agent("dctrl")
        .build()
        .new_agent()
}

/// Asks a source once; minor units for one bitcoin.
pub(super) fn fetch(agent: &ureq::Agent, source: &Source) -> Result<u64, SourceError> {
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
    let body = answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => SourceError::TooLong,
            error => unreachable(error),
        })?;
    let text = json::number_at(&body, &source.pointer)
        .map_err(|error| SourceError::NotJson(error.to_string()))?
        .ok_or_else(|| SourceError::NoNumber(source.pointer.clone()))?;
    Ok(minor_units(&text, source.decimals)?)
}

#[cfg(test)]
mod tests;
