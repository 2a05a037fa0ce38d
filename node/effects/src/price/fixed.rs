//! Rates that the operator fixes, such as `EUR=6000000`.

use std::str::FromStr;

/// A rate that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedRate {
    /// ISO 4217, three capital letters.
    pub currency: String,
    /// Minor units of the currency for one bitcoin.
    pub minor_per_bitcoin: u64,
}

/// Why text is not a fixed rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a rate: write CURRENCY=MINOR, such as EUR=6000000 for 60000.00 EUR per bitcoin"
)]
pub struct FixedRateError(pub String);

impl FromStr for FixedRate {
    type Err = FixedRateError;

    fn from_str(text: &str) -> Result<Self, FixedRateError> {
        let error = || FixedRateError(text.to_owned());
        let (currency, minor) = text.split_once('=').ok_or_else(error)?;
        let minor_per_bitcoin = minor.trim().parse().map_err(|_| error())?;
        let currency = currency.trim();
        if !is_currency(currency) || minor_per_bitcoin == 0 {
            return Err(error());
        }
        Ok(Self {
            currency: currency.to_owned(),
            minor_per_bitcoin,
        })
    }
}

/// Whether this is a currency code.
pub(super) fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_rate_is_a_currency_and_minor_units() {
        let rate: FixedRate = "EUR=6000000".parse().unwrap();
        assert_eq!(
            (rate.currency.as_str(), rate.minor_per_bitcoin),
            ("EUR", 6_000_000)
        );
        for text in [
            "EUR", "EUR=", "EUR=0", "EUR=-1", "eur=1", "EURO=1", "=1", "EUR=6e6", "EUR=1.5",
        ] {
            assert!(text.parse::<FixedRate>().is_err(), "{text}");
        }
    }
}
