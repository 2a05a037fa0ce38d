//! The two rounds of BIP-129: a copayer's key record, and the descriptor that
//! follows from all of them. The result stands in a new federation's genesis.

use std::path::{Path, PathBuf};

use bitcoin::{
    Network, NetworkKind,
    bip32::{ChildNumber, DerivationPath, Xpub},
    secp256k1::Secp256k1,
};
use clap::Args;
use dctrl_wallet::{Chain, Key, Wallet};
use serde::Serialize;

use super::{
    bsms::{self, KeyRecord, Token},
    formats::{network, refused, wrong},
    read, token,
};
use crate::{
    commands::payout::{SeedArgs, open_seed},
    failure::Failure,
    output::Output,
};

/// Options of `dctrl wallet key`.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    /// Whose seed.
    #[command(flatten)]
    seed: SeedArgs,
    /// Of which network the wallet will be
    #[arg(long, value_parser = network)]
    network: Network,
    /// From the master key to the account [default: BIP-48's first account for P2WSH]
    #[arg(long, value_name = "PATH")]
    path: Option<DerivationPath>,
    /// Whose key it is, for people
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    description: String,
    /// Encrypt with the token in this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Options of `dctrl wallet gather`.
#[derive(Args, Clone, Debug)]
pub struct GatherArgs {
    /// The copayers' key records
    #[arg(value_name = "FILE", required = true)]
    records: Vec<PathBuf>,
    /// Signatures that a payout needs
    #[arg(long, value_name = "NUMBER")]
    threshold: usize,
    /// Of which network the wallet is
    #[arg(long, value_parser = network)]
    network: Network,
    /// The tokens of the session, one file for each; may be repeated
    #[arg(long = "token-file", value_name = "FILE")]
    token_files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Recorded {
    fingerprint: String,
    record: String,
}

/// Runs `dctrl wallet key`.
///
/// # Errors
/// The seed does not open, or the description does not fit.
pub(super) fn key(out: &mut Output, args: &KeyArgs) -> Result<(), Failure> {
    let curve = Secp256k1::new();
    let master = open_seed(&args.seed)?;
    if master.network != NetworkKind::from(args.network) {
        return Err(Failure::usage(
            "wallet.network",
            "the seed is of another network",
        ));
    }
    let path = args
        .path
        .clone()
        .unwrap_or_else(|| account_path(args.network));
    let account = master
        .derive_priv(&curve, &path)
        .map_err(anyhow::Error::from)?;
    let key = Key {
        fingerprint: master.fingerprint(&curve),
        path,
        xpub: Xpub::from_priv(&curve, &account),
    };
    let token = optional_token(args.token_file.as_deref())?;
    let record = KeyRecord::write(&key, &master, &token, &args.description)?;
    let recorded = Recorded {
        fingerprint: key.fingerprint.to_string(),
        record: token.seal(&record),
    };
    out.show(&recorded, |recorded| format!("{}\n", recorded.record))
}

/// BIP-48: purpose, coin, first account, script type 2.
fn account_path(network: Network) -> DerivationPath {
    let coin = u32::from(network != Network::Bitcoin);
    let steps = [48, coin, 0, 2].map(|index| ChildNumber::Hardened { index });
    DerivationPath::from(steps.to_vec())
}

fn optional_token(file: Option<&Path>) -> Result<Token, Failure> {
    file.map_or_else(|| Ok(Token::default()), token)
}

#[derive(Serialize)]
struct Gathered {
    descriptor: Option<String>,
    first_address: String,
    fingerprints: Vec<String>,
    /// Round 2, as it is and once for each token.
    record: String,
    sealed: Vec<String>,
}

/// Runs `dctrl wallet gather`.
///
/// # Errors
/// A record does not open or verify, or stands twice.
pub(super) fn gather(out: &mut Output, args: &GatherArgs) -> Result<(), Failure> {
    let tokens: Vec<Token> = args
        .token_files
        .iter()
        .map(|file| token(file))
        .collect::<Result<_, _>>()?;
    let mut keys: Vec<Key> = Vec::new();
    for file in &args.records {
        let in_file = |failure| match failure {
            Failure::Unverified { rule, message } => Failure::Unverified {
                rule,
                message: format!("{}: {message}", file.display()),
            },
            other => other,
        };
        let record = record(file, &tokens, args.network).map_err(in_file)?;
        if keys.iter().any(|key| key.xpub == record.key.xpub) {
            return Err(in_file(wrong("this key has been handed in already")));
        }
        eprintln!("{}  {}", record.key.fingerprint, record.description);
        keys.push(record.key);
    }
    let wallet =
        Wallet::of(args.threshold, &keys, args.network).map_err(|problems| refused(&problems))?;
    let record = bsms::descriptor_record(&wallet);
    let gathered = Gathered {
        descriptor: wallet.descriptor(Chain::Payments),
        first_address: wallet.address(Chain::Payments, 0).to_string(),
        fingerprints: keys.iter().map(|key| key.fingerprint.to_string()).collect(),
        sealed: tokens.iter().map(|token| token.seal(&record)).collect(),
        record,
    };
    out.show(&gathered, |gathered| {
        let sealed = gathered.sealed.iter().map(|sealed| format!("\n{sealed}\n"));
        format!("{}\n{}", gathered.record, sealed.collect::<String>())
    })
}

/// A record that is plain or opens with one of the tokens, which it names.
fn record(file: &Path, tokens: &[Token], network: Network) -> Result<KeyRecord, Failure> {
    let bytes = read(file)?;
    let plain = Token::default();
    let token = if bytes.starts_with(bsms::VERSION.as_bytes()) {
        &plain
    } else {
        let mut fits = tokens.iter().filter(|token| token.open(&bytes).is_ok());
        fits.next().ok_or_else(|| wrong("no token opens it"))?
    };
    let record = KeyRecord::read(&token.open(&bytes)?, NetworkKind::from(network))?;
    if record.token != token.hex() {
        return Err(wrong("it names another token"));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testnet::wallet::Wallet as Keys;

    /// The records of three copayers' seeds, written to a folder.
    fn records(folder: &Path, token: &Token) -> Vec<PathBuf> {
        let keys = Keys::from_seeds(&[[1; 32], [2; 32], [3; 32]]).unwrap();
        let wallet = Wallet::parse(&keys.descriptor, Network::Regtest).unwrap();
        let masters = [1, 2, 3]
            .map(|seed| bitcoin::bip32::Xpriv::new_master(NetworkKind::Test, &[seed; 32]).unwrap());
        let write = |(key, master): (&Key, &bitcoin::bip32::Xpriv)| {
            let record = KeyRecord::write(key, master, token, "a copayer").unwrap();
            let file = folder.join(format!("{}.bsms", key.fingerprint));
            std::fs::write(&file, token.seal(&record)).unwrap();
            file
        };
        wallet.keys().iter().zip(&masters).map(write).collect()
    }

    fn gathered(records: Vec<PathBuf>, token_files: Vec<PathBuf>) -> Result<(), Failure> {
        let args = GatherArgs {
            records,
            threshold: 2,
            network: Network::Regtest,
            token_files,
        };
        gather(&mut Output::to(true, Box::new(std::io::sink())), &args)
    }

    #[test]
    fn key_records_make_the_wallet_in_every_mode() {
        for token in ["00", "a54044308ceac9b7", "108a2360adb302774eb521daebbeda5e"] {
            let folder = tempfile::tempdir().unwrap();
            let token_file = folder.path().join("token");
            std::fs::write(&token_file, format!("{token}\n")).unwrap();
            let token = Token::parse(token).unwrap();
            let files = records(folder.path(), &token);
            gathered(files.clone(), vec![token_file]).unwrap();
            if token != Token::default() {
                let message = gathered(files, Vec::new()).unwrap_err().to_string();
                assert!(message.contains("no token opens it"), "{message}");
            }
        }
    }

    #[test]
    fn a_record_twice_or_of_another_session_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = records(folder.path(), &Token::default());
        let twice = vec![files[0].clone(), files[0].clone()];
        let message = gathered(twice, Vec::new()).unwrap_err().to_string();
        assert!(message.contains("already"), "{message}");
        // Signed for another token, and handed in as plain text.
        let token = Token::parse("a54044308ceac9b7").unwrap();
        let sealed = records(folder.path(), &token);
        let plain = token.open(&std::fs::read(&sealed[0]).unwrap()).unwrap();
        std::fs::write(&sealed[0], plain).unwrap();
        let message = gathered(vec![sealed[0].clone()], Vec::new()).unwrap_err();
        assert!(message.to_string().contains("another token"), "{message}");
    }

    #[test]
    fn the_account_is_bip_48s() {
        assert_eq!(account_path(Network::Bitcoin).to_string(), "48'/0'/0'/2'");
        assert_eq!(account_path(Network::Regtest).to_string(), "48'/1'/0'/2'");
    }
}
