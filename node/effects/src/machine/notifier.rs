//! MachineNotifier: the thread that follows the machines.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    alerts::{AlertFile, Alerts},
    view::View,
};
use crate::{
    Common, Health, Running, StartError,
    common::Stop,
    frames::{Feed, Lost},
};

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
    let (health, alerts) = (Health::default(), Alerts::default());
    let mut running = Running::new("machine-notifier", health.clone());
    let (stop, shown) = (running.stop_flag(), alerts.clone());
    let feed = common.feed(&["machine.", "vend."], &health, &stop)?;
    let notifier = Notifier {
        common,
        config,
        file,
        alerts: shown,
        health,
    };
    running.spawn(move || notifier.run(feed, &stop))?;
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
    fn run(mut self, mut feed: Feed, stop: &Stop) {
        // A sensor's last report is in no state, but what was made of it is.
        let mut view = View::with_sensors(self.file.open_alerts());
        let mut look_at = Instant::now();
        while !stop.is_set() {
            let rest = look_at.saturating_duration_since(Instant::now());
            let changed = match feed.next(rest) {
                Ok(Some(told)) => {
                    view.take(told.body());
                    true
                }
                Ok(None) => false,
                Err(Lost) => return,
            };
            // Before everything is known, old troubles would be news.
            if feed.is_caught_up() && (changed || Instant::now() >= look_at) {
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
