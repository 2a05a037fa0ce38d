//! Payouts: copayers with their keys, coins, and what the chain shows.

use std::str::FromStr;

use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Network, Psbt, Transaction, consensus};
use dctrl_ledger::query;
use dctrl_proto::v1::{
    Copayer, Genesis, Member, MemberStatus, Outpoint, PaymentView, Payout, PayoutApprove,
    PayoutObserve, PayoutPropose, PayoutRecipient, PayoutRules, PayoutSign, PayoutState,
    PayoutTier, PayoutVersion, Refusal,
};

use super::{Federation, Key, NODES, tip};

/// Seeds of the copayers' member keys.
pub(crate) const CAROL: u8 = 40;
pub(crate) const DAVE: u8 = 41;
pub(crate) const ERIN: u8 = 42;
pub(crate) const COPAYERS: [u8; 3] = [CAROL, DAVE, ERIN];
/// Up to here one approval suffices, above two.
pub(crate) const SMALL: u64 = 100_000;
pub(crate) const LARGE: u64 = 1_000_000;
pub(crate) const DAY: u64 = 1_500_000;
pub(crate) const DELAY_MS: u64 = 5_000;
/// Highest fee of a payout, sats.
pub(crate) const FEE_SATS_MAX: u64 = 50_000;
pub(crate) const PROPOSAL_MS: u64 = 3_600_000;

/// The master key of the copayer with this number.
pub(crate) fn master(number: u8) -> Xpriv {
    Xpriv::new_master(Network::Regtest, &[number + 1; 32]).unwrap()
}

pub(crate) fn with_payouts(genesis: &mut Genesis) {
    let curve = Secp256k1::new();
    for (number, seed) in (0..).zip(COPAYERS) {
        let id = ["carol", "dave", "erin"][usize::from(number)];
        genesis.members.push(Member {
            id: id.into(),
            name: id.to_uppercase(),
            key: Key::new(seed).public(),
            roles: vec!["copayer".into()],
            status: MemberStatus::Active.into(),
        });
        let fingerprint = master(number).fingerprint(&curve).to_bytes().to_vec();
        let rules = genesis.payouts.get_or_insert_with(rules);
        rules.copayers.push(Copayer {
            member_id: id.into(),
            fingerprint,
        });
    }
}

fn rules() -> PayoutRules {
    let tier = |sats_max, approvals, delay_ms| PayoutTier {
        sats_max,
        approvals,
        delay_ms,
    };
    PayoutRules {
        tiers: vec![tier(SMALL, 1, 0), tier(LARGE, 2, DELAY_MS)],
        day_sats_max: DAY,
        fee_rate_min: 1_000,
        fee_rate_max: 100_000,
        fee_sats_max: FEE_SATS_MAX,
        fee_bps_max: 5_000,
        proposal_ms: PROPOSAL_MS,
        ..PayoutRules::default()
    }
}

/// An address that is not the federation's.
pub(crate) fn stranger(number: u8) -> String {
    let curve = Secp256k1::new();
    let path = DerivationPath::from_str("84h/1h/0h/0/0").unwrap();
    let key = master(100 + number).derive_priv(&curve, &path).unwrap();
    let public = bitcoin::CompressedPublicKey(key.private_key.public_key(&curve));
    Address::p2wpkh(&public, Network::Regtest).to_string()
}

pub(crate) fn propose(amounts: &[u64]) -> PayoutPropose {
    let recipient = |(number, sats): (u8, &u64)| PayoutRecipient {
        address: stranger(number),
        amount_sats: *sats,
    };
    PayoutPropose {
        recipients: (0..).zip(amounts).map(recipient).collect(),
        purpose: "shares".into(),
        ..PayoutPropose::default()
    }
}

/// What the copayer's own signer makes of the PSBT.
pub(crate) fn signed(version: &PayoutVersion, copayer: u8) -> Vec<u8> {
    let mut psbt = Psbt::deserialize(&version.psbt).unwrap();
    psbt.sign(&master(copayer), &Secp256k1::new()).unwrap();
    psbt.serialize()
}

pub(crate) fn transaction(version: &PayoutVersion) -> Transaction {
    consensus::deserialize(&version.transaction).unwrap()
}

pub(crate) fn newest(payout: &Payout) -> &PayoutVersion {
    payout.versions.last().unwrap()
}

impl Federation {
    /// A federation with rules for payouts and so many coins, deep enough.
    pub(crate) fn rich(coins: &[u64]) -> Self {
        let mut federation = Self::with(with_payouts);
        federation.earn(coins);
        federation
    }

    pub(crate) fn earn(&mut self, coins: &[u64]) {
        for (number, sats) in (50..).zip(coins) {
            let vend = self.quote();
            self.pay(&vend, number, *sats);
            self.tip(110);
        }
    }

    pub(crate) fn payout(&self, id: &str) -> Payout {
        query::payout(&self.state, id).unwrap()
    }

    pub(crate) fn propose_payout(&mut self, seed: u8, amounts: &[u64]) -> Result<Payout, Refusal> {
        let id = self.submit(seed, &propose(amounts))?;
        Ok(self.payout(&id))
    }

    pub(crate) fn approve_payout(&mut self, seed: u8, payout: &Payout) -> Result<Payout, Refusal> {
        let approve = PayoutApprove {
            payout_id: payout.id.clone(),
            txid: newest(payout).txid.clone(),
        };
        self.submit(seed, &approve)?;
        Ok(self.payout(&payout.id))
    }

    /// Proposed by Carol, approved by Dave.
    pub(crate) fn approved(&mut self, amounts: &[u64]) -> Payout {
        let payout = self.propose_payout(CAROL, amounts).unwrap();
        let payout = self.approve_payout(DAVE, &payout).unwrap();
        assert_eq!(payout.state(), PayoutState::Approved);
        payout
    }

    /// Hands in a PSBT.
    pub(crate) fn hand_in(&mut self, payout: &Payout, psbt: Vec<u8>) -> Result<Payout, Refusal> {
        let sign = PayoutSign {
            payout_id: payout.id.clone(),
            psbt,
        };
        self.submit(CAROL, &sign)?;
        Ok(self.payout(&payout.id))
    }

    /// These copayers sign the newest transaction, one after the other.
    pub(crate) fn signed_by(&mut self, payout: &Payout, copayers: &[u8]) -> Payout {
        for copayer in copayers {
            let psbt = signed(newest(&self.payout(&payout.id)), *copayer);
            self.hand_in(payout, psbt).unwrap();
        }
        self.payout(&payout.id)
    }

    /// Ready to be broadcast.
    pub(crate) fn ready(&mut self, amounts: &[u64]) -> Payout {
        let payout = self.approved(amounts);
        let payout = self.signed_by(&payout, &[0, 1]);
        assert_eq!(payout.state(), PayoutState::Ready);
        payout
    }

    /// What these nodes see of a payout.
    pub(crate) fn see_payout(&mut self, nodes: &[u8], said: &PayoutObserve) -> Payout {
        for node in nodes {
            self.submit(*node, said).unwrap();
        }
        self.payout(&said.payout_id)
    }

    /// All nodes see it in the block at `height`, and `tip` as newest.
    pub(crate) fn mined(&mut self, payout: &Payout, txid: &[u8], height: u32, tip: u32) -> Payout {
        self.see_payout(&NODES, &mined_at(payout, txid, height));
        self.tip(tip);
        self.payout(&payout.id)
    }
}

pub(crate) fn waiting(payout: &Payout, txid: &[u8]) -> PayoutObserve {
    PayoutObserve {
        payout_id: payout.id.clone(),
        view: PaymentView::InMempool.into(),
        txid: txid.to_vec(),
        ..PayoutObserve::default()
    }
}

pub(crate) fn mined_at(payout: &Payout, txid: &[u8], height: u32) -> PayoutObserve {
    PayoutObserve {
        view: PaymentView::InBlock.into(),
        block_height: height,
        block_hash: tip(height).hash,
        ..waiting(payout, txid)
    }
}

pub(crate) fn nowhere(payout: &Payout) -> PayoutObserve {
    PayoutObserve {
        payout_id: payout.id.clone(),
        view: PaymentView::Absent.into(),
        ..PayoutObserve::default()
    }
}

/// Somebody else's transaction that spends the payout's first input.
pub(crate) fn conflict(payout: &Payout, height: u32) -> PayoutObserve {
    let spends: Vec<Outpoint> = payout.versions[0].inputs[..1]
        .iter()
        .flat_map(|input| input.outpoint.clone())
        .collect();
    PayoutObserve {
        spends,
        ..mined_at(payout, &[0xcc; 32], height)
    }
}
