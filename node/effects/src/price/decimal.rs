//! Decimal text to integers, exactly and without floats.

/// Longest number that is looked at, characters.
const CHARACTERS_MAX: usize = 64;
/// Largest exponent, either way.
const EXPONENT_MAX: i32 = 30;
/// Largest price, minor units for one bitcoin: far above every currency, and
/// small enough that products with satoshi amounts fit 128 bits.
const MINOR_MAX: u64 = 10_u64.pow(17);

/// Why text is not a price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not `digits[.digits][e[+-]digits]`, such as `NaN`.
    #[error("{0:?} is not a decimal number")]
    NotANumber(String),
    /// 0 or less.
    #[error("{0} is not above 0")]
    NotPositive(String),
    /// Less than one minor unit, or absurdly much.
    #[error("{0} is out of range")]
    OutOfRange(String),
}

/// Minor units in a price of major units: with 2 decimals `62345.678` is
/// 6234567; what is below a minor unit is cut off.
///
/// # Errors
/// The text is no number, or the price is not positive or out of range.
pub fn minor_units(text: &str, decimals: u8) -> Result<u64, DecimalError> {
    let shown: String = text.chars().take(CHARACTERS_MAX).collect();
    let not_a_number = || DecimalError::NotANumber(shown.clone());
    if text.len() > CHARACTERS_MAX {
        return Err(not_a_number());
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
            (
                mantissa,
                exponent.parse::<i32>().map_err(|_| not_a_number())?,
            )
        }
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let written = [whole, fraction].concat();
    if whole.is_empty() || !written.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_a_number());
    }
    if sign < 0 || written.bytes().all(|byte| byte == b'0') {
        return Err(DecimalError::NotPositive(shown));
    }
    let out_of_range = || DecimalError::OutOfRange(shown.clone());
    if exponent.abs() > EXPONENT_MAX {
        return Err(out_of_range());
    }
    let fraction_digits = i32::try_from(fraction.len()).map_err(|_| out_of_range())?;
    let shift = i32::from(decimals) + exponent - fraction_digits;
    let scaled = scale(written.trim_start_matches('0'), shift);
    scaled
        .filter(|minor| (1..=MINOR_MAX).contains(minor))
        .ok_or_else(out_of_range)
}

/// The digits times 10^shift, cut off at the unit; `None` when it does not fit.
fn scale(digits: &str, shift: i32) -> Option<u64> {
    if shift >= 0 {
        let factor = 10_u64.checked_pow(u32::try_from(shift).ok()?)?;
        digits.parse::<u64>().ok()?.checked_mul(factor)
    } else {
        let cut = usize::try_from(-shift).ok()?;
        match digits.len().checked_sub(cut) {
            None | Some(0) => Some(0),
            Some(kept) => digits.get(..kept)?.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_exactly_as_it_is_written() {
        for (text, decimals, minor) in [
            ("62345.67", 2, 6_234_567),
            ("62345.678", 2, 6_234_567),
            ("62345", 2, 6_234_500),
            ("62345.6", 0, 62_345),
            ("0.5", 2, 50),
            ("000062345.10", 2, 6_234_510),
            ("6.2345e4", 2, 6_234_500),
            ("6.2345E+4", 2, 6_234_500),
            ("623450e-1", 2, 6_234_500),
            ("10000001.1", 0, 10_000_001),
            ("90071992547409.93", 2, 9_007_199_254_740_993),
        ] {
            assert_eq!(minor_units(text, decimals), Ok(minor), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_price_is_refused_by_kind() {
        let no_number = [
            "",
            ".",
            "NaN",
            "Infinity",
            "-",
            "1e",
            "1.2.3",
            "1,000",
            " 1",
            "0x10",
            "<html>",
            "١",
            "1e99999999999",
            ".5",
            "+1",
            "1.e",
            "--1",
        ];
        for text in no_number {
            let error = minor_units(text, 2).unwrap_err();
            assert!(
                matches!(error, DecimalError::NotANumber(_)),
                "{text}: {error}"
            );
        }
        for text in ["0", "-1", "0.000", "-62345.67", "0e5"] {
            let error = minor_units(text, 2).unwrap_err();
            assert!(
                matches!(error, DecimalError::NotPositive(_)),
                "{text}: {error}"
            );
        }
        let long = "9".repeat(40);
        for text in ["0.001", "1e31", "1e29", "1e-20", long.as_str()] {
            let error = minor_units(text, 2).unwrap_err();
            assert!(
                matches!(error, DecimalError::OutOfRange(_)),
                "{text}: {error}"
            );
        }
        let longer = "9".repeat(65);
        assert!(matches!(
            minor_units(&longer, 2),
            Err(DecimalError::NotANumber(_))
        ));
    }
}
