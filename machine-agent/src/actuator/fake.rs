//! A motor that is a file: for tests, demonstrations and dry runs.
//!
//! Each change of the line is one synced line of JSON. The physics of a bad
//! machine can be had too: jams, late drops, a sensor that never rests.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ActuatorError, pulsed, unknown};
use crate::clock;
use crate::machine::{Pulse, PulseEnd};

/// How the fake machine behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Physics {
    /// Each pulse drops one unit.
    #[default]
    Normal,
    /// The motor turns and nothing falls.
    Jam,
    /// The unit falls this long after the pulse, milliseconds.
    LateDrop(u32),
    /// The drop sensor always says that something falls.
    StuckSensor,
}

/// One change of a line, as the trace records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// By the wall clock, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The line.
    pub line: u32,
    /// 1 for high, 0 for low.
    pub level: u8,
    /// The order's sequence.
    pub sequence: u64,
    /// The machine's incarnation.
    pub incarnation: u32,
}

/// The fake.
pub struct FakeActuator {
    path: PathBuf,
    trace: File,
    physics: Physics,
    /// How long the drop sensor is watched; none where there is no sensor.
    sensor_wait: Option<Duration>,
    high: Option<Pulse>,
}

impl FakeActuator {
    /// Opens the trace for appending.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(
        path: &Path,
        physics: Physics,
        sensor_wait: Option<Duration>,
    ) -> Result<Self, ActuatorError> {
        let trace = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| ActuatorError::Trace {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            path: path.to_owned(),
            trace,
            physics,
            sensor_wait,
            high: None,
        })
    }

    pub(super) fn make_safe(&mut self) -> Result<(), ActuatorError> {
        match self.high.take() {
            Some(pulse) => self.level(&pulse, 0),
            None => Ok(()),
        }
    }

    pub(super) fn self_test(&self) -> Result<(), String> {
        if self.sensor_wait.is_some() && self.physics == Physics::StuckSensor {
            return Err("the drop sensor is active at rest".to_owned());
        }
        Ok(())
    }

    pub(super) fn pulse(&mut self, pulse: &Pulse) -> PulseEnd {
        // From here on the line counts as high, whatever the disk says.
        self.high = Some(pulse.clone());
        if let Err(error) = self.level(pulse, 1) {
            return unknown(error.to_string());
        }
        dctrl_crash::point("agent.pulse_high");
        thread::sleep(Duration::from_millis(u64::from(pulse.pulse_ms)));
        if let Err(error) = self.make_safe() {
            return unknown(error.to_string());
        }
        dctrl_crash::point("agent.pulse_low");
        pulsed(self.sensor_wait.map(|wait| self.falls(wait)))
    }

    fn falls(&self, wait: Duration) -> bool {
        match self.physics {
            Physics::Normal | Physics::StuckSensor => true,
            Physics::Jam => {
                thread::sleep(wait);
                false
            }
            Physics::LateDrop(after_ms) => {
                let after = Duration::from_millis(u64::from(after_ms));
                thread::sleep(wait.min(after));
                after <= wait
            }
        }
    }

    /// Leaves the line high, as a pulse that is cut short does.
    #[cfg(test)]
    pub(super) fn raise_for_test(&mut self, pulse: &Pulse) {
        self.high = Some(pulse.clone());
        assert!(self.level(pulse, 1).is_ok());
    }

    /// The fake's sensor does not remember.
    #[allow(clippy::unused_self, reason = "the shape of the other actuators")]
    pub(super) fn latch(&self) -> Option<bool> {
        None
    }

    fn level(&mut self, pulse: &Pulse, level: u8) -> Result<(), ActuatorError> {
        let line = TraceLine {
            at_ms: clock::now().wall_ms,
            line: pulse.line,
            level,
            sequence: pulse.sequence,
            incarnation: pulse.incarnation,
        };
        let written = serde_json::to_vec(&line)
            .map_err(std::io::Error::from)
            .and_then(|mut text| {
                text.push(b'\n');
                self.trace.write_all(&text)?;
                self.trace.sync_data()
            });
        written.map_err(|source| ActuatorError::Trace {
            path: self.path.clone(),
            source,
        })
    }
}
