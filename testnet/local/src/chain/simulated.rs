//! `dctrl-node sim-chain` as a process.

use std::{path::Path, process::Command, time::Duration};

use anyhow::Result;
use dctrl_proto::v1::{
    GetTipRequest, SimMineRequest, SimPayRequest, SimReplaceRequest,
    simulated_chain_client::SimulatedChainClient,
};
use tonic::transport::{Channel, Endpoint};

use super::Txid;
use crate::{ports, process::Process, programs::Programs, wait::until};

/// How long it may take to answer after the start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Longest answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The simulated chain's process and a client of it.
#[derive(Debug)]
pub struct Simulated {
    pub(super) process: Process,
    purse: Purse,
}

/// Pays and mines on a simulated chain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Purse {
    grpc: SimulatedChainClient<Channel>,
}

impl Simulated {
    pub(super) async fn start(programs: &Programs, dir: &Path, base_port: u16) -> Result<Self> {
        let address = format!("127.0.0.1:{}", base_port + ports::CHAIN);
        let mut process = Process::start(
            "simulated chain",
            Command::new(programs.node()).args(["sim-chain", "--listen", &address]),
            &dir.join("chain.log"),
        )?;
        let url = format!("http://{address}");
        let channel = Endpoint::from_shared(url)?
            .timeout(ANSWER_LIMIT)
            .connect_timeout(ANSWER_LIMIT)
            .connect_lazy();
        let grpc = SimulatedChainClient::new(channel);
        let answer = until(START_LIMIT, "the simulated chain to answer", async || {
            Ok(Some(grpc.clone().get_tip(GetTipRequest {}).await?))
        })
        .await;
        process.must_live()?;
        answer?;
        Ok(Self {
            process,
            purse: Purse { grpc },
        })
    }

    /// The generated client, for what the chain does not cover.
    #[must_use]
    pub fn grpc(&self) -> SimulatedChainClient<Channel> {
        self.purse.grpc.clone()
    }

    /// What customers and miners have.
    #[must_use]
    pub fn purse(&self) -> &Purse {
        &self.purse
    }
}

impl Purse {
    /// See [`super::Chain::pay`].
    ///
    /// # Errors
    /// A refusal.
    pub async fn pay(&self, address: &str, sats: u64) -> Result<Txid> {
        let request = SimPayRequest {
            address: address.to_owned(),
            amount_sats: sats,
        };
        let paid = self.grpc.clone().pay(request).await?.into_inner();
        Txid::try_from(paid.txid.as_slice())
    }

    pub(super) async fn replace(&self, txid: Txid, address: &str, sats: u64) -> Result<Txid> {
        let request = SimReplaceRequest {
            txid: txid.0.to_vec(),
            address: address.to_owned(),
            amount_sats: sats,
        };
        let paid = self.grpc.clone().replace(request).await?.into_inner();
        Txid::try_from(paid.txid.as_slice())
    }

    /// See [`super::Chain::mine`].
    ///
    /// # Errors
    /// No answer.
    pub async fn mine(&self, blocks: u32) -> Result<u32> {
        let request = SimMineRequest { blocks };
        Ok(self.grpc.clone().mine(request).await?.into_inner().height)
    }

    pub(super) async fn height(&self) -> Result<u32> {
        let tip = self.grpc.clone().get_tip(GetTipRequest {}).await?;
        Ok(tip.into_inner().height)
    }
}
