//! One who buys and pays.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dctrl_proto::v1::{Refusal, Vend, VendQuote, VendState};

use super::{AGAIN, Load};
use crate::{
    chaos::{
        manifest::SLOT_SOLD,
        promises::{Sale, Work},
    },
    federation::MACHINE,
    random::Random,
};

/// How long a customer stands before the machine; the vend goes on without.
const PATIENCE: Duration = Duration::from_secs(40);

/// Between two purchases at most, milliseconds.
const PAUSE_MS_MAX: u64 = 1_500;

/// Quotes of a hundred that are not paid.
const WINDOW_SHOPPERS: u64 = 5;

/// Whether nothing more happens to a vend by itself.
pub(in crate::chaos) fn has_ended(vend: &Vend) -> bool {
    matches!(
        vend.state(),
        VendState::Dispensed | VendState::Credited | VendState::Uncertain | VendState::PaidLate
    )
}

pub(super) async fn buy(load: Arc<Load>, number: usize) {
    let mut random = Random::part(load.seed, &format!("customer {number}"));
    while !load.stopped() {
        purchase(&load, &mut random).await;
        let pause = random.below(PAUSE_MS_MAX);
        load.rest(Duration::from_millis(pause)).await;
    }
}

async fn purchase(load: &Load, random: &mut Random) -> Option<()> {
    let vend = match quote(load, MACHINE, random).await? {
        Ok(vend) => vend,
        Err(_) => {
            // The machine does not sell now, such as when its agent is away.
            load.rest(4 * AGAIN).await;
            return None;
        }
    };
    if random.chance(WINDOW_SHOPPERS) {
        return None;
    }
    pay(load, &vend).await.ok()?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && !load.stopped() {
        if let Ok(vend) = load.some_client(random).vend(&vend.id).await
            && has_ended(&vend)
        {
            break;
        }
        load.rest(AGAIN).await;
    }
    Some(())
}

/// Asks a machine for a quote: the vend, or why the federation refuses; none
/// where everything stopped before.
pub(in crate::chaos) async fn quote(
    load: &Load,
    machine: &str,
    random: &mut Random,
) -> Option<Result<Vend, Refusal>> {
    let quote = VendQuote {
        machine_id: machine.to_owned(),
        slot: SLOT_SOLD.to_owned(),
        ..VendQuote::default()
    };
    let home = random.index(load.clients.len());
    let action = load.sign(&quote);
    let receipt = load.drive(action, Work::Other, home, random).await?;
    match receipt.refusal {
        Some(refusal) => Some(Err(refusal)),
        None => find(load, &receipt.subject, random).await.map(Ok),
    }
}

/// Pays a quote in full and remembers that.
///
/// # Errors
/// Where the chain does not take it.
pub(in crate::chaos) async fn pay(load: &Load, vend: &Vend) -> Result<(), anyhow::Error> {
    load.purse.pay(&vend.address, vend.price_sats).await?;
    load.promises().sales.push(Sale {
        vend: vend.id.clone(),
        sats: vend.price_sats,
    });
    Ok(())
}

/// The vend of a quote, from any node that has come so far.
async fn find(load: &Load, id: &str, random: &mut Random) -> Option<Vend> {
    while !load.stopped() {
        if let Ok(vend) = load.some_client(random).vend(id).await {
            return Some(vend);
        }
        load.rest(AGAIN).await;
    }
    None
}
