//! What copayers do in a round: each payout pays an address of its own, so that
//! bitcoind can say how much came there.

use anyhow::Result;
use dctrl_proto::v1::PayoutState;

use crate::{chain::Bitcoind, federation::Federation};

/// What each payout pays, satoshi.
pub(super) const PAID_SATS: u64 = 20_000;

/// One payout.
#[derive(Debug, Clone)]
pub(super) struct Paying {
    pub(super) id: String,
    /// Whom it pays.
    pub(super) address: String,
}

/// Proposed by one copayer and approved by another.
pub(super) async fn propose(federation: &Federation, chain: &Bitcoind) -> Result<Paying> {
    let address = chain.run(&["getnewaddress"]).await?;
    let payout = federation
        .propose_payout_to(&[(address.clone(), PAID_SATS)])
        .await?;
    federation.approve_payout(&payout.id, 2).await?;
    let id = payout.id;
    Ok(Paying { id, address })
}

/// Signed by two, and broadcast.
pub(super) async fn sign(federation: &Federation, payout: &Paying) -> Result<()> {
    federation.sign_payout(&payout.id, 1).await?;
    federation.sign_payout(&payout.id, 2).await?;
    let broadcast = [PayoutState::Broadcast];
    federation.payout_reaches(&payout.id, &broadcast).await?;
    Ok(())
}
