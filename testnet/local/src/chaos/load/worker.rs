//! One who hands in actions at one node.

use std::{sync::Arc, time::Duration};

use dctrl_proto::v1::{Product, ProductSet, SlotRestock, product::Price};

use super::Load;
use crate::{
    chaos::{manifest::SLOT_COUNTED, promises::Work},
    federation::MACHINE,
    random::Random,
};

/// Actions of every hundred that change the worker's own product.
const PRODUCTS: u64 = 20;

pub(super) async fn work(load: Arc<Load>, home: usize) {
    let mut random = Random::part(load.seed, &format!("worker {home}"));
    let mut version = 0;
    while !load.stopped() {
        if random.chance(PRODUCTS) {
            let set = ProductSet {
                product: Some(Product {
                    id: format!("p{home}"),
                    name: format!("Product {} of worker {home}", version + 1),
                    price: Some(Price::PriceSats(1 + version)),
                    version: 0,
                }),
                expected_version: version,
            };
            let action = load.sign(&set);
            let receipt = load.drive(action, Work::Other, home, &mut random).await;
            // Nobody else changes it, so a refusal would be a second effect.
            if let Some(receipt) = receipt {
                match receipt.refusal {
                    None => version += 1,
                    Some(refusal) => load
                        .promises()
                        .wrong(format!("the product p{home} changed by itself: {refusal}")),
                }
            }
        } else {
            let restock = SlotRestock {
                machine_id: MACHINE.to_owned(),
                slot: SLOT_COUNTED.to_owned(),
                added: 1,
                shrinkage: 1,
                reason: "counted".to_owned(),
            };
            let action = load.sign(&restock);
            load.drive(action, Work::Count, home, &mut random).await;
        }
        let pause = load.pace.as_millis() as u64;
        let pause = random.between(pause / 2, pause * 3 / 2);
        load.rest(Duration::from_millis(pause)).await;
    }
}
