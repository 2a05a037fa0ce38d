//! One process dies at one crash point, and comes back.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::VendState;

use super::{
    checks::{self, Checked},
    occasion::{self, Occasion},
};
use crate::{
    chain::Chain,
    federation::{Federation, MACHINE, SLOT_SATS},
    wait::until,
};

/// The node that dies.
const VICTIM: usize = 3;
/// The node that loses its disk, so that the roster changes.
const WIPED: usize = 2;

/// How long a process may take to come to a point.
const DEATH_LIMIT: Duration = Duration::from_secs(150);
/// How long what follows may take.
const STEP_LIMIT: Duration = Duration::from_secs(90);
/// Between two moves that lead to a point.
const MOVE_EVERY: Duration = Duration::from_millis(400);

/// Blocks of the chain found at once: more than a notifier looks through again.
const CHAIN_BLOCKS: u32 = 8;
/// A notifier looks whether an observation was applied after 10 s.
const CONFIRMED_IN: Duration = Duration::from_secs(12);

/// A reserve that no disk has, MiB.
const ALL_ROOM: (&str, &str) = ("DCTRL_NODE__STORE__RESERVE_MIB", "1048576");

/// Where a paid vend rests once the machine has answered.
pub(super) const ENDS: [VendState; 4] = [
    VendState::Dispensed,
    VendState::Failed,
    VendState::Uncertain,
    VendState::Credited,
];

/// The slot in which actions are counted; nothing is sold from it.
pub(super) const SLOT_COUNTED: &str = "A3";

/// A federation at work, and what it has promised.
pub(super) struct Campaign {
    federation: Federation,
    /// Vends that were paid.
    paid: Vec<String>,
    /// Units that were booked into [`SLOT_COUNTED`] as a final action each.
    counted: u64,
}

impl Campaign {
    pub(super) fn new(federation: Federation) -> Self {
        Self {
            federation,
            paid: Vec::new(),
            counted: 0,
        }
    }

    /// Lets one die at `point`, and everybody be well again.
    pub(super) async fn meet(&mut self, point: &str, occasion: Occasion) -> Result<()> {
        if occasion.is_agents() {
            self.agent_dies(point, occasion).await
        } else {
            self.node_dies(point, occasion).await
        }
    }

    /// Checks everything, and stops everything.
    pub(super) async fn finish(mut self) -> Result<Checked> {
        self.sell().await.context("the last sale")?;
        checks::all(&mut self.federation, &self.paid, self.counted).await
    }

    async fn node_dies(&mut self, point: &str, occasion: Occasion) -> Result<()> {
        if occasion == Occasion::Restart {
            self.count().await?;
        }
        match occasion {
            Occasion::EmptyFolder => self.others_speak(VICTIM).await?,
            Occasion::NewRoster => self.others_speak(WIPED).await?,
            _ => {}
        }
        self.federation.kill_node(VICTIM);
        occasion.prepare_node(&self.federation.node_dir(VICTIM))?;
        let mut environment = vec![("DCTRL_CRASH", point)];
        if occasion == Occasion::LittleRoom {
            environment.push(ALL_ROOM);
        }
        self.federation.start_node_with(VICTIM, &environment)?;
        if occasion == Occasion::NewRoster {
            // It has to hear of the change, and not to catch up behind it.
            self.federation.nodes_ready().await?;
            self.federation.kill_node(WIPED);
            occasion::wipe(&self.federation.node_dir(WIPED))?;
            self.federation.start_node(WIPED)?;
        }
        let died = self.dies(point, occasion).await;
        self.federation.kill_node(VICTIM);
        self.federation.start_node(VICTIM)?;
        self.federation.nodes_ready().await?;
        self.catches_up().await?;
        died
    }

    /// Waits until every node but this one speaks from its disk, so that this one
    /// may lose its own: two that are silent are more than four can bear.
    async fn others_speak(&self, node: usize) -> Result<()> {
        for other in (0..self.federation.len()).filter(|other| *other != node) {
            let log = self.federation.node_log(other);
            until(STEP_LIMIT, format!("node {other} to speak"), async || {
                let said = fs::read(&log)?;
                let said = String::from_utf8_lossy(&said);
                let last = said.lines().rfind(|line| line.contains("the roster names"));
                Ok(last
                    .is_some_and(|line| line.contains("this node's disk"))
                    .then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Moves the world until the victim is dead.
    async fn dies(&mut self, point: &str, occasion: Occasion) -> Result<()> {
        let begun = tokio::time::Instant::now();
        loop {
            let process = self.federation.node(VICTIM).context("it was started")?;
            if !process.is_alive() {
                return died_there(process.log(), point);
            }
            ensure!(begun.elapsed() < DEATH_LIMIT, "nobody came to this point");
            match occasion {
                Occasion::Block => self.count().await?,
                Occasion::ChainBlock => {
                    self.chain()?.mine(CHAIN_BLOCKS).await?;
                    // The cursor moves when the ledger has what was said of them.
                    tokio::time::sleep(CONFIRMED_IN).await;
                }
                _ => {}
            }
            tokio::time::sleep(MOVE_EVERY).await;
        }
    }

    async fn agent_dies(&mut self, point: &str, occasion: Occasion) -> Result<()> {
        self.federation.kill_agent();
        occasion.prepare_agent(&self.federation.agent_dir())?;
        if occasion == Occasion::NewIncarnation {
            let reset = ["machines", "reset", MACHINE, "--wait", "final"];
            self.federation.cli().run(&reset).await?.ok()?;
        }
        self.federation.start_agent(&[("DCTRL_CRASH", point)])?;
        let vend = match occasion {
            Occasion::Vend => {
                self.federation.sells().await?;
                Some(self.pay().await?)
            }
            _ => None,
        };
        let agent = self.federation.agent().context("it was started")?;
        let dead = until(DEATH_LIMIT, "the agent to die", async || {
            Ok((!agent.is_alive()).then_some(()))
        })
        .await;
        let died = dead.and_then(|()| died_there(agent.log(), point));
        self.federation.start_agent(&[])?;
        if let Some(vend) = vend {
            self.ends(&vend).await?;
        }
        self.federation.sells().await?;
        died
    }

    fn chain(&self) -> Result<&Chain> {
        self.federation.chain()
    }

    /// Something to order whose effect is counted: a unit that is put in and
    /// missing at once.
    async fn count(&mut self) -> Result<()> {
        let unit = ["--added", "1", "--shrinkage", "1", "--reason", "counted"];
        let mut arguments = vec!["slots", "restock", "--machine", MACHINE];
        arguments.extend(["--slot", SLOT_COUNTED, "--wait", "final"]);
        arguments.extend(unit);
        self.federation.cli().run(&arguments).await?.ok()?;
        self.counted += 1;
        Ok(())
    }

    /// Asks for a vend and pays it, deep enough.
    async fn pay(&mut self) -> Result<String> {
        let vend = self.federation.quote(SLOT_SATS).await?;
        self.chain()?.pay(&vend.address, vend.price_sats).await?;
        self.paid.push(vend.id.clone());
        let client = self.federation.client()?;
        until(STEP_LIMIT, "the payment to be seen", async || {
            let state = client.vend(&vend.id).await?.state();
            Ok((state == VendState::PaymentSeen).then_some(()))
        })
        .await?;
        self.chain()?.mine(1).await?;
        Ok(vend.id)
    }

    async fn ends(&self, vend: &str) -> Result<VendState> {
        let client = self.federation.client()?;
        until(STEP_LIMIT, "the vend to end", async || {
            let state = client.vend(vend).await?.state();
            Ok(ENDS.contains(&state).then_some(state))
        })
        .await
    }

    /// A sale from end to end.
    async fn sell(&mut self) -> Result<()> {
        self.federation.sells().await?;
        let vend = self.pay().await?;
        let state = self.ends(&vend).await?;
        ensure!(state == VendState::Dispensed, "it ended as {state:?}");
        Ok(())
    }

    /// Waits until all nodes have what the others have.
    async fn catches_up(&self) -> Result<()> {
        let last = self.federation.client()?.status().await?.final_height;
        let nodes = self.federation.len();
        until(
            STEP_LIMIT,
            format!("all nodes at block {last}"),
            async || {
                let statuses = self.federation.statuses().await;
                let all = statuses.values().filter(|one| one.final_height >= last);
                Ok((all.count() == nodes).then_some(()))
            },
        )
        .await
    }
}

/// The log names the point at which its process died.
fn died_there(log: &std::path::Path, point: &str) -> Result<()> {
    let said = fs::read(log)?;
    let said = String::from_utf8_lossy(&said);
    ensure!(
        said.contains(&format!("the crash point {point},")),
        "it died elsewhere: {}",
        crate::process::tail(log)
    );
    Ok(())
}
