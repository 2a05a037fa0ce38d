//! A line of a GPIO character device.
//!
//! Kernels speak version 2 of the interface (crate gpiocdev), older ones only
//! version 1 (crate gpio-cdev); the chip is asked which one it answers. The
//! output lines are requested low when the agent starts and kept, so that no
//! other process can have them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use gpio_cdev::{LineHandle, LineRequestFlags};
use gpiocdev::Request;
use gpiocdev::line::Value;

use super::{ActuatorError, LOOK, failed, pulsed, unknown};
use crate::machine::{Pulse, PulseEnd};

/// What the kernel shows as the holder of the lines.
const CONSUMER: &str = "dctrl-agent";

/// The version of the character device that a chip answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A requested line.
pub(crate) enum Line {
    V1(LineHandle),
    V2(Request),
}

impl Line {
    /// Requests a line as an output, low.
    fn output(chip: &Path, version: Version, line: u32) -> Result<Self, ActuatorError> {
        Self::request(chip, version, line, true)
    }

    fn request(
        chip: &Path,
        version: Version,
        line: u32,
        output: bool,
    ) -> Result<Self, ActuatorError> {
        let wrong = |message: String| ActuatorError::Gpio {
            what: format!("{} line {line}", chip.display()),
            message,
        };
        match version {
            Version::V1 => {
                let flags = if output {
                    LineRequestFlags::OUTPUT
                } else {
                    LineRequestFlags::INPUT
                };
                gpio_cdev::Chip::new(chip)
                    .and_then(|mut chip| chip.get_line(line))
                    .and_then(|line| line.request(flags, 0, CONSUMER))
                    .map(Self::V1)
                    .map_err(|error| wrong(error.to_string()))
            }
            Version::V2 => {
                let mut builder = Request::builder();
                builder
                    .on_chip(chip)
                    .with_consumer(CONSUMER)
                    .with_line(line);
                if output {
                    builder.as_output(Value::Inactive);
                } else {
                    builder.as_input();
                }
                builder
                    .request()
                    .map(Self::V2)
                    .map_err(|error| wrong(error.to_string()))
            }
        }
    }

    fn set(&self, high: bool) -> Result<(), String> {
        match self {
            Self::V1(handle) => handle
                .set_value(u8::from(high))
                .map_err(|error| error.to_string()),
            Self::V2(request) => {
                let value = if high { Value::Active } else { Value::Inactive };
                request
                    .set_lone_value(value)
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// Whether the line is high.
    pub(crate) fn is_high(&self) -> Result<bool, String> {
        match self {
            Self::V1(handle) => handle
                .get_value()
                .map(|value| value != 0)
                .map_err(|error| error.to_string()),
            Self::V2(request) => request
                .lone_value()
                .map(|value| value == Value::Active)
                .map_err(|error| error.to_string()),
        }
    }
}

/// Requests a line as an input, by whichever version the chip answers.
pub(crate) fn gpio_input(chip: &Path, line: u32) -> Result<Line, ActuatorError> {
    Line::request(chip, version(chip, line)?, line, false)
}

/// Asks the chip which version it answers.
fn version(chip: &Path, line: u32) -> Result<Version, ActuatorError> {
    let second = gpiocdev::chip::Chip::from_path(chip).and_then(|chip| chip.line_info(line));
    if second.is_ok() {
        return Ok(Version::V2);
    }
    gpio_cdev::Chip::new(chip)
        .and_then(|mut chip| chip.get_line(line))
        .and_then(|line| line.info())
        .map(|_| Version::V1)
        .map_err(|error| ActuatorError::Gpio {
            what: format!("{} line {line}", chip.display()),
            message: error.to_string(),
        })
}

/// Lines of one chip, and a drop sensor where there is one.
pub struct GpioActuator {
    chip: PathBuf,
    outputs: BTreeMap<u32, Line>,
    sensor: Option<(Line, Duration)>,
}

impl GpioActuator {
    /// Requests the lines that may be pulsed, low, and the drop sensor's line
    /// with how long it is watched after a pulse.
    ///
    /// # Errors
    /// A chip or line that is missing or in use.
    pub fn open(
        chip: &Path,
        lines: impl Iterator<Item = u32>,
        sensor: Option<(u32, Duration)>,
    ) -> Result<Self, ActuatorError> {
        let mut outputs = BTreeMap::new();
        for line in lines {
            let version = version(chip, line)?;
            outputs.insert(line, Line::output(chip, version, line)?);
        }
        let sensor = match sensor {
            Some((line, wait)) => Some((gpio_input(chip, line)?, wait)),
            None => None,
        };
        Ok(Self {
            chip: chip.to_owned(),
            outputs,
            sensor,
        })
    }

    pub(super) fn make_safe(&mut self) -> Result<(), ActuatorError> {
        for (offset, line) in &self.outputs {
            line.set(false).map_err(|message| ActuatorError::Gpio {
                what: format!("{} line {offset}", self.chip.display()),
                message,
            })?;
        }
        Ok(())
    }

    pub(super) fn self_test(&self) -> Result<(), String> {
        if let Some((sensor, _)) = &self.sensor
            && sensor.is_high()?
        {
            return Err("the drop sensor is active at rest".to_owned());
        }
        self.outputs
            .values()
            .try_for_each(|line| line.is_high().map(|_| ()))
    }

    pub(super) fn pulse(&mut self, pulse: &Pulse) -> PulseEnd {
        let Some(line) = self.outputs.get(&pulse.line) else {
            return failed(format!("line {} is not among the allowed ones", pulse.line));
        };
        if let Err(error) = line.set(true) {
            // The kernel may have moved the line before it failed.
            let _ = line.set(false);
            return unknown(error);
        }
        dctrl_crash::point("agent.pulse_high");
        let mut dropped = false;
        let length = Duration::from_millis(u64::from(pulse.pulse_ms));
        let watched = self.watch(length, &mut dropped, false);
        let lowered = line.set(false).or_else(|_| line.set(false));
        dctrl_crash::point("agent.pulse_low");
        if let Err(error) = lowered {
            return unknown(format!("the line could not be put low: {error}"));
        }
        let wait = self.sensor.as_ref().map(|(_, wait)| *wait);
        let watched = watched.and_then(|()| match wait {
            Some(wait) => self.watch(wait, &mut dropped, true),
            None => Ok(()),
        });
        match watched {
            Ok(()) => pulsed(wait.map(|_| dropped)),
            Err(_) if dropped => pulsed(Some(true)),
            Err(error) => unknown(format!("the drop sensor does not answer: {error}")),
        }
    }

    /// Looks at the drop sensor for `length`, or until it saw something where
    /// `until_drop` is set.
    fn watch(&self, length: Duration, dropped: &mut bool, until_drop: bool) -> Result<(), String> {
        let end = Instant::now() + length;
        let mut problem = Ok(());
        while Instant::now() < end && !(until_drop && *dropped) {
            if let Some((sensor, _)) = &self.sensor {
                match sensor.is_high() {
                    Ok(high) => *dropped |= high,
                    // The pulse must keep its length all the same.
                    Err(error) => problem = Err(error),
                }
            }
            thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
        problem
    }
}
