//! What treasurers and copayers do, with the command line as they would.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use dctrl_proto::v1::{GetPayoutRequest, PaymentState, Payout, PayoutState, SimSubmitRequest};
use tokio::process::Command;

use crate::{
    chain::Chain,
    federation::{Federation, SLOT_SATS},
    wait::{until, within},
};

/// How long a step of a payout may take.
const STEP_LIMIT: Duration = Duration::from_secs(120);
/// Longest run of Electrum.
const ELECTRUM_LIMIT: Duration = Duration::from_secs(60);
/// Electrum's part, run by its own Python.
const ELECTRUM_SIGN: &str = include_str!("../electrum_sign.py");
/// Depth from which a coin may be spent.
const DEPTH: u32 = 6;
/// The addresses that are paid: BIP-173's examples, as regtest writes them.
const RECIPIENTS: [&str; 2] = [
    "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry",
];

impl Federation {
    /// Sells once for more than the price, and buries the payment.
    ///
    /// # Errors
    /// A refusal, or it takes too long.
    pub async fn earn(&self, sats: u64) -> Result<()> {
        let vend = self.quote(SLOT_SATS).await?;
        let txid = self.chain()?.pay(&vend.address, sats).await?;
        self.mine(DEPTH).await?;
        let client = self.client()?;
        until(STEP_LIMIT, "the payment to be final", async || {
            let payments = client.payments().await?;
            Ok(payments.into_iter().find(|payment| {
                let outpoint = payment.outpoint.as_ref();
                payment.state() == PaymentState::Final
                    && outpoint.is_some_and(|outpoint| outpoint.txid == txid.0)
            }))
        })
        .await?;
        Ok(())
    }

    /// Mines blocks, one after the other, and waits until the federation agrees.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn mine(&self, blocks: u32) -> Result<()> {
        let height = self.chain()?.mine(blocks).await?;
        let client = self.client()?;
        until(
            STEP_LIMIT,
            format!("block {height} to be agreed"),
            async || {
                let tip = client.status().await?.chain_tip.unwrap_or_default();
                Ok((tip.height >= height).then_some(()))
            },
        )
        .await
    }

    /// Copayer 1 proposes to pay one or two recipients.
    ///
    /// # Errors
    /// A refusal.
    pub async fn propose_payout(&self, sats: &[u64]) -> Result<Payout> {
        let recipients = RECIPIENTS.iter().zip(sats);
        let recipients: Vec<_> = recipients
            .map(|(address, sats)| ((*address).to_owned(), *sats))
            .collect();
        self.propose_payout_to(&recipients).await
    }

    /// Copayer 1 proposes to pay these addresses.
    ///
    /// # Errors
    /// A refusal.
    pub async fn propose_payout_to(&self, recipients: &[(String, u64)]) -> Result<Payout> {
        let mut arguments = vec!["payout".to_owned(), "propose".to_owned()];
        for (address, sats) in recipients {
            arguments.extend(["--to".to_owned(), format!("{address}={sats}")]);
        }
        arguments.extend(["--purpose", "shares of the demonstration"].map(str::to_owned));
        self.make_payout(arguments).await
    }

    /// Copayer 1 lifts a payout that waits by a child that pays this rate for
    /// both, satoshi for 1000 virtual bytes; the child.
    ///
    /// # Errors
    /// A refusal.
    pub async fn lift_payout(&self, id: &str, fee_rate: u64) -> Result<Payout> {
        let rate = fee_rate.to_string();
        let arguments = ["payout", "bump", id, "--child", "--fee-rate", &rate];
        self.make_payout(arguments.map(str::to_owned).into()).await
    }

    /// What copayer 1 makes with the command line.
    async fn make_payout(&self, mut arguments: Vec<String>) -> Result<Payout> {
        arguments.extend(["--key".to_owned(), self.copayer_file(1, "key")]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let answer = self.cli().json(&arguments).await?;
        let id = answer
            .pointer("/receipt/subject")
            .and_then(serde_json::Value::as_str)
            .context("a receipt without the payout's id")?;
        self.payout(id).await
    }

    /// What the command line says of a payout after checking it.
    ///
    /// # Errors
    /// It does not verify.
    pub async fn review_payout(&self, id: &str) -> Result<String> {
        let said = self.cli().run(&["payout", "review", id]).await?;
        said.ok().context("`dctrl payout review` failed")
    }

    /// A copayer approves with the own member key.
    ///
    /// # Errors
    /// A refusal.
    pub async fn approve_payout(&self, id: &str, copayer: u8) -> Result<()> {
        let key = self.copayer_file(copayer, "key");
        let arguments = ["payout", "approve", id, "--key", &key];
        self.cli().json(&arguments).await.map(drop)
    }

    /// A copayer signs with the own seed file.
    ///
    /// # Errors
    /// A refusal.
    pub async fn sign_payout(&self, id: &str, copayer: u8) -> Result<()> {
        let (key, seed) = (
            self.copayer_file(copayer, "key"),
            self.copayer_file(copayer, "json"),
        );
        let arguments = [
            "payout", "sign", id, "--seed", &seed, "--yes", "--key", &key,
        ];
        self.cli().json(&arguments).await.map(drop)
    }

    /// A copayer takes the PSBT to Electrum and brings it back.
    ///
    /// # Errors
    /// Electrum signs nothing, or what it signed is refused.
    pub async fn sign_with_electrum(&self, id: &str, copayer: u8, python: &Path) -> Result<String> {
        let folder = self.dir().join("electrum");
        fs::create_dir_all(&folder)?;
        let script = folder.join("sign.py");
        fs::write(&script, ELECTRUM_SIGN)?;
        let (unsigned, signed) = (folder.join("unsigned.psbt"), folder.join("signed.psbt"));
        let unsigned_path = unsigned.to_str().context("a path that is no text")?;
        let said = self
            .cli()
            .run(&["payout", "export", id, "--psbt", unsigned_path])
            .await?;
        said.ok().context("`dctrl payout export` failed")?;
        let output = Command::new(python)
            .arg(&script)
            .arg(self.copayer_file(copayer, "json"))
            .arg(self.dir().join("genesis.json"))
            .args([&unsigned, &signed])
            .arg(folder.join("home"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = within(ELECTRUM_LIMIT, "Electrum", async {
            output.await.context("cannot start Electrum's Python")
        })
        .await?;
        if !output.status.success() {
            bail!(
                "Electrum: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let key = self.copayer_file(copayer, "key");
        let signed_path = signed.to_str().context("a path that is no text")?;
        let arguments = ["payout", "import", id, signed_path, "--key", &key];
        self.cli().json(&arguments).await?;
        let txid = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(format!("Electrum has signed {txid}"))
    }

    /// One payout as a node shows it.
    ///
    /// # Errors
    /// No answer.
    pub async fn payout(&self, id: &str) -> Result<Payout> {
        let request = GetPayoutRequest { id: id.to_owned() };
        let reply = self.client()?.grpc().get_payout(request).await?;
        reply
            .into_inner()
            .payout
            .context("an answer without a payout")
    }

    /// Waits until a payout is in one of these states.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn payout_reaches(&self, id: &str, states: &[PayoutState]) -> Result<Payout> {
        until(
            STEP_LIMIT,
            format!("payout {id} to be {states:?}"),
            async || {
                let payout = self.payout(id).await?;
                Ok(states.contains(&payout.state()).then_some(payout))
            },
        )
        .await
    }

    /// Waits until the books count it.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn payout_settles(&self, id: &str) -> Result<Payout> {
        until(STEP_LIMIT, format!("payout {id} to settle"), async || {
            let payout = self.payout(id).await?;
            Ok(payout.settled.then_some(payout))
        })
        .await
    }

    /// Hands the transaction in once more, as a second node that races would;
    /// what the backend says to that.
    ///
    /// # Errors
    /// The backend takes it as new.
    pub async fn broadcast_again(&self, payout: &Payout) -> Result<String> {
        let version = payout.versions.last().context("no transaction")?;
        let refused = match self.chain()? {
            Chain::Bitcoind(chain) => {
                let raw = hex::encode(&version.transaction);
                chain.run(&["sendrawtransaction", &raw]).await.map(drop)
            }
            Chain::Simulated(chain) => {
                let transaction = version.transaction.clone();
                let request = SimSubmitRequest { transaction };
                let sent = chain.grpc().submit(request).await;
                sent.map(drop).map_err(anyhow::Error::from)
            }
        };
        // bitcoind answers a known one that waits with its id.
        Ok(match refused {
            Ok(()) => "known".to_owned(),
            Err(error) => format!("{error:#}"),
        })
    }

    /// How often a node's backend took a payout's transaction as new, as the
    /// nodes' logs say.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn broadcasts(&self, payout: &Payout) -> Result<usize> {
        let txid = hex::encode(&payout.settled_txid);
        let mut found = 0;
        for node in 0..self.len() {
            let log = fs::read_to_string(self.node_log(node))?;
            let lines = log.lines();
            let of = |line: &&str| line.contains("transaction broadcast") && line.contains(&txid);
            found += lines.filter(of).count();
        }
        Ok(found)
    }

    /// Whether the books balance and say that the payout has left the wallet.
    ///
    /// # Errors
    /// No answer.
    pub async fn books_balance(&self, payout: &Payout) -> Result<bool> {
        let (accounts, sum) = self.client()?.balances().await?;
        let balance = |name: &str| {
            let mut all = accounts.iter();
            all.find(|(account, _)| account == name)
                .map_or(0, |(_, sats)| *sats)
        };
        let paid = i64::try_from(payout.amount_sats)?;
        let fee = i64::try_from(payout.reserved_fee_sats)?;
        ensure!(
            balance("expense:payouts") == paid,
            "the books have not paid {paid} sats: {accounts:?}"
        );
        ensure!(
            balance("expense:network-fees") == fee,
            "the fee is not {fee}"
        );
        let owed = balance(&format!("liability:payout:{}", payout.id));
        Ok(sum == 0 && owed == 0)
    }

    fn copayer_file(&self, copayer: u8, extension: &str) -> String {
        let name = format!("copayer-{copayer}.{extension}");
        let path = self.dir().join("keys").join(name);
        path.to_string_lossy().into_owned()
    }
}
