//! The hands of the machine: a closed set, because each one moves a motor.
//!
//! Whatever the kind, a pulse is bounded ([`PULSE_MS_MAX`]), the line is low
//! from the start, after every pulse and when the agent stops or panics, and
//! a pulse that fails before the line went high is FAILED, after that UNKNOWN
//! unless a drop sensor decides.
//!
//! When the process is killed in the middle of a pulse, nothing here can run:
//! the hardware needs a one-shot or a watchdog relay behind the line.

mod fake;
mod gpio;
mod script;

use std::time::Duration;

use dctrl_proto::v1::Outcome;

use crate::machine::{Pulse, PulseEnd};

pub use fake::{FakeActuator, Physics, TraceLine};
pub use gpio::GpioActuator;
pub(crate) use gpio::gpio_input;
pub use script::ScriptActuator;

/// Longest pulse, milliseconds, whatever the configuration says.
pub const PULSE_MS_MAX: u32 = 5_000;

/// Most lines of one machine.
pub const LINES_MAX: usize = 64;

/// Pause between two looks at a line while something is awaited.
const LOOK: Duration = Duration::from_millis(1);

/// Why an actuator cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ActuatorError {
    /// A GPIO chip or line does not answer.
    #[error("GPIO {what}: {message}")]
    Gpio {
        /// Chip and line.
        what: String,
        /// What the kernel said.
        message: String,
    },
    /// The local program cannot be run.
    #[error("program {path}: {source}")]
    Program {
        /// Its path.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The trace file of the fake cannot be written.
    #[error("trace {path}: {source}")]
    Trace {
        /// Its path.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What moves the goods.
pub enum Actuator {
    /// A line of a GPIO chip.
    Gpio(GpioActuator),
    /// A local program.
    Script(ScriptActuator),
    /// A file that records what a line would have seen.
    Fake(FakeActuator),
}

impl Actuator {
    /// Puts every line low.
    ///
    /// # Errors
    /// Where a line cannot be reached.
    pub fn make_safe(&mut self) -> Result<(), ActuatorError> {
        match self {
            Self::Gpio(gpio) => gpio.make_safe(),
            Self::Script(_) => Ok(()),
            Self::Fake(fake) => fake.make_safe(),
        }
    }

    /// Whether a vend could be carried out now.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn self_test(&mut self) -> Result<(), String> {
        match self {
            Self::Gpio(gpio) => gpio.self_test(),
            Self::Script(script) => script.self_test(),
            Self::Fake(fake) => fake.self_test(),
        }
    }

    /// Pulses a line once and watches for the drop. Blocks until both are over.
    pub fn pulse(&mut self, pulse: &Pulse) -> PulseEnd {
        if pulse.pulse_ms > PULSE_MS_MAX {
            let reason = format!("a pulse of {} ms is too long", pulse.pulse_ms);
            return failed(reason);
        }
        match self {
            Self::Gpio(gpio) => gpio.pulse(pulse),
            Self::Script(script) => script.pulse(pulse),
            Self::Fake(fake) => fake.pulse(pulse),
        }
    }

    /// What a drop sensor that remembers says, after a restart.
    pub fn latch(&mut self) -> Option<bool> {
        match self {
            // A light barrier shows the present, not the past.
            Self::Gpio(_) | Self::Script(_) => None,
            Self::Fake(fake) => fake.latch(),
        }
    }
}

impl Drop for Actuator {
    /// Also runs while a panic unwinds.
    fn drop(&mut self) {
        if let Err(error) = self.make_safe() {
            tracing::error!(%error, "a line could not be put low");
        }
    }
}

/// The line never went high.
fn failed(reason: String) -> PulseEnd {
    PulseEnd {
        outcome: Outcome::Failed,
        reason,
        pulses: 0,
    }
}

/// The line went high, and then this happened.
fn unknown(reason: String) -> PulseEnd {
    PulseEnd {
        outcome: Outcome::Unknown,
        reason,
        pulses: 1,
    }
}

/// The line was pulsed as it should be; a drop sensor, where there is one,
/// decides.
fn pulsed(dropped: Option<bool>) -> PulseEnd {
    let (outcome, reason) = match dropped {
        None | Some(true) => (Outcome::Dispensed, ""),
        Some(false) => (Outcome::Failed, "the drop sensor saw nothing fall"),
    };
    PulseEnd {
        outcome,
        reason: reason.to_owned(),
        pulses: 1,
    }
}

#[cfg(test)]
mod tests;
