//! Look at a stopped node's data folder, and set it aside where it is damaged; at
//! the files of its effects, too, where the folder of its logs is named.
//!
//! Exit codes of both commands: 0 where all is sound (or has been set aside), 1
//! where something is damaged, 2 where nothing can be said: no such folder, in
//! use, or of another version.
//!
//! Deliberately absent: the rebuilding, which the node does at its next start,
//! from its peers. It takes the folder for another disk then, so it makes no
//! event before the others have ordered that it counts from now on (`disk`,
//! `renewal`): repairing never makes a node fork.

use std::{
    fs,
    path::{Path, PathBuf},
};

use dctrl_consensus::{ClusterId, Digest, Roster};
use dctrl_effects::files;
use dctrl_ledger::{StateRead, query};
use dctrl_proto::genesis::cluster_id;
use dctrl_store::{
    Extent, Options, StoreError, aside_folder,
    check::{self, Finding, Report},
    set_aside,
};
use serde_json::{Value, json};

use crate::{
    disk::{self, Disk},
    membership,
};

/// The folder of the states that are kept for peers.
const EXPORTS: &str = "seals";

/// What a command found and did.
#[derive(Debug)]
pub struct Outcome {
    report: Report,
    /// Where what was damaged is now, and whether it was everything.
    aside: Option<(PathBuf, bool)>,
    effects: Vec<files::Damage>,
    /// Where the effects' damaged files are now.
    effects_aside: Option<PathBuf>,
}

/// Looks at everything in a data folder, and in a folder of logs where there is one.
///
/// # Errors
/// Where nothing can be said of it.
pub fn check(data: &Path, logs: Option<&Path>) -> Result<Outcome, StoreError> {
    let mut report = check::check(data, &Options::default(), &trust)?;
    if let Some(problem) = disk::damage(data) {
        report.findings.push(Finding {
            place: Disk::mark_of(data).display().to_string(),
            number: None,
            problem,
        });
    }
    let effects = match logs {
        Some(logs) => files::check(logs).map_err(at(logs))?,
        None => Vec::new(),
    };
    Ok(Outcome {
        report,
        aside: None,
        effects,
        effects_aside: None,
    })
}

fn at(folder: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let folder = folder.to_owned();
    |source| StoreError::Folder { folder, source }
}

/// Sets aside what is damaged; everything of the data folder where `all` says so.
///
/// # Errors
/// Where nothing can be said of it, or it cannot be moved.
pub fn repair(data: &Path, logs: Option<&Path>, all: bool) -> Result<Outcome, StoreError> {
    let mut outcome = check(data, logs)?;
    if let (Some(logs), [_, ..]) = (logs, &outcome.effects[..]) {
        outcome.effects_aside = Some(effects_aside(logs, &outcome.effects)?);
    }
    let findings = &outcome.report.findings;
    if findings.is_empty() && !all {
        return Ok(outcome);
    }
    let only_exports = !all && findings.iter().all(|finding| finding.place == EXPORTS);
    let extent = if only_exports {
        Extent::Exports
    } else {
        Extent::Everything { mark: disk::MARK }
    };
    outcome.aside = Some((set_aside(data, extent)?, !only_exports));
    Ok(outcome)
}

fn effects_aside(logs: &Path, damages: &[files::Damage]) -> Result<PathBuf, StoreError> {
    let place = aside_folder(logs)?;
    for damage in damages {
        let path = &damage.path;
        let name = path.file_name().unwrap_or(path.as_os_str());
        fs::rename(path, place.join(name)).map_err(at(path))?;
    }
    Ok(place)
}

/// The federation and its first roster, as the genesis in the state has them.
fn trust(state: &dyn StateRead) -> Option<(ClusterId, Roster)> {
    if !query::has_genesis(state) {
        return None;
    }
    let genesis = query::genesis(state);
    let roster = membership::roster_of(&genesis).ok()?;
    Some((ClusterId(Digest(cluster_id(&genesis))), roster))
}

impl Outcome {
    /// 0 or 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let data = !self.report.is_sound() && self.aside.is_none();
        let effects = !self.effects.is_empty() && self.effects_aside.is_none();
        u8::from(data || effects)
    }

    /// One object for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let report = &self.report;
        let finding = |one: &Finding| json!({"place": one.place, "number": one.number, "problem": one.problem});
        let findings: Vec<Value> = report.findings.iter().map(finding).collect();
        let damage = |one: &files::Damage| json!({"place": one.path, "problem": one.problem});
        let effects: Vec<Value> = self.effects.iter().map(damage).collect();
        json!({
            "sound": report.is_sound() && self.effects.is_empty(),
            "height": report.height,
            "final_height": report.final_height,
            "blocks": report.blocks,
            "rows": report.rows,
            "state_digest": report.state_digest.map(|digest| hex::encode(digest.0)),
            "findings": findings,
            "set_aside": self.aside.as_ref().map(|(place, _)| place.display().to_string()),
            "everything": self.aside.as_ref().map(|(_, everything)| *everything),
            "effects": effects,
            "effects_set_aside": self.effects_aside.as_ref().map(|place| place.display().to_string()),
        })
    }

    /// Sentences for people.
    #[must_use]
    pub fn text(&self) -> String {
        let report = &self.report;
        let mut text = String::new();
        for finding in &report.findings {
            let number = finding
                .number
                .map_or(String::new(), |number| format!(" {number}"));
            text += &format!("{}{number}: {}\n", finding.place, finding.problem);
        }
        text += &match (&self.aside, report.is_sound()) {
            (None, true) => format!(
                "sound up to height {}, of which {} are final: {} blocks, {} rows\n",
                report.height, report.final_height, report.blocks, report.rows
            ),
            (None, false) => format!(
                "{} damages; `dctrl db repair` sets the data aside\n",
                report.findings.len()
            ),
            (Some((place, true)), _) => format!(
                "the data are in {} now; start the node, and it fetches everything from its \
                 peers and asks them to let it speak again\n",
                place.display()
            ),
            (Some((place, false)), _) => format!(
                "the states kept for peers are in {} now; the node makes new ones\n",
                place.display()
            ),
        };
        for damage in &self.effects {
            text += &format!("{}: {}\n", damage.path.display(), damage.problem);
        }
        if let Some(place) = &self.effects_aside {
            let place = place.display();
            text += &format!("what is damaged of the effects is in {place} now; they begin anew\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dctrl_store::Store;

    use super::*;

    fn data() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let disk = Disk::new(&data, &home.path().join("node.key"));
        assert_eq!(disk.recognise().unwrap(), 0);
        let store = Store::open(&data, &Options::default()).unwrap();
        let mut batch = store.begin();
        batch.executed(0).record(1, b"record");
        store.commit(batch).unwrap();
        home
    }

    #[test]
    fn a_sound_folder_is_left_alone_and_a_missing_one_is_no_damage() {
        let home = data();
        let data = home.path().join("data");
        let outcome = repair(&data, None, false).unwrap();
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.text());
        assert!(outcome.aside.is_none() && data.join("CURRENT").exists());
        assert!(check(&home.path().join("elsewhere"), None).is_err());
        assert!(!home.path().join("elsewhere").exists(), "nothing is made");
    }

    #[test]
    fn what_was_set_aside_is_kept_and_the_node_takes_the_folder_for_another_disk() {
        let home = data();
        let data = home.path().join("data");
        fs::write(data.join("CURRENT"), "MANIFEST-999999\n").unwrap();
        assert_eq!(check(&data, None).unwrap().exit_code(), 1);
        let outcome = repair(&data, None, false).unwrap();
        assert_eq!(outcome.exit_code(), 0);
        let (place, everything) = outcome.aside.clone().unwrap();
        assert!(everything && place.join("journal").is_dir() && place.join("instance").exists());
        assert!(outcome.json()["set_aside"].is_string());
        // Without the file beside the key, too.
        fs::remove_file(home.path().join("node.key.instance")).unwrap();
        let disk = Disk::new(&data, &home.path().join("node.key"));
        assert_ne!(disk.recognise().unwrap(), 0);
        let store = Store::open(&data, &Options::default()).unwrap();
        assert_eq!(store.snapshot().executed().unwrap(), None);
    }

    #[test]
    fn damaged_files_of_effects_are_named_and_only_they_are_set_aside() {
        let home = data();
        let (data, logs) = (home.path().join("data"), home.path().join("log"));
        fs::create_dir_all(&logs).unwrap();
        fs::write(logs.join("chain.cursor"), "damaged").unwrap();
        fs::write(logs.join("node.log"), "anything").unwrap();
        let found = check(&data, Some(&logs)).unwrap();
        assert_eq!(found.exit_code(), 1);
        assert!(found.text().contains("chain.cursor"), "{}", found.text());
        assert_eq!(found.json()["sound"], false);
        assert_eq!(check(&data, None).unwrap().exit_code(), 0);
        let outcome = repair(&data, Some(&logs), false).unwrap();
        assert_eq!(outcome.exit_code(), 0, "{}", outcome.text());
        assert!(outcome.aside.is_none() && data.join("CURRENT").exists());
        assert!(logs.join("set-aside/0001/chain.cursor").exists());
        assert!(logs.join("node.log").exists() && !logs.join("chain.cursor").exists());
        assert_eq!(check(&data, Some(&logs)).unwrap().exit_code(), 0);
    }

    #[test]
    fn a_damaged_mark_is_named() {
        let home = data();
        let data = home.path().join("data");
        let mark = data.join("instance");
        let text = fs::read_to_string(&mark).unwrap();
        fs::write(&mark, text.replace("0000000000000000", "0000000000000001")).unwrap();
        let found = check(&data, None).unwrap();
        assert!(found.text().contains("instance"), "{}", found.text());
        assert_eq!(found.exit_code(), 1);
    }
}
