//! The chain of rosters that the command line has once believed, and its file.
//!
//! A member that was removed must not be believed again after a restart, so
//! what was learned is kept beside the genesis. Where the folder cannot be
//! written the run goes on with what it has learned, and says so.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dctrl_consensus::{
    Certificate, ClusterId, Digest, Roster, RosterChain, RosterChainError, RosterStep,
};
use dctrl_proto::v1::GetRosterChain;

use crate::{
    failure::Failure,
    nodes::{Client, Nodes, QUERY_TIMEOUT},
};

/// Longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A chain of rosters and where it is kept. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Rosters {
    chain: Arc<Mutex<RosterChain>>,
    file: Option<PathBuf>,
}

impl Rosters {
    /// The chain that `file` keeps, or one that begins with `genesis`.
    ///
    /// # Errors
    /// Where the file is damaged or of another federation: whoever deletes it
    /// trusts the genesis again.
    pub(crate) fn open(
        cluster: ClusterId,
        genesis: &Roster,
        file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let known = file.map(read).transpose()?.flatten();
        let chain = match (known, file) {
            (Some(chain), Some(file)) => {
                let first = chain.roster(0);
                if chain.cluster() != cluster || first.is_some_and(|first| first != genesis) {
                    return Err(wrong(file, "is of another federation"));
                }
                chain
            }
            _ => RosterChain::new(cluster, genesis.clone()),
        };
        Ok(Self {
            chain: Arc::new(Mutex::new(chain)),
            file: file.map(Path::to_owned),
        })
    }

    /// Checks a certificate; returns the size of the roster that signed it.
    ///
    /// # Errors
    /// As [`RosterChain::verify`].
    pub(crate) fn verify(&self, certificate: &Certificate) -> Result<usize, RosterChainError> {
        self.lock().verify(certificate).map(Roster::len)
    }

    /// Asks the nodes for the steps to a roster, one after the other until one
    /// of them has led to it. Where none does, the roster stays unknown.
    pub(crate) async fn learn(&self, nodes: &Nodes, roster: Digest) {
        for (url, client) in nodes.iter() {
            if self.lock().knows(&roster) {
                return;
            }
            if let Err(reason) = self.ask(client).await {
                eprintln!("{url}: no changes of membership: {reason}");
            }
        }
    }

    /// Takes all steps that a node shows.
    async fn ask(&self, mut client: Client) -> Result<(), String> {
        loop {
            let after_number = self.newest();
            let asked = client.roster_chain(GetRosterChain { after_number });
            let answer = tokio::time::timeout(QUERY_TIMEOUT, asked).await;
            let answer = answer.map_err(|_| "no answer in time".to_owned())?;
            let answer = answer.map_err(|status| status.message().to_owned())?;
            let chain = answer.into_inner();
            self.take(&chain.steps)?;
            if !chain.more || self.newest() == after_number {
                return Ok(());
            }
        }
    }

    fn take(&self, steps: &[Vec<u8>]) -> Result<(), String> {
        let mut chain = self.lock();
        let before = chain.newest().number;
        let taken = steps.iter().try_for_each(|step| {
            let step = RosterStep::decode(step).map_err(|error| error.to_string())?;
            chain
                .advance(&step.certificate, step.next)
                .map_err(|error| error.to_string())
        });
        if let Some(file) = &self.file
            && chain.newest().number > before
            && let Err(error) = write(file, &chain.encode())
        {
            eprintln!("{}: cannot be kept: {error}", file.display());
        }
        taken
    }

    fn newest(&self) -> u64 {
        self.lock().newest().number
    }

    // Each step is taken whole or not, so a chain is good at any time.
    fn lock(&self) -> MutexGuard<'_, RosterChain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Path) -> Result<Option<RosterChain>, Failure> {
    match fs::metadata(file) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(wrong(file, "is too long")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(file, &error.to_string())),
    }
    let bytes = fs::read(file).map_err(|error| wrong(file, &error.to_string()))?;
    RosterChain::decode(&bytes)
        .map(Some)
        .map_err(|error| wrong(file, &format!("is damaged: {error}")))
}

/// Replaces the file whole.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // Two runs at once must not write one draft.
    let draft = file.with_extension(format!("{}.draft", std::process::id()));
    let mut written = File::create(&draft)?;
    written.write_all(bytes)?;
    written.sync_all()?;
    fs::rename(&draft, file)
}

fn wrong(file: &Path, what: &str) -> Failure {
    Failure::usage("config.rosters", format!("{} {what}", file.display()))
}
