//! `dctrl nodes` against a pretended node.

use dctrl_cli::testnet::wallet::Wallet;
use dctrl_proto::{
    genesis::cluster_id,
    proposal::proposal_digest,
    v1::{
        ActionBody, Genesis, NodeApprove, NodeChange, NodeList, NodeProposal, NodeProposalView,
        NodePropose, NodeRemove, NodeRoster, RosterNode, node_change::Kind,
    },
};
use prost::Message;
use serde_json::Value;

use crate::support::{Federation, HEIGHT, Script, dctrl, folder, serve};

fn genesis() -> Genesis {
    let wallet = Wallet::from_seeds(&[[1; 32], [2; 32], [3; 32]]).unwrap();
    Federation::new(wallet.descriptor).genesis
}

fn removal(genesis: &Genesis, node: usize) -> NodeChange {
    NodeChange {
        kind: Some(Kind::Remove(NodeRemove {
            key: genesis.nodes[node].key.clone(),
            evidence: Vec::new(),
        })),
        expires_at_ms: 1_900_000_000_000,
        ..NodeChange::default()
    }
}

/// What a node says of the federation, with one open proposal.
fn listed(genesis: &Genesis, digest: [u8; 32], change: NodeChange) -> NodeList {
    let nodes = genesis
        .nodes
        .iter()
        .zip(0..)
        .map(|(node, seat)| RosterNode {
            node: Some(node.clone()),
            seat,
            incarnation: 1,
            instance: 0,
        });
    let proposal = NodeProposal {
        digest: digest.to_vec(),
        change: Some(change),
        proposed_by: "member/olga".into(),
        ..NodeProposal::default()
    };
    NodeList {
        height: HEIGHT,
        roster: Some(NodeRoster {
            since_height: 1,
            nodes: nodes.collect(),
            ..NodeRoster::default()
        }),
        quorum: 3,
        proposals: vec![NodeProposalView {
            proposal: Some(proposal),
            waits_for: "3 more approvals of 3".into(),
        }],
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The payload of the last action that was handed in.
fn last<P: Message + Default>(script: &Script) -> P {
    let submitted = script.submitted.lock().unwrap();
    let body = ActionBody::decode(&*submitted.last().unwrap().body).unwrap();
    P::decode(&*body.payload).unwrap()
}

#[test]
fn an_approval_is_signed_for_the_digest_of_the_words_that_are_shown() {
    let genesis = genesis();
    let change = removal(&genesis, 3);
    let digest = proposal_digest(&cluster_id(&genesis), &change);
    let script = Script {
        nodes: listed(&genesis, digest, change),
        ..Script::default()
    };
    let folder = folder(&genesis, &[format!("http://{}", serve(script.clone()))]);
    let shown = dctrl(
        folder.path(),
        &["nodes", "approve", &hex::encode(digest), "--json"],
    );
    let told = String::from_utf8(shown.stderr).unwrap();
    assert!(shown.status.success(), "{told}");
    let words = format!(
        "remove the node with key {}",
        hex::encode(&genesis.nodes[3].key)
    );
    assert!(told.contains(&words), "{told}");
    assert_eq!(last::<NodeApprove>(&script).proposal, digest);

    let unknown = dctrl(folder.path(), &["nodes", "approve", &"0".repeat(64)]);
    assert_eq!(unknown.status.code(), Some(4));
}

#[test]
fn a_node_that_shows_other_words_gets_no_approval() {
    let genesis = genesis();
    let digest = proposal_digest(&cluster_id(&genesis), &removal(&genesis, 3));
    let script = Script {
        nodes: listed(&genesis, digest, removal(&genesis, 0)),
        ..Script::default()
    };
    let folder = folder(&genesis, &[format!("http://{}", serve(script.clone()))]);
    let shown = dctrl(
        folder.path(),
        &["nodes", "approve", &hex::encode(digest), "--json"],
    );
    assert_eq!(shown.status.code(), Some(1));
    assert_eq!(json(&shown.stdout)["error"]["rule"], "proposal.digest");
    assert!(script.submitted.lock().unwrap().is_empty());
}

#[test]
fn a_proposal_names_the_key_of_the_node_and_a_repeated_request_is_the_same() {
    let genesis = genesis();
    let change = removal(&genesis, 3);
    let digest = proposal_digest(&cluster_id(&genesis), &change);
    let script = Script {
        nodes: listed(&genesis, digest, change),
        ..Script::default()
    };
    let folder = folder(&genesis, &[format!("http://{}", serve(script.clone()))]);
    let propose = [
        "nodes",
        "propose-remove",
        "delta",
        "--reason",
        "gone",
        "--json",
    ];
    let first = json(&dctrl(folder.path(), &propose).stdout);
    let proposed: NodePropose = last(&script);
    let Some(Kind::Remove(remove)) = proposed.change.unwrap().kind else {
        panic!("a removal was proposed")
    };
    assert_eq!(remove.key, genesis.nodes[3].key);
    let id = first["request_id"].as_str().unwrap();
    dctrl(
        folder.path(),
        &[propose.as_slice(), &["--request-id", id]].concat(),
    );
    let submitted = script.submitted.lock().unwrap();
    assert_eq!(submitted[0], submitted[1]);
    drop(submitted);

    let nobody = dctrl(folder.path(), &["nodes", "propose-remove", "zulu"]);
    assert_eq!(nobody.status.code(), Some(4));
    let nothing = dctrl(folder.path(), &["nodes", "propose-update", "delta"]);
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn the_nodes_are_listed_for_people_and_programs() {
    let genesis = genesis();
    let change = removal(&genesis, 3);
    let digest = proposal_digest(&cluster_id(&genesis), &change);
    let script = Script {
        nodes: listed(&genesis, digest, change),
        ..Script::default()
    };
    let folder = folder(&genesis, &[format!("http://{}", serve(script))]);
    let text = String::from_utf8(dctrl(folder.path(), &["nodes", "list"]).stdout).unwrap();
    for part in [
        "alpha",
        "delta",
        &hex::encode(digest),
        "3 more approvals of 3",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let list = json(&dctrl(folder.path(), &["nodes", "list", "--json"]).stdout);
    assert_eq!(list["roster"]["nodes"][3]["node"]["name"], "delta");
    let kind = &list["proposals"][0]["proposal"]["change"]["kind"];
    assert_eq!(kind["remove"]["key"], hex::encode(&genesis.nodes[3].key));
}
