//! Malformed input at every port of a node: it is refused and the node lives.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dctrl_access::{Identity, fresh_request_id};
use dctrl_proto::{
    status::from_status,
    v1::{Genesis, RefusalCode, SignedAction, Stage as Wait, SubmitRequest, TimeTick, VendQuote},
};
use dctrl_testnet::{Federation, MACHINE, Options, SLOT_SATS, now_ms};
use prost::Message;
use tonic::Code;

use crate::stage::Stage;

/// The node that is fed.
const VICTIM: usize = 1;

/// How long a fed socket gets to pass its bytes on.
const LINGER_MS: i32 = 500;

/// How long an action that must not fail for its age is good.
const LIFETIME_MS: u64 = 60_000;

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_node_lives_through_malformed_input_at_every_port() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    let genesis: Genesis =
        serde_json::from_str(&fs::read_to_string(stage.dir().join("genesis.json"))?)?;
    let victim = genesis.nodes.get(VICTIM).context("a node too few")?;

    let ports = stage.node_ports(u16::try_from(VICTIM)?);
    for port in ports {
        raw_bytes(port)?;
    }
    // With a peer's own key even the encrypted channel is open.
    let peer = Identity::load(&stage.node_dir(0).join("node.key"))?;
    let agent = Identity::load(&stage.agent_dir().join("agent.key"))?;
    let stranger = Identity::generate()?;
    let server: [u8; 32] = victim.curve_key.as_slice().try_into()?;
    for (identity, endpoint) in [
        (&peer, &victim.gossip_endpoint),
        (&stranger, &victim.gossip_endpoint),
        (&agent, &victim.door_endpoint),
        (&stranger, &victim.door_endpoint),
    ] {
        frames(zmq::DEALER, identity, endpoint, &server)?;
    }
    for identity in [&agent, &stranger] {
        frames(zmq::XSUB, identity, &victim.bus_endpoint, &server)?;
    }
    actions(&stage, &dctrl_proto::genesis::cluster_id(&genesis)).await?;

    for node in 0..stage.len() {
        stage.node(node).context("a node is gone")?.must_live()?;
    }
    // Alive is not enough: it must still do its work.
    stage.kill_node(3);
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

/// Bytes that are no protocol at all, and ones that begin like ZeroMQ or HTTP/2.
fn raw_bytes(port: u16) -> Result<()> {
    let greeting = [
        &[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f][..],
        &[3, 0][..],
        b"NULL",
    ]
    .concat();
    let http = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x09\x09".to_vec();
    let long = vec![0xa5; 2 * 1024 * 1024];
    for bytes in [
        &b"\0"[..],
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &greeting,
        &http,
        &long,
    ] {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        // It may hang up on us at any byte: that is an answer too.
        let _ = stream.write_all(bytes);
        let _ = stream.read(&mut [0; 64]);
    }
    Ok(())
}

/// Frames that decode to nothing, over CURVE.
fn frames(
    kind: zmq::SocketType,
    identity: &Identity,
    endpoint: &str,
    server: &[u8; 32],
) -> Result<()> {
    let context = zmq::Context::new();
    let socket = context.socket(kind)?;
    socket.set_curve_serverkey(server)?;
    socket.set_curve_publickey(&identity.curve_public())?;
    socket.set_curve_secretkey(&identity.curve_secret())?;
    socket.set_linger(LINGER_MS)?;
    socket.set_sndtimeo(LINGER_MS)?;
    socket.connect(endpoint)?;
    let oversize = vec![0xa5; 2 * 1024 * 1024];
    // Longer than a node takes. Not much longer: libzmq keeps our own
    // subscriptions in a tree that it leaves by recursion.
    let mut long_topic = vec![b'x'; 16 * 1024];
    long_topic[0] = 1;
    let random: Vec<u8> = (0..600_u32).map(|i| (i * i % 251) as u8).collect();
    let messages: [&[&[u8]]; 8] = [
        &[b""],
        &[b"\x01"],
        &[&random],
        &[b"", b"", b""],
        &[&random, &random, &random],
        &[b"\x01machine.m1.order\x00"],
        &[&long_topic],
        &[&oversize],
    ];
    for message in messages {
        // A stranger's socket never gets a connection, so its sends time out;
        // an allowed one is cut off after the oversize frame.
        if socket.send_multipart(message, 0).is_err() {
            break;
        }
    }
    Ok(())
}

/// Actions that each break one rule get the refusal of that rule.
async fn actions(federation: &Federation, cluster: &[u8; 32]) -> Result<()> {
    let operator = Identity::load(&federation.dir().join("keys/operator.key"))?;
    let quote = VendQuote {
        machine_id: MACHINE.to_owned(),
        slot: SLOT_SATS.to_owned(),
        member_id: String::new(),
        ..VendQuote::default()
    };
    let expires_at_ms = now_ms() + LIFETIME_MS;
    let sign = |cluster, expires_at_ms| {
        operator.sign_action(cluster, fresh_request_id(), expires_at_ms, &quote)
    };
    let good = sign(cluster, expires_at_ms);
    let mut forged = good.clone();
    forged.signature[7] ^= 1;
    let truncated = SignedAction {
        body: good.body[..good.body.len() / 2].to_vec(),
        ..good.clone()
    };
    for (name, action, code) in [
        ("a forged signature", forged, RefusalCode::Unauth),
        (
            "another federation",
            sign(&[9; 32], expires_at_ms),
            RefusalCode::Unauth,
        ),
        ("a truncated body", truncated, RefusalCode::Invalid),
        ("nothing", SignedAction::default(), RefusalCode::Invalid),
        (
            "an unknown action",
            unknown(&operator, cluster, expires_at_ms),
            RefusalCode::Notfound,
        ),
    ] {
        let status = submit(federation, action).await.expect_err(name);
        let refusal = from_status(&status).with_context(|| format!("{name} gave {status:?}"))?;
        ensure!(refusal.code() == code, "{name} gave {refusal}");
        ensure!(!refusal.rule.is_empty(), "{name} names no rule");
    }
    let long = SignedAction {
        body: vec![0; 8 * 1024 * 1024],
        ..good
    };
    let status = submit(federation, long).await.expect_err("8 MiB");
    ensure!(
        !matches!(status.code(), Code::Internal | Code::Ok),
        "an action of 8 MiB gave {status:?}"
    );
    Ok(())
}

/// Well signed, but no row of the action registry.
fn unknown(operator: &Identity, cluster: &[u8; 32], expires_at_ms: u64) -> SignedAction {
    let mut body = dctrl_proto::action::body(
        cluster,
        fresh_request_id(),
        expires_at_ms,
        &TimeTick::default(),
    );
    body.name = "machine.explode".to_owned();
    let body = body.encode_to_vec();
    let signature = operator.sign(&dctrl_proto::action::signing_bytes(&body));
    SignedAction {
        key: operator.public_key().to_vec(),
        signature: signature.to_vec(),
        body,
    }
}

async fn submit(federation: &Federation, action: SignedAction) -> Result<(), tonic::Status> {
    let request = SubmitRequest {
        prove: false,
        action: Some(action),
        wait_for: Wait::Ordered.into(),
        timeout_ms: 5_000,
    };
    let mut grpc = federation.client_of(VICTIM).grpc();
    grpc.submit(request).await.map(drop)
}
