//! Fan certified frames out, and answer requests at the door.
//!
//! The bus proper is an XPUB: part 0 is the topic in its wire form, part 1 an
//! encoded `BusFrame`. Topics that say what is now (`machine.<id>.status`,
//! `price.<currency>`, `chain`) are kept in a last-value cache and repeated
//! when somebody subscribes; they then reach every subscriber of the topic,
//! who tells a repetition by its position.
//!
//! The door is a ROUTER: a caller sends one part, an encoded `DoorRequest`,
//! and gets one part, an encoded `DoorReply`, for each.
//!
//! The bus may lose frames, to a subscriber that is slow or away: each frame
//! names the one before it, and the door replays.

mod cache;
mod door;
mod publisher;
mod stats;

use bytes::Bytes;
use dctrl_proto::topic;
use dctrl_proto::v1::{DoorReply, DoorRequest, TipHint};
use prost::Message as _;

use self::door::Door;
use self::publisher::Publisher;
pub use self::stats::{BusStats, DoorStats, PublishStats};
use crate::error::NetError;
pub use crate::monitor::ConnectionStats;
use crate::zap::Zap;

/// What a node needs to serve the bus and the door.
pub struct BusConfig {
    /// Authenticator of the context; its list says who may subscribe and call.
    pub zap: Zap,
    /// Where subscribers connect, such as `tcp://127.0.0.1:7002`; port `*` for any.
    pub listen: String,
    /// Where callers of the door connect.
    pub door_listen: String,
    /// This node's CURVE secret key, raw.
    pub curve_secret: [u8; 32],
}

/// Answers one request. The first argument is the caller's CURVE public key,
/// proven by the handshake. Called from several threads at once; the reply's
/// id is set by the door.
pub type Answer = Box<dyn Fn([u8; 32], DoorRequest) -> DoorReply + Send + Sync>;

/// The running bus and door. Dropping it stops both.
pub struct Bus {
    publisher: Publisher,
    door: Door,
}

impl Bus {
    /// Listens on both endpoints and starts the threads.
    ///
    /// # Errors
    /// Where an endpoint is malformed or its port is taken.
    pub fn start(config: BusConfig, answer: Answer) -> Result<Self, NetError> {
        let BusConfig {
            zap,
            listen,
            door_listen,
            curve_secret,
        } = config;
        let publisher = Publisher::start(zap.clone(), listen, curve_secret)?;
        let door = Door::start(zap, &door_listen, &curve_secret, answer)?;
        Ok(Self { publisher, door })
    }

    /// Where subscribers connect, with the real port.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.publisher.endpoint()
    }

    /// Where callers of the door connect, with the real port.
    #[must_use]
    pub fn door_endpoint(&self) -> &str {
        self.door.endpoint()
    }

    /// Queues an encoded `BusFrame` under `topic`. Never blocks: where the
    /// queue is full its oldest frame is dropped and counted.
    pub fn publish(&self, topic: &str, frame: Bytes) {
        self.publisher.publish(topic, frame);
    }

    /// Tells subscribers the last final height, so that they notice a loss.
    pub fn tip_hint(&self, final_height: u64) {
        let hint = TipHint { final_height };
        self.publish(topic::TIP_HINT, hint.encode_to_vec().into());
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        BusStats {
            publish: self.publisher.stats(),
            door: self.door.stats(),
        }
    }

    /// Stops all threads and frees both ports. A request that is being
    /// answered is finished first; requests that wait are given up.
    pub fn stop(self) {
        drop(self);
    }
}
