//! The copayers' keys, derived here from their seeds alone: what a simulated
//! network checks signatures against, and how copayers sign.
//!
//! Nothing of the product's wallet code is used, because it is what is checked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::str::FromStr;

use bitcoin::bip32::{ChildNumber, DerivationPath, Xpriv, Xpub};
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::psbt::Psbt;
use bitcoin::script::Builder;
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Network, PublicKey, ScriptBuf, Transaction, TxOut, ecdsa};
use dctrl_effects::chain::{self, Hash, Output};
use miniscript::descriptor::checksum::desc_checksum;

/// BIP-48, for P2WSH on a test network.
const ACCOUNT: &str = "48h/1h/0h/2h";
/// The wallet's two chains of addresses.
pub(crate) const PAYMENTS: u32 = 0;
pub(crate) const CHANGE: u32 = 1;

thread_local! {
    /// Wallets of earlier runs: deriving keys costs more than anything else.
    static WALLETS: RefCell<BTreeMap<(usize, usize), Rc<Keys>>> = RefCell::default();
}

/// The wallet of so many of so many copayers.
pub(crate) fn wallet(threshold: usize, copayers: usize) -> Rc<Keys> {
    WALLETS.with_borrow_mut(|wallets| {
        let wallet = wallets.entry((threshold, copayers));
        let new = || Rc::new(Keys::new(threshold, copayers));
        Rc::clone(wallet.or_insert_with(new))
    })
}

/// A transaction without its witnesses, as backends show it.
pub(crate) fn reduced(raw: &Transaction) -> chain::Transaction {
    let place = |hash: &[u8; 32]| Hash::from_internal(*hash);
    let inputs = raw.input.iter().map(|input| {
        let from = input.previous_output;
        (place(from.txid.as_ref()), from.vout)
    });
    let outputs = (0..).zip(&raw.output).map(|(vout, one)| Output {
        vout,
        script: one.script_pubkey.to_bytes(),
        amount_sats: one.value.to_sat(),
    });
    chain::Transaction {
        txid: place(raw.compute_txid().as_ref()),
        coinbase: false,
        inputs: inputs.collect(),
        outputs: outputs.collect(),
    }
}

/// One address of the wallet.
pub(crate) struct Leaf {
    /// By copayer.
    pub(crate) secrets: Vec<SecretKey>,
    pub(crate) keys: Vec<PublicKey>,
    /// The witness script.
    pub(crate) script: ScriptBuf,
    /// What an output to it says.
    pub(crate) output: ScriptBuf,
}

/// All keys of all copayers.
pub(crate) struct Keys {
    pub(crate) curve: Secp256k1<All>,
    pub(crate) threshold: usize,
    pub(crate) fingerprints: Vec<[u8; 4]>,
    /// With its checksum.
    pub(crate) descriptor: String,
    chains: Vec<[Xpriv; 2]>,
    leaves: RefCell<BTreeMap<(u32, u32), Rc<Leaf>>>,
}

impl Keys {
    /// A wallet of `threshold` of `copayers`.
    pub(crate) fn new(threshold: usize, copayers: usize) -> Self {
        let curve = Secp256k1::new();
        let path = DerivationPath::from_str(ACCOUNT).expect("a path");
        let (mut fingerprints, mut chains, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..copayers {
            let byte = u8::try_from(number + 1).expect("few copayers");
            let master = Xpriv::new_master(Network::Regtest, &[byte; 32]).expect("a seed");
            let account = master.derive_priv(&curve, &path).expect("a key");
            let child = |chain| {
                let step = ChildNumber::Normal { index: chain };
                account.derive_priv(&curve, &[step]).expect("a key")
            };
            let print = master.fingerprint(&curve);
            let public = Xpub::from_priv(&curve, &account);
            texts.push(format!("[{print}/{ACCOUNT}]{public}/0/*"));
            fingerprints.push(print.to_bytes());
            chains.push([child(PAYMENTS), child(CHANGE)]);
        }
        let text = format!("wsh(sortedmulti({threshold},{}))", texts.join(","));
        let sum = desc_checksum(&text).expect("a descriptor");
        Self {
            curve,
            threshold,
            fingerprints,
            descriptor: format!("{text}#{sum}"),
            chains,
            leaves: RefCell::default(),
        }
    }

    /// The address of a chain with an index.
    pub(crate) fn leaf(&self, chain: u32, index: u32) -> Rc<Leaf> {
        if let Some(leaf) = self.leaves.borrow().get(&(chain, index)) {
            return Rc::clone(leaf);
        }
        let secret = |chains: &[Xpriv; 2]| {
            let step = ChildNumber::Normal { index };
            let of = &chains[usize::try_from(chain).expect("two chains")];
            of.derive_priv(&self.curve, &[step])
                .expect("a key")
                .private_key
        };
        let secrets: Vec<SecretKey> = self.chains.iter().map(secret).collect();
        let public = |secret: &SecretKey| PublicKey::new(secret.public_key(&self.curve));
        let keys: Vec<PublicKey> = secrets.iter().map(public).collect();
        let mut sorted = keys.clone();
        sorted.sort_by_key(|key| key.inner.serialize());
        let number = |of: usize| i64::try_from(of).expect("few keys");
        let mut script = Builder::new().push_int(number(self.threshold));
        for key in &sorted {
            script = script.push_key(key);
        }
        let script = script
            .push_int(number(sorted.len()))
            .push_opcode(OP_CHECKMULTISIG)
            .into_script();
        let leaf = Rc::new(Leaf {
            secrets,
            keys,
            output: script.to_p2wsh(),
            script,
        });
        let mut leaves = self.leaves.borrow_mut();
        leaves.insert((chain, index), Rc::clone(&leaf));
        leaf
    }

    /// A copayer's signature of one input.
    pub(crate) fn sign(
        &self,
        transaction: &Transaction,
        input: usize,
        spent: &Spent,
        copayer: usize,
        kind: EcdsaSighashType,
    ) -> ecdsa::Signature {
        let message = message(transaction, input, spent, kind);
        let secret = &spent.leaf.secrets[copayer];
        ecdsa::Signature {
            signature: self.curve.sign_ecdsa(&message, secret),
            sighash_type: kind,
        }
    }

    /// Adds a copayer's signatures to a PSBT.
    pub(crate) fn sign_psbt(&self, psbt: &mut Psbt, copayer: usize, kind: EcdsaSighashType) {
        let transaction = psbt.unsigned_tx.clone();
        for position in 0..psbt.inputs.len() {
            if let Some(spent) = self.spent_of(psbt, position, copayer) {
                let signature = self.sign(&transaction, position, &spent, copayer, kind);
                let key = spent.leaf.keys[copayer];
                psbt.inputs[position].partial_sigs.insert(key, signature);
            }
        }
    }

    /// What an input of a PSBT spends, by the path that it names for a copayer.
    pub(crate) fn spent_of(&self, psbt: &Psbt, input: usize, copayer: usize) -> Option<Spent> {
        let described = &psbt.inputs[input];
        let mut sources = described.bip32_derivation.values();
        let (_, path) =
            sources.find(|(print, _)| print.to_bytes() == self.fingerprints[copayer])?;
        let mut steps = path.into_iter().rev().map(|step| u32::from(*step));
        let (index, chain) = (steps.next()?, steps.next()?);
        Some(Spent {
            output: described.witness_utxo.clone()?,
            leaf: self.leaf(chain, index),
        })
    }

    /// Whether an input's witness has the signatures that its script asks for,
    /// as CHECKMULTISIG counts them.
    pub(crate) fn holds(&self, transaction: &Transaction, input: usize, spent: &Spent) -> bool {
        let witness: Vec<&[u8]> = transaction.input[input].witness.iter().collect();
        let Some((script, rest)) = witness.split_last() else {
            return false;
        };
        let Some((dummy, signatures)) = rest.split_first() else {
            return false;
        };
        if *script != spent.leaf.script.as_bytes()
            || !dummy.is_empty()
            || signatures.len() != self.threshold
        {
            return false;
        }
        let mut keys: Vec<_> = spent.leaf.keys.iter().map(|key| key.inner).collect();
        keys.sort_by_key(bitcoin::secp256k1::PublicKey::serialize);
        let mut left = keys.iter();
        signatures.iter().all(|bytes| {
            let Ok(signature) = ecdsa::Signature::from_slice(bytes) else {
                return false;
            };
            let message = message(transaction, input, spent, signature.sighash_type);
            left.any(|key| {
                let verdict = self.curve.verify_ecdsa(&message, &signature.signature, key);
                verdict.is_ok()
            })
        })
    }

    /// The witness of these signatures, by key.
    pub(crate) fn witness(&self, leaf: &Leaf, by: &BTreeMap<PublicKey, Vec<u8>>) -> Vec<Vec<u8>> {
        let mut sorted: Vec<(&PublicKey, &Vec<u8>)> = by.iter().collect();
        sorted.sort_by_key(|(key, _)| key.inner.serialize());
        let mut witness = vec![Vec::new()];
        let first = sorted.into_iter().take(self.threshold);
        witness.extend(first.map(|(_, signature)| signature.clone()));
        witness.push(leaf.script.to_bytes());
        witness
    }
}

/// An output of the wallet that is spent.
pub(crate) struct Spent {
    pub(crate) output: TxOut,
    pub(crate) leaf: Rc<Leaf>,
}

fn message(
    transaction: &Transaction,
    input: usize,
    spent: &Spent,
    kind: EcdsaSighashType,
) -> Message {
    let mut cache = SighashCache::new(transaction);
    let digest = cache.p2wsh_signature_hash(input, &spent.leaf.script, spent.output.value, kind);
    Message::from(digest.expect("the input is there"))
}
