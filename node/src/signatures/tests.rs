//! Claims about the node's judge: its verdicts are those of the definition.

use dctrl_consensus::{Ed25519Signer, Signer};
use dctrl_ledger::OneByOne;

use super::*;

/// A signed body; every seventh one is signed for another body.
struct Signed {
    key: [u8; 32],
    signature: [u8; 64],
    body: Vec<u8>,
}

impl Signed {
    fn of(number: u16) -> Self {
        let signer = Ed25519Signer::from_seed(&[number.to_le_bytes()[0] % 50; 32]);
        let body = number.to_be_bytes().to_vec();
        let signed = if number % 7 == 3 {
            vec![]
        } else {
            body.clone()
        };
        Self {
            key: signer.public_key().0,
            signature: signer.sign(&claim_message(&signed)).0,
            body,
        }
    }

    fn claim(&self) -> Claim<'_> {
        Claim {
            key: &self.key,
            signature: &self.signature,
            body: &self.body,
        }
    }
}

fn claim_message(body: &[u8]) -> Vec<u8> {
    let claim = Claim {
        key: &[0; 32],
        signature: &[0; 64],
        body,
    };
    claim.message().concat()
}

#[test]
fn many_at_once_and_again_from_memory_are_judged_as_one_by_one() {
    let mut signed: Vec<Signed> = (0..1500).map(Signed::of).collect();
    // No point has this y.
    signed[10].key = [2; 32];
    let claims: Vec<Claim<'_>> = signed.iter().map(Signed::claim).collect();
    let expected = OneByOne.hold(&claims);
    assert!(expected.contains(&true) && !expected[10]);
    let judge = ActionSignatures::default();
    assert_eq!(judge.hold(&claims), expected);
    assert_eq!(judge.hold(&claims), expected, "from memory");
    let good = claims[0];
    let mut other = *good.signature;
    other[63] ^= 0x10;
    let forged = Claim {
        signature: &other,
        ..good
    };
    assert_eq!(judge.hold(&[good, forged]), [true, false]);
}
