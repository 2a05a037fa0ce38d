//! What effects keep: the event log, the alerts, the chain notifier's cursor, the
//! rosters that were believed and where the present nodes are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dctrl_consensus::RosterStep;
use dctrl_effects::chain::{Hash, Tip, notifier::cursor};
use dctrl_effects::event_logger::{Log, verify};
use dctrl_effects::files::{self, ALERTS, CURSOR, EVENTS};
use dctrl_effects::machine::{Alert, AlertFile, AlertKind};
use dctrl_follow::{Federation, Places, Rosters, RostersError};
use dctrl_proto::v1::{BlockApplied, BusBody, Node, NodeRoster, RosterNode, bus_body::Event};
use prost::Message;
use tempfile::TempDir;

use crate::chain::{Chain, SEAL};
use crate::damage::{Chance, copy, damage, files as files_of};
use crate::tally::{Tally, Verdict};

const ROSTERS: &str = "effects.rosters";
const PLACES: &str = "effects.places";
/// Blocks in the event log, and in its older version.
const HEIGHT: u64 = 60;
const OLDER: u64 = 35;
/// So few that the log has several segments.
const SEGMENT_BYTES: u64 = 9_000;

/// A folder of logs to damage, and what it holds.
pub(crate) struct Logs {
    home: TempDir,
    federation: Federation,
    step: RosterStep,
    /// The hash of the event log behind each entry.
    hashes: Vec<String>,
}

fn frame(number: u64) -> BusBody {
    BusBody {
        topic: "block".to_owned(),
        cluster: vec![7; 32],
        height: number,
        time_ms: 1_000 * number,
        event: Some(Event::Block(BlockApplied {
            actions: 1,
            ..BlockApplied::default()
        })),
        ..BusBody::default()
    }
}

/// Logs the frames behind `after` up to `last`, as one that begins or goes on.
fn log(folder: &Path, after: u64, last: u64) {
    let mut log = Log::open(folder, SEGMENT_BYTES).unwrap();
    for number in after + 1..=last {
        let body = frame(number);
        log.append(&body, &body.encode_to_vec()).unwrap();
    }
    log.sync().unwrap();
}

fn tip(height: u32) -> Tip {
    Tip {
        height,
        hash: Hash([u8::try_from(height).unwrap(); 32]),
    }
}

/// Those that are open at that height.
fn alerts(height: u64) -> BTreeSet<Alert> {
    let kinds = [
        AlertKind::Silent,
        AlertKind::Sensor("tilt".to_owned()),
        AlertKind::NotReady(format!("slot {} is stuck", height % 10)),
    ];
    let at = |number: usize| Alert {
        machine: format!("m{}", height / 20 + number as u64),
        kind: kinds[number].clone(),
    };
    (0..kinds.len()).map(at).collect()
}

fn roster() -> NodeRoster {
    let node = |number: u8| RosterNode {
        node: Some(Node {
            name: format!("node-{number}"),
            bus_endpoint: format!("tcp://10.0.0.{number}:4101"),
            door_endpoint: format!("tcp://10.0.0.{number}:4102"),
            curve_key: vec![number; 32],
            ..Node::default()
        }),
        ..RosterNode::default()
    };
    NodeRoster {
        number: 1,
        nodes: (1..=4).map(node).collect(),
        ..NodeRoster::default()
    }
}

impl Logs {
    pub(crate) fn new(seed: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let chain = Chain::new(seed, SEAL);
        let step = chain.blocks.iter().find_map(|made| made.step.clone());
        let mut logs = Self {
            federation: Federation {
                cluster: chain.cluster.0.0,
                roster: chain.genesis,
                nodes: Vec::new(),
            },
            step: step.unwrap(),
            hashes: Vec::new(),
            home,
        };
        logs.grow(0, OLDER);
        copy(&logs.live(), &logs.home.path().join("older"));
        logs.grow(OLDER, HEIGHT);
        assert_eq!(files::check(&logs.live()).unwrap(), []);
        logs
    }

    fn live(&self) -> std::path::PathBuf {
        self.home.path().join("live")
    }

    fn grow(&mut self, after: u64, last: u64) {
        let live = self.live();
        let mut file = AlertFile::open(&live.join(ALERTS)).unwrap();
        for height in after + 1..=last {
            log(&live.join(EVENTS), height - 1, height);
            self.hashes.push(verify(&live.join(EVENTS)).unwrap().hash);
            file.update(&alerts(height), 1_000 * height).unwrap();
        }
        cursor::write(&live.join(CURSOR), tip(u32::try_from(last).unwrap())).unwrap();
        let rosters = Rosters::open(&self.federation, &live.join(ROSTERS)).unwrap();
        rosters.take(&[self.step.encode()]).unwrap();
        rosters.learn(&roster());
    }

    /// Damages one file of a copy.
    pub(crate) fn case(&self, chance: &mut Chance, tally: &mut Tally) {
        let home = tempfile::tempdir().unwrap();
        let (folder, older) = (home.path().join("log"), self.home.path().join("older"));
        copy(&self.live(), &folder);
        let all = files_of(&folder);
        let part = *chance.one(&[EVENTS, ALERTS, CURSOR, ROSTERS, PLACES]);
        let of_part: Vec<_> = all.iter().filter(|file| file.starts_with(part)).collect();
        let file = *chance.one(&of_part);
        let others: Vec<_> = all.iter().map(|other| folder.join(other)).collect();
        let done = damage(&folder.join(file), &others, Some(&older.join(file)), chance);
        let damages = files::check(&folder).unwrap();
        assert!(damages.iter().all(|one| one.path == folder.join(part)));
        let named = !damages.is_empty();
        let (kind, (found, healed)) = match part {
            EVENTS => ("effects-events", self.events(&folder.join(EVENTS), named)),
            ALERTS => ("effects-alerts", alerts_after(&folder.join(ALERTS))),
            CURSOR => ("effects-cursor", cursor_after(&folder.join(CURSOR))),
            ROSTERS => ("effects-rosters", self.rosters(&folder.join(ROSTERS))),
            _ => ("effects-places", self.places(&folder)),
        };
        let verdict = match found {
            Found::Other => Verdict::Served,
            Found::Nothing | Found::True if named => Verdict::Detected,
            Found::Nothing | Found::True => Verdict::Harmless,
        };
        let what = format!("{done:?} {}", file.display());
        tally.add(kind, verdict, healed, &what);
    }

    /// Whether what the log says is true, and whether it comes to say all.
    fn events(&self, folder: &Path, named: bool) -> (Found, bool) {
        let true_up_to = |folder: &Path| {
            let found = verify(folder).ok()?;
            let known = match usize::try_from(found.entries).unwrap() {
                0 => return Some(0),
                count => self.hashes.get(count - 1),
            };
            (known == Some(&found.hash)).then_some(found.entries)
        };
        let found = match (true_up_to(folder), named) {
            (Some(_), false) => Found::True,
            (None, true) => Found::Nothing,
            _ => Found::Other,
        };
        // As the logger does; where it refuses, or cannot know, a person sets the
        // log aside.
        if Log::open(folder, SEGMENT_BYTES).is_err() || verify(folder).is_err() {
            fs::remove_dir_all(folder).unwrap();
            drop(Log::open(folder, SEGMENT_BYTES).unwrap());
        }
        if let Some(after) = true_up_to(folder) {
            log(folder, after, HEIGHT);
        }
        (found, true_up_to(folder) == Some(HEIGHT))
    }

    fn rosters(&self, file: &Path) -> (Found, bool) {
        let open = || Rosters::open(&self.federation, file);
        let found = match open() {
            Ok(rosters) if rosters.newest() <= 1 => Found::True,
            Ok(_) => Found::Other,
            Err(RostersError::Damaged { .. }) => {
                fs::remove_file(file).unwrap();
                Found::Nothing
            }
            Err(_) => Found::Other,
        };
        let healed = open().is_ok_and(|rosters| {
            rosters.take(&[self.step.encode()]).is_ok() && rosters.newest() == 1
        });
        (
            found,
            healed && open().is_ok_and(|again| again.newest() == 1),
        )
    }

    fn places(&self, folder: &Path) -> (Found, bool) {
        let (file, truth) = (folder.join(PLACES), Places::read(&self.live().join(PLACES)));
        let found = Found::of(Places::read(&file), |found| Some(found) == truth.as_ref());
        let rosters = Rosters::open(&self.federation, &folder.join(ROSTERS)).unwrap();
        rosters.learn(&roster());
        (found, Places::read(&file) == truth)
    }
}

/// What is read of a damaged file.
enum Found {
    /// What it said, or said before.
    True,
    Nothing,
    /// What it never said.
    Other,
}

impl Found {
    fn of<T>(found: Option<T>, is_true: impl Fn(&T) -> bool) -> Self {
        match found {
            Some(found) if is_true(&found) => Self::True,
            Some(_) => Self::Other,
            None => Self::Nothing,
        }
    }
}

fn alerts_after(path: &Path) -> (Found, bool) {
    let ever: BTreeSet<_> = (1..=HEIGHT).flat_map(alerts).collect();
    let mut file = AlertFile::open(path).unwrap();
    let is_true = file.open_alerts().is_subset(&ever);
    let found = if is_true { Found::True } else { Found::Other };
    file.update(&alerts(HEIGHT), 1).unwrap();
    let again = AlertFile::open(path).unwrap();
    (found, *again.open_alerts() == alerts(HEIGHT))
}

fn cursor_after(path: &Path) -> (Found, bool) {
    let ever = [OLDER, HEIGHT].map(|height| tip(u32::try_from(height).unwrap()));
    let found = Found::of(cursor::read(path), |found| ever.contains(found));
    cursor::write(path, ever[1]).unwrap();
    (found, cursor::read(path) == Some(ever[1]))
}
