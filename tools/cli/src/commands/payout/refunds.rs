//! Refunds that payers have asked for, and how far each is.

use dctrl_proto::v1::{Refund, RefundList, RefundState};

use crate::{
    args::more,
    table::Table,
    text::{sats, time, words},
};

/// Its state in the words of the screen, with the payout that carries it out or
/// the transaction that has paid it.
fn state(refund: &Refund) -> String {
    let state = words(refund.state().as_str_name().trim_start_matches("REFUND_"));
    match refund.state() {
        RefundState::RefundInPayout => format!("{state} {}", refund.payout_id),
        RefundState::RefundPaid => format!("{state} by {}", hex::encode(&refund.txid)),
        _ => state,
    }
}

pub(super) fn list(list: &RefundList) -> String {
    let mut table = Table::new(&["ID", "FOR", ">AMOUNT", "ADDRESS", "SINCE", "STATE"]);
    for refund in &list.refunds {
        table.row([
            refund.id.clone(),
            payer(refund),
            sats(refund.sats),
            refund.address.clone(),
            time(refund.time_ms),
            state(refund),
        ]);
    }
    let rows = list.refunds.iter();
    let open = rows.filter(|one| one.state() == RefundState::RefundOpen);
    // A node may say anything.
    let (count, all) = open.fold((0, 0u64), |(count, all), one| {
        (count + 1, all.saturating_add(one.sats))
    });
    format!(
        "{table}of these {count} open, {}\nat height {}\n{}",
        sats(all),
        list.height,
        more(&list.next)
    )
}

/// The member, or the vend whose guest showed a claim.
fn payer(refund: &Refund) -> String {
    if refund.member_id.is_empty() {
        format!("claim of {}", refund.vend_id)
    } else {
        refund.member_id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refund(id: &str, sats: u64, state: RefundState) -> Refund {
        Refund {
            id: id.into(),
            member_id: "alice".into(),
            sats,
            address: "bcrt1qalice".into(),
            state: state.into(),
            time_ms: 951_782_400_000,
            ..Refund::default()
        }
    }

    #[test]
    fn a_refund_says_for_whom_it_is_and_how_far() {
        let taken = Refund {
            payout_id: "p1".into(),
            ..refund("r2", 2_000, RefundState::RefundInPayout)
        };
        let paid = Refund {
            payout_id: "p0".into(),
            txid: vec![0xab; 2],
            ..refund("r3", 300, RefundState::RefundPaid)
        };
        let guest = Refund {
            member_id: String::new(),
            vend_id: "v7".into(),
            ..refund("r4", 40, RefundState::RefundOpen)
        };
        let list = RefundList {
            height: 9,
            refunds: vec![
                refund("r1", 10_000, RefundState::RefundOpen),
                taken,
                paid,
                guest,
                refund("r5", 5, RefundState::RefundWithdrawn),
            ],
            next: "r5".into(),
        };
        let expected = "\
ID  FOR               AMOUNT  ADDRESS      SINCE                     STATE
r1  alice        10,000 sats  bcrt1qalice  2000-02-29T00:00:00.000Z  Open
r2  alice         2,000 sats  bcrt1qalice  2000-02-29T00:00:00.000Z  InPayout p1
r3  alice           300 sats  bcrt1qalice  2000-02-29T00:00:00.000Z  Paid by abab
r4  claim of v7      40 sats  bcrt1qalice  2000-02-29T00:00:00.000Z  Open
r5  alice             5 sats  bcrt1qalice  2000-02-29T00:00:00.000Z  Withdrawn
of these 2 open, 10,040 sats
at height 9
more with --after r5
";
        assert_eq!(super::list(&list), expected);
    }
}
