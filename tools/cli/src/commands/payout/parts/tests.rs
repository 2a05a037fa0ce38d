use miniz_oxide::deflate::compress_to_vec;

use super::*;

const FORMATS: [PartFormat; 2] = [PartFormat::Ur, PartFormat::Bbqr];

fn psbt(length: usize) -> Vec<u8> {
    let content = (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap());
    content.collect()
}

fn rule(text: &str) -> String {
    match join(text) {
        Err(Failure::Unverified { rule, message }) => {
            assert_eq!(rule, "psbt.parts");
            message
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_cut_is_put_together_in_any_order_and_with_repetitions() {
    for format in FORMATS {
        for length in [1, 23, 24, 255, 256, 290, 291, 1_450, 9_000] {
            let mut parts = split(format, &psbt(length)).unwrap();
            assert!(parts.iter().all(|part| are_parts(part)));
            parts.reverse();
            let again = parts[0].clone();
            parts.push(again);
            let text = parts.join("\n");
            assert!(are_parts(&text));
            assert_eq!(join(&text).unwrap(), psbt(length), "{format:?} {length}");
            // Scanners give either case of a UR.
            if format == PartFormat::Ur {
                assert_eq!(join(&text.to_lowercase()).unwrap(), psbt(length));
            }
        }
    }
}

#[test]
fn every_part_fits_into_a_terminal() {
    for format in FORMATS {
        for part in split(format, &psbt(9_000)).unwrap() {
            let drawing = invoice::qr(&part).unwrap();
            let width = drawing.lines().map(|line| line.chars().count()).max();
            assert!(width <= Some(80), "{format:?}: {width:?}");
        }
    }
}

#[test]
fn the_known_encodings_are_read() {
    // The example of BCR-2020-005's registry of words: a byte string of 5.
    let one = split(PartFormat::Ur, b"hello").unwrap();
    assert_eq!(one.len(), 1);
    assert!(one[0].starts_with("UR:CRYPTO-PSBT/"));
    assert_eq!(
        split(PartFormat::Bbqr, b"hello").unwrap(),
        ["B$2P0100NBSWY3DP"]
    );
    assert_eq!(join("B$HP010068656C6C6F").unwrap(), b"hello");
    let squeezed = compress_to_vec(&psbt(2_000), 6);
    let parts = split(PartFormat::Bbqr, &squeezed).unwrap();
    let text = parts.join("\n").replace("B$2P", "B$ZP");
    assert_eq!(join(&text).unwrap(), psbt(2_000));
}

#[test]
fn parts_that_are_missing_or_of_others_or_damaged_are_refused() {
    for format in FORMATS {
        let parts = split(format, &psbt(1_450)).unwrap();
        rule(&parts[1..].join("\n"));
        let other = split(format, &psbt(2_000)).unwrap();
        rule(&format!("{}\n{}", parts[0], other[1]));
        let mut damaged = parts.clone();
        damaged[0].pop();
        damaged[0].push('!');
        rule(&damaged.join("\n"));
    }
    assert!(rule("UR:CRYPTO-SEED/AEAE").contains("crypto-seed"));
    assert!(rule("B$2T0100NBSWY3DP").contains("type T"));
    assert!(rule("B$2P0105NBSWY3DP").contains("not one of"));
    rule("B$");
    rule("ur:");
}

#[test]
fn what_parts_say_of_their_number_is_bounded() {
    let message = rule("ur:crypto-psbt/1-4294967295/aeaeaeae");
    assert!(message.contains("number of parts"), "{message}");
    // A bomb: a megabyte of zeros in a few hundred bytes.
    let bomb = compress_to_vec(&vec![0; 1 << 20], 9);
    let parts = split(PartFormat::Bbqr, &bomb).unwrap();
    rule(&parts.join("\n").replace("B$2P", "B$ZP"));
}
