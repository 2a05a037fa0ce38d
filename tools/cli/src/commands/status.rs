//! `dctrl status`

use dctrl_proto::v1::{GetStatusRequest, Status};

use crate::{
    context::Context,
    failure::Failure,
    table::{Table, printable},
    text::{grouped, short, time},
};

/// Shows how one node and, through it, the federation is.
///
/// # Errors
/// Where no node answers.
pub async fn run(context: &mut Context) -> Result<(), Failure> {
    let answer = context
        .nodes
        .query(async |mut client| client.get_status(GetStatusRequest {}).await)
        .await?;
    context.out.answer(&answer, human)
}

fn human(status: &Status) -> String {
    let mut text = format!(
        "{} on {}, cluster {}\nnode {} ({}), version {}\n",
        printable(&status.federation),
        status.network,
        short(&status.cluster),
        printable(&status.node),
        status.node_index,
        status.version,
    );
    text += &format!(
        "height {}, final {}, round {}, at {}\nstate {}  pool {}  undecided events {}\n",
        status.height,
        status.final_height,
        status.round,
        time(status.time_ms),
        short(&status.state_digest),
        status.pool,
        status.undecided_events,
    );
    match &status.chain_tip {
        Some(tip) => text += &format!("chain tip {} {}\n", tip.height, short(&tip.hash)),
        None => text += "chain tip not agreed yet\n",
    }
    for backend in &status.chain_backends {
        text += &format!("backend {}\n", printable(backend));
    }
    for rate in &status.rates {
        let price = i64::try_from(rate.minor_per_bitcoin).unwrap_or(i64::MAX);
        text += &format!(
            "rate {} {} minor units for one bitcoin, agreed at height {}\n",
            printable(&rate.currency),
            grouped(price),
            rate.height
        );
    }
    if !status.peers.is_empty() {
        let mut table = Table::new(&["PEER", ">INDEX", "REACHABLE", ">HEARD", ">EVENT", "FORKED"]);
        for peer in &status.peers {
            table.row([
                peer.name.clone(),
                peer.index.to_string(),
                yes(peer.reachable),
                format!("{} ms ago", peer.last_heard_ms_ago),
                peer.last_event_sequence.to_string(),
                yes(peer.forked),
            ]);
        }
        text += &table.to_string();
    }
    for alert in &status.alerts {
        text += &format!("alert: {}\n", printable(alert));
    }
    text
}

pub(crate) fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::v1::{ChainTip, PeerStatus};

    #[test]
    fn a_status_names_heights_peers_and_alerts() {
        let status = Status {
            federation: "demo".into(),
            cluster: vec![0xaa; 32],
            network: "regtest".into(),
            node: "alpha".into(),
            version: "0.1.0".into(),
            height: 12,
            final_height: 11,
            round: 40,
            time_ms: 1_750_000_000_000,
            state_digest: vec![0xbb; 32],
            chain_tip: Some(ChainTip {
                height: 7,
                hash: vec![0xcc; 32],
                votes: Vec::new(),
            }),
            peers: vec![PeerStatus {
                name: "bravo".into(),
                index: 1,
                reachable: true,
                last_heard_ms_ago: 15,
                last_event_sequence: 99,
                forked: false,
            }],
            alerts: vec!["disk nearly full".into()],
            chain_backends: vec!["chain.backend[0]: at block 7, followed".into()],
            ..Status::default()
        };
        let expected = "\
demo on regtest, cluster aaaaaaaaaa…
node alpha (0), version 0.1.0
height 12, final 11, round 40, at 2025-06-15T15:06:40.000Z
state bbbbbbbbbb…  pool 0  undecided events 0
chain tip 7 cccccccccc…
backend chain.backend[0]: at block 7, followed
PEER   INDEX  REACHABLE      HEARD  EVENT  FORKED
bravo      1  yes        15 ms ago     99  no
alert: disk nearly full
";
        assert_eq!(human(&status), expected);
    }
}
