//! What a payer needs: the BIP-21 URI and its QR code.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2, types::QrError};

/// Satoshi in one bitcoin.
const SATS_PER_BITCOIN: u64 = 100_000_000;

/// The BIP-21 URI that asks for `sats` to `address`.
#[must_use]
pub fn uri(address: &str, sats: u64) -> String {
    let (whole, fraction) = (sats / SATS_PER_BITCOIN, sats % SATS_PER_BITCOIN);
    format!("bitcoin:{address}?amount={whole}.{fraction:08}")
}

/// A QR code of half blocks, two modules in each character. It is light on
/// dark, as terminals are, and brings the quiet zone that scanners ask for.
///
/// # Errors
/// Where `text` is longer than a QR code can hold.
pub fn qr(text: &str) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let mut drawing = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    drawing.push('\n');
    Ok(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_amount_is_in_bitcoin_with_eight_digits() {
        assert_eq!(uri("bcrt1qx", 1500), "bitcoin:bcrt1qx?amount=0.00001500");
        assert_eq!(
            uri("bcrt1qx", 150_000_000),
            "bitcoin:bcrt1qx?amount=1.50000000"
        );
    }

    #[test]
    fn the_code_is_drawn_in_half_blocks() {
        assert_eq!(qr("DCTRL").unwrap(), EXPECTED);
    }

    const EXPECTED: &str = "\
█████████████████████████████
█████████████████████████████
████ ▄▄▄▄▄ █▀▄ ▀██ ▄▄▄▄▄ ████
████ █   █ ███ █ █ █   █ ████
████ █▄▄▄█ █▄▀  ▄█ █▄▄▄█ ████
████▄▄▄▄▄▄▄█▄█▄█▄█▄▄▄▄▄▄▄████
████▄▀▄█ █▄█▀ ▀▀▄▀█▀▄▀▀▄█████
████▀█▄▀▄▀▄▄█▄▄ ▀ ▄ ▀██▄▄████
█████▄▄██▄▄█▀█▀▄█▄ ▄█▀▀  ████
████ ▄▄▄▄▄ ██▀ █▄█▀█▄▀ ▀▀████
████ █   █ █▄  ▀▄▀▄▀▄▀▀▀▄████
████ █▄▄▄█ █▄█▄ ▀ ▄ ▀▀▄▀ ████
████▄▄▄▄▄▄▄█▄██▄█▄▄▄██▄█▄████
█████████████████████████████
▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀
";
}
