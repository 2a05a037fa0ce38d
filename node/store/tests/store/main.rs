//! The store on a real disk.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod keep;
#[cfg(test)]
mod prune;
#[cfg(test)]
mod rosters;
#[cfg(test)]
mod support;
#[cfg(test)]
mod takeover;
