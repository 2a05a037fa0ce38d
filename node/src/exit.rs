//! What the process's exit code says of the disk, for whoever starts it again.
//!
//! | code | meaning | what helps |
//! | --- | --- | --- |
//! | 1 | anything else | the message |
//! | 65 | the data folder is damaged | `dctrl db check`, `dctrl db repair` |
//! | 74 | the disk failed or is full | a sound disk with room; then a new start |
//!
//! A write or sync that failed is never tried again by the same process:
//! nobody knows what the disk holds before it is opened anew.

use dctrl_store::{Blame, StoreError};

use crate::{boot::BootError, engine::EngineError, pipeline::PipelineError, run::RunError};

/// Any other failure.
pub const OTHER: u8 = 1;
/// The data folder is damaged.
pub const DAMAGED: u8 = 65;
/// The disk failed or is full.
pub const DISK_FAILED: u8 = 74;

/// The exit code of a node that ended so.
#[must_use]
pub fn code(error: &RunError) -> u8 {
    match error {
        RunError::Disk(_) | RunError::Space(_) => DISK_FAILED,
        RunError::Boot(error) | RunError::Engine(EngineError::Boot(error)) => of_boot(error),
        RunError::Engine(EngineError::Pipeline(error)) => match error {
            PipelineError::Store(error) => of_store(error),
            PipelineError::Leaf | PipelineError::Block => DAMAGED,
            _ => OTHER,
        },
        _ => OTHER,
    }
}

fn of_boot(error: &BootError) -> u8 {
    match error {
        BootError::Store(error) => of_store(error),
        BootError::Header { .. } | BootError::Restore(_) => DAMAGED,
        _ => OTHER,
    }
}

fn of_store(error: &StoreError) -> u8 {
    match error.blame() {
        Blame::Disk => DISK_FAILED,
        Blame::Damage => DAMAGED,
        Blame::Other => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_disk_and_a_damaged_one_are_told_apart() {
        let failed = || StoreError::Journal {
            path: "journal".into(),
            source: std::io::Error::from_raw_os_error(5),
        };
        let damaged = StoreError::Damaged {
            what: "blocks",
            number: 7,
        };
        let pipeline = |error| RunError::Engine(EngineError::Pipeline(PipelineError::Store(error)));
        assert_eq!(code(&pipeline(failed())), DISK_FAILED);
        assert_eq!(
            code(&RunError::Boot(BootError::Store(failed()))),
            DISK_FAILED
        );
        assert_eq!(code(&pipeline(damaged)), DAMAGED);
        assert_eq!(code(&RunError::Panicked("thread".to_owned())), OTHER);
    }
}
