//! `dctrl events`

use std::ops::ControlFlow;

use clap::Args;
use dctrl_proto::v1::{BusBody, GetStatusRequest, Payment, Refund, TabView, bus_body::Event};

use crate::{
    commands::nodes,
    context::Context,
    failure::Failure,
    follow::{Wanted, follow},
    table::printable,
    text::{grouped, payment_state, sats, short, signed_sats, time, vend_state, words},
    verify::Verified,
};

/// Topic of the last frame of every block.
const BLOCK_TOPIC: &str = "block";

/// Certified events.
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Go on with new events until interrupted
    #[arg(long)]
    follow: bool,
    /// Only this topic, or these when it ends in `.`; may be repeated
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Only blocks above this height
    #[arg(long, value_name = "HEIGHT", default_value = "0")]
    after: u64,
}

/// Runs `dctrl events`.
///
/// # Errors
/// A refusal, or no node.
pub async fn run(context: &mut Context, args: EventsArgs) -> Result<(), Failure> {
    let end = if args.follow {
        None
    } else {
        Some(final_height(context).await?)
    };
    if end.is_some_and(|end| end <= args.after) {
        return Ok(());
    }
    let mut wanted = Wanted {
        after_height: args.after,
        topics: args.topic.clone(),
        patient: args.follow,
    };
    // The last frame of each block tells where the replay is done.
    if end.is_some() && !wanted.topics.is_empty() {
        wanted.topics.push(BLOCK_TOPIC.to_owned());
    }
    let subscribed = |topic: &str| dctrl_proto::topic::matches_any(&args.topic, topic);
    follow(context, &wanted, |out, verified| {
        let body = &verified.body;
        if subscribed(&body.topic) {
            out.show(verified, line)?;
        }
        let done = body.topic == BLOCK_TOPIC && end.is_some_and(|end| body.height >= end);
        Ok(if done {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })
    .await
}

async fn final_height(context: &Context) -> Result<u64, Failure> {
    let status = context
        .nodes
        .query(async |mut client| client.get_status(GetStatusRequest {}).await)
        .await?;
    Ok(status.reply.final_height)
}

/// One event on one line.
fn line(verified: &Verified) -> String {
    let body = &verified.body;
    printable(&format!(
        "{} {}/{} {} {} · {}",
        time(body.time_ms),
        body.height,
        body.sub_index,
        body.topic,
        what(body),
        verified.signatures
    )) + "\n"
}

fn what(body: &BusBody) -> String {
    let Some(event) = &body.event else {
        return "an event of a newer version".to_owned();
    };
    match event {
        Event::Order(one) => format!(
            "order {} for {} slot {}",
            one.sequence, one.vend_id, one.slot
        ),
        Event::Vend(one) => one.vend.as_ref().map_or_else(String::new, |vend| {
            format!(
                "{} {} {}",
                vend.id,
                vend_state(vend.state()),
                sats(vend.price_sats)
            )
        }),
        Event::Payment(one) => one.payment.as_ref().map_or_else(String::new, payment),
        Event::Beacon(one) => format!("beacon for {} nonce {}", one.machine_id, short(&one.nonce)),
        Event::Rate(one) => one.rate.as_ref().map_or_else(String::new, |rate| {
            let price = i64::try_from(rate.minor_per_bitcoin).unwrap_or(i64::MAX);
            format!(
                "{} {} minor units for one bitcoin",
                rate.currency,
                grouped(price)
            )
        }),
        Event::Tip(one) => format!("chain tip {} {}", one.height, short(&one.hash)),
        Event::Machine(one) => one.machine.as_ref().map_or_else(String::new, |machine| {
            let ready = if machine.ready { "ready" } else { "not ready" };
            format!("{} {ready} {}", machine.id, machine.detail)
        }),
        Event::Member(one) => one.member.as_ref().map_or_else(String::new, |member| {
            format!("{} {}", member.id, member.roles.join(","))
        }),
        Event::Roster(one) => nodes::roster_event(one),
        Event::Proposal(one) => nodes::proposal_event(one),
        Event::Payout(one) => one
            .payout
            .as_ref()
            .map_or_else(String::new, super::payout::line),
        Event::Product(one) => one.product.as_ref().map_or_else(String::new, |product| {
            format!(
                "{} {}",
                product.id,
                crate::text::price(product.price.as_ref())
            )
        }),
        Event::Slot(one) => one.slot.as_ref().map_or_else(String::new, |slot| {
            format!(
                "{} {} stock {} held {}",
                slot.machine_id, slot.slot, slot.stock, slot.held
            )
        }),
        Event::Report(one) => one.report.as_ref().map_or_else(String::new, |report| {
            format!("{} {} {}", report.machine_id, report.sensor, report.value)
        }),
        Event::Block(one) => format!("{} actions, {} refused", one.actions, one.refused),
        Event::Evidence(one) => format!("evidence against {}: {}", one.subject, one.detail),
        Event::Tab(one) => one.tab.as_ref().map_or_else(String::new, tab),
        Event::TopUp(one) => one.top_up.as_ref().map_or_else(String::new, |top_up| {
            format!("{} tops up at {}", top_up.member_id, top_up.address)
        }),
        Event::Refund(one) => one.refund.as_ref().map_or_else(String::new, refund),
    }
}

fn payment(payment: &Payment) -> String {
    let state = payment_state(payment.state(), payment.confirmations);
    let amount = sats(payment.amount_sats);
    // It pays a vend, or tops up a member's tab.
    let whom = [&payment.vend_id, &payment.member_id].map(String::as_str);
    format!("{state} {amount} for {}", whom.concat())
}

fn tab(view: &TabView) -> String {
    let member = view.tab.as_ref().map_or("-", |tab| &tab.member_id);
    let (has, owes) = (signed_sats(view.balance_sats), sats(view.debt_sats));
    format!("{member} has {has} and owes {owes}")
}

fn refund(refund: &Refund) -> String {
    let state = words(refund.state().as_str_name());
    format!("{state} {} to {}", sats(refund.sats), refund.address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Signatures;
    use dctrl_proto::v1::{BusFrame, Vend, VendChanged, VendState};

    #[test]
    fn an_event_is_one_line_that_says_who_signed() {
        let vend = Vend {
            id: "v1".into(),
            price_sats: 1500,
            state: VendState::PaymentSeen.into(),
            ..Vend::default()
        };
        let verified = Verified {
            body: BusBody {
                topic: "vend.m1".into(),
                height: 12,
                sub_index: 3,
                time_ms: 1_750_000_000_000,
                event: Some(Event::Vend(VendChanged { vend: Some(vend) })),
                ..BusBody::default()
            },
            signatures: Signatures { signed: 3, of: 4 },
            frame: BusFrame::default(),
        };
        assert_eq!(
            line(&verified),
            "2025-06-15T15:06:40.000Z 12/3 vend.m1 v1 PaymentSeen 1,500 sats · \
             final (3 of 4 signatures)\n"
        );
    }
}
