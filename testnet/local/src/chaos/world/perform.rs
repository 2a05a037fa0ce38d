//! One fault begins, and one ends.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{DISK_GRACE, World};
use crate::{
    chaos::{disks::Trouble, nets::Way, schedule::Fault, weather::Weather},
    process::Process,
    random::Random,
};

/// Something that has to be done later in the round.
#[derive(Debug, Clone)]
pub(in crate::chaos) struct Later {
    pub(in crate::chaos) after: Duration,
    pub(in crate::chaos) deed: Deed,
}

/// What.
#[derive(Debug, Clone)]
pub(in crate::chaos) enum Deed {
    /// A fault ends.
    End(Fault),
    /// Links that flicker change, so many spans from their end.
    Flicker(Fault, u64),
}

impl World {
    /// Begins a fault; gives what has to be done later.
    ///
    /// # Errors
    /// Where a program cannot be started or a folder not be deleted.
    pub(in crate::chaos) fn begin(
        &mut self,
        fault: &Fault,
        random: &mut Random,
    ) -> Result<Option<Later>> {
        match fault {
            Fault::Kill { nodes, down_ms } => {
                let hit = self.strike(nodes, *down_ms);
                self.count("kill", hit);
            }
            Fault::CrashPoint { node, place, hit } => {
                let killed = self.strike(&[*node], 0);
                self.count("kill", killed);
                self.seats[*node].place = Some(format!("{place}@{hit}"));
            }
            Fault::KillAgent { down_ms } => {
                let hit = self.strike_agent(*down_ms);
                self.count("kill_agent", hit);
            }
            Fault::AgentCrashPoint { place } => {
                let hit = self.strike_agent(0);
                self.count("kill_agent", hit);
                self.agent.place = Some(place.clone());
            }
            Fault::Freeze { node, .. } => {
                if let Some(process) = self.federation.node(*node) {
                    process.freeze();
                    self.seats[*node].frozen = true;
                    self.count(fault.name(), 1);
                }
            }
            Fault::FreezeAgent { .. } => {
                if let Some(process) = self.federation.agent() {
                    process.freeze();
                    self.agent.frozen = true;
                    self.count(fault.name(), 1);
                }
            }
            Fault::Wipe { node } => self.wipe(*node)?,
            Fault::PowerCut {
                nodes,
                down_ms,
                keep,
            } => {
                let hit = self.strike(nodes, *down_ms);
                self.count(fault.name(), hit);
                if let Some(disks) = &self.disks {
                    for node in nodes {
                        disks.cut(*node, *keep, random);
                    }
                }
            }
            Fault::AgentPowerCut { down_ms, keep } => {
                let hit = self.strike_agent(*down_ms);
                self.count(fault.name(), hit);
                if let Some(disks) = &self.disks {
                    disks.cut(self.seats.len(), *keep, random);
                }
            }
            Fault::DiskFull { .. }
            | Fault::DiskError { .. }
            | Fault::DiskSlow { .. }
            | Fault::Links { .. }
            | Fault::Reset { .. }
            | Fault::Flood { .. } => self.disturb(fault),
            Fault::Cable { node, way, .. } => {
                if let Some(nets) = &self.nets {
                    nets.lose(*node, *way)?;
                    self.lost.push((*node, *way));
                    self.count(fault.name(), 1);
                }
            }
        }
        Ok(later(fault))
    }

    /// Begins a fault that kills nobody by itself.
    fn disturb(&mut self, fault: &Fault) {
        match fault {
            Fault::DiskFull { node, .. } => self.trouble(*node, fault, Trouble::Full),
            Fault::DiskError { node, .. } => self.trouble(*node, fault, Trouble::Fails),
            Fault::DiskSlow { node, sync_ms, .. } => {
                self.trouble(*node, fault, Trouble::Slow(*sync_ms));
            }
            Fault::Links { links, weather, .. } => {
                for link in links {
                    self.relays.set(*link, *weather);
                }
                self.count(fault.name(), 1);
            }
            Fault::Reset { links } => {
                for link in links {
                    self.relays.reset(*link);
                }
                self.count(fault.name(), 1);
            }
            _ => self.count(fault.name(), 1),
        }
    }

    /// Does what [`World::begin`] put off.
    ///
    /// # Errors
    /// Where a cable cannot be plugged in again.
    pub(in crate::chaos) fn do_later(&mut self, deed: Deed) -> Result<Option<Later>> {
        match deed {
            Deed::End(fault) => self.end(&fault).map(|()| None),
            Deed::Flicker(fault, left) => {
                let Fault::Links {
                    links,
                    weather,
                    flicker_ms,
                    ..
                } = &fault
                else {
                    return Ok(None);
                };
                let weather = if left.is_multiple_of(2) {
                    Weather::default()
                } else {
                    *weather
                };
                for link in links {
                    self.relays.set(*link, weather);
                }
                let after = Duration::from_millis(*flicker_ms);
                Ok((left > 0).then(|| Later {
                    after,
                    deed: Deed::Flicker(fault.clone(), left - 1),
                }))
            }
        }
    }

    fn end(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Cable { node, way, .. } => self.plug_in(*node, *way)?,
            Fault::Freeze { node, .. } => self.thaw(*node),
            Fault::FreezeAgent { .. } => self.thaw_agent(),
            Fault::DiskFull { node, .. }
            | Fault::DiskError { node, .. }
            | Fault::DiskSlow { node, .. } => {
                if let Some(disks) = &self.disks {
                    disks.trouble(*node, Trouble::None);
                }
            }
            Fault::Links { links, .. } => {
                for link in links {
                    self.relays.set(*link, Weather::default());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives a cable back, once for all that took the same from it.
    pub(super) fn plug_in(&mut self, node: usize, way: Way) -> Result<()> {
        let before = self.lost.len();
        self.lost.retain(|lost| *lost != (node, way));
        match &self.nets {
            Some(nets) if self.lost.len() < before => nets.give_back(node, way),
            _ => Ok(()),
        }
    }

    /// kill -9 of those that run; how many did.
    pub(super) fn strike(&mut self, nodes: &[usize], down_ms: u64) -> u64 {
        let mut hit = nodes.to_vec();
        hit.retain(|node| self.federation.node(*node).is_some_and(Process::is_alive));
        self.federation.kill_nodes(&hit);
        for node in &hit {
            let seat = &mut self.seats[*node];
            seat.armed = false;
            seat.frozen = false;
            seat.start_at = Some(Instant::now() + Duration::from_millis(down_ms));
        }
        hit.len() as u64
    }

    pub(super) fn strike_agent(&mut self, down_ms: u64) -> u64 {
        if self.federation.agent().is_none() {
            return 0;
        }
        self.federation.kill_agent();
        self.agent.armed = false;
        self.agent.frozen = false;
        self.agent.start_at = Some(Instant::now() + Duration::from_millis(down_ms));
        1
    }

    fn wipe(&mut self, node: usize) -> Result<()> {
        let killed = self.strike(&[node], 0);
        self.count("kill", killed);
        // Whoever puts in an empty disk puts in a good one.
        if let Some(disks) = &self.disks {
            disks.trouble(node, Trouble::None);
        }
        let data = self.federation.node_dir(node).join("data");
        let what = || format!("cannot empty {}", data.display());
        fs::remove_dir_all(&data).with_context(what)?;
        fs::create_dir(&data).with_context(what)?;
        self.count("wipe", 1);
        Ok(())
    }

    fn trouble(&mut self, node: usize, fault: &Fault, trouble: Trouble) {
        let Some(disks) = &self.disks else { return };
        disks.trouble(node, trouble);
        if !matches!(trouble, Trouble::Slow(_)) {
            let lasts = lasts(fault).unwrap_or_default();
            self.seats[node].excused_until = Some(Instant::now() + lasts + DISK_GRACE);
        }
        self.count(fault.name(), 1);
    }

    pub(super) fn thaw(&mut self, node: usize) {
        if std::mem::take(&mut self.seats[node].frozen)
            && let Some(process) = self.federation.node(node)
        {
            process.thaw();
        }
    }

    pub(super) fn thaw_agent(&mut self) {
        if std::mem::take(&mut self.agent.frozen)
            && let Some(process) = self.federation.agent()
        {
            process.thaw();
        }
    }
}

fn later(fault: &Fault) -> Option<Later> {
    if let Fault::Links {
        flicker_ms: span @ 1..,
        for_ms,
        ..
    } = fault
    {
        // Counted down to 0, which is fair weather.
        return Some(Later {
            after: Duration::from_millis(*span),
            deed: Deed::Flicker(fault.clone(), for_ms / span / 2 * 2),
        });
    }
    Some(Later {
        after: lasts(fault)?,
        deed: Deed::End(fault.clone()),
    })
}

/// How long a fault lasts, where it has an end.
fn lasts(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Freeze { for_ms, .. }
        | Fault::FreezeAgent { for_ms }
        | Fault::DiskFull { for_ms, .. }
        | Fault::DiskSlow { for_ms, .. }
        | Fault::DiskError { for_ms, .. }
        | Fault::Links { for_ms, .. }
        | Fault::Cable { for_ms, .. }
        | Fault::Flood { for_ms } => Some(Duration::from_millis(*for_ms)),
        _ => None,
    }
}
