//! How single values look to a person: amounts, ids, times, states.

use std::time::{Duration, UNIX_EPOCH};

use dctrl_proto::v1::{FiatPrice, PaymentState, VendState, product};

/// Hexadecimal digits of an id that are shown.
const SHORT_DIGITS: usize = 10;

/// A number with thousands separators: `1,234,567`.
#[must_use]
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    if number < 0 {
        text.push('-');
    }
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount in satoshi: `1,500 sats`.
#[must_use]
pub fn sats(amount: u64) -> String {
    format!(
        "{} sats",
        grouped(i64::try_from(amount).unwrap_or(i64::MAX))
    )
}

/// A balance in satoshi: `-400 sats`.
#[must_use]
pub fn signed_sats(amount: i64) -> String {
    format!("{} sats", grouped(amount))
}

/// The start of an id or hash in hexadecimal; `-` for an empty one.
#[must_use]
pub fn short(bytes: &[u8]) -> String {
    short_text(&hex::encode(bytes))
}

/// The start of a long id; `-` for an empty one.
#[must_use]
pub fn short_text(id: &str) -> String {
    match id.char_indices().nth(SHORT_DIGITS) {
        None if id.is_empty() => "-".to_owned(),
        None => id.to_owned(),
        Some((end, _)) => format!("{}…", &id[..end]),
    }
}

/// A text, or `-` for an empty one, so that a table keeps its columns.
#[must_use]
pub fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Milliseconds since the Unix epoch as ISO 8601 in UTC; `-` for 0.
#[must_use]
pub fn time(ms: u64) -> String {
    /// The last millisecond of the year 9999, beyond which ISO needs more digits.
    const MS_MAX: u64 = 253_402_300_799_999;
    match ms {
        0 => "-".to_owned(),
        1..=MS_MAX => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
        }
        _ => format!("{ms} ms"),
    }
}

/// The word that a person knows for an enum name: `PAYMENT_SEEN` is `PaymentSeen`.
#[must_use]
pub fn words(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_owned() + &rest.to_ascii_lowercase()
        })
        .collect()
}

/// A vend's state, such as `Dispensed`.
#[must_use]
pub fn vend_state(state: VendState) -> String {
    match state {
        VendState::Unspecified => "-".to_owned(),
        known => words(known.as_str_name()),
    }
}

/// A payment's state; a confirmed one names its depth: `Confirmed(2)`.
#[must_use]
pub fn payment_state(state: PaymentState, confirmations: u32) -> String {
    match state {
        PaymentState::Unspecified => "-".to_owned(),
        PaymentState::Confirmed => format!("Confirmed({confirmations})"),
        known => words(known.as_str_name()),
    }
}

/// A product's price: `1,500 sats` or `EUR 2.50`.
#[must_use]
pub fn price(price: Option<&product::Price>) -> String {
    match price {
        None => "-".to_owned(),
        Some(product::Price::PriceSats(amount)) => sats(*amount),
        Some(product::Price::PriceFiat(fiat)) => fiat_price(fiat),
    }
}

fn fiat_price(price: &FiatPrice) -> String {
    let minor = price.minor_units;
    format!("{} {}.{:02}", price.currency, minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three_from_the_right() {
        let shown: Vec<String> = [0, 999, 1000, -1500, 20_999_999, i64::MIN]
            .into_iter()
            .map(grouped)
            .collect();
        assert_eq!(
            shown,
            [
                "0",
                "999",
                "1,000",
                "-1,500",
                "20,999,999",
                "-9,223,372,036,854,775,808"
            ]
        );
    }

    #[test]
    fn ids_are_cut_at_whole_characters() {
        assert_eq!(short(&[0xab; 32]), "ababababab…");
        assert_eq!(short_text("vend-1"), "vend-1");
        assert_eq!(short_text("ééééééééééé"), "éééééééééé…");
        assert_eq!(short(&[]), "-");
    }

    #[test]
    fn times_are_iso_in_utc_and_never_panic() {
        assert_eq!(time(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(time(0), "-");
        assert_eq!(time(u64::MAX), "18446744073709551615 ms");
    }

    #[test]
    fn states_have_the_words_of_the_product() {
        assert_eq!(vend_state(VendState::PaymentSeen), "PaymentSeen");
        assert_eq!(vend_state(VendState::PaidLate), "PaidLate");
        assert_eq!(payment_state(PaymentState::Confirmed, 2), "Confirmed(2)");
        assert_eq!(payment_state(PaymentState::Reorged, 0), "Reorged");
    }

    #[test]
    fn prices_name_their_unit() {
        let fiat = FiatPrice {
            currency: "EUR".to_owned(),
            minor_units: 250,
        };
        assert_eq!(price(Some(&product::Price::PriceFiat(fiat))), "EUR 2.50");
        assert_eq!(price(Some(&product::Price::PriceSats(1500))), "1,500 sats");
    }
}
