//! One who buys and pays.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dctrl_proto::v1::{Vend, VendQuote, VendState};

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
    let quote = VendQuote {
        machine_id: MACHINE.to_owned(),
        slot: SLOT_SOLD.to_owned(),
        ..VendQuote::default()
    };
    let home = random.index(load.clients.len());
    let action = load.sign(&quote);
    let receipt = load.drive(action, Work::Other, home, random).await?;
    if receipt.refusal.is_some() {
        // The machine does not sell now, such as when its agent is away.
        load.rest(4 * AGAIN).await;
        return None;
    }
    let vend = find(load, &receipt.subject, random).await?;
    if random.chance(WINDOW_SHOPPERS) {
        return None;
    }
    let paid = load.purse.pay(&vend.address, vend.price_sats).await;
    paid.ok()?;
    load.promises().sales.push(Sale {
        vend: vend.id.clone(),
        sats: vend.price_sats,
    });
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && !load.stopped() {
        let node = random.index(load.clients.len());
        if let Ok(vend) = load.client(node).vend(&vend.id).await
            && has_ended(&vend)
        {
            break;
        }
        load.rest(AGAIN).await;
    }
    Some(())
}

/// The vend of a quote, from any node that has come so far.
async fn find(load: &Load, id: &str, random: &mut Random) -> Option<Vend> {
    while !load.stopped() {
        let node = random.index(load.clients.len());
        if let Ok(vend) = load.client(node).vend(id).await {
            return Some(vend);
        }
        load.rest(AGAIN).await;
    }
    None
}
