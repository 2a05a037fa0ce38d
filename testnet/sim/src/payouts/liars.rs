//! Nodes that say what is not so, up to as many as the federation bears.

use dctrl_proto::v1::{ChainObserve, Outpoint, PaymentObserve, PaymentView, PayoutObserve};

use super::founding::Party;
use super::world::World;

/// How often a liar lies where it is to speak, per mille.
const LIES: u64 = 500;

impl World {
    fn lies(&mut self, seat: usize) -> bool {
        self.storm && self.plan.is_liar(seat) && self.chance.chance(LIES)
    }

    pub(super) fn twist_tip(&mut self, seat: usize, view: ChainObserve) -> ChainObserve {
        if !self.lies(seat) {
            return view;
        }
        self.hit("tip_lies");
        let height = match self.chance.below(3) {
            0 => view.height + 1_000,
            1 => view.height / 2,
            _ => view.height,
        };
        ChainObserve {
            height,
            hash: vec![0xee; 32],
        }
    }

    pub(super) fn twist_payment(&mut self, seat: usize, view: PaymentObserve) -> PaymentObserve {
        if !self.lies(seat) {
            return view;
        }
        self.hit("payment_lies");
        let mut lie = PaymentObserve {
            doubts: None,
            ..view
        };
        match self.chance.below(3) {
            0 => {
                lie.amount_sats += 1_000_000;
            }
            1 => {
                lie.set_view(PaymentView::InBlock);
                lie.block_height = 1;
                lie.block_hash = vec![0xee; 32];
            }
            _ => {
                lie.set_view(PaymentView::Absent);
                lie.block_height = 0;
                lie.block_hash.clear();
            }
        }
        lie
    }

    pub(super) fn twist_payout(&mut self, seat: usize, said: PayoutObserve) -> PayoutObserve {
        if self.lies(seat) {
            self.payout_lie(&said.payout_id).unwrap_or(said)
        } else {
            said
        }
    }

    /// Liars speak without being asked, too.
    pub(super) fn lie_about_payouts(&mut self) {
        for seat in self.plan.liars.clone() {
            if !self.chance.chance(100) {
                continue;
            }
            let Some(id) = self.some_open() else { return };
            if let Some(lie) = self.payout_lie(&id) {
                self.say(Party::Node(seat), &lie);
            }
        }
    }

    fn payout_lie(&mut self, id: &str) -> Option<PayoutObserve> {
        let payout = self.known.get(id)?;
        let version = payout.versions.last()?;
        let mut lie = PayoutObserve {
            payout_id: id.to_owned(),
            txid: version.txid.clone(),
            ..PayoutObserve::default()
        };
        let first: Vec<Outpoint> = payout.versions[0]
            .inputs
            .first()
            .and_then(|input| input.outpoint.clone())
            .into_iter()
            .collect();
        let tip = self.net.tip();
        match self.chance.below(6) {
            0 => {
                lie.set_view(PaymentView::InBlock);
                lie.block_height = tip.height.saturating_sub(20);
                lie.block_hash = tip.hash.0.to_vec();
            }
            1 => {
                lie.set_view(PaymentView::InBlock);
                lie.block_height = 1;
                lie.block_hash = vec![0xee; 32];
            }
            2 => {
                lie.set_view(PaymentView::InBlock);
                lie.block_height = 1;
                lie.block_hash = vec![0xee; 32];
                lie.txid = vec![0xcc; 32];
                lie.spends = first;
            }
            3 => {
                lie.set_view(PaymentView::Absent);
                lie.txid.clear();
            }
            4 => {
                lie.set_view(PaymentView::InBlock);
                lie.block_height = 1;
                lie.block_hash = vec![0xee; 32];
                lie.txid = vec![0xcc; 32];
                lie.gone = first;
            }
            _ => lie.set_view(PaymentView::InMempool),
        }
        self.hit("payout_lies");
        Some(lie)
    }
}
