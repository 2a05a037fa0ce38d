//! The API as clients meet it: a real server over a real store and ledger.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, outside a test module"
)]

mod acknowledged;
mod support;

use std::time::Duration;

use dctrl_api::{ApiConfig, ServeError};
use dctrl_proto::{
    status::from_status,
    v1::{
        BusBody, FollowRequest, GetActionRequest, GetBalancesRequest, GetBlockRequest,
        GetDagRequest, GetGenesisRequest, GetStatusRequest, GetTabRequest, GetVendRequest,
        ListNodesRequest, ListRequest, RefusalCode, Stage, SubmitRequest,
    },
};
use prost::Message;
use support::TestNode;
use tonic::{Code, transport::Endpoint};

fn submit(
    action: dctrl_proto::v1::SignedAction,
    wait_for: Stage,
    timeout_ms: u32,
) -> SubmitRequest {
    SubmitRequest {
        action: Some(action),
        wait_for: wait_for.into(),
        timeout_ms,
        prove: false,
    }
}

#[tokio::test]
async fn the_latest_events_are_shown_with_what_is_decided_about_them() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let ask = |events_max| GetDagRequest { events_max };
    let whole = client.get_dag(ask(0)).await.unwrap().into_inner();
    assert_eq!((whole.nodes, whole.earlier_events), (2, 0));
    let last = &whole.events[2];
    assert_eq!((last.id.as_str(), last.lamport, last.creator), ("A1", 1, 0));
    assert_eq!(
        (&last.self_parent[..], &last.other_parents[..]),
        ("A0", &["B0".to_owned()][..])
    );
    assert!(whole.events[1].witness && whole.events[1].coin);
    let cut = client.get_dag(ask(1)).await.unwrap().into_inner();
    assert_eq!((cut.earlier_events, cut.events.len()), (2, 1));
}

#[tokio::test]
async fn the_status_tells_the_alerts_and_how_each_backend_stands() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let status = client.get_status(GetStatusRequest {}).await.unwrap();
    let status = status.into_inner();
    assert_eq!(status.alerts, ["the disk is nearly full"]);
    assert_eq!(
        status.chain_backends,
        ["chain.backend[0]: at block 7, followed"]
    );
}

#[tokio::test]
async fn every_answer_about_state_names_its_height() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let status = client
        .get_status(GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (status.height, status.final_height, status.round),
        (0, 0, 77)
    );
    assert_eq!(status.cluster, node.cluster);
    assert_eq!(status.state_digest.len(), 32);

    let add = submit(node.product("mate"), Stage::Received, 0);
    client.submit(add).await.unwrap();
    assert_eq!(node.order(), 1);
    let products = client
        .list_products(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((products.height, products.products.len()), (1, 1));
    let members = client
        .list_members(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (members.height, members.members[0].id.as_str()),
        (1, "olga")
    );
    let machines = client
        .list_machines(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((machines.height, machines.machines.len()), (1, 0));
    let books = client
        .get_balances(GetBalancesRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((books.height, books.sum_sats), (1, 0));
    let tab = GetTabRequest {
        member_id: "olga".to_owned(),
    };
    let tab = client.get_tab(tab).await.unwrap().into_inner();
    let view = tab.tab.unwrap_or_default();
    assert_eq!((tab.height, view.balance_sats, view.debt_sats), (1, 0, 0));
    let stranger = GetTabRequest {
        member_id: "nobody".to_owned(),
    };
    let refused = client.get_tab(stranger).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let page = ListRequest::default;
    let tabs = client.list_tabs(page()).await.unwrap().into_inner();
    assert_eq!((tabs.height, tabs.tabs.len()), (1, members.members.len()));
    let held = client.list_uncertain(page()).await.unwrap().into_inner();
    assert_eq!((held.height, held.vends.len()), (1, 0));
    let refunds = client.list_refunds(page()).await.unwrap().into_inner();
    assert_eq!((refunds.height, refunds.refunds.len()), (1, 0));
    let journal = client.list_journal(page()).await.unwrap().into_inner();
    assert_eq!((journal.height, journal.next.as_str()), (1, ""));
    let elsewhere = ListRequest {
        after: "vabc".to_owned(),
        ..page()
    };
    let refused = client.list_journal(elsewhere).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn the_nodes_and_every_roster_are_shown() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let shown = client
        .list_nodes(ListNodesRequest {})
        .await
        .unwrap()
        .into_inner();
    let roster = shown.roster.unwrap();
    let genesis = client
        .get_genesis(GetGenesisRequest {})
        .await
        .unwrap()
        .into_inner()
        .genesis
        .unwrap();
    let nodes: Vec<_> = roster
        .nodes
        .iter()
        .flat_map(|one| one.node.clone())
        .collect();
    assert_eq!((roster.number, nodes), (0, genesis.nodes));
    assert_eq!(shown.quorum as usize, 2 * roster.nodes.len() / 3 + 1);
    let history = client
        .list_rosters(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((history.rosters, &*history.next), (vec![roster], ""));
    let wrong = ListRequest {
        after: "first".into(),
        ..ListRequest::default()
    };
    assert!(client.list_rosters(wrong).await.is_err());
}

#[tokio::test]
async fn final_is_not_said_before_the_certificate_is_here() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let action = node.product("mate");
    let id = dctrl_proto::action::action_id(&action).to_vec();
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.submit(submit(action, Stage::Final, 0)).await });
    node.submitted(1).await;
    let height = node.order();

    let look = |wait_for: Stage, timeout_ms| GetActionRequest {
        action_id: id.clone(),
        wait_for: wait_for.into(),
        timeout_ms,
        ..GetActionRequest::default()
    };
    let now = client
        .get_action(look(Stage::Ordered, 0))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(now.stage(), Stage::Ordered);
    let late = client.get_action(look(Stage::Final, 50)).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(
        late.message().contains("ORDERED at height 1"),
        "{}",
        late.message()
    );
    assert!(!waiting.is_finished());

    node.certify(height);
    let done = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(done.stage(), Stage::Final);
    assert_eq!(done.receipt.unwrap().height, height);
}

#[tokio::test]
async fn a_resubmitted_action_gives_the_same_receipt_and_no_second_effect() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let action = node.product("mate");
    client
        .submit(submit(action.clone(), Stage::Received, 0))
        .await
        .unwrap();
    node.certify(node.order());
    for _ in 0..2 {
        let again = client
            .submit(submit(action.clone(), Stage::Final, 0))
            .await
            .unwrap();
        assert_eq!(again.into_inner().receipt.unwrap().height, 1);
    }
    let products = client
        .list_products(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(products.products[0].version, 1);
}

#[tokio::test]
async fn a_refusal_reaches_the_client_with_code_rule_and_field() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let mut forged = node.product("mate");
    forged.signature[0] ^= 1;
    let status = client
        .submit(submit(forged, Stage::Final, 0))
        .await
        .unwrap_err();
    let refusal = from_status(&status).unwrap();
    assert_eq!(refusal.code(), RefusalCode::Unauth);
    assert!(!refusal.rule.is_empty());
    assert_eq!(status.message(), refusal.to_string());

    let none = client.submit(SubmitRequest::default()).await.unwrap_err();
    assert_eq!(from_status(&none).unwrap().field, "action");
    let unknown = GetVendRequest {
        id: "nope".to_owned(),
    };
    assert_eq!(
        client.get_vend(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
    let unheard = GetActionRequest {
        action_id: vec![7; 32],
        ..GetActionRequest::default()
    };
    assert_eq!(
        client.get_action(unheard).await.unwrap_err().code(),
        Code::NotFound
    );
    let short = GetActionRequest {
        action_id: vec![7; 31],
        ..GetActionRequest::default()
    };
    assert_eq!(
        client.get_action(short).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let far = GetBlockRequest { height: u64::MAX };
    assert_eq!(
        client.get_block(far).await.unwrap_err().code(),
        Code::NotFound
    );
    let many = ListRequest {
        limit: 1001,
        ..ListRequest::default()
    };
    assert_eq!(
        client.list_vends(many).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_block_shows_its_actions_and_then_its_signers() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let action = node.product("mate");
    let id = dctrl_proto::action::action_id(&action).to_vec();
    client
        .submit(submit(action, Stage::Received, 0))
        .await
        .unwrap();
    let height = node.order();
    let block = client
        .get_block(GetBlockRequest { height })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(block.action_ids, [id]);
    assert!(block.certificate.is_empty() && block.signers.is_empty());
    node.certify(height);
    let block = client
        .get_block(GetBlockRequest { height })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(block.signers, [0, 1, 2]);
}

#[tokio::test]
async fn followers_get_every_certified_frame_once_from_the_store_and_then_live() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    for product in ["mate", "bar"] {
        client
            .submit(submit(node.product(product), Stage::Received, 0))
            .await
            .unwrap();
        node.order();
    }
    node.certify(1);
    let request = FollowRequest {
        topics: vec!["product".to_owned()],
        ..FollowRequest::default()
    };
    let mut frames = client.follow(request).await.unwrap().into_inner();
    let body = |frame: dctrl_proto::v1::BusFrame| BusBody::decode(frame.body.as_slice()).unwrap();
    let first = body(frames.message().await.unwrap().unwrap());
    assert_eq!((first.height, first.topic.as_str()), (1, "product"));
    // Block 2 is applied but nobody has signed it.
    let early = tokio::time::timeout(Duration::from_millis(50), frames.message()).await;
    assert!(early.is_err());
    node.certify(2);
    assert_eq!(body(frames.message().await.unwrap().unwrap()).height, 2);

    let rest = FollowRequest {
        after_height: 1,
        after_sub_index: u32::MAX,
        topics: Vec::new(),
    };
    let mut frames = client.follow(rest).await.unwrap().into_inner();
    assert_eq!(body(frames.message().await.unwrap().unwrap()).height, 2);
}

#[tokio::test]
async fn more_followers_than_there_is_room_for_are_refused() {
    let node = TestNode::start().await;
    let mut open = Vec::new();
    // Two connections, because one of them may hold at most 64 streams as well.
    let mut clients = [node.client().await, node.client().await];
    for number in 0..64 {
        let client = &mut clients[number % 2];
        open.push(client.follow(FollowRequest::default()).await.unwrap());
    }
    let refused = clients[0]
        .follow(FollowRequest::default())
        .await
        .unwrap_err();
    assert_eq!(from_status(&refused).unwrap().rule, "follow.streams");
}

#[tokio::test]
async fn a_message_longer_than_a_mebibyte_is_refused() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let long = GetBalancesRequest {
        prefix: "x".repeat(2 << 20),
    };
    let refused = client.get_balances(long).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    client.get_status(GetStatusRequest {}).await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_streams_and_waiting_calls_at_once() {
    let mut node = TestNode::start().await;
    let mut client = node.client().await;
    let mut frames = client
        .follow(FollowRequest::default())
        .await
        .unwrap()
        .into_inner();
    let action = node.product("mate");
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.submit(submit(action, Stage::Final, 0)).await });
    node.submitted(1).await;
    node.stop.take().unwrap().send(()).unwrap();
    let refused = waiting.await.unwrap().unwrap_err();
    assert_eq!(from_status(&refused).unwrap().rule, "node.stopping");
    assert!(frames.message().await.unwrap().is_none());
    drop((frames, client));
    node.api.take().unwrap().join().await.unwrap();
}

#[tokio::test]
async fn health_and_reflection_stand_beside_the_service() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let node = TestNode::start().await;
    let channel = Endpoint::from_shared(node.url.clone())
        .unwrap()
        .connect_lazy();
    let mut health = HealthClient::new(channel.clone());
    let asked = HealthCheckRequest {
        service: "dctrl.v1.Dctrl".to_owned(),
    };
    assert_eq!(health.check(asked).await.unwrap().into_inner().status, 1);

    let mut reflection = ServerReflectionClient::new(channel);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut replies = reflection
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .unwrap()
        .into_inner();
    let reply = replies
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(services) = reply else {
        panic!("no list of services: {reply:?}");
    };
    assert!(
        services
            .service
            .iter()
            .any(|one| one.name == "dctrl.v1.Dctrl")
    );
}

#[tokio::test]
async fn an_open_address_without_tls_and_a_taken_port_are_refused_before_serving() {
    let node = TestNode::start().await;
    let taken = node.api.as_ref().unwrap().address();
    let start = |listen| {
        let gateway = node.gateway();
        dctrl_api::serve(
            ApiConfig { listen, tls: None },
            gateway,
            std::future::pending(),
        )
    };
    let open = start("0.0.0.0:0".parse().unwrap()).await;
    assert!(matches!(open, Err(ServeError::PlainOutside(_))));
    let twice = start(taken).await;
    assert!(matches!(twice, Err(ServeError::Bind { .. })));
}
