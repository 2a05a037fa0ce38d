//! The federation of one run: its genesis, its keys, and the rules that all
//! its nodes are told.

use std::rc::Rc;

use dctrl_consensus::{ClusterId, Digest, Roster, RosterMember};
use dctrl_proto::genesis::{cluster_id, simulated_chain_genesis};
use dctrl_proto::v1::product::Price;
use dctrl_proto::v1::{
    Copayer, DepthRule, FiatPrice, Genesis, Machine, Member, MemberStatus, MoneyPolicy, Node,
    PayoutRules, PayoutTier, Policy, Product, Slot,
};

use super::parties::Party;
use super::plan::Plan;
use crate::clock;
use crate::copayer_keys::wallet;
use crate::people::key_seed;
use crate::rules::Rules;
use crate::setting::Setting;

/// Copayers, and how many of them must sign.
pub(super) const COPAYERS: usize = 3;
pub(super) const THRESHOLD: usize = 2;
/// The member who puts money into the wallet.
pub(super) const PATRON: &str = "patron";
/// Up to here one approval suffices, up to there two do.
const SMALL_SATS: u64 = 15_000;
const LARGE_SATS: u64 = 1_000_000;
/// A large payout is signed so long after it was proposed.
const LARGE_DELAY_MS: u64 = 5_000;
/// A proposal is void after this.
const PROPOSAL_MS: u64 = 60_000;

/// What a can costs in satoshi; sold on an unconfirmed payment.
pub(super) const CHEAP_SATS: u64 = 1_500;
/// What a bar costs in cents; sold once it is in a block.
const BAR_CENTS: u64 = 250;
/// How long an unconfirmed payment is waited with: less than a block takes.
const ZERO_CONF_WAIT_MS: u32 = 2_000;
/// Units that fit into a slot.
pub(super) const CAPACITY: u32 = 40;
/// The slots of each machine: name, product and line.
pub(super) const SLOTS: [(&str, &str, u32); 2] = [("A1", "can", 1), ("A2", "bar", 2)];
/// The currency in which bars are priced.
pub(super) const CURRENCY: &str = "EUR";

/// Who founds the federation, and with what.
pub(super) struct Founding {
    pub(super) setting: Setting,
    pub(super) genesis: Genesis,
    pub(super) cluster: [u8; 32],
    pub(super) nodes: Vec<Party>,
    pub(super) operator: Party,
    pub(super) staff: Party,
    pub(super) buyers: Vec<Party>,
    pub(super) copayers: Vec<Party>,
    pub(super) patron: Party,
}

/// The seed of the key of the machine with this number.
pub(super) fn machine_seed(machine: usize) -> [u8; 32] {
    seed(0x4d, machine)
}

pub(super) fn machine_id(machine: usize) -> String {
    format!("m{machine}")
}

pub(super) fn buyer_id(buyer: usize) -> String {
    format!("buyer{buyer}")
}

pub(super) fn copayer_id(copayer: usize) -> String {
    format!("copayer{copayer}")
}

fn seed(kind: u8, number: usize) -> [u8; 32] {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    seed
}

impl Founding {
    /// The federation of this plan.
    pub(super) fn of(plan: &Plan, run: u64, rules: Rules) -> Rc<Self> {
        let real = plan.real_signatures;
        let party = |seed| Party::new(seed, real);
        let nodes: Vec<Party> = (0..plan.nodes).map(|seat| party(key_seed(seat))).collect();
        let operator = party(seed(0x4f, 0));
        let staff = party(seed(0x53, 0));
        let buyers: Vec<Party> = (0..plan.buyers).map(|one| party(seed(0x42, one))).collect();
        let copayers: Vec<Party> = (0..COPAYERS).map(|one| party(seed(0x50, one))).collect();
        let patron = party(seed(0x54, 0));
        let mut members = vec![
            member("operator", &operator, "operator"),
            member("staff", &staff, "staff"),
            member(PATRON, &patron, "member"),
        ];
        let copayer =
            |(number, party): (usize, &Party)| member(&copayer_id(number), party, "copayer");
        members.extend(copayers.iter().enumerate().map(copayer));
        let buyer = |(number, party): (usize, &Party)| member(&buyer_id(number), party, "member");
        members.extend(buyers.iter().enumerate().map(buyer));
        let machines = 0..plan.machines;
        let genesis = Genesis {
            name: "sim".to_owned(),
            network: "regtest".to_owned(),
            chain_genesis_hash: simulated_chain_genesis().to_vec(),
            descriptor: wallet(THRESHOLD, COPAYERS).descriptor.clone(),
            nodes: nodes.iter().enumerate().map(node).collect(),
            members,
            machines: machines.clone().map(machine).collect(),
            products: products(),
            slots: machines.flat_map(slots).collect(),
            policy: Some(policy(plan)),
            created_at_ms: clock::right(0).as_millis(),
            consensus: None,
            payouts: Some(payout_rules()),
        };
        let cluster = cluster_id(&genesis);
        let mut setting = Setting::new(plan.nodes, rules.of(run), real);
        setting.cluster = ClusterId(Digest(cluster));
        setting.genesis = roster(&genesis);
        setting.faulty = plan.cast.faulty();
        Rc::new(Self {
            setting: match plan.seal_layers {
                Some(layers) => setting.sealing(layers),
                None => setting,
            },
            genesis,
            cluster,
            nodes,
            operator,
            staff,
            buyers,
            copayers,
            patron,
        })
    }
}

fn roster(genesis: &Genesis) -> Roster {
    let member = |node: &Node| {
        let key = <[u8; 32]>::try_from(node.key.as_slice()).unwrap_or_default();
        RosterMember::new(node.name.clone(), dctrl_consensus::PublicKey(key))
    };
    let Ok(roster) = Roster::new(0, genesis.nodes.iter().map(member).collect()) else {
        unreachable!("the names and keys of a founding are distinct")
    };
    roster
}

fn node((seat, party): (usize, &Party)) -> Node {
    let endpoint = |port: u16| format!("tcp://192.0.2.{}:{port}", seat + 1);
    Node {
        name: format!("node-{seat}"),
        key: party.key.to_vec(),
        curve_key: seed(0x63, seat).to_vec(),
        gossip_endpoint: endpoint(7000),
        bus_endpoint: endpoint(7001),
        door_endpoint: endpoint(7002),
    }
}

fn member(id: &str, party: &Party, role: &str) -> Member {
    Member {
        id: id.to_owned(),
        name: id.to_owned(),
        key: party.key.to_vec(),
        roles: vec![role.to_owned()],
        status: MemberStatus::Active.into(),
    }
}

fn machine(number: usize) -> Machine {
    Machine {
        id: machine_id(number),
        site: "the hall".to_owned(),
        key: Party::new(machine_seed(number), false).key.to_vec(),
        curve_key: seed(0x6d, number).to_vec(),
        enabled: true,
        ..Machine::default()
    }
}

fn products() -> Vec<Product> {
    let product = |id: &str, price| Product {
        id: id.to_owned(),
        name: id.to_owned(),
        price: Some(price),
        version: 0,
    };
    let fiat = FiatPrice {
        currency: CURRENCY.to_owned(),
        minor_units: BAR_CENTS,
    };
    vec![
        product("can", Price::PriceSats(CHEAP_SATS)),
        product("bar", Price::PriceFiat(fiat)),
    ]
}

fn slots(machine: usize) -> Vec<Slot> {
    let slot = |(name, product, _): &(&str, &str, u32)| Slot {
        machine_id: machine_id(machine),
        slot: (*name).to_owned(),
        product_id: (*product).to_owned(),
        capacity: CAPACITY,
        stock: CAPACITY / 2,
        ..Slot::default()
    };
    SLOTS.iter().map(slot).collect()
}

fn policy(plan: &Plan) -> Policy {
    let depth = |sats_max, confirmations| DepthRule {
        sats_max,
        confirmations,
    };
    Policy {
        quote_ms: plan.quote_ms,
        order_ms: 20_000,
        heartbeat_ms_max: 120_000,
        price_age_ms_max: 300_000,
        price_spread_bps: 100,
        zero_conf_sats_max: CHEAP_SATS,
        depths: vec![depth(100_000, plan.confirmations), depth(1_000_000, 3)],
        final_depth: 6,
        money: Some(MoneyPolicy {
            zero_conf_wait_ms: Some(ZERO_CONF_WAIT_MS),
            ..MoneyPolicy::default()
        }),
    }
}

fn payout_rules() -> PayoutRules {
    let tier = |sats_max, approvals, delay_ms| PayoutTier {
        sats_max,
        approvals,
        delay_ms,
    };
    let wallet = wallet(THRESHOLD, COPAYERS);
    let copayer = |(number, print): (usize, &[u8; 4])| Copayer {
        member_id: copayer_id(number),
        fingerprint: print.to_vec(),
    };
    PayoutRules {
        copayers: wallet
            .fingerprints
            .iter()
            .enumerate()
            .map(copayer)
            .collect(),
        tiers: vec![tier(SMALL_SATS, 1, 0), tier(LARGE_SATS, 2, LARGE_DELAY_MS)],
        day_sats_max: 100 * LARGE_SATS,
        fee_rate_min: 1_000,
        fee_rate_max: 50_000,
        fee_sats_max: 200_000,
        fee_bps_max: 9_000,
        proposal_ms: PROPOSAL_MS,
        ..PayoutRules::default()
    }
}
