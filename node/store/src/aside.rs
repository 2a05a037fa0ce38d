//! Set damaged data aside, so that the next start begins anew.
//!
//! Nothing is deleted: what belongs to the store moves to a folder of its own
//! in the data folder. The disk's mark goes first, so that wherever a crash
//! stops this, the node knows that it may not speak from what is left.
//!
//! Deliberately absent: what comes after. A node without data fetches the blocks
//! or the state of a seal from its peers, and asks them to let it speak again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::export;
use crate::open::{LOCK_FILE, lock};
use crate::store::JOURNAL;

/// In the data folder: a folder for each time.
const FOLDER: &str = "set-aside";
/// Times that something may be set aside before an operator has to clean up.
const TIMES_MAX: usize = 1000;

/// How much is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent<'m> {
    /// The states that are kept for peers: they are made anew.
    Exports,
    /// The whole store, and first the file with this name, by which the node
    /// knows its disk.
    Everything {
        /// Its name in the data folder.
        mark: &'m str,
    },
}

/// Moves what is damaged out of the way; returns where it is now.
///
/// # Errors
/// Where the folder is in use or a file cannot be moved. Called again it goes
/// on.
pub fn set_aside(folder: &Path, extent: Extent<'_>) -> Result<PathBuf, StoreError> {
    let _lock = lock(folder)?;
    let place = aside_folder(folder)?;
    let names: Vec<String> = match extent {
        Extent::Exports => vec![export::FOLDER.to_owned()],
        Extent::Everything { mark } => {
            let mut names = vec![mark.to_owned()];
            names.extend(of_the_store(folder).map_err(at(folder))?);
            names
        }
    };
    for name in names {
        let from = folder.join(&name);
        if from.exists() {
            dctrl_crash::point("store.aside.before_move");
            fs::rename(&from, place.join(&name)).map_err(at(&from))?;
            sync(folder)?;
            dctrl_crash::point("store.aside.moved");
        }
    }
    sync(&place)?;
    Ok(place)
}

/// Makes a new folder in `folder` for what is set aside.
///
/// # Errors
/// Where it cannot be made.
pub fn aside_folder(folder: &Path) -> Result<PathBuf, StoreError> {
    let all = folder.join(FOLDER);
    for number in 1..=TIMES_MAX {
        let place = all.join(format!("{number:04}"));
        if !place.exists() {
            fs::create_dir_all(&place).map_err(at(&place))?;
            sync(&all)?;
            sync(folder)?;
            return Ok(place);
        }
    }
    Err(at(&all)(io::ErrorKind::StorageFull.into()))
}

/// The names of what the store has made, except its lock.
fn of_the_store(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let ours = [JOURNAL, export::FOLDER, "CURRENT", "IDENTITY", "LOCK"].contains(&name)
            || [".sst", ".dbtmp", ".log"]
                .iter()
                .any(|end| name.ends_with(end))
            || ["MANIFEST-", "OPTIONS-", "LOG"]
                .iter()
                .any(|start| name.starts_with(start));
        if ours && name != LOCK_FILE {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(at(folder))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let folder = path.to_owned();
    |source| StoreError::Folder { folder, source }
}
