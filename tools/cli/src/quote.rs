//! A quote that may be paid: its address is shown only when a quorum has
//! signed it and it really belongs to the federation's wallet.

use std::{ops::ControlFlow, str::FromStr, time::Duration};

use bitcoin::Network;
use dctrl_proto::v1::{Genesis, Stage, Vend, VendState};
use miniscript::{Descriptor, DescriptorPublicKey};
use serde::Serialize;

use crate::{
    commands::vend::vend_of,
    context::Context,
    failure::Failure,
    follow::{Wanted, follow},
    invoice,
    output::Answered,
    submit::Outcome,
    verify::Signatures,
};

/// How long the certified frame of a final quote may take to arrive.
pub(crate) const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// A certified quote.
#[derive(Debug, Serialize)]
pub struct Quote {
    /// The vend as the federation signed it.
    pub vend: Vend,
    /// BIP-21.
    pub uri: String,
    /// Who signed.
    #[serde(rename = "final")]
    pub signatures: Signatures,
    /// In hexadecimal.
    pub action_id: String,
    /// In hexadecimal, for `--request-id`.
    pub request_id: String,
    /// What makes a guest's credit spendable; nobody else knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_code: Option<String>,
}

/// Fetches the certified frame behind a final quote and checks its address.
/// None where the caller did not wait until the quote was final.
///
/// # Errors
/// Where no node brings the frame, or the address is not the federation's.
pub async fn certified(
    context: &mut Context,
    machine: &str,
    outcome: &Answered<Outcome>,
) -> Result<Option<Answered<Quote>>, Failure> {
    let reply = &outcome.reply.reply;
    let Some(receipt) = reply
        .receipt
        .as_ref()
        .filter(|_| reply.stage() == Stage::Final)
    else {
        return Ok(None);
    };
    let wanted = Wanted {
        after_height: receipt.height.saturating_sub(1),
        topics: vec![format!("vend.{machine}")],
        patient: false,
    };
    let mut found = None;
    let search = follow(context, &wanted, |_, verified| {
        // Only from Reserved on is a unit held for whoever pays.
        let reserved =
            |vend: &&Vend| vend.id == receipt.subject && vend.state() != VendState::Quoted;
        match vend_of(verified).filter(reserved) {
            Some(vend) => {
                found = Some((vend.clone(), verified.signatures));
                Ok(ControlFlow::Break(()))
            }
            None => Ok(ControlFlow::Continue(())),
        }
    });
    tokio::time::timeout(FRAME_TIMEOUT, search)
        .await
        .map_err(|_| Failure::Deadline("no node sent the certified quote".to_owned()))??;
    let Some((vend, signatures)) = found else {
        return Err(Failure::Unreachable(
            "no node sent the certified quote".to_owned(),
        ));
    };
    check_address(context.genesis()?, vend.address_index, &vend.address)?;
    Ok(Some(Answered {
        reply: Quote {
            uri: invoice::uri(&vend.address, vend.price_sats),
            vend,
            signatures,
            action_id: hex::encode(&reply.action_id),
            request_id: outcome.reply.request_id.clone(),
            claim_code: None,
        },
        answered_by: outcome.answered_by.clone(),
    }))
}

/// The address must be the wallet's own at its index.
pub(crate) fn check_address(genesis: &Genesis, index: u32, given: &str) -> Result<(), Failure> {
    let wrong = |message: String| Failure::Unverified {
        rule: "quote.address",
        message,
    };
    let derived = address(genesis, index).map_err(|error| wrong(format!("{error:#}")))?;
    if derived == given {
        Ok(())
    } else {
        Err(wrong(format!(
            "{given} is not the federation's address {index}"
        )))
    }
}

fn address(genesis: &Genesis, index: u32) -> anyhow::Result<String> {
    let network = Network::from_str(&genesis.network)?;
    let descriptor = Descriptor::<DescriptorPublicKey>::from_str(&genesis.descriptor)?;
    Ok(descriptor
        .at_derivation_index(index)?
        .address(network)?
        .to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testnet::wallet::Wallet;

    #[test]
    fn an_address_outside_the_wallet_is_refused() {
        let wallet = Wallet::from_seeds(&[[1; 32], [2; 32], [3; 32]]).unwrap();
        let genesis = Genesis {
            network: "regtest".into(),
            descriptor: wallet.descriptor,
            ..Genesis::default()
        };
        let own = address(&genesis, 7).unwrap();
        assert!(own.starts_with("bcrt1q"));
        check_address(&genesis, 7, &own).unwrap();
        assert!(matches!(
            check_address(&genesis, 8, &own),
            Err(Failure::Unverified {
                rule: "quote.address",
                ..
            })
        ));
    }
}
