//! Watch exchanges for the price of a bitcoin.
//!
//! Sources are polled, judged ([`agree`]) and their median is said as
//! `price.observe`; a fixed rate needs no source. The federation takes the
//! median of all nodes; this room only keeps one node's view honest.
//!
//! Where a source's answers say of when their price is, that is its age; the
//! others count from when they answered, so that one whose price stands still is
//! noticed only once it stands apart from the rest.
//!
//! A view is said when there is none yet, when it has moved by more than
//! 0.1 %, and when what this node said last, or what the federation agreed on,
//! is half as old as the policy allows. So an idle federation with fixed rates
//! stays quiet for half of that age.

mod agree;
mod decimal;
mod fixed;
mod json;
mod notifier;
mod shape;
mod source;

pub use agree::{Excluded, Limits, Quote};
pub use decimal::{DecimalError, minor_units};
pub use fixed::{FixedRate, FixedRateError};
pub use notifier::{PriceNotifierConfig, start};
pub use shape::{Shape, ShapeError, TimeAt, TimeUnit};
pub use source::{Source, SourceError};
