//! One verdict: the batch, the check alone and ed25519-zebra agree, on honest
//! signatures and on everything that ZIP-215 had to settle.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use proptest::prelude::*;

use super::*;
use crate::crypto::{Ed25519Signer, Signer, verify};

/// A signature with all that it is about.
#[derive(Debug, Clone)]
struct Case {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

impl Case {
    fn check(&self) -> Option<Check> {
        let key = PreparedKey::new(&self.key)?;
        Some(Check::new(&key, &[&self.message], &self.signature))
    }

    fn single(&self) -> bool {
        verify(&self.key, &self.message, &self.signature)
    }
}

fn honest(seed: u8, message: &[u8]) -> Case {
    let signer = Ed25519Signer::from_seed(&[seed; 32]);
    Case {
        key: signer.public_key(),
        message: message.to_vec(),
        signature: signer.sign(message),
    }
}

fn signature(r: [u8; 32], s: [u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(&s);
    Signature(bytes)
}

/// Adds two little-endian numbers below 2^256.
fn sum(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    std::array::from_fn(|at| {
        let digit = u16::from(a[at]) + u16::from(b[at]) + carry;
        carry = digit >> 8;
        digit.to_le_bytes()[0]
    })
}

/// 2^255 - 19, little-endian.
fn prime() -> [u8; 32] {
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    prime
}

/// The order of the prime-order group, 2^252 + 27742317777372353535851937790883648493.
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Every encoding, canonical or not, of every point of small order.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    for point in EIGHT_TORSION {
        let mut y = point.compress().0;
        y[31] &= 0x7f;
        let mut forms = vec![y];
        if y[1..].iter().all(|byte| *byte == 0) && y[0] < 19 {
            forms.push(sum(y, prime()));
        }
        for form in forms {
            for sign in [0, 0x80] {
                let mut form = form;
                form[31] |= sign;
                let decoded = CompressedEdwardsY(form).decompress();
                if decoded.is_some_and(|point| point.is_small_order()) && !all.contains(&form) {
                    all.push(form);
                }
            }
        }
    }
    all
}

/// Keys and nonces of small order in every encoding: under s = 0 the equation
/// is 0 = 0 after the cofactor, which ZIP-215 accepts.
fn small_order_cases() -> Vec<Case> {
    let encodings = small_order_encodings();
    let pairs = encodings
        .iter()
        .flat_map(|key| encodings.iter().map(move |r| (*key, *r)));
    pairs
        .map(|(key, r)| Case {
            key: PublicKey(key),
            message: b"a claim".to_vec(),
            signature: signature(r, [0; 32]),
        })
        .collect()
}

/// A signature whose key and nonce have a part of small order: the cofactored
/// equation holds and the plain one does not.
fn mixed_order(secret: u8, torsion_of_key: usize, torsion_of_nonce: usize) -> Case {
    let (a, nonce) = (Scalar::from(u64::from(secret) + 2), Scalar::from(77_u64));
    let key = a * ED25519_BASEPOINT_POINT + EIGHT_TORSION[torsion_of_key % 8];
    let key = PublicKey(key.compress().0);
    let r = nonce * ED25519_BASEPOINT_POINT + EIGHT_TORSION[torsion_of_nonce % 8];
    let r = r.compress().0;
    let message = vec![secret; 5];
    let mut context = Context::new(&SHA512);
    [&r[..], &key.0, &message]
        .iter()
        .for_each(|part| context.update(part));
    let mut wide = [0; 64];
    wide.copy_from_slice(context.finish().as_ref());
    let s = nonce + Scalar::from_bytes_mod_order_wide(&wide) * a;
    Case {
        key,
        message,
        signature: signature(r, s.to_bytes()),
    }
}

/// Asserts that all ways give the same verdicts, and returns them.
fn one_verdict(cases: &[Case]) -> Vec<bool> {
    let single: Vec<bool> = cases.iter().map(Case::single).collect();
    let checks: Vec<(usize, Check)> = cases
        .iter()
        .enumerate()
        .filter_map(|(at, case)| Some((at, case.check()?)))
        .collect();
    let mut batched = vec![false; cases.len()];
    let only: Vec<Check> = checks.iter().map(|(_, check)| check.clone()).collect();
    for ((at, check), verdict) in checks.iter().zip(verify_batch(&only)) {
        assert_eq!(check.holds(), single[*at], "alone: {:?}", cases[*at]);
        batched[*at] = verdict;
    }
    assert_eq!(batched, single);
    assert_eq!(all_hold(&only), batched_all(&checks, &single));
    single
}

fn batched_all(checks: &[(usize, Check)], single: &[bool]) -> bool {
    checks.iter().all(|(at, _)| single[*at])
}

#[test]
fn small_order_points_in_every_encoding_have_one_verdict() {
    let encodings = small_order_encodings();
    assert_eq!(encodings.len(), 14, "8 canonical forms and 6 others");
    let cases = small_order_cases();
    assert_eq!(cases.len(), 196);
    let verdicts = one_verdict(&cases);
    assert!(verdicts.iter().all(|holds| *holds), "ZIP-215 takes all");
}

#[test]
fn the_cofactored_equation_decides_alone_and_in_a_batch() {
    let cases: Vec<Case> = (0..64)
        .map(|n| mixed_order(u8::try_from(n).unwrap(), n, n / 8))
        .collect();
    assert!(one_verdict(&cases).iter().all(|holds| *holds));
}

#[test]
fn a_signature_has_one_form_only() {
    let good = honest(1, b"bytes");
    let mut s = [0; 32];
    s.copy_from_slice(&good.signature.0[32..]);
    let mut r = [0; 32];
    r.copy_from_slice(&good.signature.0[..32]);
    let reduced = sum(s, GROUP_ORDER);
    let no_point = (0..=255)
        .map(|low| sum(r, [low; 32]))
        .find(|bytes| CompressedEdwardsY(*bytes).decompress().is_none());
    let cases = [
        good.clone(),
        Case {
            signature: signature(r, reduced),
            ..good.clone()
        },
        Case {
            signature: signature(no_point.unwrap(), s),
            ..good
        },
    ];
    assert_eq!(one_verdict(&cases), [true, false, false]);
}

#[test]
fn bad_signatures_in_a_batch_are_named_and_the_good_ones_pass() {
    let mut cases: Vec<Case> = (0..200).map(|n| honest(n, &[n; 9])).collect();
    for bad in [0, 77, 78, 199] {
        cases[bad].message.push(0);
    }
    let verdicts = one_verdict(&cases);
    for (at, holds) in verdicts.iter().enumerate() {
        assert_eq!(*holds, ![0, 77, 78, 199].contains(&at), "signature {at}");
    }
}

#[test]
fn two_bad_signatures_do_not_cancel_each_other() {
    // With equal coefficients, errors of +1 and -1 in s would sum to zero.
    let (mut a, mut b) = (honest(1, b"one"), honest(1, b"two"));
    for (case, error) in [(&mut a, Scalar::ONE), (&mut b, -Scalar::ONE)] {
        let mut s = [0; 32];
        s.copy_from_slice(&case.signature.0[32..]);
        let wrong = Scalar::from_canonical_bytes(s).unwrap() + error;
        case.signature.0[32..].copy_from_slice(wrong.as_bytes());
    }
    assert_eq!(one_verdict(&[a.clone(), b.clone()]), [false, false]);
    let checks = [a.check().unwrap(), b.check().unwrap()];
    assert!(!all_hold(&checks));
}

fn case() -> impl Strategy<Value = Case> {
    let small_order = small_order_cases();
    (0_u8..9, any::<u8>(), any::<[u8; 4]>()).prop_map(move |(kind, seed, message)| {
        let mut case = honest(seed % 5, &message);
        match kind {
            0 => case.signature.0[usize::from(seed) % 64] ^= 1 << (seed % 8),
            1 => case.message.push(seed),
            2 => case.key = honest(seed.wrapping_add(9), b"").key,
            3 => case = small_order[usize::from(seed) % small_order.len()].clone(),
            4 => case = mixed_order(seed, seed.into(), message[0].into()),
            5 => case.key.0[usize::from(seed) % 32] ^= 0x10,
            _ => {}
        }
        case
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_batch_says_of_each_signature_what_a_single_check_says(
        cases in proptest::collection::vec(case(), 0..40)
    ) {
        one_verdict(&cases);
    }
}
