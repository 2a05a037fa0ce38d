//! What can go wrong when a service starts, by blame.

use std::io;

/// Why a network service did not start, or a list refused an entry.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The installed libzmq cannot encrypt.
    #[error("the installed libzmq has no CURVE; link one that was built with libsodium")]
    CurveMissing,
    /// The configured endpoint is not one this crate can use.
    #[error("{endpoint:?} is not an endpoint of the form tcp://host:port")]
    Endpoint {
        /// As it was configured.
        endpoint: String,
    },
    /// The operating system or another process keeps the port from us.
    #[error("cannot listen on {endpoint}: {source}")]
    Bind {
        /// As it was configured.
        endpoint: String,
        /// What libzmq said.
        source: zmq::Error,
    },
    /// A peer's endpoint cannot be connected to.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// As it was configured.
        endpoint: String,
        /// What libzmq said.
        source: zmq::Error,
    },
    /// Another authenticator already serves this ZeroMQ context.
    #[error("another ZAP handler already serves this context: {0}")]
    ZapTaken(zmq::Error),
    /// Two peers have the same key or the same CURVE key.
    #[error("two gossip peers share the key or the CURVE key of node {0}")]
    DuplicatePeer(dctrl_consensus::PublicKey),
    /// More peers or keys than this crate holds.
    #[error("{what}: more than {max}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// libzmq refused a socket or an option.
    #[error("ZeroMQ: {0}")]
    Socket(#[from] zmq::Error),
    /// The operating system refused a thread or a wake-up channel.
    #[error("operating system: {0}")]
    System(#[from] io::Error),
}
