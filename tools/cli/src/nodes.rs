//! The configured nodes: asked in order until one answers.

use std::{path::Path, time::Duration};

use dctrl_proto::v1::dctrl_client::DctrlClient;
use tonic::{
    Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{failure::Failure, output::Answered};

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a node may take to answer a question about state.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer, bytes: a page of 1000 rows.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A silent connection is checked after this.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A client of one node.
pub type Client = DctrlClient<Channel>;

/// The nodes, in the order in which they are asked.
#[derive(Clone, Debug)]
pub struct Nodes {
    nodes: Vec<(String, Client)>,
}

impl Nodes {
    /// Prepares clients; nothing is connected before the first question.
    ///
    /// # Errors
    /// Where there is no node, or a URL or the authority's file is wrong.
    pub fn new(urls: &[String], authority: Option<&Path>) -> Result<Self, Failure> {
        if urls.is_empty() {
            return Err(Failure::usage(
                "config.nodes",
                "no node to ask: name one with --node, or a dctrl.toml with --config",
            ));
        }
        let nodes = urls
            .iter()
            .map(|url| {
                let client = DctrlClient::new(channel(url, authority)?)
                    .max_decoding_message_size(ANSWER_BYTES_MAX);
                Ok((url.clone(), client))
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Self { nodes })
    }

    /// The nodes' URLs and clients.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Client)> {
        self.nodes
            .iter()
            .map(|(url, client)| (url.as_str(), client.clone()))
    }

    /// Asks one node after the other until one answers or refuses.
    ///
    /// # Errors
    /// The refusal, or what each node suffered from where none answered.
    pub async fn ask<T>(
        &self,
        patience: Duration,
        call: impl AsyncFn(Client) -> Result<Response<T>, Status>,
    ) -> Result<Answered<T>, Failure> {
        let mut troubles = Vec::new();
        for (url, client) in self.iter() {
            let answered = tokio::time::timeout(patience, call(client)).await;
            let failure = match answered {
                Ok(Ok(response)) => {
                    return Ok(Answered {
                        reply: response.into_inner(),
                        answered_by: url.to_owned(),
                    });
                }
                Ok(Err(status)) => Failure::from(status),
                Err(_) => Failure::Unreachable(format!("no answer in {patience:?}")),
            };
            if !failure.is_unavailable() {
                return Err(failure);
            }
            troubles.push((url.to_owned(), failure));
        }
        Err(none_answered(troubles))
    }

    /// Asks for state, with the patience of a question.
    ///
    /// # Errors
    /// As [`Nodes::ask`].
    pub async fn query<T>(
        &self,
        call: impl AsyncFn(Client) -> Result<Response<T>, Status>,
    ) -> Result<Answered<T>, Failure> {
        self.ask(QUERY_TIMEOUT, call).await
    }
}

/// One node's own refusal is the answer; several troubles are listed.
fn none_answered(mut troubles: Vec<(String, Failure)>) -> Failure {
    if troubles.len() == 1
        && let Some((_, refusal @ Failure::Refused(_))) = troubles.pop_if(|_| true)
    {
        return refusal;
    }
    let list: Vec<String> = troubles
        .iter()
        .map(|(url, failure)| format!("{url}: {failure}"))
        .collect();
    Failure::Unreachable(format!("no node answered: {}", list.join("; ")))
}

/// A lazily connected channel to `url`, with TLS where it begins with `https`.
///
/// # Errors
/// Where the URL is wrong, or TLS is asked for without an authority.
pub fn channel(url: &str, authority: Option<&Path>) -> Result<Channel, Failure> {
    let wrong = |message: String| Failure::usage("config.nodes", format!("{url}: {message}"));
    let mut endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| wrong(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .tcp_nodelay(true);
    match endpoint.uri().scheme_str() {
        Some("http") => {}
        Some("https") => {
            let path = authority.ok_or_else(|| wrong("https needs tls_authority".to_owned()))?;
            let pem = std::fs::read(path)
                .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| wrong(error.to_string()))?;
        }
        _ => {
            return Err(wrong(
                "a node's URL begins with http:// or https://".to_owned(),
            ));
        }
    }
    Ok(endpoint.connect_lazy())
}
