//! What a process has used, as the kernel tells.
//!
//! An idle process runs for microseconds at a time, which clock ticks of 10 ms
//! do not see; the scheduler counts nanoseconds, by thread.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Time on a processor, nanoseconds.
    pub(super) cpu_ns: u64,
    /// Waits that a thread began by itself and was woken from.
    pub(super) wakes: u64,
    /// Bytes handed to TCP for other processes; `None` where there is no `ss`.
    pub(super) sent: Option<u64>,
}

/// Reads it.
pub(super) fn of(id: u32) -> Result<Usage> {
    let mut usage = Usage {
        sent: sent_bytes(id),
        ..Usage::default()
    };
    let tasks = format!("/proc/{id}/task");
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let task = task?.path();
        // A thread that ended in between has used nothing that is still counted.
        let (Ok(run), Ok(status)) = (read(&task, "schedstat"), read(&task, "status")) else {
            continue;
        };
        usage.cpu_ns += number(run.split_whitespace().next())?;
        let waits = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        usage.wakes += number(waits)?;
    }
    Ok(usage)
}

fn read(task: &Path, file: &str) -> std::io::Result<String> {
    fs::read_to_string(task.join(file))
}

fn number(text: Option<&str>) -> Result<u64> {
    let text = text.context("the kernel does not tell")?;
    Ok(text.trim().parse()?)
}

/// Bytes sent through the TCP connections of a process, but for those between
/// two of its own sockets: what a node's effects say to its own bus crosses no
/// network.
fn sent_bytes(id: u32) -> Option<u64> {
    let output = Command::new("ss").args(["-tinpHO"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(count(&text, id))
}

fn count(text: &str, id: u32) -> u64 {
    let owner = format!("pid={id},");
    let own: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("ESTAB") && line.contains(&owner))
        .map(|line| line.split_whitespace().collect())
        .collect();
    // Columns: state, two queues, local address, the peer's.
    let is_own = |address: Option<&&str>| own.iter().any(|line| line.get(3) == address);
    let sent = |line: &Vec<&str>| {
        let field = line
            .iter()
            .find_map(|word| word.strip_prefix("bytes_sent:"));
        field
            .and_then(|bytes| bytes.parse::<u64>().ok())
            .unwrap_or(0)
    };
    own.iter()
        .filter(|line| !is_own(line.get(4)))
        .map(sent)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_run_and_waited() {
        let usage = of(std::process::id()).expect("our own process is there");
        assert!(usage.cpu_ns > 0);
    }

    #[test]
    fn only_what_leaves_the_process_is_counted() {
        let text = "\
ESTAB 0 0 127.0.0.1:10 127.0.0.1:20 users:((\"n\",pid=7,fd=1)) cubic bytes_sent:100 bytes_acked:9\n\
ESTAB 0 0 127.0.0.1:20 127.0.0.1:10 users:((\"n\",pid=7,fd=2)) cubic bytes_sent:1000\n\
ESTAB 0 0 127.0.0.1:11 127.0.0.1:30 users:((\"n\",pid=7,fd=3)) cubic bytes_sent:5\n\
ESTAB 0 0 127.0.0.1:30 127.0.0.1:11 users:((\"m\",pid=77,fd=3)) cubic bytes_sent:50\n\
LISTEN 0 9 127.0.0.1:40 0.0.0.0:* users:((\"n\",pid=7,fd=4))\n";
        assert_eq!(count(text, 7), 5);
        assert_eq!(count(text, 77), 50);
    }
}
