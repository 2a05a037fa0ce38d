//! The shapes of public exchanges' tickers: where the price stands in the
//! answer, and what else the answer must say so that it is of the right pair.

use std::str::FromStr;

/// The form of a source's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Whatever the operator's JSON pointer leads to.
    Pointer,
    /// `/0/public/Ticker?pair=XBTEUR`: the pair names the field.
    Kraken,
    /// `/v2/prices/BTC-EUR/spot`.
    Coinbase,
    /// `/api/v2/ticker/btceur/`.
    Bitstamp,
}

/// Why text is not the name of a shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no known shape: pointer, kraken, coinbase or bitstamp")]
pub struct ShapeError(pub String);

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        match text {
            "pointer" => Ok(Self::Pointer),
            "kraken" => Ok(Self::Kraken),
            "coinbase" => Ok(Self::Coinbase),
            "bitstamp" => Ok(Self::Bitstamp),
            other => Err(ShapeError(other.to_owned())),
        }
    }
}

impl Shape {
    /// The JSON pointer to the price in `currency`; `given` for a shape that
    /// has none of its own.
    #[must_use]
    pub fn pointer(self, currency: &str, given: &str) -> String {
        match self {
            Self::Pointer => given.to_owned(),
            Self::Kraken => format!("/result/XXBTZ{currency}/c/0"),
            Self::Coinbase => "/data/amount".to_owned(),
            Self::Bitstamp => "/last".to_owned(),
        }
    }

    /// What must stand elsewhere in the answer, by pointer. Bitstamp's answer
    /// does not name its pair, so that only the URL says it.
    #[must_use]
    pub fn expects(self, currency: &str) -> Vec<(String, String)> {
        match self {
            Self::Coinbase => [("/data/base", "BTC"), ("/data/currency", currency)]
                .map(|(pointer, text)| (pointer.to_owned(), text.to_owned()))
                .to_vec(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_its_pointer_and_only_the_free_one_is_configured() {
        let pointer = |shape: &str| {
            let shape: Shape = shape.parse().unwrap();
            shape.pointer("EUR", "/mine")
        };
        assert_eq!(pointer("pointer"), "/mine");
        assert_eq!(pointer("kraken"), "/result/XXBTZEUR/c/0");
        assert_eq!(pointer("coinbase"), "/data/amount");
        assert_eq!(pointer("bitstamp"), "/last");
        assert!("gox".parse::<Shape>().is_err());
    }
}
