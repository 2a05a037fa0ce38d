//! Ports of a node's loopback, reached from ours.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener as Listener},
    path::PathBuf,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

/// Connections through one door at a time.
const CONNECTIONS_MAX: usize = 256;

/// Listens here, and connects there. Dropping it ends every connection.
#[derive(Debug)]
pub(super) struct Doors {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Doors {
    /// Opens each of `ports` here, for the same port there.
    ///
    /// # Errors
    /// Where a port is in use or the namespace cannot be entered.
    pub(super) fn open(namespace: &str, ports: &[u16]) -> Result<Self> {
        // Sockets stay in the namespace in which they were made.
        let listeners = ports
            .iter()
            .map(|port| {
                let listener = Listener::bind((Ipv4Addr::LOCALHOST, *port))?;
                listener.set_nonblocking(true)?;
                Ok((listener, *port))
            })
            .collect::<std::io::Result<Vec<_>>>()
            .context("a node's port is in use")?;
        let namespace = PathBuf::from(namespace);
        let inner = File::open(&namespace).with_context(|| namespace.display().to_string())?;
        let (stop, stopped) = oneshot::channel();
        let (entered, enters) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            // A thread has a network of its own; the others stay where they are.
            let there = setns(inner, CloneFlags::CLONE_NEWNET);
            let went = there.is_ok();
            let _ = entered.send(there.map_err(std::io::Error::from));
            if went {
                serve(listeners, stopped);
            }
        });
        enters
            .recv()
            .context("the doors' thread ended")?
            .context("a node's network cannot be entered")?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listeners: Vec<(Listener, u16)>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let mut doors = JoinSet::new();
        for (listener, port) in listeners {
            if let Ok(listener) = TcpListener::from_std(listener) {
                doors.spawn(door(listener, port));
            }
        }
        // An error, since the other end is dropped, which is how it stops.
        let _ = stopped.await;
    });
}

async fn door(listener: TcpListener, port: u16) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let Ok((mut outer, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        connections.spawn(async move {
            // Nobody listens there while the node is down.
            if let Ok(mut inner) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                // Each question would wait for the answer to the one before.
                let _ = (outer.set_nodelay(true), inner.set_nodelay(true));
                let _ = copy_bidirectional(&mut outer, &mut inner).await;
            }
        });
    }
}
