//! Every key of the state. No other file spells one.
//!
//! A key is a table's name, `/`, and the row's parts. Text parts are ids,
//! which never contain `/`; binary parts have a fixed length and stand last,
//! big-endian, so that they sort by value.

use dctrl_proto::v1::Outpoint;

/// The accumulator of the state digest: the one key that it does not cover.
pub(crate) const DIGEST: &[u8] = b"#digest";
/// `LedgerMeta`.
pub(crate) const META: &[u8] = b"meta";
/// `Genesis`.
pub(crate) const GENESIS: &[u8] = b"genesis";
/// `ChainTip`.
pub(crate) const TIP: &[u8] = b"tip";

pub(crate) const MEMBERS: &[u8] = b"member/";
pub(crate) const MACHINES: &[u8] = b"machine/";
pub(crate) const PRODUCTS: &[u8] = b"product/";
pub(crate) const SLOTS: &[u8] = b"slot/";
pub(crate) const VENDS: &[u8] = b"vend/";
pub(crate) const VENDS_NEWEST: &[u8] = b"vend-newest/";
pub(crate) const PAYMENTS: &[u8] = b"payment/";
pub(crate) const CONFIRMING: &[u8] = b"confirming/";
pub(crate) const PRICE_VOTES: &[u8] = b"price-votes/";
pub(crate) const RATES: &[u8] = b"rate/";
pub(crate) const ACCOUNTS: &[u8] = b"account/";
pub(crate) const JOURNAL: &[u8] = b"journal/";
pub(crate) const DEADLINES: &[u8] = b"deadline/";
pub(crate) const ROSTERS: &[u8] = b"roster/";
pub(crate) const NODE_PROPOSALS: &[u8] = b"node-proposal/";
pub(crate) const NODES_LEAVING: &[u8] = b"node-leaving/";
pub(crate) const NODES_RENEWING: &[u8] = b"node-renewing/";
pub(crate) const PRINCIPALS: &[u8] = b"principal/";
pub(crate) const REPORTED: &[u8] = b"reported/";
pub(crate) const SEEN: &[u8] = b"seen/";
pub(crate) const FORGOTTEN: &[u8] = b"forgotten/";

fn text(table: &[u8], row: &str) -> Vec<u8> {
    [table, row.as_bytes()].concat()
}

/// Who holds a key: node, machine or member.
pub(crate) fn principal(key: &[u8]) -> Vec<u8> {
    [PRINCIPALS, key].concat()
}

pub(crate) fn member(id: &str) -> Vec<u8> {
    text(MEMBERS, id)
}

pub(crate) fn machine(id: &str) -> Vec<u8> {
    text(MACHINES, id)
}

pub(crate) fn product(id: &str) -> Vec<u8> {
    text(PRODUCTS, id)
}

pub(crate) fn slots_of(machine_id: &str) -> Vec<u8> {
    [SLOTS, machine_id.as_bytes(), b"/"].concat()
}

pub(crate) fn slot(machine_id: &str, slot: &str) -> Vec<u8> {
    text(&slots_of(machine_id), slot)
}

pub(crate) fn vend(id: &str) -> Vec<u8> {
    text(VENDS, id)
}

/// Finds a vend by its address; sorts the newest first.
pub(crate) fn vend_newest(address_index: u32) -> Vec<u8> {
    [VENDS_NEWEST, &(u32::MAX - address_index).to_be_bytes()].concat()
}

fn outpoint(table: &[u8], outpoint: &Outpoint) -> Vec<u8> {
    [table, &outpoint.txid, &outpoint.vout.to_be_bytes()].concat()
}

pub(crate) fn payment(of: &Outpoint) -> Vec<u8> {
    outpoint(PAYMENTS, of)
}

/// Payments to one vend's address.
pub(crate) fn payments_of_vend(vend_id: &str) -> Vec<u8> {
    [b"vend-payment/", vend_id.as_bytes(), b"/"].concat()
}

pub(crate) fn payment_of_vend(vend_id: &str, of: &Outpoint) -> Vec<u8> {
    outpoint(&payments_of_vend(vend_id), of)
}

/// Payments in a block that are not final yet.
pub(crate) fn confirming(of: &Outpoint) -> Vec<u8> {
    outpoint(CONFIRMING, of)
}

/// Payments that this node reported first and that too few others have seen.
pub(crate) fn reported_by(node: u32) -> Vec<u8> {
    [REPORTED, &node.to_be_bytes(), b"/"].concat()
}

pub(crate) fn reported(node: u32, of: &Outpoint) -> Vec<u8> {
    outpoint(&reported_by(node), of)
}

/// The node in a key of [`reported`].
pub(crate) fn parse_reported(key: &[u8]) -> u32 {
    seat_in(&key[REPORTED.len()..])
}

/// Payments in the mempool that are believed.
pub(crate) fn seen(of: &Outpoint) -> Vec<u8> {
    outpoint(SEEN, of)
}

/// The seat that the row part of a key begins with.
fn seat_in(row: &[u8]) -> u32 {
    let (seat, _) = row
        .split_first_chunk()
        .expect("the key of a node's row begins with its seat");
    u32::from_be_bytes(*seat)
}

/// The roster with this number.
pub(crate) fn roster(number: u64) -> Vec<u8> {
    [ROSTERS, &number.to_be_bytes()].concat()
}

/// An open proposal.
pub(crate) fn node_proposal(digest: &[u8]) -> Vec<u8> {
    [NODE_PROPOSALS, digest].concat()
}

/// A node that leaves at the end of the block.
pub(crate) fn node_leaving(seat: u32) -> Vec<u8> {
    [NODES_LEAVING, &seat.to_be_bytes()].concat()
}

/// The seat in a key of [`node_leaving`].
pub(crate) fn parse_node_leaving(key: &[u8]) -> u32 {
    seat_in(&key[NODES_LEAVING.len()..])
}

/// A node that changes its disk at the end of the block.
pub(crate) fn node_renewing(seat: u32) -> Vec<u8> {
    [NODES_RENEWING, &seat.to_be_bytes()].concat()
}

/// The seat in a key of [`node_renewing`].
pub(crate) fn parse_node_renewing(key: &[u8]) -> u32 {
    seat_in(&key[NODES_RENEWING.len()..])
}

/// When a node changed its disk last.
pub(crate) fn node_renewed(seat: u32) -> Vec<u8> {
    [b"node-renewed/".as_slice(), &seat.to_be_bytes()].concat()
}

/// When a node was heard of last.
pub(crate) fn node_heard(seat: u32) -> Vec<u8> {
    [b"node-heard/".as_slice(), &seat.to_be_bytes()].concat()
}

/// Digest of the proof for which a node's key is banned.
pub(crate) fn node_banned(key: &[u8]) -> Vec<u8> {
    [b"node-banned/", key].concat()
}

pub(crate) fn price_votes(currency: &str) -> Vec<u8> {
    text(PRICE_VOTES, currency)
}

/// The currency in a key of [`price_votes`].
pub(crate) fn parse_price_votes(key: &[u8]) -> &str {
    std::str::from_utf8(&key[PRICE_VOTES.len()..]).expect("a currency is text")
}

pub(crate) fn rate(currency: &str) -> Vec<u8> {
    text(RATES, currency)
}

pub(crate) fn account(name: &str) -> Vec<u8> {
    text(ACCOUNTS, name)
}

/// The name in a key of [`account`].
pub(crate) fn parse_account(key: &[u8]) -> &str {
    std::str::from_utf8(&key[ACCOUNTS.len()..]).expect("an account's name is text")
}

pub(crate) fn journal(number: u64) -> Vec<u8> {
    [JOURNAL, &number.to_be_bytes()].concat()
}

/// Receipt of the action with this id.
pub(crate) fn receipt(action_id: &[u8]) -> Vec<u8> {
    [b"receipt/", action_id].concat()
}

/// Id of the action that used this request id first.
pub(crate) fn request(key: &[u8], request_id: &[u8]) -> Vec<u8> {
    [b"request/", key, request_id].concat()
}

/// The receipt of an action that is forgotten when consensus time reaches
/// `at_ms`, and the request id with it.
pub(crate) fn forgotten(at_ms: u64, action_id: &[u8]) -> Vec<u8> {
    [FORGOTTEN, &at_ms.to_be_bytes(), action_id].concat()
}

/// The time in a key of [`forgotten`], and the action's id.
pub(crate) fn parse_forgotten(key: &[u8]) -> (u64, &[u8]) {
    let (at_ms, action_id) = key[FORGOTTEN.len()..]
        .split_first_chunk()
        .expect("the key of what is forgotten begins with its time");
    (u64::from_be_bytes(*at_ms), action_id)
}

fn order_number(table: &[u8], machine_id: &str, incarnation: u32, sequence: u64) -> Vec<u8> {
    [
        table,
        machine_id.as_bytes(),
        b"/",
        &incarnation.to_be_bytes(),
        &sequence.to_be_bytes(),
    ]
    .concat()
}

/// Id of the vend that an order was for.
pub(crate) fn order(machine_id: &str, incarnation: u32, sequence: u64) -> Vec<u8> {
    order_number(b"order/", machine_id, incarnation, sequence)
}

/// The machine's own receipt for an order.
pub(crate) fn machine_receipt(machine_id: &str, incarnation: u32, sequence: u64) -> Vec<u8> {
    order_number(b"machine-receipt/", machine_id, incarnation, sequence)
}

/// A vend that must be looked at when consensus time reaches `at_ms`.
pub(crate) fn deadline(at_ms: u64, vend_id: &str) -> Vec<u8> {
    [DEADLINES, &at_ms.to_be_bytes(), vend_id.as_bytes()].concat()
}

/// The time in a key of [`deadline`], and the vend.
pub(crate) fn parse_deadline(key: &[u8]) -> (u64, &str) {
    let row = &key[DEADLINES.len()..];
    let (at_ms, vend_id) = row
        .split_first_chunk()
        .expect("a deadline's key begins with its time");
    let vend_id = std::str::from_utf8(vend_id).expect("a vend's id is text");
    (u64::from_be_bytes(*at_ms), vend_id)
}

/// When a vend's one deadline is.
pub(crate) fn deadline_of(vend_id: &str) -> Vec<u8> {
    text(b"vend-deadline/", vend_id)
}

/// Unpaid quotes of a machine that one principal asked for.
pub(crate) fn open_quotes_of(machine_id: &str, who: &str) -> Vec<u8> {
    format!("open-quote/{machine_id}/{who}/").into_bytes()
}

pub(crate) fn open_quote(machine_id: &str, who: &str, vend_id: &str) -> Vec<u8> {
    text(&open_quotes_of(machine_id, who), vend_id)
}

/// Who asked for a quote, while it is unpaid.
pub(crate) fn quoted_to(vend_id: &str) -> Vec<u8> {
    text(b"quoted-to/", vend_id)
}

pub(crate) const PAYOUTS: &[u8] = b"payout/";
pub(crate) const PAYOUTS_NEWEST: &[u8] = b"payout-newest/";
pub(crate) const PAYOUTS_OPEN: &[u8] = b"payout-open/";
/// Settled payouts by whom they have paid.
pub(crate) const PAYOUTS_PAID: &[u8] = b"payout-paid/";
pub(crate) const PAYOUT_DEADLINES: &[u8] = b"payout-deadline/";
pub(crate) const PAYOUT_ALLOWED: &[u8] = b"payout-allowed/";
/// `PayoutMeta`.
pub(crate) const PAYOUT_META: &[u8] = b"payout-meta";
/// `FeeVotes`.
pub(crate) const FEE_VOTES: &[u8] = b"fee-votes";
pub(crate) const COINS: &[u8] = b"coin/";
pub(crate) const CHANGE_COINS: &[u8] = b"coin-change/";
pub(crate) const COINS_LOCKED: &[u8] = b"coin-locked/";

pub(crate) fn payout(id: &str) -> Vec<u8> {
    text(PAYOUTS, id)
}

/// Finds a payout by when it was proposed; sorts the newest first.
pub(crate) fn payout_newest(proposed_at_ms: u64, id: &str) -> Vec<u8> {
    let newest = (u64::MAX - proposed_at_ms).to_be_bytes();
    [PAYOUTS_NEWEST, &newest, id.as_bytes()].concat()
}

/// A payout whose end is open.
pub(crate) fn payout_open(id: &str) -> Vec<u8> {
    text(PAYOUTS_OPEN, id)
}

/// A payout that is void from `at_ms` where it is not approved.
pub(crate) fn payout_deadline(at_ms: u64, id: &str) -> Vec<u8> {
    [PAYOUT_DEADLINES, &at_ms.to_be_bytes(), id.as_bytes()].concat()
}

/// The time in a key of [`payout_deadline`], and the payout.
pub(crate) fn parse_payout_deadline(key: &[u8]) -> (u64, &str) {
    let row = &key[PAYOUT_DEADLINES.len()..];
    let (at_ms, id) = row
        .split_first_chunk()
        .expect("a deadline's key begins with its time");
    let id = std::str::from_utf8(id).expect("a payout's id is text");
    (u64::from_be_bytes(*at_ms), id)
}

/// An address that may be paid; addresses have only letters and digits.
pub(crate) fn payout_allowed(address: &str) -> Vec<u8> {
    text(PAYOUT_ALLOWED, address)
}

/// The settled payouts that have paid an address.
pub(crate) fn payouts_paid_to(address: &str) -> Vec<u8> {
    [PAYOUTS_PAID, address.as_bytes(), b"/"].concat()
}

/// A settled payout that has paid an address.
pub(crate) fn payout_paid(address: &str, payout_id: &str) -> Vec<u8> {
    text(&payouts_paid_to(address), payout_id)
}

/// A counted payment that the wallet has not spent.
pub(crate) fn coin(of: &Outpoint) -> Vec<u8> {
    outpoint(COINS, of)
}

/// Own change that the wallet has not spent.
pub(crate) fn change_coin(of: &Outpoint) -> Vec<u8> {
    outpoint(CHANGE_COINS, of)
}

/// The payout that holds a coin.
pub(crate) fn coin_locked(of: &Outpoint) -> Vec<u8> {
    outpoint(COINS_LOCKED, of)
}

/// The payout that spent a coin.
pub(crate) fn coin_spent(of: &Outpoint) -> Vec<u8> {
    outpoint(b"coin-spent/", of)
}

pub(crate) const TABS: &[u8] = b"tab/";
pub(crate) const TOP_UPS: &[u8] = b"top-up/";
pub(crate) const UNCERTAIN: &[u8] = b"uncertain/";
pub(crate) const REFUNDS: &[u8] = b"refund/";
/// Refunds that wait for a payout, the oldest first.
pub(crate) const REFUNDS_OPEN: &[u8] = b"refund-open/";

/// A member's tab.
pub(crate) fn tab(member_id: &str) -> Vec<u8> {
    text(TABS, member_id)
}

/// Whose tab the payments to an address go to.
pub(crate) fn top_up(address_index: u32) -> Vec<u8> {
    [TOP_UPS, &address_index.to_be_bytes()].concat()
}

/// A vend whose end nobody knows.
pub(crate) fn uncertain(vend_id: &str) -> Vec<u8> {
    text(UNCERTAIN, vend_id)
}

pub(crate) fn refund_open(height: u64, id: &str) -> Vec<u8> {
    [REFUNDS_OPEN, &height.to_be_bytes(), id.as_bytes()].concat()
}

pub(crate) fn refund(id: &str) -> Vec<u8> {
    text(REFUNDS, id)
}

/// Cash that a member recorded lately.
pub(crate) fn cash_day(member_id: &str) -> Vec<u8> {
    text(b"cash-day/", member_id)
}

/// Sold by a machine on unconfirmed payments lately.
pub(crate) fn at_risk(machine_id: &str) -> Vec<u8> {
    text(b"at-risk/", machine_id)
}

/// Held credit released by itself lately, by payer or machine.
pub(crate) fn released(who: &str) -> Vec<u8> {
    text(b"released/", who)
}

/// The last frame of a topic.
pub(crate) fn cursor(topic: &str) -> Vec<u8> {
    text(b"cursor/", topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sort_by_the_number_in_their_key() {
        assert!(deadline(255, "v1") < deadline(256, "v0"));
        assert!(journal(9) < journal(10));
        assert!(vend_newest(10) < vend_newest(9));
        assert!(roster(255) < roster(256));
        assert_eq!(parse_deadline(&deadline(7, "vab")), (7, "vab"));
        assert!(forgotten(255, b"b") < forgotten(256, b"a"));
        assert_eq!(parse_forgotten(&forgotten(7, b"ab")), (7, b"ab".as_slice()));
        assert_eq!(parse_node_leaving(&node_leaving(300)), 300);
        assert_eq!(parse_reported(&reported(300, &Outpoint::default())), 300);
    }

    #[test]
    fn one_machines_slots_are_not_anothers() {
        assert!(!slot("m10", "A1").starts_with(&slots_of("m1")));
        assert_ne!(slot("m1", "A1"), slot("m1a", "1"));
    }
}
