//! Follow certified frames, from node to node, each frame once and verified.

use std::{ops::ControlFlow, time::Duration};

use dctrl_proto::v1::FollowRequest;

use crate::{
    context::Context,
    failure::Failure,
    nodes::{Client, Nodes, QUERY_TIMEOUT},
    output::Output,
    verify::{Verified, Verifier},
};

/// Pause before all nodes are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What to follow.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Frames of greater heights only.
    pub after_height: u64,
    /// Topics, or prefixes that end in `.`; none means all.
    pub topics: Vec<String>,
    /// Whether to try the nodes again and again when none answers.
    pub patient: bool,
}

/// The last frame that was handed on: (height, sub-index).
type Position = (u64, u32);

/// Calls `each` for every frame until it breaks. A node that goes away or
/// sends what does not verify is left for the next one.
///
/// # Errors
/// What `each` returns, a refusal, or that no node is left.
pub async fn follow(
    context: &mut Context,
    wanted: &Wanted,
    mut each: impl FnMut(&mut Output, &Verified) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let verifier = context.verifier()?;
    let nodes = context.nodes.clone();
    let mut position = (wanted.after_height, u32::MAX);
    loop {
        let mut last = None;
        for (url, client) in nodes.iter() {
            let mut hand_on = |verified: &Verified| each(&mut context.out, verified);
            match stream(
                client,
                wanted,
                (&nodes, &verifier),
                &mut position,
                &mut hand_on,
            )
            .await
            {
                Ok(()) => return Ok(()),
                Err(End::Final(failure)) => return Err(failure),
                Err(End::NextNode(failure)) => {
                    eprintln!("{url}: {failure}");
                    last = Some(failure);
                }
            }
        }
        if !wanted.patient {
            return Err(last.unwrap_or_else(|| Failure::Unreachable("no node answered".to_owned())));
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

enum End {
    /// Another node would say the same.
    Final(Failure),
    /// Another node may do better.
    NextNode(Failure),
}

async fn stream(
    mut client: Client,
    wanted: &Wanted,
    (nodes, verifier): (&Nodes, &Verifier),
    position: &mut Position,
    each: &mut impl FnMut(&Verified) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), End> {
    let request = FollowRequest {
        after_height: position.0,
        after_sub_index: position.1,
        topics: wanted.topics.clone(),
    };
    let opened = tokio::time::timeout(QUERY_TIMEOUT, client.follow(request)).await;
    let silent = || End::NextNode(Failure::Unreachable("no answer in time".to_owned()));
    let mut frames = opened.map_err(|_| silent())?.map_err(sort)?.into_inner();
    while let Some(frame) = frames.message().await.map_err(sort)? {
        verifier.prepare(nodes, &frame.certificate).await;
        let verified = verifier.frame(&frame).map_err(End::NextNode)?;
        let at = (verified.body.height, verified.body.sub_index);
        // Another node may begin with what was seen already.
        if at <= *position {
            continue;
        }
        *position = at;
        if each(&verified).map_err(End::Final)?.is_break() {
            return Ok(());
        }
    }
    Err(End::NextNode(Failure::Unreachable(
        "the node ended the stream".to_owned(),
    )))
}

fn sort(status: tonic::Status) -> End {
    let failure = Failure::from(status);
    match failure {
        Failure::Refused(_) if !failure.is_unavailable() => End::Final(failure),
        _ => End::NextNode(failure),
    }
}
