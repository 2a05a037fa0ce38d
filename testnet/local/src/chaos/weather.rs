//! What a link does to what passes it.

use serde::{Deserialize, Serialize};

/// Whether bytes come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Passage {
    /// They do.
    #[default]
    Open,
    /// They wait until the link opens again; new connections too.
    Stalled,
    /// They vanish, and the sender is told nothing: a half-open connection.
    /// Connections that lost bytes end when the link opens again.
    Swallowed,
    /// Connections are reset, and new ones at once.
    Refused,
}

/// The condition of one directed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Weather {
    /// Each piece comes so much later, milliseconds.
    pub(crate) delay_ms: u64,
    /// And up to so much more; the order stays.
    pub(crate) jitter_ms: u64,
    /// Bytes a second; 0 for no limit.
    pub(crate) rate: u64,
    /// One bit is flipped in about so many bytes; 0 for never.
    pub(crate) flip_every: u64,
    /// Whether bytes come through.
    pub(crate) passage: Passage,
}

impl Weather {
    /// A link that lets nothing through in this manner.
    pub(crate) fn closed(passage: Passage) -> Self {
        Self {
            passage,
            ..Self::default()
        }
    }
}
