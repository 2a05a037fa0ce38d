//! Signing with a device, by a program that speaks as HWI's command line does:
//! `enumerate` lists the devices, `signtx` gives a PSBT to one of them; both
//! answer with one JSON value.

use std::{process::Stdio, time::Duration};

use bitcoin::{
    Network, Psbt,
    base64::{Engine, engine::general_purpose::STANDARD},
    bip32::Fingerprint,
};
use clap::Args;
use dctrl_wallet::{PSBT_BYTES_MAX, Wallet};
use serde::Deserialize;
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

use crate::failure::Failure;

/// Longest answer, bytes: a PSBT in base64, and a little around it.
const ANSWER_BYTES_MAX: usize = 2 * PSBT_BYTES_MAX;
/// How long the devices may take to say who they are.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long somebody may read on a device's screen before pressing its button.
const SIGN_TIMEOUT: Duration = Duration::from_secs(900);

/// Which device signs.
#[derive(Args, Clone, Debug)]
pub(super) struct SignerArgs {
    /// Sign with this program, which speaks HWI's protocol, such as "hwi"; its words are
    /// separated by blanks
    // Not required of who gives a seed instead; `sign` wants one of the two.
    #[arg(long, value_name = "COMMAND", required = false)]
    signer_command: String,
    /// Which device, by its master key, where several hold a key of the wallet
    #[arg(long, value_name = "FINGERPRINT", requires = "signer_command")]
    device: Option<Fingerprint>,
}

/// A device, as `enumerate` lists it.
#[derive(Debug, Deserialize)]
struct Device {
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(default)]
    model: String,
    #[serde(default)]
    error: Option<String>,
}

/// What `signtx` answers.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    psbt: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// The bytes of the PSBT that the device gives back, still to be checked.
///
/// # Errors
/// The program fails, or no device holds a key of the wallet.
pub(super) async fn sign(
    args: &SignerArgs,
    wallet: &Wallet,
    ordered: &Psbt,
) -> Result<Vec<u8>, Failure> {
    let chain = chain(wallet.network());
    let command = args.signer_command.as_str();
    let listed: Vec<Device> = call(command, &["--chain", chain, "enumerate"], LIST_TIMEOUT).await?;
    let fingerprint = chosen(&listed, wallet, args.device)?.to_string();
    eprintln!("look at the device {fingerprint}");
    let psbt = ordered.to_string();
    let arguments = [
        "--chain",
        chain,
        "--fingerprint",
        &fingerprint,
        "signtx",
        &psbt,
    ];
    let answer: Answer = call(command, &arguments, SIGN_TIMEOUT).await?;
    if let Some(error) = answer.error {
        return Err(wrong(format!("{fingerprint}: {error}")));
    }
    let psbt = answer.psbt.unwrap_or_default();
    STANDARD
        .decode(psbt.trim())
        .ok()
        .filter(|psbt| !psbt.is_empty())
        .ok_or_else(|| wrong(format!("{fingerprint} gave no PSBT back")))
}

/// A network in the program's words.
fn chain(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "main",
        Network::Regtest => "regtest",
        Network::Signet => "signet",
        _ => "test",
    }
}

/// The one device that holds a key of the wallet, or the one asked for.
fn chosen(
    listed: &[Device],
    wallet: &Wallet,
    wanted: Option<Fingerprint>,
) -> Result<Fingerprint, Failure> {
    let own = |device: &Device| {
        let fingerprint: Fingerprint = device.fingerprint.as_ref()?.parse().ok()?;
        let mut keys = wallet.keys().iter();
        keys.any(|key| key.fingerprint == fingerprint)
            .then_some(fingerprint)
    };
    let fits = |fingerprint: &Fingerprint| wanted.is_none_or(|wanted| wanted == *fingerprint);
    let found: Vec<Fingerprint> = listed.iter().filter_map(own).filter(fits).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let said = listed.iter().map(|device| {
                let print = device.fingerprint.as_deref().unwrap_or("locked");
                let error = device.error.as_deref().unwrap_or_default();
                format!("{print} {} {error}", device.model)
                    .trim_end()
                    .to_owned()
            });
            let said: Vec<String> = said.collect();
            let said = if said.is_empty() {
                "none".to_owned()
            } else {
                said.join(", ")
            };
            Err(wrong(format!(
                "no device holds such a key of the wallet; found: {said}"
            )))
        }
        _ => {
            let all: Vec<String> = found.iter().map(ToString::to_string).collect();
            Err(wrong(format!("name one with --device: {}", all.join(", "))))
        }
    }
}

/// Runs the program once; what it says on standard error is for people.
async fn call<T: serde::de::DeserializeOwned>(
    command: &str,
    arguments: &[&str],
    limit: Duration,
) -> Result<T, Failure> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| wrong("no program is named"))?;
    let mut child = Command::new(program)
        .args(words)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| wrong(format!("{program}: {error}")))?;
    let Some(out) = child.stdout.take() else {
        return Err(wrong("its output is closed"));
    };
    let mut said = Vec::new();
    let run = async {
        let most = ANSWER_BYTES_MAX as u64 + 1;
        out.take(most).read_to_end(&mut said).await?;
        if said.len() > ANSWER_BYTES_MAX {
            return Ok(None);
        }
        child.wait().await.map(Some)
    };
    let ended = timeout(limit, run)
        .await
        .map_err(|_| Failure::Deadline(format!("{program} did not answer")))?
        .map_err(|error| wrong(format!("{program}: {error}")))?;
    if ended.is_none() {
        return Err(wrong(format!(
            "{program} said more than {ANSWER_BYTES_MAX} bytes"
        )));
    }
    // Some failures come as JSON with an exit code, others without any words.
    serde_json::from_slice(said.trim_ascii()).map_err(|error| {
        let first: String = String::from_utf8_lossy(&said).chars().take(200).collect();
        wrong(format!(
            "{program} gave no answer that can be read ({error}): {first:?}"
        ))
    })
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::usage("payout.signer", message)
}

#[cfg(test)]
mod tests;
