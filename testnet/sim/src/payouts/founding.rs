//! The federation of a run: nodes, people with their keys, rules.
//!
//! Parties are told apart by their keys; that signatures hold is not what is
//! tested here, so that every one is taken as good, and liars keep to their own.

use dctrl_consensus::crypto::{Ed25519Signer, Signer};
use dctrl_ledger::{Claim, Signatures};
use dctrl_proto::action::{Payload, body};
use dctrl_proto::genesis::{cluster_id, simulated_chain_genesis};
use dctrl_proto::v1::{
    Copayer, DepthRule, Genesis, Member, MemberStatus, Node, PayoutRules, PayoutTier, Policy,
    SignedAction,
};
use prost::Message;

use super::plan::Plan;
use crate::copayer_keys::Keys;

/// When the genesis was made.
pub(super) const START_MS: u64 = 1_800_000_000_000;
/// How long an action may wait for its order.
const ACTION_LIFE_MS: u64 = 120_000;
/// Up to here one approval suffices.
pub(super) const SMALL_SATS: u64 = 100_000;
/// Up to here more do.
pub(super) const LARGE_SATS: u64 = 1_000_000;
/// All that may be proposed in a day.
pub(super) const DAY_SATS: u64 = 400_000_000;
/// A large payout is signed so long after it was proposed.
const DELAY_MS: u64 = 30_000;
/// A proposal is void after this.
pub(super) const PROPOSAL_MS: u64 = 400_000;
/// An address may be paid so long after it came onto the list.
pub(super) const ALLOW_DELAY_MS: u64 = 60_000;
/// Bounds of the fee rate.
const FEE_RATE_MIN: u64 = 1_000;
pub(super) const FEE_RATE_MAX: u64 = 200_000;
const FEE_SATS_MAX: u64 = 500_000;
const FEE_BPS_MAX: u32 = 9_000;

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    Node(usize),
    Copayer(usize),
    Operator,
    /// Whoever pays in.
    Member(usize),
}

/// The federation of one run.
pub(super) struct Founding {
    pub(super) genesis: Genesis,
    cluster: [u8; 32],
    requests: u128,
}

/// Every signature holds.
pub(super) struct Trusted;

impl Signatures for Trusted {
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        vec![true; claims.len()]
    }
}

pub(super) fn copayer_id(copayer: usize) -> String {
    format!("copayer{copayer}")
}

fn member_id(member: usize) -> String {
    format!("member{member}")
}

fn key(party: Party) -> Vec<u8> {
    let (kind, number) = match party {
        Party::Node(seat) => (1, seat),
        Party::Copayer(number) => (2, number),
        Party::Operator => (3, 0),
        Party::Member(number) => (4, number),
    };
    let mut seed = [0x70_u8; 32];
    seed[0] = kind;
    seed[1..9].copy_from_slice(&(number as u64).to_be_bytes());
    Ed25519Signer::from_seed(&seed).public_key().0.to_vec()
}

impl Founding {
    pub(super) fn of(plan: &Plan, keys: &Keys) -> Self {
        let mut members = vec![member("operator".to_owned(), Party::Operator, "operator")];
        let copayers = 0..plan.copayers;
        let copayer = |number| member(copayer_id(number), Party::Copayer(number), "copayer");
        members.extend(copayers.clone().map(copayer));
        let payer = |number| member(member_id(number), Party::Member(number), "member");
        members.extend((0..plan.members).map(payer));
        let genesis = Genesis {
            name: "sim".to_owned(),
            network: "regtest".to_owned(),
            chain_genesis_hash: simulated_chain_genesis().to_vec(),
            descriptor: keys.descriptor.clone(),
            nodes: (0..plan.nodes).map(node).collect(),
            members,
            policy: Some(policy()),
            created_at_ms: START_MS,
            payouts: Some(rules(plan, keys)),
            ..Genesis::default()
        };
        Self {
            cluster: cluster_id(&genesis),
            genesis,
            requests: 0,
        }
    }

    /// An action of a party.
    pub(super) fn action<P: Payload>(
        &mut self,
        party: Party,
        now_ms: u64,
        payload: &P,
    ) -> SignedAction {
        self.requests += 1;
        let request_id = self.requests.to_be_bytes();
        let body = body(&self.cluster, request_id, now_ms + ACTION_LIFE_MS, payload);
        SignedAction {
            key: key(party),
            signature: vec![0; 64],
            body: body.encode_to_vec(),
        }
    }
}

fn member(id: String, party: Party, role: &str) -> Member {
    Member {
        name: id.clone(),
        id,
        key: key(party),
        roles: vec![role.to_owned()],
        status: MemberStatus::Active.into(),
    }
}

fn node(seat: usize) -> Node {
    let endpoint = |port: u16| format!("tcp://192.0.2.{}:{port}", seat + 1);
    let mut curve_key = vec![0x63; 32];
    curve_key[0] = u8::try_from(seat).unwrap_or(u8::MAX);
    Node {
        name: format!("node-{seat}"),
        key: key(Party::Node(seat)),
        curve_key,
        gossip_endpoint: endpoint(7000),
        bus_endpoint: endpoint(7001),
        door_endpoint: endpoint(7002),
    }
}

fn policy() -> Policy {
    Policy {
        quote_ms: 600_000,
        order_ms: 30_000,
        heartbeat_ms_max: 120_000,
        price_age_ms_max: 60_000,
        price_spread_bps: 100,
        zero_conf_sats_max: 0,
        depths: vec![DepthRule {
            sats_max: 100_000_000,
            confirmations: 3,
        }],
        final_depth: 6,
        money: None,
    }
}

fn rules(plan: &Plan, keys: &Keys) -> PayoutRules {
    let tier = |sats_max, approvals, delay_ms| PayoutTier {
        sats_max,
        approvals,
        delay_ms,
    };
    let copayer = |(number, print): (usize, &[u8; 4])| Copayer {
        member_id: copayer_id(number),
        fingerprint: print.to_vec(),
    };
    PayoutRules {
        copayers: keys.fingerprints.iter().enumerate().map(copayer).collect(),
        tiers: vec![
            tier(SMALL_SATS, 1, 0),
            tier(LARGE_SATS, plan.approvals, DELAY_MS),
        ],
        day_sats_max: DAY_SATS,
        allow_list: plan.allow_list,
        allow_delay_ms: ALLOW_DELAY_MS,
        fee_rate_min: FEE_RATE_MIN,
        fee_rate_max: FEE_RATE_MAX,
        fee_sats_max: FEE_SATS_MAX,
        fee_bps_max: FEE_BPS_MAX,
        proposal_ms: PROPOSAL_MS,
        ..PayoutRules::default()
    }
}
