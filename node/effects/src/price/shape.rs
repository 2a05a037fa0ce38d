//! The shapes of public exchanges' tickers: where the price stands in the
//! answer, what else the answer must say so that it is of the right pair, and
//! where it says of when the price is.
//!
//! Deliberately absent: a guess from answers that stay the same. Kraken's ticker
//! and Coinbase's spot price have no time, and a price that does not move is not
//! proof of one that stands still: a source may well be a fixed one.

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

/// Where an answer says of when its price is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeAt {
    /// JSON pointer to a number, or a string of one, since the Unix epoch.
    pub pointer: String,
    /// What it counts.
    pub unit: TimeUnit,
}

/// What a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds; parts of one may follow the point.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl TimeUnit {
    /// Decimal places between the unit and a millisecond.
    pub(super) fn decimals(self) -> u8 {
        match self {
            Self::Seconds => 3,
            Self::Milliseconds => 0,
        }
    }
}

impl FromStr for TimeUnit {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        match text {
            "s" => Ok(Self::Seconds),
            "ms" => Ok(Self::Milliseconds),
            other => Err(ShapeError::Unit(other.to_owned())),
        }
    }
}

/// Why settings make no shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The name of none.
    #[error("shape: {0:?} is no known shape: pointer, kraken, coinbase or bitstamp")]
    Unknown(String),
    /// The name of no unit.
    #[error("time_unit: {0:?} is no unit of time: s or ms")]
    Unit(String),
    /// An exchange's answers have their time where they have it.
    #[error("time_pointer: it is for shape pointer; the others have a time of their own or none")]
    Time,
    /// What does not begin with a slash leads nowhere.
    #[error("time_pointer: {0:?} is no JSON pointer (RFC 6901): it begins with /")]
    Pointer(String),
}

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        match text {
            "pointer" => Ok(Self::Pointer),
            "kraken" => Ok(Self::Kraken),
            "coinbase" => Ok(Self::Coinbase),
            "bitstamp" => Ok(Self::Bitstamp),
            other => Err(ShapeError::Unknown(other.to_owned())),
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

    /// Where the answer says of when its price is; `given` for the shape that
    /// has no place of its own, and an empty pointer for none.
    ///
    /// # Errors
    /// A place is given for another shape, where nobody would look at it, or it
    /// is no pointer.
    pub fn time(self, given: TimeAt) -> Result<Option<TimeAt>, ShapeError> {
        let is_given = !given.pointer.is_empty();
        match self {
            Self::Pointer if is_given && !given.pointer.starts_with('/') => {
                Err(ShapeError::Pointer(given.pointer))
            }
            Self::Pointer => Ok(is_given.then_some(given)),
            Self::Kraken | Self::Coinbase | Self::Bitstamp if is_given => Err(ShapeError::Time),
            Self::Kraken | Self::Coinbase => Ok(None),
            Self::Bitstamp => Ok(Some(TimeAt {
                pointer: "/timestamp".to_owned(),
                unit: TimeUnit::Seconds,
            })),
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

    fn given(pointer: &str, unit: &str) -> TimeAt {
        TimeAt {
            pointer: pointer.to_owned(),
            unit: unit.parse().unwrap(),
        }
    }

    #[test]
    fn bitstamp_says_of_when_it_is_and_the_free_shape_where_it_is_told_to_look() {
        let bitstamp = Shape::Bitstamp.time(given("", "ms"));
        assert_eq!(bitstamp, Ok(Some(given("/timestamp", "s"))));
        for shape in [Shape::Kraken, Shape::Coinbase, Shape::Pointer] {
            assert_eq!(shape.time(given("", "s")), Ok(None));
        }
        let mine = Shape::Pointer.time(given("/time", "ms"));
        assert_eq!(mine, Ok(Some(given("/time", "ms"))));
    }

    #[test]
    fn a_time_that_nobody_would_look_at_is_refused() {
        for shape in [Shape::Kraken, Shape::Coinbase, Shape::Bitstamp] {
            assert_eq!(shape.time(given("/time", "s")), Err(ShapeError::Time));
        }
        let error = Shape::Pointer.time(given("time", "s")).unwrap_err();
        assert!(error.to_string().starts_with("time_pointer: \"time\""));
        assert!("minutes".parse::<TimeUnit>().is_err());
    }
}
