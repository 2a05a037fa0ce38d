//! What checking a signature costs, alone and in batches.
//!
//! The unit is one signature over 250 bytes. `own-keys` has another key for
//! each signature, as members' actions do; `roster` has the four of a
//! federation, as events do, whose terms add up. Keys are prepared before, as
//! nodes keep them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dctrl_consensus::{
    Ed25519Signer, PublicKey, Signature, Signer,
    crypto::{Check, PreparedKey, sha256, verify, verify_batch},
};

/// A small action or an event's header, bytes.
const MESSAGE_BYTES: usize = 250;

/// Signatures of one batch at most.
const MOST: u16 = 1024;

struct Signed {
    key: PublicKey,
    prepared: PreparedKey,
    message: Vec<u8>,
    signature: Signature,
}

fn signed(keys: u16) -> Vec<Signed> {
    (0..MOST)
        .filter_map(|number| {
            let seed = sha256(b"dctrl-bench-seed\0", &[&(number % keys).to_be_bytes()]);
            let signer = Ed25519Signer::from_seed(&seed.0);
            let message = vec![number.to_be_bytes()[1]; MESSAGE_BYTES];
            Some(Signed {
                key: signer.public_key(),
                prepared: PreparedKey::new(&signer.public_key())?,
                signature: signer.sign(&message),
                message,
            })
        })
        .collect()
}

fn batch(signed: &[Signed]) -> bool {
    let check = |one: &Signed| Check::new(&one.prepared, &[&one.message], &one.signature);
    let checks: Vec<Check> = signed.iter().map(check).collect();
    verify_batch(&checks).iter().all(|holds| *holds)
}

fn signatures(criterion: &mut Criterion) {
    for (name, keys) in [("own-keys", MOST), ("roster", 4)] {
        let signed = signed(keys);
        let mut group = criterion.benchmark_group(format!("signatures/{name}"));
        group.sample_size(20);
        group.throughput(Throughput::Elements(1));
        group.bench_function("single", |bencher| {
            let one = &signed[0];
            bencher.iter(|| assert!(verify(&one.key, &one.message, &one.signature)));
        });
        for size in [1_usize, 4, 16, 64, 256, 1024] {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_with_input(
                BenchmarkId::from_parameter(size),
                &signed[..size],
                |bencher, signed| bencher.iter(|| assert!(batch(signed))),
            );
        }
        group.finish();
    }
}

criterion_group!(benches, signatures);
criterion_main!(benches);
