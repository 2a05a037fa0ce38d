//! EventLogger: the thread that writes the log.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use dctrl_follow::{Follower, Position};

use super::{
    assemble::Assembly,
    entry::Gap,
    segment::{Log, LogError},
};
use crate::{
    Common, Health, Running, StartError,
    common::{AT_REST, Stop},
};

/// Frames written before they are synced together, at most.
const BATCH_MAX: usize = 512;
/// How long a hole may stay open before everything after the log's end is
/// asked for anew.
const HOLE_MAX: Duration = Duration::from_secs(15);
/// How often it is looked whether a hole is that old.
const HOLE_LOOK: Duration = Duration::from_millis(250);
/// How long to wait after an error of the disk.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why frames are missing.
const FORGOTTEN: &str = "the nodes that are followed do not keep these blocks any more";

/// How the logger works.
#[derive(Clone, Debug)]
pub struct EventLoggerConfig {
    /// The folder of the segments.
    pub folder: PathBuf,
    /// A segment is closed when it has reached this size, bytes.
    pub segment_bytes_max: u64,
}

impl EventLoggerConfig {
    /// Segments of 64 MiB in a folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            segment_bytes_max: 64 << 20,
        }
    }
}

/// Starts the logger after the last entry of its log.
///
/// # Errors
/// The log is damaged or cannot be opened, or the bus cannot be followed.
pub fn start(common: Common, config: EventLoggerConfig) -> Result<Running, StartError> {
    let writer = Writer::open(&common, &config)?;
    let health = Health::default();
    let mut running = Running::new("event-logger", health.clone());
    let stop = running.stop_flag();
    running.spawn(move || run(&common, &config, writer, &health, &stop))?;
    Ok(running)
}

fn run(
    common: &Common,
    config: &EventLoggerConfig,
    mut writer: Writer,
    health: &Health,
    stop: &Stop,
) {
    stop.wakes_follower(&writer.follower);
    while !stop.is_set() {
        match writer.turn(stop) {
            Ok(()) => {
                health.clear("log");
                continue;
            }
            Err(Trouble::Hole) => {
                let after = writer.assembly.last();
                health.raise(
                    "log",
                    format!("frames after {} are missing: asking anew", after.height),
                );
            }
            Err(Trouble::Start(error)) => {
                health.raise("log", format!("events are not logged: {error}"));
                if stop.wait(RETRY_AFTER) {
                    return;
                }
            }
        }
        // What is on the disk, and nothing else, says where to go on.
        loop {
            match Writer::open(common, config) {
                Ok(again) => {
                    writer = again;
                    stop.wakes_follower(&writer.follower);
                    break;
                }
                Err(error) => {
                    health.raise("log", format!("events are not logged: {error}"));
                    if stop.wait(RETRY_AFTER) {
                        return;
                    }
                }
            }
        }
    }
}

enum Trouble {
    /// Frames are missing and do not come.
    Hole,
    Start(StartError),
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        Self::Start(error.into())
    }
}

struct Writer {
    log: Log,
    assembly: Assembly,
    follower: Follower,
    hole_since: Option<Instant>,
}

impl Writer {
    fn open(common: &Common, config: &EventLoggerConfig) -> Result<Self, StartError> {
        let log = Log::open(&config.folder, config.segment_bytes_max)?;
        let after = Position {
            height: log.end.height,
            sub_index: log.end.sub_index,
        };
        Ok(Self {
            follower: common.follow(&[], after)?,
            assembly: Assembly::after(after, log.end.ends_block),
            log,
            hole_since: None,
        })
    }

    /// Writes and syncs what comes together.
    fn turn(&mut self, stop: &Stop) -> Result<(), Trouble> {
        let mut wait = if self.assembly.has_hole() {
            HOLE_LOOK
        } else {
            AT_REST
        };
        let mut written = 0;
        while written < BATCH_MAX && !stop.is_set() {
            let frame = self.follower.next(wait);
            let Some(frame) = frame.map_err(|error| Trouble::Start(error.into()))? else {
                if let Some(forgotten) = self.follower.forgotten() {
                    self.pass_over(forgotten.go_on)?;
                    wait = Duration::ZERO;
                    continue;
                }
                break;
            };
            wait = Duration::ZERO;
            if !self.assembly.take(frame) {
                return Err(Trouble::Hole);
            }
            written += self.write()?;
        }
        if written > 0 {
            self.log.sync()?;
        }
        if written > 0 || !self.assembly.has_hole() {
            self.hole_since = None;
            return Ok(());
        }
        let since = *self.hole_since.get_or_insert_with(Instant::now);
        if since.elapsed() > HOLE_MAX {
            return Err(Trouble::Hole);
        }
        Ok(())
    }

    /// Writes what is next; returns how much that is.
    fn write(&mut self) -> Result<usize, LogError> {
        let mut written = 0;
        while let Some(next) = self.assembly.next() {
            self.log.append(&next.body, &next.frame.body)?;
            written += 1;
        }
        Ok(written)
    }

    /// The nodes have forgotten what stands up to `to`: the log says so, and goes
    /// on behind it.
    fn pass_over(&mut self, to: Position) -> Result<(), LogError> {
        let missing_from = self.assembly.next_height();
        if missing_from <= to.height {
            tracing::warn!(
                missing_from,
                missing_to = to.height,
                "events are not in the log"
            );
            self.log.append_gap(&Gap {
                missing_from,
                missing_to: to.height,
                why: FORGOTTEN.to_owned(),
            })?;
            self.assembly.pass_over(to);
            self.write()?;
            self.log.sync()?;
        }
        self.follower.skip_to(to);
        Ok(())
    }
}
