//! Claim codes: 32 hexadecimal digits that a guest keeps.

use std::{fmt, str::FromStr};

use dctrl_proto::claim::{CLAIM_SECRET_BYTES, ClaimKey};

use crate::failure::Failure;

/// A guest's secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClaimCode([u8; CLAIM_SECRET_BYTES]);

impl ClaimCode {
    /// A code that nobody knows yet.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn fresh() -> Result<Self, Failure> {
        let mut secret = [0; CLAIM_SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| Failure::from(anyhow::anyhow!("{error}")))?;
        Ok(Self(secret))
    }

    /// The key that the code makes.
    ///
    /// # Errors
    /// Never for a code that was made by [`ClaimCode::fresh`].
    pub fn key(&self) -> Result<ClaimKey, Failure> {
        ClaimKey::new(&self.0)
            .ok_or_else(|| Failure::usage("claim.code", "this is no claim code".to_owned()))
    }
}

impl FromStr for ClaimCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut secret = [0; CLAIM_SECRET_BYTES];
        let digits: String = text.chars().filter(|one| *one != '-').collect();
        hex::decode_to_slice(digits, &mut secret)
            .map_err(|error| format!("a claim code is 32 hexadecimal digits: {error}"))?;
        Ok(Self(secret))
    }
}

impl fmt::Display for ClaimCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ClaimCode {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_shown_and_never_logged() {
        let code = ClaimCode::fresh().unwrap();
        assert_eq!(code.to_string().parse(), Ok(code));
        assert_eq!(format!("{code:?}"), "ClaimCode");
        assert!("00ff".parse::<ClaimCode>().is_err());
        assert_eq!(code.key().unwrap().public().len(), 32);
    }
}
