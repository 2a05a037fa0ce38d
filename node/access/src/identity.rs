//! The two secret keys of one party, and what they sign.

use std::fmt;
use std::path::Path;

use dctrl_proto::action::{self, Payload, REQUEST_ID_BYTES};
use dctrl_proto::v1::SignedAction;
use prost::Message;
use ring::signature::{Ed25519KeyPair, KeyPair};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::key_file::{self, KeyFileError, Secrets};

/// Length of every secret and public key here, bytes.
pub(crate) const KEY_BYTES: usize = 32;

/// The keys of one party: a node, an agent, a member or a tool.
///
/// Make one per process and share it: ring keeps its expanded key in memory
/// that is not wiped, so the fewer copies the better.
pub struct Identity {
    secrets: Secrets,
    signing: Ed25519KeyPair,
    public_key: [u8; KEY_BYTES],
    curve_public: [u8; KEY_BYTES],
}

/// Why no identity could be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Randomness(getrandom::Error),
    /// The seed makes no Ed25519 key.
    #[error("the seed makes no Ed25519 key")]
    Seed,
}

impl Identity {
    /// Makes a new identity from the operating system's random bytes.
    ///
    /// # Errors
    /// Where the operating system has none.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; KEY_BYTES]);
        let mut curve_secret = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(seed.as_mut()).map_err(IdentityError::Randomness)?;
        getrandom::fill(curve_secret.as_mut()).map_err(IdentityError::Randomness)?;
        Self::from_secrets(Secrets { seed, curve_secret })
    }

    /// The identity with these secrets.
    ///
    /// # Errors
    /// Where ring refuses the seed.
    pub fn from_secrets(secrets: Secrets) -> Result<Self, IdentityError> {
        let signing = Ed25519KeyPair::from_seed_unchecked(secrets.seed.as_ref())
            .map_err(|_| IdentityError::Seed)?;
        let mut public_key = [0; KEY_BYTES];
        public_key.copy_from_slice(signing.public_key().as_ref());
        let curve_public = curve_public_of(&secrets.curve_secret);
        Ok(Self {
            secrets,
            signing,
            public_key,
            curve_public,
        })
    }

    /// Reads the identity from its key file.
    ///
    /// # Errors
    /// A missing file, one that others may read, or one that is no key file.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        Self::from_secrets(key_file::read(path)?).map_err(|_| KeyFileError::BadSeed {
            path: path.to_owned(),
        })
    }

    /// Writes the key file with mode 0600 and syncs it.
    ///
    /// # Errors
    /// An existing file is never overwritten.
    pub fn save(&self, path: &Path) -> Result<(), KeyFileError> {
        key_file::write(path, &self.secrets)
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; KEY_BYTES] {
        self.public_key
    }

    /// The Ed25519 seed, for the signer of the consensus core.
    /// The caller's copy is not wiped: hand it straight to the signer.
    #[must_use]
    pub fn seed(&self) -> [u8; KEY_BYTES] {
        *self.secrets.seed
    }

    /// The CurveZMQ public key.
    #[must_use]
    pub fn curve_public(&self) -> [u8; KEY_BYTES] {
        self.curve_public
    }

    /// The CurveZMQ secret key, for the sockets.
    /// The caller's copy is not wiped: hand it straight to the socket.
    #[must_use]
    pub fn curve_secret(&self) -> [u8; KEY_BYTES] {
        *self.secrets.curve_secret
    }

    /// The Ed25519 signature over `bytes`, which must start with a domain.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.signing.sign(bytes).as_ref());
        signature
    }

    /// Signs an action for the federation `cluster`.
    ///
    /// `expires_at_ms` is consensus time, milliseconds since the Unix epoch.
    #[must_use]
    pub fn sign_action<P: Payload>(
        &self,
        cluster: &[u8; 32],
        request_id: [u8; REQUEST_ID_BYTES],
        expires_at_ms: u64,
        payload: &P,
    ) -> SignedAction {
        let body = action::body(cluster, request_id, expires_at_ms, payload).encode_to_vec();
        let signature = self.sign(&action::signing_bytes(&body)).to_vec();
        SignedAction {
            key: self.public_key.to_vec(),
            signature,
            body,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("public_key", &hex::encode(self.public_key))
            .field("curve_public", &hex::encode(self.curve_public))
            .finish_non_exhaustive()
    }
}

/// The CurveZMQ public key of a CurveZMQ secret key.
#[must_use]
pub fn curve_public_of(curve_secret: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    PublicKey::from(&StaticSecret::from(*curve_secret)).to_bytes()
}

/// A request id that nobody has used: 128 random bits.
///
/// # Panics
/// Where the operating system has no random bytes, which it grants to every
/// process once it has started.
#[must_use]
pub fn fresh_request_id() -> [u8; REQUEST_ID_BYTES] {
    let mut id = [0; REQUEST_ID_BYTES];
    let filled = getrandom::fill(&mut id);
    assert!(filled.is_ok(), "the operating system gives no random bytes");
    id
}

#[cfg(test)]
mod tests {
    use dctrl_proto::v1::{ActionBody, TimeTick};
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn known() -> Identity {
        Identity::from_secrets(Secrets {
            seed: Zeroizing::new([7; 32]),
            curve_secret: Zeroizing::new([9; 32]),
        })
        .unwrap()
    }

    #[test]
    fn a_signed_action_verifies_and_names_its_cluster() {
        let identity = known();
        let action = identity.sign_action(&[3; 32], [4; 16], 5, &TimeTick {});
        UnparsedPublicKey::new(&ED25519, &action.key)
            .verify(&action::signing_bytes(&action.body), &action.signature)
            .unwrap();
        let body = ActionBody::decode(action.body.as_slice()).unwrap();
        assert_eq!(body.cluster, [3; 32]);
        assert_eq!(body.name, "time.tick");
        assert_eq!(body.request_id, [4; 16]);
        assert_eq!(body.expires_at_ms, 5);
    }

    #[test]
    fn a_signature_is_bound_to_the_action_domain() {
        let identity = known();
        let action = identity.sign_action(&[3; 32], [4; 16], 5, &TimeTick {});
        assert!(
            UnparsedPublicKey::new(&ED25519, &action.key)
                .verify(&action.body, &action.signature)
                .is_err()
        );
    }

    #[test]
    fn debug_shows_public_keys_only() {
        let identity = known();
        let text = format!("{identity:?}");
        assert!(text.contains(&hex::encode(identity.public_key())));
        assert!(!text.contains(&hex::encode([7_u8; 32])));
        assert!(!text.contains(&hex::encode([9_u8; 32])));
        assert!(!format!("{:?}", identity.secrets).contains("7, 7"));
    }

    #[test]
    fn request_ids_differ() {
        assert_ne!(fresh_request_id(), fresh_request_id());
    }
}
