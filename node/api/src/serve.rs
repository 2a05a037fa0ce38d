//! Open the door: bind, then serve until told to stop.

use std::{future::Future, io, net::SocketAddr, path::PathBuf};

use dctrl_proto::{DESCRIPTORS, v1::dctrl_server::DctrlServer};
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tonic::transport::{
    Identity, Server, ServerTlsConfig,
    server::{Router, TcpIncoming},
};

use crate::{Gateway, limits, service::Service};

/// Where and how the API listens.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Needed where `listen` is not a loopback address.
    pub tls: Option<TlsFiles>,
}

/// PEM files of a server certificate.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why the API could not be opened, or ended early.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Requests and answers would cross the network in clear.
    #[error("{0} is not a loopback address, so the API needs TLS: set a certificate and a key")]
    PlainOutside(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen on {listen}")]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A TLS file cannot be read.
    #[error("cannot read {path}")]
    TlsFile {
        /// The file at fault.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS files are no valid certificate and key.
    #[error("the TLS certificate or key is not valid")]
    Tls(#[source] tonic::transport::Error),
    /// The reflection service could not be made from the descriptors.
    #[error("the service descriptors are not valid")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The server stopped by itself.
    #[error("the API server failed")]
    Transport(#[source] tonic::transport::Error),
    /// The server's task panicked or was aborted.
    #[error("the API server's task ended early")]
    Task(#[source] tokio::task::JoinError),
}

/// A running API.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Api {
    /// The address it really listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the server has ended after its shutdown future did.
    ///
    /// # Errors
    /// What made it end otherwise.
    pub async fn join(self) -> Result<(), ServeError> {
        self.task.await.map_err(ServeError::Task)?
    }
}

/// Binds the address and serves `gateway` on a task until `shutdown` ends.
/// When this returns, clients can connect.
///
/// # Errors
/// [`ServeError`], for everything that can be wrong before the first request.
pub async fn serve(
    config: ApiConfig,
    gateway: Gateway,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Api, ServeError> {
    if config.tls.is_none() && !config.listen.ip().is_loopback() {
        return Err(ServeError::PlainOutside(config.listen));
    }
    let mut server = bounded_server();
    if let Some(files) = &config.tls {
        server = server.tls_config(tls(files)?).map_err(ServeError::Tls)?;
    }
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(ServeError::Reflection)?;

    let bind = |source| ServeError::Bind {
        listen: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;

    let (health_reporter, health) = tonic_health::server::health_reporter();
    let (stop, stopped) = watch::channel(false);
    let service = DctrlServer::new(Service::new(gateway, stopped))
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX);
    health_reporter.set_serving::<DctrlServer<Service>>().await;

    let router = server
        .add_service(health)
        .add_service(reflection)
        .add_service(service);
    let task = tokio::spawn(run(router, listener, stop, shutdown, health_reporter));
    tracing::info!(%address, tls = config.tls.is_some(), "api listens");
    Ok(Api { address, task })
}

async fn run(
    router: Router,
    listener: TcpListener,
    stop: watch::Sender<bool>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    health: tonic_health::server::HealthReporter,
) -> Result<(), ServeError> {
    let mut over = stop.subscribe();
    let signal = async move {
        shutdown.await;
        health.set_not_serving::<DctrlServer<Service>>().await;
        // Waiting calls and streams end now, else the server would wait for them.
        let _ = stop.send(true);
    };
    let serving = router
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), signal);
    let late = async {
        // An error means that the sender is gone, which is the end as well.
        let _ = over.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(limits::SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        ended = serving => ended.map_err(ServeError::Transport),
        () = late => {
            tracing::warn!("clients kept their connections open; they are dropped");
            Ok(())
        }
    }
}

fn bounded_server() -> Server {
    Server::builder()
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(limits::PENDING_RESETS_MAX))
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
}

fn tls(files: &TlsFiles) -> Result<ServerTlsConfig, ServeError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| ServeError::TlsFile {
            path: path.clone(),
            source,
        })
    };
    let identity = Identity::from_pem(read(&files.certificate)?, read(&files.key)?);
    Ok(ServerTlsConfig::new().identity(identity))
}
