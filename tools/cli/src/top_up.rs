//! An address for top-ups: shown only when a quorum has signed it and it really
//! belongs to the federation's wallet.

use std::{io::IsTerminal, ops::ControlFlow};

use dctrl_proto::v1::{Stage, TopUp, bus_body::Event};
use serde::Serialize;

use crate::{
    context::Context,
    failure::Failure,
    follow::{Wanted, follow},
    invoice,
    output::Answered,
    quote::{FRAME_TIMEOUT, check_address},
    submit::{Outcome, describe},
    verify::Signatures,
};

#[derive(Serialize)]
struct Certified {
    top_up: TopUp,
    uri: String,
    #[serde(rename = "final")]
    signatures: Signatures,
    action_id: String,
    request_id: String,
}

/// Shows the address behind a final `tab.top_up`.
///
/// # Errors
/// Where no node brings the frame, or the address is not the federation's.
pub async fn show(
    context: &mut Context,
    outcome: &Answered<Outcome>,
    qr: bool,
) -> Result<(), Failure> {
    let reply = &outcome.reply.reply;
    let receipt = reply.receipt.as_ref();
    let Some(receipt) = receipt.filter(|_| reply.stage() == Stage::Final) else {
        // The caller did not wait until it was final, so no address is shown.
        return context
            .out
            .answer(outcome, |outcome| describe("tab.top_up", outcome));
    };
    let wanted = Wanted {
        after_height: receipt.height.saturating_sub(1),
        topics: vec!["topup".to_owned()],
        patient: false,
    };
    let mut found = None;
    let search = follow(context, &wanted, |_, verified| {
        let Some(Event::TopUp(issued)) = &verified.body.event else {
            return Ok(ControlFlow::Continue(()));
        };
        let own = |top_up: &&TopUp| top_up.member_id == receipt.subject;
        match issued.top_up.as_ref().filter(own) {
            Some(top_up) => {
                found = Some((top_up.clone(), verified.signatures));
                Ok(ControlFlow::Break(()))
            }
            None => Ok(ControlFlow::Continue(())),
        }
    });
    let missing = || Failure::Deadline("no node sent the certified address".to_owned());
    tokio::time::timeout(FRAME_TIMEOUT, search)
        .await
        .map_err(|_| missing())??;
    let (top_up, signatures) = found.ok_or_else(missing)?;
    check_address(context.genesis()?, top_up.address_index, &top_up.address)?;
    let certified = Certified {
        uri: format!("bitcoin:{}", top_up.address),
        top_up,
        signatures,
        action_id: hex::encode(&reply.action_id),
        request_id: outcome.reply.request_id.clone(),
    };
    let draw = qr || std::io::stdout().is_terminal();
    let answer = Answered {
        reply: certified,
        answered_by: outcome.answered_by.clone(),
    };
    context.out.answer(&answer, |shown| human(shown, draw))
}

fn human(shown: &Certified, draw: bool) -> String {
    let mut text = format!(
        "member   {}\naddress  {}\nuri      {}\nsigned   {}\nrequest  {}\n",
        shown.top_up.member_id, shown.top_up.address, shown.uri, shown.signatures, shown.request_id,
    );
    if draw && let Ok(code) = invoice::qr(&shown.uri) {
        text += &format!("\n{code}");
    }
    text
}
