//! Certified frames go to the bus, in order, once per process.

use std::sync::Arc;

use dctrl_net::bus::Bus;
use dctrl_proto::v1::BusBody;
use dctrl_store::Store;
use prost::Message;

use super::PipelineError;

/// Frames read from the store at once.
const FRAMES_PER_READ: usize = 256;

/// Publishes every frame once it is final. A subscriber that was not there
/// asks for a replay, so nothing is kept here but a position.
pub(crate) struct Publisher {
    bus: Arc<Bus>,
    position: (u64, u32),
}

impl Publisher {
    /// Starts after everything that is final already: followers catch up by
    /// replay, not by a second publication.
    pub(crate) fn new(bus: Arc<Bus>, final_height: u64) -> Self {
        Self {
            bus,
            position: (final_height, u32::MAX),
        }
    }

    /// Nothing up to this height is published here: it was skipped.
    pub(super) fn skip_to(&mut self, height: u64) {
        self.position = (height, u32::MAX);
    }

    /// Publishes what became final; returns the final height.
    pub(super) fn publish_final(&mut self, store: &Store) -> Result<u64, PipelineError> {
        loop {
            let snapshot = store.snapshot();
            let read = snapshot.frames(self.position, &[], FRAMES_PER_READ)?;
            for frame in read.frames {
                let body =
                    BusBody::decode(frame.body.as_slice()).map_err(|_| PipelineError::Leaf)?;
                self.position = (body.height, body.sub_index);
                self.bus.publish(&body.topic, frame.encode_to_vec().into());
            }
            if !read.more {
                self.bus.tip_hint(read.covered_height);
                return Ok(read.covered_height);
            }
        }
    }
}
