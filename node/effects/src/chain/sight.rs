//! What one node sees of the chain, and what of it the federation has not yet
//! heard: everything of the notifier that needs no socket, thread or clock.
//!
//! Frames of the bus and hints of a backend come in; [`Sight::refresh`] asks the
//! backend for the truth; [`Sight::unsaid`] gives the observations that have
//! changed since they were last said. Whoever carries them to the ledger says
//! what became of them. The notifier does that with an outbox at a node's door,
//! and the simulator does the same over a network that loses what it likes.
//!
//! While the backend fails, lags, or lacks a block that the federation has
//! agreed on, nothing is said.

use std::{collections::BTreeSet, str::FromStr};

use bitcoin::{Address, Network, address::NetworkUnchecked};
use dctrl_proto::v1::{BusBody, ChainObserve, PaymentObserve, PaymentView, bus_body::Event};

use super::{
    ChainError, ChainSource, Hash, Hint, Tip,
    agreed::Agreed,
    sync::{self, Begin},
    watch::{Key, Watch},
};

/// How far the federation's tip may be above this node's while a block is
/// still on its way to it.
const BEHIND_BLOCKS_MAX: u32 = 2;

/// Blocks that pass while an address is on its way to this node: what pays it in
/// them is found among the outputs that were seen. It is also as deep as the chain
/// is expected to be reorganised below an agreed block.
const ON_ITS_WAY_BLOCKS: u32 = 6;

/// A chain that grows while it is asked what waits is looked at again, this often.
const LOOKS_MAX: usize = 3;

/// What an observation is about: a newer one takes the place of an older one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The newest block.
    Tip,
    /// The payment with this id and output.
    Payment(Hash, u32),
}

/// One observation, to be signed and handed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Saying {
    /// `chain.observe`.
    Tip(ChainObserve),
    /// `payment.observe`.
    Payment(PaymentObserve),
}

impl Saying {
    /// Whether it says that something is not there that may have been said to
    /// be: the ledger must have heard that first, or it refuses this.
    #[must_use]
    pub fn takes_back(&self) -> bool {
        matches!(self, Self::Payment(view) if view.view() == PaymentView::Absent)
    }
}

/// One node's view of the chain.
pub struct Sight {
    network: Network,
    pub(super) watch: Watch,
    /// The newest blocks that the federation has agreed on.
    agreed: Agreed,
    /// The newest block that this node has said.
    said_tip: Option<Tip>,
    /// Nothing is said while the backend cannot be trusted.
    pub(super) abstain: bool,
    begin: Begin,
    /// Ids of the mempool's transactions that have been read.
    mempool: BTreeSet<Hash>,
    /// The mempool must be compared.
    scan: bool,
}

impl Sight {
    /// Sees nothing yet. `cursor` is the last block that an earlier run had
    /// dealt with; without it `rescan_blocks` are looked through.
    #[must_use]
    pub fn new(network: Network, cursor: Option<Tip>, rescan_blocks: u32) -> Self {
        Self {
            network,
            watch: Watch::default(),
            agreed: Agreed::default(),
            said_tip: None,
            abstain: true,
            begin: Begin {
                cursor,
                rescan_blocks,
            },
            mempool: BTreeSet::new(),
            scan: true,
        }
    }

    /// The same on regtest.
    #[must_use]
    pub fn regtest(cursor: Option<Tip>, rescan_blocks: u32) -> Self {
        Self::new(Network::Regtest, cursor, rescan_blocks)
    }

    /// Takes a frame; whether the backend should be asked for news. `own_seat`
    /// is the seat by which the ledger names this node.
    pub fn frame(&mut self, body: &BusBody, own_seat: Option<u32>) -> bool {
        // An address that is new here is new in this block.
        let since = self.agreed.at(body.height);
        self.take(body, own_seat, since)
    }

    /// The same for a fact: what is so at some height, since whenever.
    pub fn fact(&mut self, body: &BusBody, own_seat: Option<u32>) -> bool {
        self.take(body, own_seat, None)
    }

    /// `since` is the chain's height when what this tells of began.
    fn take(&mut self, body: &BusBody, own_seat: Option<u32>, since: Option<u32>) -> bool {
        match &body.event {
            Some(Event::Vend(changed)) => {
                if let Some(vend) = &changed.vend {
                    self.watch(&vend.address, vend.address_index, since, &vend.id);
                }
            }
            Some(Event::TopUp(issued)) => {
                if let Some(top_up) = &issued.top_up {
                    let (address, index) = (&top_up.address, top_up.address_index);
                    self.watch(address, index, since, &top_up.member_id);
                }
            }
            Some(Event::Payment(changed)) => {
                if let Some(payment) = &changed.payment {
                    self.watch.told(payment, own_seat);
                }
            }
            Some(Event::Tip(tip)) => {
                let agreed = Hash::from_slice(&tip.hash).map(|hash| Tip {
                    height: tip.height,
                    hash,
                });
                self.agreed.take(body.height, agreed);
            }
            _ => return false,
        }
        self.looks_back() || !self.watch.unchecked().is_empty()
    }

    /// Whether the next look goes through blocks again, because an address became
    /// known after blocks that may pay it: this node is behind the federation.
    #[must_use]
    pub fn looks_back(&self) -> bool {
        self.watch.back().is_some()
    }

    /// Watches an address that was given out for `whom` when the chain was at the
    /// height `since`.
    fn watch(&mut self, address: &str, index: u32, since: Option<u32>, whom: &str) {
        if address.is_empty() {
            return;
        }
        let address = Address::<NetworkUnchecked>::from_str(address)
            .and_then(|address| address.require_network(self.network));
        match address {
            Ok(address) => {
                let script = address.script_pubkey().into_bytes();
                let new = !self.watch.watches(&script);
                if !self.watch.watch(script, index) {
                    tracing::error!(whom, "too many addresses: not watched");
                } else if new && !self.watch.covers(since, ON_ITS_WAY_BLOCKS) {
                    self.watch
                        .look_back(since.map(|height| height.saturating_sub(ON_ITS_WAY_BLOCKS)));
                }
            }
            Err(error) => {
                tracing::error!(whom, %error, "the ledger's address is not ours");
            }
        }
    }

    /// Takes a hint; whether the backend should be asked for news.
    pub fn hint(&mut self, hint: Hint) -> bool {
        match hint {
            Hint::Transaction(transaction) => {
                self.watch.see(&transaction);
                self.mempool.insert(transaction.txid);
                !self.watch.unchecked().is_empty()
            }
            Hint::Removed(txid) => {
                self.watch.removed(txid);
                !self.watch.unchecked().is_empty()
            }
            Hint::Block => true,
            Hint::Gap { topic } => {
                tracing::debug!(topic, "hints were lost: looking at everything again");
                self.scan = true;
                true
            }
        }
    }

    /// The next look compares the whole mempool.
    pub fn compare_mempool(&mut self) {
        self.scan = true;
    }

    /// Whether the next look compares the whole mempool.
    #[must_use]
    pub fn compares_mempool(&self) -> bool {
        self.scan
    }

    /// Refuses a backend of another network; nothing is said until one of the
    /// right network has answered.
    ///
    /// # Errors
    /// [`ChainError::WrongChain`], or the backend gives no answer.
    pub fn confirm(&mut self, source: &dyn ChainSource, expected: Hash) -> Result<(), ChainError> {
        // Of several backends the first healthy one answers after that.
        let block = source.tip().and_then(|_| source.hash_at(0));
        let confirmed = block.and_then(|found| match found == expected {
            true => Ok(()),
            false => Err(ChainError::WrongChain {
                key: "chain.backend".to_owned(),
                expected,
                found,
            }),
        });
        self.abstain |= confirmed.is_err();
        self.scan |= confirmed.is_err();
        confirmed
    }

    /// Asks the backend where everything is now. `go_on` is asked before each
    /// block and transaction; the look ends early when it says no.
    ///
    /// # Errors
    /// The backend gives no answer, or lags: nothing is said until it has
    /// answered in full.
    pub fn refresh(
        &mut self,
        source: &dyn ChainSource,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), ChainError> {
        let looked = self.look(source, go_on);
        self.abstain = looked.is_err();
        self.scan |= looked.is_err();
        looked
    }

    fn look(
        &mut self,
        source: &dyn ChainSource,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), ChainError> {
        let mut tip = sync::walk(source, &mut self.watch, self.begin, go_on)?;
        if std::mem::take(&mut self.scan) {
            sync::scan_mempool(source, &mut self.watch, &mut self.mempool, go_on)?;
        }
        for _ in 0..LOOKS_MAX {
            // What a block took between the walk and the question is not gone.
            if !sync::check(source, &mut self.watch)? || source.tip()? == tip || !go_on() {
                break;
            }
            tip = sync::walk(source, &mut self.watch, self.begin, go_on)?;
        }
        if let Some(agreed) = self.ahead_of(tip)
            && !source.knows_block(agreed)?
        {
            return Err(ChainError::Lagging {
                blocks: u64::from(tip.height),
                headers: u64::from(agreed.height),
            });
        }
        Ok(())
    }

    /// The newest block that the federation has agreed on.
    pub(super) fn agreed(&self) -> Option<Tip> {
        self.agreed.newest()
    }

    /// The agreed tip, where it is so far above `own` that the backend should
    /// know its block.
    pub(super) fn ahead_of(&self, own: Tip) -> Option<Tip> {
        self.agreed
            .newest()
            .filter(|agreed| agreed.height > own.height + BEHIND_BLOCKS_MAX)
    }

    /// What has changed since it was last said; nothing while the backend
    /// cannot be trusted.
    #[must_use]
    pub fn unsaid(&self) -> Vec<(Subject, Saying)> {
        if self.abstain {
            return Vec::new();
        }
        let payments = self.watch.unsaid().into_iter();
        let mut unsaid: Vec<(Subject, Saying)> = payments
            .map(|((txid, vout), view)| (Subject::Payment(txid, vout), Saying::Payment(view)))
            .collect();
        // What the federation agrees on already needs no vote of ours.
        let said = self.said_tip.or(self.agreed.newest());
        if let Some(tip) = self.watch.tip().filter(|tip| Some(*tip) != said) {
            let view = ChainObserve {
                height: tip.height,
                hash: tip.hash.0.to_vec(),
            };
            unsaid.push((Subject::Tip, Saying::Tip(view)));
        }
        unsaid
    }

    /// A block `depth` below the newest one at least, up to which nothing is
    /// missed by whoever begins above it with the addresses that are known now:
    /// those that will become known are younger than what is agreed on.
    pub(super) fn settled_block(&self, depth: usize) -> Option<Tip> {
        let agreed = self.agreed.newest()?;
        self.watch.below_tip(depth, agreed.height)
    }

    /// The present view of a subject is on its way.
    pub fn said(&mut self, subject: &Subject) {
        match subject {
            Subject::Tip => self.said_tip = self.watch.tip(),
            Subject::Payment(txid, vout) => self.watch.said((*txid, *vout) as Key),
        }
    }

    /// The ledger has refused the view of a subject.
    pub fn refused(&mut self, subject: &Subject) {
        if let Subject::Payment(txid, vout) = subject {
            self.watch.refused((*txid, *vout));
        }
    }

    /// The view never reached the ledger: it must be said again.
    pub fn unsay(&mut self, subject: &Subject) {
        match subject {
            Subject::Tip => self.said_tip = None,
            Subject::Payment(txid, vout) => self.watch.unsay((*txid, *vout)),
        }
    }
}

#[cfg(test)]
mod tests;
