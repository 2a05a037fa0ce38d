//! A local program that moves the goods: `<program> pulse <ms> <slot>`.
//!
//! It answers by its exit code: 0 dispensed, 1 certainly not dispensed,
//! anything else (or no answer in time) unknown. It is run by path, without a
//! shell, with an empty environment.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dctrl_proto::v1::Outcome;

use super::{ActuatorError, LOOK, failed, pulsed, unknown};
use crate::machine::{Pulse, PulseEnd};

/// The program and how long it may take.
pub struct ScriptActuator {
    path: PathBuf,
    timeout: Duration,
}

impl ScriptActuator {
    /// A program that may take `timeout` beyond the pulse itself.
    #[must_use]
    pub fn new(path: &Path, timeout: Duration) -> Self {
        Self {
            path: path.to_owned(),
            timeout,
        }
    }

    pub(super) fn self_test(&self) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt;
        let meta = std::fs::metadata(&self.path)
            .map_err(|error| format!("program {}: {error}", self.path.display()))?;
        if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
            return Err(format!("program {} is not executable", self.path.display()));
        }
        Ok(())
    }

    pub(super) fn pulse(&self, pulse: &Pulse) -> PulseEnd {
        let spawned = Command::new(&self.path)
            .args(["pulse", &pulse.pulse_ms.to_string(), &pulse.slot])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(source) => {
                let path = self.path.clone();
                return failed(ActuatorError::Program { path, source }.to_string());
            }
        };
        dctrl_crash::point("agent.pulse_high");
        let limit = self.timeout + Duration::from_millis(u64::from(pulse.pulse_ms));
        let status = wait(&mut child, Instant::now() + limit);
        dctrl_crash::point("agent.pulse_low");
        match status.and_then(|status| status.code()) {
            Some(0) => pulsed(None),
            Some(1) => PulseEnd {
                outcome: Outcome::Failed,
                reason: "the program says that nothing was dispensed".to_owned(),
                pulses: 1,
            },
            Some(code) => unknown(format!("the program ended with code {code}")),
            None => unknown("the program was killed or did not end in time".to_owned()),
        }
    }
}

/// Waits for the program's end; kills it after `deadline`.
fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK),
            _ => {
                // It may have ended meanwhile; either way its answer is lost.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}
