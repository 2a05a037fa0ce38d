//! The price sources: rows of `[[price.source]]`.

use std::str::FromStr;

use dctrl_effects::price::{Shape, ShapeError, Source, TimeAt, TimeUnit};
use dctrl_settings::{Key, Kind};
use serde::Deserialize;

/// Price sources.
#[derive(Debug, Clone, Deserialize)]
pub struct Price {
    /// Fixed rates, `CURRENCY=minor units per bitcoin`.
    #[serde(default)]
    pub fixed: Vec<String>,
    /// HTTP sources.
    #[serde(default)]
    pub source: Vec<PriceSource>,
    /// Seconds between polls.
    pub poll_s: u64,
    /// Oldest usable quote, milliseconds.
    pub age_ms_max: u64,
    /// Largest distance of a source from the median, basis points.
    pub spread_bps_max: u32,
}

/// One HTTP JSON price source.
#[derive(Debug, Clone, Deserialize)]
pub struct PriceSource {
    /// For people.
    pub name: String,
    /// Where to ask.
    pub url: String,
    /// Form of the answer.
    pub shape: String,
    /// JSON pointer (RFC 6901) to the price of one bitcoin, for `pointer`.
    #[serde(default)]
    pub pointer: String,
    /// JSON pointer to the time of the quote, for `pointer`; empty for none.
    #[serde(default)]
    pub time_pointer: String,
    /// What that time counts.
    pub time_unit: String,
    /// ISO 4217.
    pub currency: String,
    /// Decimals of the currency's minor unit; 2 for cents.
    pub decimals: u8,
}

/// Why a row is no source.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("price.source[{row}].{problem}")]
pub struct PriceSourceError {
    /// Which, from 0.
    pub row: usize,
    /// The key, and what is wrong with it.
    pub problem: ShapeError,
}

impl Price {
    /// The HTTP sources, as they are asked.
    ///
    /// # Errors
    /// The first row whose keys do not fit each other.
    pub fn sources(&self) -> Result<Vec<Source>, PriceSourceError> {
        let rows = self.source.iter().enumerate();
        rows.map(|(row, source)| {
            let source = source.source();
            source.map_err(|problem| PriceSourceError { row, problem })
        })
        .collect()
    }
}

impl PriceSource {
    fn source(&self) -> Result<Source, ShapeError> {
        let shape = Shape::from_str(&self.shape)?;
        let time = TimeAt {
            pointer: self.time_pointer.clone(),
            unit: TimeUnit::from_str(&self.time_unit)?,
        };
        Ok(Source {
            name: self.name.clone(),
            url: self.url.clone(),
            pointer: shape.pointer(&self.currency, &self.pointer),
            expects: shape.expects(&self.currency),
            time: shape.time(time)?,
            currency: self.currency.clone(),
            decimals: self.decimals,
        })
    }
}

/// The keys of a row.
pub(super) const SOURCE: &[Key] = &[
    Key::required("name", Kind::Text, "For people and alerts."),
    Key::required("url", Kind::Text, "Where to ask, with GET."),
    Key::with_default(
        "shape",
        Kind::Choice(&["pointer", "kraken", "coinbase", "bitstamp"]),
        "pointer",
        "Form of the answer: of a public exchange, or found by `pointer`.",
    ),
    Key::with_default(
        "pointer",
        Kind::Text,
        "",
        "For pointer: JSON pointer (RFC 6901) to the price of one bitcoin.",
    ),
    Key::with_default(
        "time_pointer",
        Kind::Text,
        "",
        "For pointer: JSON pointer to the time of the quote, since the Unix epoch; without it a \
         quote counts from when it came. Of the exchanges, bitstamp says it.",
    ),
    Key::with_default(
        "time_unit",
        Kind::Choice(&["s", "ms"]),
        "s",
        "What time_pointer leads to: seconds or milliseconds.",
    ),
    Key::required("currency", Kind::Text, "ISO 4217, such as EUR."),
    Key::with_default(
        "decimals",
        Kind::Integer { min: 0, max: 8 },
        "2",
        "Decimals of the currency's minor unit.",
    ),
];
