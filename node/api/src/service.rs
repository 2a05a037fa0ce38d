//! The service of `node.proto`, a method each.

use std::{pin::Pin, sync::Arc};

use dctrl_ledger::query;
use dctrl_proto::{
    action::{ACTION_BYTES_MAX, action_id},
    v1::{
        ActionBody, Balances, BlockReply, BusFrame, DagReply, FollowRequest, GenesisReply,
        GetActionRequest, GetBalancesRequest, GetBlockRequest, GetDagRequest, GetGenesisRequest,
        GetPayoutRequest, GetRosterChain, GetStatusRequest, GetTabRequest, GetVendRequest,
        JournalList, ListNodesRequest, ListRequest, MachineList, MemberList, NodeList, PaymentList,
        PayoutList, PayoutReply, ProductList, RefundList, RosterChain, RosterList, SignedAction,
        Stage, Status as NodeStatus, SubmitReply, SubmitRequest, TabList, TabReply, VendList,
        VendReply, dctrl_server::Dctrl,
    },
};
use dctrl_store::Snapshot;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::{
    Gateway,
    acknowledge::Question,
    block, dag, follow, limits, lists, money,
    page::Page,
    read::{ReadError, read},
    refusal, stage, status,
};

/// The rule that refuses an action behind its expiry.
const EXPIRED: &str = "action.expired";

type Answer<T> = Result<Response<T>, Status>;

/// The service over one node.
pub(crate) struct Service {
    gateway: Gateway,
    /// Becomes true when the API stops.
    stopped: watch::Receiver<bool>,
    followers: Arc<Semaphore>,
    waiters: Arc<Semaphore>,
}

impl Service {
    pub(crate) fn new(gateway: Gateway, stopped: watch::Receiver<bool>) -> Self {
        Self {
            gateway,
            stopped,
            followers: Arc::new(Semaphore::new(limits::FOLLOWERS_MAX)),
            waiters: Arc::new(Semaphore::new(limits::WAITERS_MAX)),
        }
    }

    fn waiter(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.waiters).try_acquire_owned().map_err(|_| {
            let message = format!(
                "{} calls wait on this node; ask another one",
                limits::WAITERS_MAX
            );
            refusal::exhausted("submit.waiters", message)
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&Snapshot<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> Answer<T> {
        read(&self.gateway, answer).await.map(Response::new)
    }

    async fn list<T: Send + 'static>(
        &self,
        request: Request<ListRequest>,
        list: fn(&Snapshot<'_>, &Page) -> Result<T, ReadError>,
    ) -> Answer<T> {
        let page = Page::new(request.into_inner())?;
        self.read(move |snapshot| list(snapshot, &page)).await
    }
}

#[tonic::async_trait]
impl Dctrl for Service {
    async fn submit(&self, request: Request<SubmitRequest>) -> Answer<SubmitReply> {
        let request = request.into_inner();
        let wanted = stage::wanted(request.wait_for)?;
        let patience = stage::patience(request.timeout_ms)?;
        let action = request.action.ok_or_else(|| {
            refusal::invalid(
                "submit.action",
                "action",
                "There is no action in the request.",
            )
        })?;
        if action.encoded_len() > ACTION_BYTES_MAX {
            let message = format!("An action has at most {ACTION_BYTES_MAX} bytes.");
            return Err(refusal::invalid("action.size", "action", message));
        }
        let question = question(&action, request.prove);
        let _waiter = self.waiter()?;
        let submit = Arc::clone(&self.gateway.submit);
        let submitted = tokio::task::spawn_blocking(move || submit(action))
            .await
            .map_err(|_| Status::internal("the submission was cut off"))?;
        // What came too late has an end too, which the ledger's time tells.
        let (wanted, refused) = match submitted {
            Ok(_) => (wanted, None),
            Err(refused) if refused.rule == EXPIRED => (Stage::Final, Some(refused)),
            Err(refused) => return Err(refusal::status(&refused)),
        };
        let reached = stage::wait(&self.gateway, &self.stopped, &question, wanted, patience);
        match (reached.await?, refused) {
            (Some(reached), _) if reached.stage() >= wanted => Ok(Response::new(reached)),
            (_, Some(refused)) => Err(refusal::status(&refused)),
            (reached, None) => {
                // It was taken a moment ago, whatever has become of it since.
                let reached = reached.unwrap_or_else(|| received(&question));
                if reached.stage() >= wanted {
                    Ok(Response::new(reached))
                } else {
                    Err(stage::too_late(wanted, &reached, patience))
                }
            }
        }
    }

    async fn get_action(&self, request: Request<GetActionRequest>) -> Answer<SubmitReply> {
        let request = request.into_inner();
        let question = Question::try_from(&request).map_err(|refused| refusal::status(&refused))?;
        let wanted = stage::wanted(request.wait_for)?;
        let patience = stage::patience(request.timeout_ms)?;
        let _waiter = self.waiter()?;
        // An action that is not ordered here may still be on its way from another node.
        let reached = stage::wait(&self.gateway, &self.stopped, &question, wanted, patience);
        match reached.await? {
            None => {
                let message = "This node does not know such an action.";
                Err(refusal::status(&refusal::not_found(
                    "action.id",
                    "action_id",
                    message,
                )))
            }
            Some(reached) if reached.stage() < wanted => {
                Err(stage::too_late(wanted, &reached, patience))
            }
            Some(reached) => Ok(Response::new(reached)),
        }
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<NodeStatus> {
        let live = (self.gateway.live)();
        let facts = Arc::clone(&self.gateway.facts);
        self.read(move |snapshot| status::status(snapshot, &facts, live))
            .await
    }

    async fn get_genesis(&self, _: Request<GetGenesisRequest>) -> Answer<GenesisReply> {
        let facts = &self.gateway.facts;
        Ok(Response::new(GenesisReply {
            genesis: Some(facts.genesis.clone()),
            cluster: facts.cluster.to_vec(),
        }))
    }

    async fn list_members(&self, request: Request<ListRequest>) -> Answer<MemberList> {
        self.list(request, lists::members).await
    }

    async fn list_nodes(&self, _: Request<ListNodesRequest>) -> Answer<NodeList> {
        self.read(lists::nodes).await
    }

    async fn list_rosters(&self, request: Request<ListRequest>) -> Answer<RosterList> {
        self.list(request, lists::rosters).await
    }

    async fn list_products(&self, request: Request<ListRequest>) -> Answer<ProductList> {
        self.list(request, lists::products).await
    }

    async fn list_machines(&self, request: Request<ListRequest>) -> Answer<MachineList> {
        self.list(request, lists::machines).await
    }

    async fn get_vend(&self, request: Request<GetVendRequest>) -> Answer<VendReply> {
        let id = request.into_inner().id;
        self.read(move |snapshot| {
            let vend = Some(query::vend(snapshot, &id)?);
            Ok(VendReply {
                height: snapshot.height()?,
                vend,
            })
        })
        .await
    }

    async fn list_vends(&self, request: Request<ListRequest>) -> Answer<VendList> {
        self.list(request, lists::vends).await
    }

    async fn list_payments(&self, request: Request<ListRequest>) -> Answer<PaymentList> {
        self.list(request, lists::payments).await
    }

    async fn get_payout(&self, request: Request<GetPayoutRequest>) -> Answer<PayoutReply> {
        let id = request.into_inner().id;
        self.read(move |snapshot| {
            let payout = Some(query::payout(snapshot, &id)?);
            Ok(PayoutReply {
                height: snapshot.height()?,
                payout,
            })
        })
        .await
    }

    async fn list_payouts(&self, request: Request<ListRequest>) -> Answer<PayoutList> {
        self.list(request, lists::payouts).await
    }

    async fn get_tab(&self, request: Request<GetTabRequest>) -> Answer<TabReply> {
        let member_id = request.into_inner().member_id;
        self.read(move |snapshot| money::tab(snapshot, &member_id))
            .await
    }

    async fn list_tabs(&self, request: Request<ListRequest>) -> Answer<TabList> {
        self.list(request, money::tabs).await
    }

    async fn list_uncertain(&self, request: Request<ListRequest>) -> Answer<VendList> {
        self.list(request, money::uncertain).await
    }

    async fn list_refunds(&self, request: Request<ListRequest>) -> Answer<RefundList> {
        self.list(request, money::refunds).await
    }

    async fn list_journal(&self, request: Request<ListRequest>) -> Answer<JournalList> {
        self.list(request, money::journal).await
    }

    async fn get_balances(&self, request: Request<GetBalancesRequest>) -> Answer<Balances> {
        let prefix = request.into_inner().prefix;
        self.read(move |snapshot| lists::balances(snapshot, &prefix))
            .await
    }

    async fn get_block(&self, request: Request<GetBlockRequest>) -> Answer<BlockReply> {
        let height = request.into_inner().height;
        self.read(move |snapshot| block::block(snapshot, height))
            .await
    }

    async fn roster_chain(&self, request: Request<GetRosterChain>) -> Answer<RosterChain> {
        let after = request.into_inner().after_number;
        self.read(move |snapshot| {
            let read = snapshot.roster_steps(after)?;
            Ok(RosterChain {
                steps: read.steps,
                more: read.more,
            })
        })
        .await
    }

    async fn get_dag(&self, request: Request<GetDagRequest>) -> Answer<DagReply> {
        let events_max = dag::events_max(request.into_inner());
        let _waiter = self.waiter()?;
        let window = Arc::clone(&self.gateway.window);
        let window = tokio::task::spawn_blocking(move || window(events_max))
            .await
            .map_err(|_| Status::internal("the question was cut off"))?
            .map_err(|refused| refusal::status(&refused))?;
        Ok(Response::new(dag::reply(window)))
    }

    type FollowStream = Pin<Box<dyn Stream<Item = Result<BusFrame, Status>> + Send>>;

    async fn follow(&self, request: Request<FollowRequest>) -> Answer<Self::FollowStream> {
        let request = request.into_inner();
        let frames = follow::follow(&self.gateway, &self.stopped, &self.followers, request)?;
        Ok(Response::new(Box::pin(frames)))
    }
}

/// What the action says of itself.
fn question(action: &SignedAction, prove: bool) -> Question {
    let body = ActionBody::decode(action.body.as_slice()).unwrap_or_default();
    Question {
        id: action_id(action),
        expires_at_ms: body.expires_at_ms,
        name: body.name,
        prove,
    }
}

fn received(question: &Question) -> SubmitReply {
    SubmitReply {
        action_id: question.id.to_vec(),
        stage: Stage::Received.into(),
        ..SubmitReply::default()
    }
}
