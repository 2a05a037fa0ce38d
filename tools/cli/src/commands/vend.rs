//! `dctrl vend`

use std::{io::IsTerminal, ops::ControlFlow};

use clap::{Subcommand, ValueEnum};
use dctrl_proto::v1::{
    GetVendRequest, Vend, VendQuote, VendReply, VendResolve, VendState, bus_body::Event,
};
use serde::Serialize;

use crate::{
    claim::ClaimCode,
    context::Context,
    failure::Failure,
    follow::{Wanted, follow},
    invoice,
    output::Answered,
    quote::{self, Quote},
    submit::{SubmitArgs, submit, submit_and_show},
    table::Table,
    text::{or_dash, sats, time, vend_state},
    verify::{Signatures, Verified},
};

/// Buy, watch or decide one vend.
#[derive(Debug, Subcommand)]
pub enum VendCommand {
    /// Ask for a price and an address for one unit
    Quote {
        /// The machine
        #[arg(long, value_name = "ID")]
        machine: String,
        /// The slot
        #[arg(long)]
        slot: String,
        /// The member who buys; a guest without
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        member: String,
        /// Make a claim code, with which a guest's credit can be redeemed
        #[arg(long, conflicts_with = "member")]
        claim: bool,
        /// Use this claim code, as when a request is repeated
        #[arg(long, value_name = "HEX", conflicts_with_all = ["member", "claim"])]
        claim_code: Option<ClaimCode>,
        /// Draw the QR code even where the output is no terminal
        #[arg(long)]
        qr: bool,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Buy one unit on the own tab
    Buy {
        /// The machine
        #[arg(long, value_name = "ID")]
        machine: String,
        /// The slot
        #[arg(long)]
        slot: String,
        /// The member who signs, whose tab pays
        #[arg(long, value_name = "ID")]
        tab: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// One vend and its history
    Show {
        /// The vend's id
        id: String,
        /// Print every certified change until the vend has ended
        #[arg(long)]
        watch: bool,
    },
    /// Decide an uncertain vend, as an operator who has looked
    Resolve {
        /// The vend's id
        id: String,
        /// What happened
        #[arg(long, value_enum)]
        outcome: Decision,
        /// How you know
        #[arg(long)]
        reason: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// What became of an uncertain vend.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Decision {
    /// The goods came out
    Dispensed,
    /// They did not: the payer is credited
    Credited,
}

/// Runs `dctrl vend …`.
///
/// # Errors
/// A refusal, no node, or an answer that does not verify.
pub async fn run(context: &mut Context, command: VendCommand) -> Result<(), Failure> {
    match command {
        VendCommand::Quote {
            machine,
            slot,
            member,
            claim,
            claim_code,
            qr,
            submit: args,
        } => {
            let code = match claim_code {
                None if claim => Some(ClaimCode::fresh()?),
                given => given,
            };
            let claim_key = code.map(|code| code.key()).transpose()?;
            let payload = VendQuote {
                machine_id: machine,
                slot,
                member_id: member,
                from_tab: false,
                claim_key: claim_key.map_or(Vec::new(), |key| key.public()),
            };
            ask(context, &args, &payload, code, qr).await
        }
        VendCommand::Buy {
            machine,
            slot,
            tab,
            submit,
        } => {
            let payload = VendQuote {
                machine_id: machine,
                slot,
                member_id: tab,
                from_tab: true,
                claim_key: Vec::new(),
            };
            submit_and_show(context, &submit, &payload).await
        }
        VendCommand::Show { id, watch: false } => {
            let answer = get(context, id).await?;
            context.out.answer(&answer, describe)
        }
        VendCommand::Show { id, watch: true } => watch(context, id).await,
        VendCommand::Resolve {
            id,
            outcome,
            reason,
            submit,
        } => {
            let outcome = match outcome {
                Decision::Dispensed => VendState::Dispensed,
                Decision::Credited => VendState::Credited,
            };
            let payload = VendResolve {
                vend_id: id,
                outcome: outcome.into(),
                reason,
            };
            submit_and_show(context, &submit, &payload).await
        }
    }
}

/// Asks for a quote and shows it once it is certified.
async fn ask(
    context: &mut Context,
    args: &SubmitArgs,
    payload: &VendQuote,
    code: Option<ClaimCode>,
    qr: bool,
) -> Result<(), Failure> {
    if let Some(code) = code {
        // Before anything can go wrong: without it a credit could be lost.
        eprintln!("claim code {code}: keep it, and tell it nobody");
    }
    let outcome = submit(context, args, payload).await?;
    let Some(mut quote) = quote::certified(context, &payload.machine_id, &outcome).await? else {
        // The caller did not wait until it was final, so no address is shown.
        return context.out.answer(&outcome, |outcome| {
            crate::submit::describe("vend.quote", outcome)
        });
    };
    quote.reply.claim_code = code.map(|code| code.to_string());
    let draw = qr || std::io::stdout().is_terminal();
    context
        .out
        .answer(&quote, |quote| describe_quote(quote, draw))
}

async fn get(context: &Context, id: String) -> Result<Answered<VendReply>, Failure> {
    let request = GetVendRequest { id };
    context
        .nodes
        .query(async |mut client| client.get_vend(request.clone()).await)
        .await
}

#[derive(Serialize)]
struct Change<'a> {
    vend: &'a Vend,
    height: u64,
    #[serde(rename = "final")]
    signatures: Signatures,
}

/// Prints each change from the vend's first step on: the frames tell the
/// whole story, so nothing can be missed between a look and the stream.
async fn watch(context: &mut Context, id: String) -> Result<(), Failure> {
    let vend = get(context, id).await?.reply.vend.unwrap_or_default();
    let first = vend.history.first().map_or(1, |step| step.height);
    let wanted = Wanted {
        after_height: first.saturating_sub(1),
        topics: vec![format!("vend.{}", vend.machine_id)],
        patient: true,
    };
    let id = vend.id;
    follow(context, &wanted, |out, verified| {
        let Some(vend) = vend_of(verified).filter(|vend| vend.id == id) else {
            return Ok(ControlFlow::Continue(()));
        };
        let change = Change {
            vend,
            height: verified.body.height,
            signatures: verified.signatures,
        };
        out.show(&change, |change| {
            format!(
                "{} {} at height {} · {}\n",
                time(verified.body.time_ms),
                vend_state(change.vend.state()),
                change.height,
                change.signatures
            )
        })?;
        Ok(if has_ended(vend.state()) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })
    .await
}

/// The vend that a frame is about.
pub(crate) fn vend_of(verified: &Verified) -> Option<&Vend> {
    match &verified.body.event {
        Some(Event::Vend(changed)) => changed.vend.as_ref(),
        _ => None,
    }
}

/// Whether nothing more will come unless somebody pays late.
fn has_ended(state: VendState) -> bool {
    use VendState::{Credited, Dispensed, Expired, PaidLate};
    matches!(state, Dispensed | Credited | Expired | PaidLate)
}

fn describe_quote(quote: &Quote, draw: bool) -> String {
    let vend = &quote.vend;
    let mut text = format!(
        "vend     {}\nproduct  {} from {} slot {}\nprice    {}\naddress  {}\nuri      {}\n\
         expires  {}\nstate    {}, {}\nrequest  {}\n",
        vend.id,
        vend.product_id,
        vend.machine_id,
        vend.slot,
        sats(vend.price_sats),
        vend.address,
        quote.uri,
        time(vend.expires_at_ms),
        vend_state(vend.state()),
        quote.signatures,
        quote.request_id,
    );
    if draw && let Ok(code) = invoice::qr(&quote.uri) {
        text += &format!("\n{code}");
    }
    text
}

fn describe(reply: &VendReply) -> String {
    let vend = reply.vend.clone().unwrap_or_default();
    let mut text = format!(
        "vend     {}\nproduct  {} from {} slot {}\nmember   {}\nprice    {}\nreceived {}\nstate    {}\n",
        vend.id,
        vend.product_id,
        vend.machine_id,
        vend.slot,
        or_dash(&vend.member_id),
        sats(vend.price_sats),
        sats(vend.received_sats),
        vend_state(vend.state()),
    );
    if vend.credited_sats > 0 {
        text += &format!("credited {}\n", sats(vend.credited_sats));
    }
    if !vend.reason.is_empty() {
        text += &format!("reason   {}\n", crate::table::printable(&vend.reason));
    }
    let mut table = Table::new(&["STATE", "TIME", ">HEIGHT", "DETAIL"]);
    for step in &vend.history {
        table.row([
            vend_state(step.state()),
            time(step.time_ms),
            step.height.to_string(),
            or_dash(&step.detail).to_owned(),
        ]);
    }
    format!("{text}{table}at height {}\n", reply.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::v1::VendStep;

    #[test]
    fn a_vend_shows_its_history_in_order() {
        let step = |state: VendState, height| VendStep {
            state: state.into(),
            height,
            time_ms: 1_750_000_000_000,
            detail: String::new(),
        };
        let reply = VendReply {
            height: 9,
            vend: Some(Vend {
                id: "v1".into(),
                machine_id: "m1".into(),
                slot: "A1".into(),
                product_id: "club-mate".into(),
                price_sats: 1500,
                received_sats: 1500,
                state: VendState::Dispatched.into(),
                history: vec![step(VendState::Quoted, 4), step(VendState::Dispatched, 8)],
                ..Vend::default()
            }),
        };
        let expected = "\
vend     v1
product  club-mate from m1 slot A1
member   -
price    1,500 sats
received 1,500 sats
state    Dispatched
STATE       TIME                      HEIGHT  DETAIL
Quoted      2025-06-15T15:06:40.000Z       4  -
Dispatched  2025-06-15T15:06:40.000Z       8  -
at height 9
";
        assert_eq!(describe(&reply), expected);
    }

    #[test]
    fn a_vend_whose_end_is_unknown_has_not_ended() {
        assert!(!has_ended(VendState::Uncertain));
        assert!(!has_ended(VendState::Failed));
        assert!(has_ended(VendState::Credited));
    }
}
