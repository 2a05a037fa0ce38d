//! The steps of the demonstration, in order.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Vend, VendState};

use super::{Arguments, Outcome};
use crate::{
    chain::{Chain, ChainKind},
    client::Client,
    federation::{Federation, MACHINE, NODE_NAMES, SLOT_SATS},
    story::Story,
    trace::now_ms,
    wait::until,
};

/// From the payment to the end of the vend, at most.
const VEND_LIMIT: Duration = Duration::from_secs(120);

/// How long the nodes may take to agree on a height after the vend.
const DIGEST_LIMIT: Duration = Duration::from_secs(30);

/// Plays all steps and says how they ended.
pub(super) async fn play(
    arguments: &Arguments,
    federation: &mut Federation,
    story: &mut Story,
) -> Result<Outcome> {
    start(federation, story).await?;

    story.step("A customer asks machine m1 for a Club-Mate: `dctrl vend quote`");
    let vend = quote(federation, story).await?;

    if arguments.kill > 0 {
        story.step(format!(
            "Killing {} of {} nodes",
            arguments.kill, arguments.nodes
        ));
        for (node, name) in NODE_NAMES.iter().enumerate().take(arguments.kill.into()) {
            federation.kill_node(node);
            story.tell(format!("node {name} is gone"));
        }
    }

    story.step(format!("The customer pays {} sats", vend.price_sats));
    let txid = federation
        .chain()?
        .pay(&vend.address, vend.price_sats)
        .await?;
    let paid_at_ms = now_ms();
    story.tell(format!("transaction {txid} is in the mempool"));

    story.step("The federation sees, orders and certifies");
    let vend = follow(federation, story, &vend.id).await?;
    who_saw(federation, story, &vend).await?;

    story.step("Comparing what the nodes hold");
    let (height, equal) = compare(federation, story).await?;

    let pulses = federation.trace().pulses()?;
    Ok(Outcome {
        nodes: arguments.nodes,
        live: federation.live().count(),
        chain: arguments.chain,
        vend_state: word(vend.state()),
        pulses: pulses.len(),
        state_digests_equal: equal,
        payment_to_pulse_ms: pulses.first().map(|pulse| pulse.after_ms(paid_at_ms)),
        height,
    })
}

async fn start(federation: &mut Federation, story: &mut Story) -> Result<()> {
    story.step("Starting the chain");
    federation.start_chain().await?;
    story.tell(format!(
        "block {} is the newest",
        federation.chain()?.height().await?
    ));

    story.step(format!("Starting {} nodes", federation.len()));
    for node in 0..federation.len() {
        federation.start_node(node)?;
    }
    federation.nodes_ready().await?;
    for (node, status) in federation.statuses().await {
        story.tell(format!(
            "node {:8} is up at height {}",
            NODE_NAMES[node], status.height
        ));
    }

    story.step("Starting the agent of machine m1, which trusts no single node");
    federation.start_agent(&[])?;
    federation.sells().await?;
    story.tell("the machine has reported itself, and can be sold from");
    Ok(())
}

/// Asks as a person would, shows what a person would see, and finds the vend.
async fn quote(federation: &Federation, story: &Story) -> Result<Vend> {
    let client = federation.client()?;
    let before: BTreeSet<String> = ids(&client).await?;
    let shown = federation
        .cli()
        .run(&[
            "vend",
            "quote",
            "--machine",
            MACHINE,
            "--slot",
            SLOT_SATS,
            "--qr",
        ])
        .await?
        .ok()
        .context("`dctrl vend quote` failed")?;
    story.tell(&shown);
    let vends = client.vends(MACHINE).await?;
    let vend = vends
        .into_iter()
        .find(|vend| !before.contains(&vend.id))
        .context("the quote is in nobody's ledger")?;
    ensure!(
        shown.contains(&vend.address),
        "the command line showed another address than the ledger has"
    );
    Ok(vend)
}

async fn ids(client: &Client) -> Result<BTreeSet<String>> {
    let vends = client.vends(MACHINE).await?;
    Ok(vends.into_iter().map(|vend| vend.id).collect())
}

/// Shows each new state of the vend; mines a block once the payment is seen.
async fn follow(federation: &Federation, story: &Story, id: &str) -> Result<Vend> {
    let client = federation.client()?;
    let chain = federation.chain()?;
    let mut shown = 0;
    let mut mined = false;
    until(VEND_LIMIT, "the vend to end", async || {
        let vend = client.vend(id).await?;
        for step in vend.history.iter().skip(shown) {
            story.tell(format!(
                "{:12} in block {:4}  {}",
                word(step.state()),
                step.height,
                step.detail
            ));
        }
        shown = vend.history.len();
        if vend.state() == VendState::PaymentSeen && !mined {
            mined = true;
            let height = chain.mine(1).await?;
            story.tell(format!(
                "(a miner finds block {height} of the bitcoin chain)"
            ));
        }
        Ok(ended(vend.state()).then_some(vend))
    })
    .await
}

/// Whether the machine has done what it will do.
fn ended(state: VendState) -> bool {
    matches!(
        state,
        VendState::Dispensed
            | VendState::Failed
            | VendState::Uncertain
            | VendState::Credited
            | VendState::Expired
            | VendState::Underpaid
            | VendState::PaidLate
    )
}

/// Which node vouched for which payment of the vend.
async fn who_saw(federation: &Federation, story: &Story, vend: &Vend) -> Result<()> {
    for payment in federation.client()?.payments().await? {
        if payment.vend_id != vend.id {
            continue;
        }
        let names: Vec<&str> = payment
            .votes
            .iter()
            .filter_map(|vote| NODE_NAMES.get(usize::try_from(vote.node).ok()?).copied())
            .collect();
        story.tell(format!(
            "payment of {} sats was reported by {}",
            payment.amount_sats,
            names.join(", ")
        ));
    }
    Ok(())
}

async fn compare(federation: &Federation, story: &Story) -> Result<(u64, bool)> {
    let (height, digests) = until(DIGEST_LIMIT, "a block that all nodes have", async || {
        federation.digests().await.map(Some)
    })
    .await?;
    for (node, digest) in &digests {
        story.tell(format!(
            "node {:8} state at height {height}: {}",
            NODE_NAMES[*node],
            hex::encode(digest)
        ));
    }
    let different: BTreeSet<&Vec<u8>> = digests.values().collect();
    Ok((height, different.len() == 1))
}

/// What to try next.
pub(super) fn next_commands(federation: &Federation) -> String {
    let pay = match federation.chain().map(Chain::kind) {
        Ok(ChainKind::Simulated) => {
            "dctrl chain pay <address> <sats>      # pay it, then\n\
             dctrl chain mine                      # confirm it\n"
        }
        _ => "",
    };
    format!(
        "dctrl status                          # the federation, as one node shows it\n\
         dctrl vend quote --machine {MACHINE} --slot {SLOT_SATS}\n\
         {pay}\
         dctrl vends list                      # all vends\n\
         dctrl events --follow                 # certified events, verified here\n\
         dctrl balance                         # the books\n\
         dctrl --help"
    )
}

/// A state in the words of the screen: `PAYMENT_SEEN` is `PaymentSeen`.
pub(crate) fn word(state: VendState) -> String {
    state
        .as_str_name()
        .split('_')
        .map(|part| {
            let (first, rest) = part.split_at(1.min(part.len()));
            format!("{first}{}", rest.to_lowercase())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_in_the_words_of_the_design() {
        assert_eq!(word(VendState::PaymentSeen), "PaymentSeen");
        assert_eq!(word(VendState::Dispensed), "Dispensed");
    }

    #[test]
    fn a_vend_that_waits_for_its_machine_has_not_ended() {
        assert!(!ended(VendState::Authorised));
        assert!(!ended(VendState::Accepted));
        assert!(ended(VendState::Uncertain));
    }
}
