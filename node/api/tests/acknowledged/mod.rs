//! What becomes of an action, as those who wait for it and those who ask later
//! are told.

use std::time::Duration;

use dctrl_consensus::certificate::Certificate;
use dctrl_proto::{
    action::action_id,
    receipt::{receipt_digest, receipts_digest},
    status::from_status,
    v1::{BusBody, GetActionRequest, RefusalCode, SignedAction, Stage, bus_body::Event},
};
use prost::Message;
use tonic::Code;

use crate::{
    submit,
    support::{TestNode, now_ms},
};

fn ask(action: &SignedAction) -> GetActionRequest {
    GetActionRequest {
        action_id: action_id(action).to_vec(),
        timeout_ms: 50,
        ..GetActionRequest::default()
    }
}

#[tokio::test]
async fn an_action_that_waits_here_is_received_and_an_unknown_one_not_found() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let action = node.product("mate");
    let unknown = client.get_action(ask(&action)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let taken = submit(action.clone(), Stage::Received, 0);
    client.submit(taken).await.unwrap();
    let waits = client.get_action(ask(&action)).await.unwrap().into_inner();
    assert_eq!(waits.stage(), Stage::Received);
    node.order();
    let ordered = client.get_action(ask(&action)).await.unwrap().into_inner();
    assert_eq!(ordered.stage(), Stage::Ordered);
}

#[tokio::test]
async fn an_action_that_came_too_late_has_expired_for_good_when_a_final_block_says_so() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let until_ms = now_ms() - 1;
    let void = node.product_until("mate", until_ms);
    let refused = client
        .submit(submit(void.clone(), Stage::Received, 50))
        .await
        .unwrap_err();
    assert_eq!(from_status(&refused).unwrap().rule, "action.expired");
    assert!(
        node.asked_for_a_block(),
        "time stands still in a federation at rest"
    );
    let height = node.order();
    let said = GetActionRequest {
        expires_at_ms: until_ms,
        name: "product.set".to_owned(),
        prove: true,
        ..ask(&void)
    };
    let open = client.get_action(said.clone()).await.unwrap_err();
    assert_eq!(open.code(), Code::NotFound, "not final");
    node.certify(height);
    // Also from a node that never saw it.
    let expired = client.get_action(said).await.unwrap().into_inner();
    assert_eq!(expired.stage(), Stage::Expired);
    let certificate = Certificate::decode(&expired.certificate).unwrap();
    assert!(certificate.header.time.as_millis() > now_ms() - 60_000);
    let again = submit(void.clone(), Stage::Final, 0);
    let again = client.submit(again).await.unwrap().into_inner();
    assert_eq!(again.stage(), Stage::Expired, "the same answer");
    // Without its expiry nobody can tell it from one that never was.
    let bare = client.get_action(ask(&void)).await.unwrap_err();
    assert_eq!(bare.code(), Code::NotFound);
}

#[tokio::test]
async fn of_a_passing_kind_it_is_said_that_its_answer_is_forgotten() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    node.certify(node.order());
    let old = |name: &str| GetActionRequest {
        action_id: vec![7; 32],
        expires_at_ms: now_ms() - 2 * 3_600_000,
        name: name.to_owned(),
        ..GetActionRequest::default()
    };
    let forgotten = client.get_action(old("time.tick")).await.unwrap_err();
    assert_eq!(from_status(&forgotten).unwrap().rule, "action.forgotten");
    let kept = client.get_action(old("vend.quote")).await.unwrap();
    assert_eq!(kept.into_inner().stage(), Stage::Expired);
}

#[tokio::test]
async fn a_refusal_of_the_federation_is_final_with_its_reason_and_its_proof() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let (first, second) = (node.product("mate"), node.product("mate"));
    for action in [&first, &second] {
        let taken = submit(action.clone(), Stage::Received, 0);
        client.submit(taken).await.unwrap();
    }
    node.certify(node.order());
    let said = GetActionRequest {
        wait_for: Stage::Refused.into(),
        prove: true,
        ..ask(&second)
    };
    let refused = client.get_action(said).await.unwrap().into_inner();
    assert_eq!(refused.stage(), Stage::Refused);
    let receipt = refused.receipt.unwrap();
    assert_eq!(
        receipt.refusal.clone().unwrap().code(),
        RefusalCode::Aborted
    );

    let proof = refused.proof.unwrap();
    assert_eq!(proof.receipt, receipt.encode_to_vec());
    let digests: Vec<[u8; 32]> = proof
        .digests
        .iter()
        .map(|digest| digest.as_slice().try_into().unwrap())
        .collect();
    assert_eq!(digests.len(), 2);
    assert!(digests.contains(&receipt_digest(&proof.receipt)));
    let body = BusBody::decode(proof.block.unwrap().body.as_slice()).unwrap();
    let Some(Event::Block(block)) = body.event else {
        panic!("the frame is not the block's");
    };
    assert_eq!(block.receipts, receipts_digest(&digests));
}

#[tokio::test]
async fn another_body_under_a_request_id_is_refused_with_the_field_named() {
    let node = TestNode::start().await;
    let mut client = node.client().await;
    let first = node.product("mate");
    client
        .submit(submit(first.clone(), Stage::Received, 0))
        .await
        .unwrap();
    node.certify(node.order());
    let other = node.with_request_of(&first, "cola");
    let refused = client
        .submit(submit(other, Stage::Final, 0))
        .await
        .unwrap_err();
    let refusal = from_status(&refused).unwrap();
    assert_eq!(refusal.code(), RefusalCode::Exists);
    assert_eq!(
        (&*refusal.rule, &*refusal.field),
        ("action.request_id", "request_id")
    );
}

#[tokio::test]
async fn whoever_waits_for_an_end_is_told_of_whichever_comes() {
    let node = TestNode::start().await;
    let client = node.client().await;
    let action = node.product("mate");
    let request = GetActionRequest {
        wait_for: Stage::Expired.into(),
        timeout_ms: 60_000,
        ..ask(&action)
    };
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.get_action(request).await });
    let mut client = client;
    client
        .submit(submit(action, Stage::Received, 0))
        .await
        .unwrap();
    node.certify(node.order());
    let told = tokio::time::timeout(Duration::from_secs(30), waiting);
    let told = told.await.unwrap().unwrap().unwrap().into_inner();
    assert_eq!(told.stage(), Stage::Final);
}
