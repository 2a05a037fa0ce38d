//! MachineNotifier: the thread that follows the machines.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use dctrl_follow::{Follower, Position};

use super::{
    alerts::{AlertFile, Alerts},
    view::View,
};
use crate::{Common, Health, Running, StartError, common::Stop, frames::CatchUp};

/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How the notifier works.
#[derive(Clone, Debug)]
pub struct MachineNotifierConfig {
    /// The file of alerts, JSON lines.
    pub file: PathBuf,
    /// The policy's `heartbeat_ms_max`.
    pub heartbeat_ms_max: u64,
}

/// Starts the notifier.
///
/// # Errors
/// The file cannot be opened, or the bus cannot be followed.
pub fn start(
    common: Common,
    config: MachineNotifierConfig,
) -> Result<(Running, Alerts), StartError> {
    let file = AlertFile::open(&config.file).map_err(|source| StartError::File {
        path: config.file.clone(),
        source,
    })?;
    let follower = common.follow(&["machine.", "vend."], Position::default())?;
    let (health, alerts) = (Health::default(), Alerts::default());
    let mut running = Running::new("machine-notifier", health.clone());
    let (stop, shown) = (running.stop_flag(), alerts.clone());
    let notifier = Notifier {
        common,
        config,
        file,
        alerts: shown,
        health,
    };
    running.spawn(move || notifier.run(follower, &stop))?;
    Ok((running, alerts))
}

struct Notifier {
    common: Common,
    config: MachineNotifierConfig,
    file: AlertFile,
    alerts: Alerts,
    health: Health,
}

impl Notifier {
    fn run(mut self, mut follower: Follower, stop: &Stop) {
        let mut view = View::default();
        let mut catch_up = CatchUp::new();
        let mut look_at = Instant::now();
        stop.wakes_follower(&follower);
        while !stop.is_set() {
            let rest = look_at.saturating_duration_since(Instant::now());
            let changed = match follower.next(catch_up.wait(rest)) {
                Ok(Some(frame)) => {
                    view.take(&frame.body);
                    true
                }
                Ok(None) => {
                    catch_up.idle(&follower);
                    false
                }
                Err(error) => {
                    self.health
                        .raise("bus", format!("the bus cannot be followed: {error}"));
                    return;
                }
            };
            // Before everything is replayed, old troubles would be news.
            if catch_up.is_done() && (changed || Instant::now() >= look_at) {
                look_at = Instant::now() + LOOK_EVERY;
                self.look(&view);
            }
        }
    }

    fn look(&mut self, view: &View) {
        let now_ms = (self.common.clock)();
        let alerts = view.alerts(now_ms, self.config.heartbeat_ms_max);
        match self.file.update(&alerts, now_ms) {
            Ok(()) => self.health.clear("file"),
            Err(error) => self
                .health
                .raise("file", format!("{}: {error}", self.config.file.display())),
        }
        self.alerts.set(alerts);
    }
}
