//! Between what the node knows and what it says: frames of the bus come in,
//! signed observations go out, each view once.

use std::{str::FromStr, time::Duration};

use bitcoin::{Address, Network, address::NetworkUnchecked};
use dctrl_proto::v1::{BusBody, ChainObserve, Vend, bus_body::Event};

use super::super::{
    Hash, Tip,
    watch::{Key, Watch},
};
use crate::{
    Common,
    outbox::{Desk, Ended, Outbox},
};

/// How far the federation's tip may be above this node's while a block is
/// still on its way to it.
const BEHIND_BLOCKS_MAX: u32 = 2;
/// Blocks that a restart looks through again, because a quote may reach this
/// node only after the block that pays it.
const SETTLED_DEPTH: usize = 6;
/// Turns without a door after which it is said.
const DOOR_FAILURES: u32 = 3;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Tip,
    Payment(Key),
}

pub(super) struct Staging {
    common: Common,
    network: Network,
    pub(super) watch: Watch,
    /// The newest block that the federation has agreed on.
    agreed: Option<Tip>,
    /// The newest block that this node has said.
    said_tip: Option<Tip>,
    /// The last tip up to which everything has been said and applied.
    settled: Option<Tip>,
    /// Nothing is said while the backend cannot be trusted.
    pub(super) abstain: bool,
    outbox: Outbox<Subject>,
}

impl Staging {
    pub(super) fn new(common: Common, network: Network) -> Self {
        Self {
            common,
            network,
            watch: Watch::default(),
            agreed: None,
            said_tip: None,
            settled: None,
            abstain: true,
            outbox: Outbox::default(),
        }
    }

    /// Takes a frame; whether the backend should be asked for news.
    pub(super) fn frame(&mut self, body: &BusBody) -> bool {
        match &body.event {
            Some(Event::Vend(changed)) => {
                if let Some(vend) = &changed.vend {
                    self.watch_vend(vend);
                }
            }
            Some(Event::Payment(changed)) => {
                if let Some(payment) = &changed.payment {
                    self.watch.told(payment, (self.common.seat)());
                }
            }
            Some(Event::Tip(tip)) => {
                self.agreed = Hash::from_slice(&tip.hash).map(|hash| Tip {
                    height: tip.height,
                    hash,
                });
            }
            _ => return false,
        }
        !self.watch.unchecked().is_empty()
    }

    fn watch_vend(&mut self, vend: &Vend) {
        if vend.address.is_empty() {
            return;
        }
        let address = Address::<NetworkUnchecked>::from_str(&vend.address)
            .and_then(|address| address.require_network(self.network));
        match address {
            Ok(address) => {
                let script = address.script_pubkey().into_bytes();
                if !self.watch.watch(script, vend.address_index) {
                    tracing::error!(vend = vend.id, "too many addresses: not watched");
                }
            }
            Err(error) => {
                tracing::error!(vend = vend.id, %error, "the ledger's address is not ours");
            }
        }
    }

    /// The agreed tip, where it is so far above `own` that the backend should
    /// know its block.
    pub(super) fn ahead_of(&self, own: Tip) -> Option<Tip> {
        self.agreed
            .filter(|agreed| agreed.height > own.height + BEHIND_BLOCKS_MAX)
    }

    /// Puts what is unsaid on its way.
    pub(super) fn stage(&mut self) {
        if self.abstain {
            return;
        }
        for (key, observation) in self.watch.unsaid() {
            let subject = Subject::Payment(key);
            if !self.outbox.put(&self.common, subject, &observation) {
                return;
            }
            self.watch.said(key);
        }
        // What the federation agrees on already needs no vote of ours.
        let said = self.said_tip.or(self.agreed);
        if let Some(tip) = self.watch.tip().filter(|tip| Some(*tip) != said) {
            let observation = ChainObserve {
                height: tip.height,
                hash: tip.hash.0.to_vec(),
            };
            if self.outbox.put(&self.common, Subject::Tip, &observation) {
                self.said_tip = Some(tip);
            }
        }
    }

    pub(super) fn work(&mut self, desk: &dyn Desk) {
        let now_ms = (self.common.clock)();
        for (subject, ended) in self.outbox.work(now_ms, desk) {
            match ended {
                Ended::Applied => {}
                Ended::Refused(refusal) => {
                    // Saying the same again would be refused again.
                    tracing::warn!(?subject, %refusal, "an observation was refused");
                }
                Ended::Expired => match subject {
                    Subject::Tip => self.said_tip = None,
                    Subject::Payment(key) => self.watch.unsay(key),
                },
            }
        }
    }

    /// When the outbox has work again.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let due_ms = self.outbox.due_ms()?;
        Some(Duration::from_millis(
            due_ms.saturating_sub((self.common.clock)()),
        ))
    }

    pub(super) fn unreachable(&self) -> bool {
        self.outbox.failures() >= DOOR_FAILURES
    }

    /// A block up to which everything has been said and applied, once for each.
    pub(super) fn settled_tip(&mut self) -> Option<Tip> {
        if self.abstain || !self.outbox.is_empty() {
            return None;
        }
        let tip = self.watch.below_tip(SETTLED_DEPTH);
        let tip = tip.filter(|tip| Some(*tip) != self.settled)?;
        self.settled = Some(tip);
        Some(tip)
    }
}

#[cfg(test)]
mod tests;
