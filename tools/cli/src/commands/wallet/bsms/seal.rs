//! A session's token, and records encrypted with it: AES-256-CTR under a key
//! of PBKDF2-HMAC-SHA-512, with an HMAC-SHA-256 of the plain text whose first
//! half is the counter's beginning. BIP-129 names all of these.

use std::num::NonZeroU32;

use aes::Aes256;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use ring::{digest, hmac, pbkdf2};

use super::super::formats::wrong;
use crate::failure::Failure;

/// The password of the key derivation; the token is its salt.
const PASSWORD: &[u8] = b"No SPOF";
const ROUNDS: NonZeroU32 = NonZeroU32::new(2048).expect("it is not 0");
/// Bytes of a token in the standard and the extended mode.
const TOKEN_BYTES: [usize; 2] = [8, 16];
const MAC_BYTES: usize = 32;
const COUNTER_BYTES: usize = 16;

/// What the parties of a session share; empty where nothing is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token(Vec<u8>);

impl Token {
    /// From hexadecimal: `00`, or 16 or 32 digits.
    ///
    /// # Errors
    /// Another length, or no hexadecimal number.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text == Self::default().hex() {
            return Ok(Self::default());
        }
        match hex::decode(text) {
            Ok(bytes) if TOKEN_BYTES.contains(&bytes.len()) => Ok(Self(bytes)),
            _ => Err(Failure::usage(
                "wallet.token",
                "a token is 00, or 16 or 32 hexadecimal digits",
            )),
        }
    }

    /// As it stands in a key record.
    pub(crate) fn hex(&self) -> String {
        if self.0.is_empty() {
            return "00".to_owned();
        }
        hex::encode(&self.0)
    }

    /// A record for whoever has the token: itself without one, and
    /// hexadecimal otherwise.
    pub(crate) fn seal(&self, record: &str) -> String {
        if self.0.is_empty() {
            return record.to_owned();
        }
        let (mac, mut bytes) = (self.mac(record.as_bytes()), record.as_bytes().to_vec());
        self.cipher(&mac).apply_keystream(&mut bytes);
        hex::encode(mac) + &hex::encode(bytes)
    }

    /// The record.
    ///
    /// # Errors
    /// It was not sealed with this token, or was changed.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<String, Failure> {
        let text = std::str::from_utf8(sealed).map_err(|_| wrong("it is no text"))?;
        if self.0.is_empty() {
            return Ok(text.to_owned());
        }
        let other = || wrong("it does not open with this token");
        let bytes = hex::decode(text.trim()).map_err(|_| other())?;
        let (mac, sealed) = bytes.split_at_checked(MAC_BYTES).ok_or_else(other)?;
        let mut plain = sealed.to_vec();
        let mac = <[u8; MAC_BYTES]>::try_from(mac).map_err(|_| other())?;
        self.cipher(&mac).apply_keystream(&mut plain);
        hmac::verify(&self.mac_key(), &self.authenticated(&plain), &mac).map_err(|_| other())?;
        String::from_utf8(plain).map_err(|_| other())
    }

    fn key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        let function = pbkdf2::PBKDF2_HMAC_SHA512;
        pbkdf2::derive(function, ROUNDS, &self.0, PASSWORD, &mut key);
        key
    }

    fn mac_key(&self) -> hmac::Key {
        let key = digest::digest(&digest::SHA256, &self.key());
        hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
    }

    /// The token as text and the record.
    fn authenticated(&self, record: &[u8]) -> Vec<u8> {
        [self.hex().as_bytes(), record].concat()
    }

    fn mac(&self, record: &[u8]) -> [u8; MAC_BYTES] {
        let tag = hmac::sign(&self.mac_key(), &self.authenticated(record));
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(tag.as_ref());
        mac
    }

    fn cipher(&self, mac: &[u8; MAC_BYTES]) -> Ctr128BE<Aes256> {
        let mut counter = [0; COUNTER_BYTES];
        counter.copy_from_slice(&mac[..COUNTER_BYTES]);
        Ctr128BE::<Aes256>::new(&self.key().into(), &counter.into())
    }
}
