//! Certified frames from a position on, then live.
//!
//! There is no queue of live frames: a follower always reads the store from
//! its own position, at first far behind and later as each block becomes
//! final. So replay and live are one loop, nothing can fall between them, and
//! a slow reader costs a bounded channel and nothing else.

use std::sync::Arc;

use dctrl_proto::{
    topic::TOPIC_BYTES_MAX,
    v1::{BusBody, BusFrame, FollowRequest},
};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{Gateway, limits, read::read, refusal};

/// What a client receives.
pub(crate) type Frames = ReceiverStream<Result<BusFrame, Status>>;

/// Starts a stream, if there is room for one more.
pub(crate) fn follow(
    gateway: &Gateway,
    stopped: &watch::Receiver<bool>,
    room: &Arc<Semaphore>,
    request: FollowRequest,
) -> Result<Frames, Status> {
    check_topics(&request.topics)?;
    let permit = Arc::clone(room).try_acquire_owned().map_err(|_| {
        refusal::exhausted(
            "follow.streams",
            format!(
                "{} streams are open on this node; ask another one",
                limits::FOLLOWERS_MAX
            ),
        )
    })?;
    let (frames, receiver) = mpsc::channel(limits::FOLLOW_QUEUE_MAX);
    let follower = Follower {
        gateway: gateway.clone(),
        position: (request.after_height, request.after_sub_index),
        topics: request.topics,
        frames,
        _permit: permit,
    };
    tokio::spawn(follower.run(stopped.clone()));
    Ok(ReceiverStream::new(receiver))
}

fn check_topics(topics: &[String]) -> Result<(), Status> {
    if topics.len() > limits::FOLLOW_TOPICS_MAX {
        return Err(refusal::invalid(
            "follow.topics",
            "topics",
            format!(
                "{} topics, more than {}",
                topics.len(),
                limits::FOLLOW_TOPICS_MAX
            ),
        ));
    }
    for (index, topic) in topics.iter().enumerate() {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if topic.len() > TOPIC_BYTES_MAX || !topic.bytes().all(known) {
            return Err(refusal::invalid(
                "follow.topic",
                format!("topics[{index}]").as_str(),
                "a topic is at most 64 letters, digits, `-`, `_` and `.`",
            ));
        }
    }
    Ok(())
}

struct Follower {
    gateway: Gateway,
    /// Frames up to here, in (height, sub-index), were sent or do not match.
    position: (u64, u32),
    topics: Vec<String>,
    frames: mpsc::Sender<Result<BusFrame, Status>>,
    /// Gives the room back when the stream ends.
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Ends when the client goes away, the node stops or the store fails.
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let gone = self.frames.clone();
        tokio::select! {
            () = self.send_all() => {}
            () = gone.closed() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    async fn send_all(&mut self) {
        let mut progress = self.gateway.progress.clone();
        loop {
            // Marked as seen before the read, so that no block is missed between the two.
            progress.borrow_and_update();
            loop {
                match self.send_some().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(status) => {
                        // The client may be gone as well, then nobody wants to know.
                        let _ = self.frames.send(Err(status)).await;
                        return;
                    }
                }
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Sends one portion; returns whether there is more in the store.
    async fn send_some(&mut self) -> Result<bool, Status> {
        let (after, topics) = (self.position, self.topics.clone());
        let portion = read(&self.gateway, move |snapshot| {
            Ok(snapshot.frames(after, &topics, limits::FOLLOW_READ_MAX)?)
        })
        .await?;
        let last = match portion.frames.last() {
            None => (0, 0),
            Some(frame) => {
                let body = BusBody::decode(frame.body.as_slice())
                    .map_err(|_| Status::data_loss("a stored frame cannot be read"))?;
                (body.height, body.sub_index)
            }
        };
        for frame in portion.frames {
            if self.frames.send(Ok(frame)).await.is_err() {
                return Ok(false);
            }
        }
        // A client that has seen more than this node holds stays where it is.
        let covered = (portion.covered_height, u32::MAX);
        self.position = self.position.max(last).max(covered);
        Ok(portion.more)
    }
}
