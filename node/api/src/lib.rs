//! Show state to people and programs: the gRPC service of `node.proto`.
//!
//! Every answer about state is read from one store snapshot and names its
//! height. Nothing here changes state: a signed action is handed to the node
//! through [`Gateway::submit`], and its fate is read back from the store.
//! The health service and reflection (v1) stand beside it.
//!
//! Times are milliseconds since the Unix epoch, amounts satoshi.
//! Deliberately absent: the pipeline itself (the node hands in closures),
//! REST, and any decision about who may do what, which is the ledger's.

mod acknowledge;
mod block;
mod dag;
mod follow;
mod gateway;
mod limits;
mod lists;
mod money;
mod page;
mod read;
mod refusal;
mod serve;
mod service;
mod stage;
mod status;

pub use acknowledge::{ActionId, Question, acknowledge};
pub use gateway::{
    Expire, Gateway, Live, LiveStatus, NodeFacts, Progress, ShowWindow, Submit, Waiting,
};
pub use read::ReadError;
pub use serve::{Api, ApiConfig, ServeError, TlsFiles, serve};
