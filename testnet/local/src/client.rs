//! One node's gRPC door, as any client uses it.

use std::time::Duration;

use anyhow::{Context, Result};
use dctrl_proto::v1::{
    BlockReply, GetBalancesRequest, GetBlockRequest, GetStatusRequest, GetVendRequest, ListRequest,
    MachineView, Payment, Slot, Status, Vend, dctrl_client::DctrlClient,
};
use tonic::transport::{Channel, Endpoint};

/// Longest answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Most rows that the lists here need.
const ROWS: u32 = 1000;

/// A connection to one node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    grpc: DctrlClient<Channel>,
}

impl Client {
    /// Connects when it is first used, and again after the node's restart.
    ///
    /// # Errors
    /// Where `url` is none.
    pub fn new(url: &str) -> Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())
            .with_context(|| format!("{url} is not a URL"))?
            .connect_timeout(ANSWER_LIMIT)
            .timeout(ANSWER_LIMIT)
            .connect_lazy();
        Ok(Self {
            grpc: DctrlClient::new(channel),
        })
    }

    /// How the node is.
    ///
    /// # Errors
    /// No answer.
    pub async fn status(&self) -> Result<Status> {
        let answer = self.grpc.clone().get_status(GetStatusRequest {}).await?;
        Ok(answer.into_inner())
    }

    /// One vend.
    ///
    /// # Errors
    /// No answer, or no such vend.
    pub async fn vend(&self, id: &str) -> Result<Vend> {
        let request = GetVendRequest { id: id.to_owned() };
        let answer = self.grpc.clone().get_vend(request).await?.into_inner();
        answer.vend.context("an answer without a vend")
    }

    /// The vends of a machine, at most a thousand.
    ///
    /// # Errors
    /// No answer.
    pub async fn vends(&self, machine: &str) -> Result<Vec<Vend>> {
        let answer = self.grpc.clone().list_vends(rows(machine)).await?;
        Ok(answer.into_inner().vends)
    }

    /// The payments, at most a thousand.
    ///
    /// # Errors
    /// No answer.
    pub async fn payments(&self) -> Result<Vec<Payment>> {
        let answer = self.grpc.clone().list_payments(rows("")).await?;
        Ok(answer.into_inner().payments)
    }

    /// One machine with its slots.
    ///
    /// # Errors
    /// No answer, or no such machine.
    pub async fn machine(&self, id: &str) -> Result<MachineView> {
        let answer = self.grpc.clone().list_machines(rows(id)).await?;
        answer
            .into_inner()
            .machines
            .into_iter()
            .find(|view| {
                view.machine
                    .as_ref()
                    .is_some_and(|machine| machine.id == id)
            })
            .with_context(|| format!("there is no machine {id}"))
    }

    /// One slot of a machine.
    ///
    /// # Errors
    /// No answer, or no such slot.
    pub async fn slot(&self, machine: &str, slot: &str) -> Result<Slot> {
        let view = self.machine(machine).await?;
        view.slots
            .into_iter()
            .find(|one| one.slot == slot)
            .with_context(|| format!("machine {machine} has no slot {slot}"))
    }

    /// One block.
    ///
    /// # Errors
    /// No answer, or no such block.
    pub async fn block(&self, height: u64) -> Result<BlockReply> {
        let request = GetBlockRequest { height };
        Ok(self.grpc.clone().get_block(request).await?.into_inner())
    }

    /// The books: balance of every account by name, and the sum of all.
    ///
    /// # Errors
    /// No answer.
    pub async fn balances(&self) -> Result<(Vec<(String, i64)>, i64)> {
        let request = GetBalancesRequest::default();
        let books = self.grpc.clone().get_balances(request).await?.into_inner();
        let accounts = books
            .accounts
            .into_iter()
            .map(|account| (account.name, account.balance_sats))
            .collect();
        Ok((accounts, books.sum_sats))
    }

    /// The generated client, for what the shorthands above do not cover.
    #[must_use]
    pub fn grpc(&self) -> DctrlClient<Channel> {
        self.grpc.clone()
    }
}

fn rows(machine: &str) -> ListRequest {
    ListRequest {
        limit: ROWS,
        after: String::new(),
        machine_id: machine.to_owned(),
    }
}
