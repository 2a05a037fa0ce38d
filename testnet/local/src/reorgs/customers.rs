//! Customers who choose the coin that they pay with, so that they can take it back,
//! and the machine that they stand at.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    chain::{Bitcoind, Txid},
    federation::{Federation, SLOT_EMPTY},
};

/// What each coin of the customers holds.
const COIN_SATS: u64 = 1_000_000;
/// Fee of a payment, and of what replaces it.
const FEE_SATS: u64 = 1_000;
const HIGH_FEE_SATS: u64 = 5_000;
/// Signals that it may be replaced (BIP-125).
const REPLACEABLE: u32 = 0xffff_fffd;

/// An amount as bitcoind's commands write it, eight decimals, in satoshi.
pub(super) fn sats(text: &str) -> Result<i64> {
    let digits: String = text.chars().filter(|one| *one != '.').collect();
    digits.parse().with_context(|| format!("no amount: {text}"))
}

/// The same of a number in JSON.
pub(super) fn sats_of(amount: &Value) -> Result<i64> {
    let bitcoins = amount.as_f64().context("no amount")?;
    sats(&format!("{bitcoins:.8}"))
}

fn bitcoins(sats: u64) -> String {
    format!("{}.{:08}", sats / 100_000_000, sats % 100_000_000)
}

/// One coin.
#[derive(Debug, Clone)]
struct Coin {
    txid: String,
    vout: u64,
}

/// A payment, and the coin that it spends.
#[derive(Debug, Clone)]
pub(super) struct Paid {
    pub(super) txid: Txid,
    coin: Coin,
}

/// The coins of all customers, in blocks that no round undoes.
pub(super) struct Pool {
    coins: Vec<Coin>,
    change: String,
}

impl Pool {
    /// Splits the payer's money; the coins are in the next block.
    pub(super) async fn split(chain: &Bitcoind, coins: usize) -> Result<Self> {
        let wallet: Value = serde_json::from_str(&chain.run(&["listdescriptors"]).await?)?;
        let all = wallet["descriptors"].as_array().context("no descriptors")?;
        let receiving = all.iter().find(|one| {
            let text = one["desc"].as_str().unwrap_or_default();
            text.starts_with("wpkh(") && one["internal"] == false
        });
        let descriptor = receiving.and_then(|one| one["desc"].as_str());
        let descriptor = descriptor.context("no descriptor for payments")?;
        let range = format!("[0,{}]", coins.saturating_sub(1));
        let said = chain.run(&["deriveaddresses", descriptor, &range]).await?;
        let addresses: Vec<String> = serde_json::from_str(&said)?;
        let amount = bitcoins(COIN_SATS);
        let outputs: Vec<String> = addresses
            .iter()
            .map(|address| format!("\"{address}\":{amount}"))
            .collect();
        let outputs = format!("{{{}}}", outputs.join(","));
        let txid = chain.run(&["sendmany", "", &outputs]).await?;
        let raw = chain
            .run(&["gettransaction", &txid, "true", "true"])
            .await?;
        let sent: Value = serde_json::from_str(&raw)?;
        let outputs = sent["decoded"]["vout"].as_array().context("no outputs")?;
        let mut coins = Vec::new();
        for output in outputs {
            if sats_of(&output["value"])? == i64::try_from(COIN_SATS)? {
                let vout = output["n"].as_u64().context("no position")?;
                let txid = txid.clone();
                coins.push(Coin { txid, vout });
            }
        }
        let change = addresses.into_iter().next().context("no address")?;
        Ok(Self { coins, change })
    }

    /// Pays an address; the transaction waits in the mempool.
    pub(super) async fn pay(&mut self, chain: &Bitcoind, address: &str, sats: u64) -> Result<Paid> {
        let coin = self.coins.pop().context("the customers are poor")?;
        let rest = bitcoins(COIN_SATS - sats - FEE_SATS);
        let outputs = json!([{address: bitcoins(sats)}, {&*self.change: rest}]);
        let txid = send(chain, &coin, &outputs).await?;
        Ok(Paid { txid, coin })
    }

    /// Takes a payment back that waits in the mempool.
    pub(super) async fn take_back(&self, chain: &Bitcoind, paid: &Paid) -> Result<Txid> {
        let all = bitcoins(COIN_SATS - HIGH_FEE_SATS);
        let outputs = json!([{&*self.change: all}]);
        send(chain, &paid.coin, &outputs).await
    }
}

async fn send(chain: &Bitcoind, coin: &Coin, outputs: &Value) -> Result<Txid> {
    let inputs = json!([{"txid": coin.txid, "vout": coin.vout, "sequence": REPLACEABLE}]);
    let (inputs, outputs) = (inputs.to_string(), outputs.to_string());
    let raw = chain
        .run(&["createrawtransaction", &inputs, &outputs])
        .await?;
    let signed = chain.run(&["signrawtransactionwithwallet", &raw]).await?;
    let signed: Value = serde_json::from_str(&signed)?;
    let hex = signed["hex"].as_str().context("nothing was signed")?;
    chain.run(&["sendrawtransaction", hex]).await?.parse()
}

fn pulses_file(federation: &Federation) -> PathBuf {
    federation.agent_dir().join("pulses")
}

/// Makes the machine note each pulse, and drop nothing from one slot.
pub(super) fn lets_a_slot_jam(federation: &Federation) -> Result<()> {
    let script = federation.agent_dir().join("moves.sh");
    let pulses = pulses_file(federation);
    let text = format!(
        "#!/bin/sh\necho \"$3\" >> '{}'\n[ \"$3\" != {SLOT_EMPTY} ]\n",
        pulses.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    fs::write(pulses, "")?;
    let file = federation.agent_dir().join("agent.toml");
    let settings = fs::read_to_string(&file)?;
    let (before, _) = settings
        .split_once("[actuator]")
        .context("no actuator is set")?;
    let actuator = format!(
        "[actuator]\nkind = \"script\"\nscript = \"{}\"\n",
        script.display()
    );
    fs::write(&file, format!("{before}{actuator}"))?;
    Ok(())
}

/// The slot of each pulse, in order.
pub(super) fn pulses(federation: &Federation) -> Result<Vec<String>> {
    let text = fs::read_to_string(pulses_file(federation))?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_every_satoshi_both_ways() {
        assert_eq!(sats("0.00020001").expect("an amount"), 20_001);
        assert_eq!(sats_of(&json!(1e-8)).expect("an amount"), 1);
        assert_eq!(sats_of(&json!(0.29)).expect("an amount"), 29_000_000);
        assert_eq!(bitcoins(100_000_001), "1.00000001");
    }
}
