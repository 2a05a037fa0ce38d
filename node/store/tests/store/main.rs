//! The store on a real disk.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod keep;
mod rosters;
#[cfg(test)]
mod support;
