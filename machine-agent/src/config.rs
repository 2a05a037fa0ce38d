//! The agent's settings: `agent.toml`, overridden by `DCTRL_AGENT__…`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dctrl_follow::{Federation, FederationError};
use dctrl_proto::v1::Genesis;
use dctrl_settings::{Detours, Key, Kind, SettingsError};
use serde::Deserialize;

use crate::actuator::{
    Actuator, ActuatorError, FakeActuator, GpioActuator, LINES_MAX, PULSE_MS_MAX, Physics,
    ScriptActuator,
};
use crate::machine::SlotLine;
use crate::sensor::Source;

/// Prefix of the environment variables.
pub const ENV_PREFIX: &str = "DCTRL_AGENT";

/// Longest genesis file, bytes.
const GENESIS_BYTES_MAX: u64 = 16 * 1024 * 1024;

const PULSE: Kind = Kind::Integer {
    min: 1,
    max: PULSE_MS_MAX as i64,
};
const LINE: Kind = Kind::Integer {
    min: 0,
    max: u32::MAX as i64,
};

const SLOT: &[Key] = &[
    Key::required("name", Kind::Text, "The slot's name in the ledger."),
    Key::required("line", LINE, "Offset of its line on the chip."),
    Key::with_default("pulse_ms", PULSE, "200", "Length of a pulse, milliseconds."),
];

const SENSOR: &[Key] = &[
    Key::required("name", Kind::Text, "Name in reports, such as `door`."),
    Key::required("line", LINE, "Offset of its line on `actuator.chip`."),
];

/// Every setting of the agent.
pub const SCHEMA: &[Key] = &[
    Key::required("genesis", Kind::Path, "Genesis of the federation."),
    Key::required("key", Kind::Path, "Key file of the agent."),
    Key::required("machine", Kind::Text, "The machine's id in the ledger."),
    Key::required("journal", Kind::Path, "Folder of the journal."),
    Key::with_default(
        "journal_bytes_max",
        Kind::Integer {
            min: 1,
            max: 1 << 24,
        },
        "262144",
        "Length at which a journal file is exchanged.",
    ),
    Key::optional(
        "nodes",
        Kind::TextList,
        "Names of the nodes to talk to; none for all.",
    ),
    Key::optional(
        "dial",
        Kind::TextList,
        "Endpoints of the federation that are reached elsewhere from here, such as through a NAT: \
         NAMED=DIALLED.",
    ),
    Key::with_default(
        "heartbeat_s",
        Kind::Integer { min: 1, max: 3600 },
        "30",
        "Pause between heartbeats, seconds.",
    ),
    Key::with_default(
        "spacing_ms",
        Kind::Integer {
            min: 0,
            max: 600_000,
        },
        "500",
        "Least pause between two pulses, milliseconds.",
    ),
    Key::with_default(
        "debounce_ms",
        Kind::Integer {
            min: 0,
            max: 10_000,
        },
        "20",
        "How long a sensor is not listened to after a change.",
    ),
    Key::optional(
        "sensor_lines",
        Kind::Path,
        "FIFO or file of lines `<sensor> <value>` that reports are taken from.",
    ),
    Key::required(
        "actuator.kind",
        Kind::Choice(&["fake", "script", "gpio"]),
        "What moves the goods.",
    ),
    Key::optional(
        "actuator.trace",
        Kind::Path,
        "For fake: the file that records the line.",
    ),
    Key::with_default(
        "actuator.physics",
        Kind::Choice(&["normal", "jam", "late-drop", "stuck-sensor"]),
        "normal",
        "For fake: how the machine behaves.",
    ),
    Key::with_default(
        "actuator.late_drop_ms",
        PULSE,
        "100",
        "For fake with late-drop: how late.",
    ),
    Key::with_default(
        "actuator.fake_sensor",
        Kind::Bool,
        "false",
        "For fake: whether there is a drop sensor.",
    ),
    Key::optional("actuator.script", Kind::Path, "For script: the program."),
    Key::with_default(
        "actuator.script_timeout_ms",
        Kind::Integer {
            min: 1,
            max: 60_000,
        },
        "5000",
        "For script: how long it may take beyond the pulse.",
    ),
    Key::with_default(
        "actuator.chip",
        Kind::Text,
        "/dev/gpiochip0",
        "For gpio: the chip.",
    ),
    Key::with_default(
        "actuator.line",
        LINE,
        "0",
        "Line of every slot, where no [[slot]] names lines.",
    ),
    Key::with_default(
        "actuator.pulse_ms",
        PULSE,
        "200",
        "Pulse of every slot, where no [[slot]] names pulses.",
    ),
    Key::optional(
        "actuator.sensor_line",
        LINE,
        "For gpio: the drop sensor's line.",
    ),
    Key::with_default(
        "actuator.sensor_wait_ms",
        Kind::Integer {
            min: 1,
            max: 30_000,
        },
        "2000",
        "How long the drop sensor is watched after a pulse.",
    ),
    Key::optional(
        "slot",
        Kind::Tables(SLOT),
        "The slots that may be pulsed; none for all slots of the genesis, on `actuator.line`.",
    ),
    Key::optional(
        "sensor",
        Kind::Tables(SENSOR),
        "GPIO lines whose changes are reported.",
    ),
];

/// `agent.toml`, as checked against [`SCHEMA`].
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// Genesis of the federation.
    pub genesis: PathBuf,
    /// Key file of the agent.
    pub key: PathBuf,
    /// The machine's id.
    pub machine: String,
    /// Folder of the journal.
    pub journal: PathBuf,
    /// Length at which a journal file is exchanged, bytes.
    pub journal_bytes_max: u64,
    /// Names of the nodes to talk to.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Endpoints of the federation that are dialled elsewhere.
    #[serde(default)]
    pub dial: Detours,
    /// Pause between heartbeats, seconds.
    pub heartbeat_s: u64,
    /// Least pause between two pulses, milliseconds.
    pub spacing_ms: u64,
    /// How long a sensor is not listened to after a change, milliseconds.
    pub debounce_ms: u64,
    /// FIFO or file of sensor lines.
    pub sensor_lines: Option<PathBuf>,
    /// What moves the goods.
    pub actuator: ActuatorConfig,
    /// The slots that may be pulsed.
    pub slot: Vec<SlotConfig>,
    /// GPIO lines whose changes are reported.
    pub sensor: Vec<SensorConfig>,
}

/// Section `actuator`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "the schema documents each one")]
pub struct ActuatorConfig {
    pub kind: String,
    pub trace: Option<PathBuf>,
    pub physics: String,
    pub late_drop_ms: u32,
    pub fake_sensor: bool,
    pub script: Option<PathBuf>,
    pub script_timeout_ms: u64,
    pub chip: PathBuf,
    pub line: u32,
    pub pulse_ms: u32,
    pub sensor_line: Option<u32>,
    pub sensor_wait_ms: u64,
}

/// One row of `[[slot]]`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "the schema documents each one")]
pub struct SlotConfig {
    pub name: String,
    pub line: u32,
    pub pulse_ms: u32,
}

/// One row of `[[sensor]]`.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "the schema documents each one")]
pub struct SensorConfig {
    pub name: String,
    pub line: u32,
}

/// Why a configuration is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Values, names, or the file.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The genesis file cannot be read.
    #[error("genesis {path}: {message}")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The genesis names no usable federation.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// A node that the federation does not have.
    #[error("`nodes`: the federation has no node {0:?}")]
    Node(String),
    /// The genesis does not name the machine, and no `[[slot]]` does either.
    #[error("the genesis has no slot of machine {0:?}; name them as [[slot]]")]
    NoSlot(String),
    /// Two rows for one slot, or more than [`LINES_MAX`].
    #[error("[[slot]] {0:?} stands there twice, or there are more than {LINES_MAX}")]
    Slots(String),
    /// A setting that this kind of actuator needs.
    #[error("`actuator.{0}` is required for this kind of actuator")]
    Needed(&'static str),
    /// The actuator cannot be opened.
    #[error(transparent)]
    Actuator(#[from] ActuatorError),
}

impl Config {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn load(
        file: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Ok(dctrl_settings::load(SCHEMA, file, ENV_PREFIX, env)?)
    }

    /// Reads the genesis.
    ///
    /// # Errors
    /// A file that is missing, too long or no genesis.
    pub fn read_genesis(&self) -> Result<Genesis, ConfigError> {
        let wrong = |message: String| ConfigError::Genesis {
            path: self.genesis.clone(),
            message,
        };
        let meta = std::fs::metadata(&self.genesis).map_err(|error| wrong(error.to_string()))?;
        if meta.len() > GENESIS_BYTES_MAX {
            return Err(wrong(format!("has more than {GENESIS_BYTES_MAX} bytes")));
        }
        let text = std::fs::read(&self.genesis).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
    }

    /// Positions of the nodes to talk to.
    ///
    /// # Errors
    /// A name that the federation does not know.
    pub fn node_positions(&self, federation: &Federation) -> Result<Vec<usize>, ConfigError> {
        if self.nodes.is_empty() {
            return Ok((0..federation.nodes.len()).collect());
        }
        let position = |name: &String| {
            let mut nodes = federation.nodes.iter();
            nodes
                .position(|node| node.name == *name)
                .ok_or_else(|| ConfigError::Node(name.clone()))
        };
        self.nodes.iter().map(position).collect()
    }

    /// The slots that may be pulsed.
    ///
    /// # Errors
    /// A slot named twice, too many, or none at all.
    pub fn slots(&self, genesis: &Genesis) -> Result<BTreeMap<String, SlotLine>, ConfigError> {
        let mut slots = BTreeMap::new();
        for row in &self.slot {
            let slot = SlotLine {
                line: row.line,
                pulse_ms: row.pulse_ms,
            };
            if slots.len() >= LINES_MAX || slots.insert(row.name.clone(), slot).is_some() {
                return Err(ConfigError::Slots(row.name.clone()));
            }
        }
        if slots.is_empty() {
            let slot = SlotLine {
                line: self.actuator.line,
                pulse_ms: self.actuator.pulse_ms,
            };
            let ours = genesis.slots.iter();
            let ours = ours.filter(|slot| slot.machine_id == self.machine);
            slots.extend(ours.map(|row| (row.slot.clone(), slot)));
        }
        if slots.is_empty() {
            return Err(ConfigError::NoSlot(self.machine.clone()));
        }
        Ok(slots)
    }

    /// Opens the actuator; its lines are low afterwards.
    ///
    /// # Errors
    /// A missing setting, or hardware that does not answer.
    pub fn open_actuator(
        &self,
        slots: &BTreeMap<String, SlotLine>,
    ) -> Result<Actuator, ConfigError> {
        let actuator = &self.actuator;
        let wait = Duration::from_millis(actuator.sensor_wait_ms);
        match actuator.kind.as_str() {
            "gpio" => {
                let lines = slots.values().map(|slot| slot.line);
                let sensor = actuator.sensor_line.map(|line| (line, wait));
                Ok(Actuator::Gpio(GpioActuator::open(
                    &actuator.chip,
                    lines,
                    sensor,
                )?))
            }
            "script" => {
                let path = actuator
                    .script
                    .as_ref()
                    .ok_or(ConfigError::Needed("script"))?;
                let timeout = Duration::from_millis(actuator.script_timeout_ms);
                Ok(Actuator::Script(ScriptActuator::new(path, timeout)))
            }
            _ => {
                let path = actuator
                    .trace
                    .as_ref()
                    .ok_or(ConfigError::Needed("trace"))?;
                let physics = match actuator.physics.as_str() {
                    "jam" => Physics::Jam,
                    "late-drop" => Physics::LateDrop(actuator.late_drop_ms),
                    "stuck-sensor" => Physics::StuckSensor,
                    _ => Physics::Normal,
                };
                let wait = actuator.fake_sensor.then_some(wait);
                Ok(Actuator::Fake(FakeActuator::open(path, physics, wait)?))
            }
        }
    }

    /// Where sensor reports come from.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        let lines = self.sensor.iter().map(|row| Source::Line {
            sensor: row.name.clone(),
            chip: self.actuator.chip.clone(),
            line: row.line,
        });
        let file = self.sensor_lines.clone().map(Source::Lines);
        lines.chain(file).collect()
    }
}
