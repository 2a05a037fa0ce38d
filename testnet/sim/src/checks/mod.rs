//! What must hold, each checker in a file of its own, watching the whole
//! federation while it runs.

mod bounds;
mod finality;
mod forks;
mod members;
mod order;

pub(crate) use bounds::Bounds;
pub(crate) use finality::Finality;
pub(crate) use forks::Forks;
pub(crate) use members::Members;
pub(crate) use order::{Order, Ordered};
