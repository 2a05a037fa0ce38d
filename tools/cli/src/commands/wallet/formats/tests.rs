use super::*;
use crate::commands::wallet::compare::differences;
use crate::testnet::wallet::Wallet as Keys;

const ALL: [Format; 6] = [
    Format::Descriptor,
    Format::Sparrow,
    Format::Specter,
    Format::Caravan,
    Format::Core,
    Format::Bsms,
];

fn wallet(seeds: [u8; 3]) -> Wallet {
    let keys = Keys::from_seeds(&seeds.map(|seed| [seed; 32])).unwrap();
    Wallet::parse(&keys.descriptor, Network::Regtest).unwrap()
}

fn written(format: Format) -> String {
    write(format, &wallet([1, 2, 3]), "the club", 1_700_000_000).unwrap()
}

fn found(text: &str) -> Result<Found, Failure> {
    read(text.as_bytes(), Network::Regtest)
}

#[test]
fn every_format_is_read_back_as_the_same_wallet() {
    let ours = wallet([1, 2, 3]);
    for format in ALL {
        let text = written(format);
        let found = found(&text).unwrap();
        assert_eq!(found.format, format);
        assert_eq!(
            differences(&ours, &found),
            Vec::<String>::new(),
            "{format:?}"
        );
        assert_eq!(found.first_address.is_some(), format == Format::Bsms);
    }
}

#[test]
fn another_wallet_is_told_by_what_differs_in_every_format() {
    let theirs = wallet([1, 2, 9]);
    let ours = theirs.keys()[2].fingerprint;
    for format in ALL {
        let found = found(&written(format)).unwrap();
        let said = differences(&theirs, &found);
        let missing = format!("the key of {ours} is missing there");
        assert!(said.contains(&missing), "{format:?}: {said:?}");
        assert!(
            said.iter()
                .any(|one| one.starts_with("a stranger signs there"))
        );
    }
}

#[test]
fn each_difference_has_its_own_words() {
    let ours = wallet([1, 2, 3]);
    let text = written(Format::Caravan);
    let print = ours.keys()[0].fingerprint.to_string();
    let xpub = ours.keys()[0].xpub.to_string();
    let other = wallet([7, 8, 9]).keys()[0].xpub.to_string();
    for (from, to, expected) in [
        (
            "\"requiredSigners\": 2",
            "\"requiredSigners\": 3",
            "3 signatures",
        ),
        (print.as_str(), "01020304", "has the fingerprint 01020304"),
        (xpub.as_str(), other.as_str(), "has another key there"),
        ("m/48'/1'/0'/2'", "m/48'/1'/1'/2'", "has the path"),
    ] {
        let changed = text.replacen(from, to, if from == print { 2 } else { 1 });
        assert_ne!(changed, text, "{from}");
        let said = differences(&ours, &found(&changed).unwrap()).join("; ");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn what_is_no_wallet_of_ours_is_refused() {
    let change_first = {
        let ours = wallet([1, 2, 3]);
        let payments = ours.descriptor(Chain::Payments).unwrap();
        let change = ours.descriptor(Chain::Change).unwrap();
        json::core(change, payments, 0).unwrap()
    };
    let caravan = written(Format::Caravan);
    let descriptor = written(Format::Descriptor);
    for (text, expected) in [
        (String::new(), "there is none"),
        ("{}".to_owned(), "missing field"),
        ("{".to_owned(), "EOF"),
        (change_first, "exchanged"),
        (caravan.replace("P2WSH", "P2SH"), "not P2WSH"),
        (caravan.replace("regtest", "mainnet"), "network mainnet"),
        (
            caravan.replace("\"totalSigners\": 3", "\"totalSigners\": 4"),
            "4 signers",
        ),
        (descriptor.replace("sortedmulti", "multi"), "not valid"),
        (
            descriptor
                .replace("sortedmulti", "multi")
                .split('#')
                .next()
                .unwrap()
                .to_owned(),
            "not wsh(sortedmulti",
        ),
    ] {
        match found(&text) {
            Err(Failure::Unverified { rule, message }) => {
                assert_eq!(rule, "wallet.file");
                assert!(message.contains(expected), "{message}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let main = read(descriptor.as_bytes(), Network::Bitcoin).unwrap_err();
    assert!(main.to_string().contains("another network"), "{main}");
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let ours = wallet([1, 2, 3]);
    let found = found(&write(Format::Core, &wallet([3, 1, 2]), "x", 0).unwrap()).unwrap();
    assert_eq!(differences(&ours, &found), Vec::<String>::new());
}
