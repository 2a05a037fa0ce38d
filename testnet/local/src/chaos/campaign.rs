//! One campaign from its beginning to its report.

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    apart::Grounds,
    checks,
    disks::Disks,
    flood::Flood,
    load::Running,
    manifest::Manifest,
    nets::Nets,
    relay::Relays,
    report::Report,
    schedule::{Fault, Round, Schedule, Theme},
    watch::Watch,
    world::{Deed, World},
};
use crate::{
    chain::{Chain, ChainKind},
    federation::{Federation, Options},
    programs::Programs,
    random::Random,
    story::Story,
    wait::until,
};

/// How long the federation may take after a heal until every node has given a
/// final answer, on a machine that also compiles.
const PROGRESS_LIMIT: Duration = Duration::from_secs(180);

/// How long the first sale may take.
const OPENING_LIMIT: Duration = Duration::from_secs(180);

/// How long people may take to finish what they have begun.
const FINISH_LIMIT: Duration = Duration::from_secs(60);

/// How often processes are looked after.
const TEND: Duration = Duration::from_millis(50);

/// How often memory and files are looked at.
const SAMPLE: Duration = Duration::from_secs(2);

/// How often disks are.
const SAMPLE_DISKS: Duration = Duration::from_secs(15);

/// Blocks found at the end, so that every payment is deep enough.
const LAST_BLOCKS: u32 = 8;

/// How often each worker hands in an action.
const PACE: Duration = Duration::from_millis(200);

/// What is to be done.
pub(super) struct Campaign {
    pub(super) minutes: u64,
    pub(super) plan: Schedule,
    pub(super) manifest: Manifest,
    pub(super) theme: Theme,
    pub(super) grounds: Grounds,
}

/// A campaign at work.
struct Stage {
    world: World,
    people: Running,
    watch: Watch,
    random: Random,
    sampled: Instant,
    weighed: Instant,
    heal_ms: Vec<u64>,
    stuck: Vec<String>,
    flood: Option<Flood>,
    flood_attempts: Arc<AtomicU64>,
    latencies: Latencies,
}

/// Milliseconds from each action's first submission until it was final.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    pub(super) calm_ms: Vec<u64>,
    pub(super) flooded_ms: Vec<u64>,
}

/// Something to do at a time of a round.
enum Act {
    Begin(Fault),
    Later(Deed),
}

impl Campaign {
    /// Makes the federation in `folder`, maltreats it, and checks it.
    ///
    /// # Errors
    /// Where it cannot be made or started.
    pub(super) async fn run(
        self,
        programs: Programs,
        folder: &Path,
        story: &mut Story,
    ) -> Result<Report> {
        let mut stage = self.open(programs, folder).await?;
        self.plan.write(&folder.join("schedule.json"))?;
        story.step("The machine sells; the trouble begins");
        let deadline = Instant::now() + Duration::from_secs(60 * self.minutes);
        let mut rounds = 0;
        for (number, round) in self.plan.rounds.iter().enumerate() {
            if Instant::now() >= deadline || !stage.stuck.is_empty() {
                break;
            }
            stage.play(round).await?;
            let healed = stage.heal(number).await?;
            rounds += 1;
            story.tell(format!(
                "round {number}: {} faults, progress on all nodes {healed:.1} s after the heal, \
                 {} final actions",
                round.faults.len(),
                stage.people.load().promises().finals().len(),
            ));
        }
        story.step("Healed; everything is asked again");
        self.close(stage, rounds, story).await
    }

    async fn open(&self, programs: Programs, folder: &Path) -> Result<Stage> {
        let options = Options {
            nodes: u16::try_from(self.plan.nodes).context("too many nodes")?,
            chain: ChainKind::Simulated,
            zero_conf_sats_max: self.manifest.zero_conf_sats_max,
            zero_conf_wait_ms: Some(0),
            bitcoind: None,
        };
        let mut federation = Federation::init(options, programs, folder).await?;
        let Grounds { disks, nets } = self.grounds;
        // With networks apart, each node sees the relays at another address.
        let listens = if nets {
            Ipv4Addr::UNSPECIFIED
        } else {
            Ipv4Addr::LOCALHOST
        };
        let mut relays = Relays::new(self.plan.seed, listens);
        let genesis = self.manifest.apply(&federation, &mut relays, nets).await?;
        let nets = match nets {
            true => Some(connect(&mut federation)?),
            false => None,
        };
        let disks = match disks {
            true => Some(Disks::mount(&federation, self.plan.seed)?),
            false => None,
        };
        federation.start_chain().await?;
        for node in 0..federation.len() {
            federation.start_node(node)?;
        }
        federation.nodes_ready().await?;
        federation.start_agent(&[])?;
        until(OPENING_LIMIT, "the machine to sell", async || {
            federation.sells().await.map(Some)
        })
        .await?;
        let Chain::Simulated(chain) = federation.chain()? else {
            anyhow::bail!("campaigns run on the simulated chain");
        };
        let purse = chain.purse().clone();
        let people = Running::start(&federation, &genesis, purse, self.plan.seed, PACE)?;
        Ok(Stage {
            world: World::new(federation, relays, disks, nets),
            people,
            watch: Watch::new(),
            random: Random::part(self.plan.seed, "campaign"),
            sampled: Instant::now(),
            weighed: Instant::now(),
            heal_ms: Vec::new(),
            stuck: Vec::new(),
            flood: None,
            flood_attempts: Arc::default(),
            latencies: Latencies::default(),
        })
    }

    async fn close(self, mut stage: Stage, rounds: usize, story: &Story) -> Result<Report> {
        // From here on nobody dies, so that what still ends is a finding.
        stage.world.disarm();
        if stage.stuck.is_empty() {
            stage.heal(rounds).await?;
        }
        let load = stage.people.stop(FINISH_LIMIT).await;
        load.mine(LAST_BLOCKS).await?;
        let findings = checks::all(&stage.world.federation, &load, story).await;
        stage.world.tend()?;
        let deeds = stage.world.relays.deeds().read();
        let mut report = Report {
            seed: self.plan.seed,
            nodes: self.plan.nodes,
            minutes: self.minutes,
            theme: self.theme,
            manifest: self.manifest,
            grounds: self.grounds,
            rounds,
            faults: stage.world.counts().clone(),
            deeds,
            heal_ms: stage.heal_ms,
            latencies: stage.latencies,
            flood_attempts: stage.flood_attempts.load(Ordering::Relaxed),
            watch: stage.watch,
            findings,
        };
        for stuck in stage.stuck {
            report.findings.violation(stuck);
        }
        let (surprises, count) = stage.world.surprises();
        for surprise in surprises {
            report.findings.violation(surprise.clone());
        }
        report.findings.violation_count += count - surprises.len();
        report.judge_bounds();
        for killed in stage.world.federation.stop().await {
            report
                .findings
                .violation(format!("{killed} did not stop when asked"));
        }
        Ok(report)
    }
}

/// Gives every node a network of its own, to be started in.
fn connect(federation: &mut Federation) -> Result<Nets> {
    let ports: Vec<_> = (0u16..)
        .take(federation.len())
        .map(|node| federation.node_ports(node))
        .collect();
    let nets = Nets::open(&ports, &federation.dir().join("networks.log"))?;
    for node in 0..federation.len() {
        federation.prefix_node(node, nets.prefix(node));
    }
    Ok(nets)
}

impl Stage {
    async fn play(&mut self, round: &Round) -> Result<()> {
        let begun = Instant::now();
        let end = begun + Duration::from_millis(round.length_ms);
        let mut agenda: Vec<(Instant, Act)> = round
            .faults
            .iter()
            .map(|timed| {
                let at = begun + Duration::from_millis(timed.at_ms);
                (at, Act::Begin(timed.fault.clone()))
            })
            .collect();
        while Instant::now() < end {
            let now = Instant::now();
            while let Some(due) = agenda.iter().position(|(at, _)| *at <= now) {
                let (_, act) = agenda.swap_remove(due);
                let later = match act {
                    Act::Begin(fault) => {
                        self.note_flood(&fault, true);
                        self.world.begin(&fault, &mut self.random)?
                    }
                    Act::Later(deed) => {
                        if let Deed::End(fault) = &deed {
                            self.note_flood(fault, false);
                        }
                        self.world.do_later(deed)?
                    }
                };
                agenda.extend(later.map(|later| (now + later.after, Act::Later(later.deed))));
            }
            self.tend()?;
            tokio::time::sleep(TEND).await;
        }
        Ok(())
    }

    /// Ends all trouble and waits until every node gives final answers; how
    /// long that took, seconds.
    async fn heal(&mut self, round: usize) -> Result<f64> {
        self.flood = None;
        self.world.heal()?;
        let healed = Instant::now();
        loop {
            self.tend()?;
            if self.people.load().promises().all_answered_since(healed) {
                break;
            }
            if healed.elapsed() >= PROGRESS_LIMIT {
                let silent = self.people.load().promises().silent_since(healed);
                self.stuck.push(format!(
                    "{} s after the heal of round {round} these nodes give no final answer: \
                     {silent:?}",
                    PROGRESS_LIMIT.as_secs()
                ));
                break;
            }
            tokio::time::sleep(TEND).await;
        }
        let took = healed.elapsed();
        self.heal_ms
            .push(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        Ok(took.as_secs_f64())
    }

    fn note_flood(&mut self, fault: &Fault, begins: bool) {
        let Fault::Flood { .. } = fault else { return };
        self.sort_latencies();
        let federation = &self.world.federation;
        self.flood = begins.then(|| {
            let ports: Vec<_> = (0u16..)
                .take(federation.len())
                .map(|node| federation.node_ports(node))
                .collect();
            let nodes: Vec<_> = (0..federation.len())
                .map(|node| federation.client_of(node))
                .collect();
            Flood::begin(&ports, &nodes, self.random.next(), &self.flood_attempts)
        });
    }

    fn sort_latencies(&mut self) {
        let new = self.people.load().take_latencies();
        match self.flood {
            Some(_) => self.latencies.flooded_ms.extend(new),
            None => self.latencies.calm_ms.extend(new),
        }
    }

    fn tend(&mut self) -> Result<()> {
        self.world.tend()?;
        self.sort_latencies();
        if self.sampled.elapsed() >= SAMPLE {
            self.sampled = Instant::now();
            let mut ids = self.world.node_ids();
            ids.push(self.world.agent_id());
            self.watch.processes(ids.into_iter().flatten());
        }
        if self.weighed.elapsed() >= SAMPLE_DISKS {
            self.weighed = Instant::now();
            let federation = &self.world.federation;
            let folders: Vec<_> = (0..federation.len())
                .map(|node| federation.node_dir(node))
                .collect();
            self.watch
                .folders(folders.iter().map(|folder| folder.as_path()));
        }
        Ok(())
    }
}
