//! The store on a real disk.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test")]

#[cfg(test)]
mod chain;
#[cfg(test)]
mod check;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod keep;
#[cfg(test)]
mod points;
#[cfg(test)]
mod prune;
#[cfg(test)]
mod rosters;
#[cfg(test)]
mod scrub;
#[cfg(test)]
mod support;
#[cfg(test)]
mod takeover;
