//! Payouts: what may be paid, who decides, who signs, and what the chain does.

mod chain;
mod consolidation;
mod life;
mod lift;
mod owed;
mod returned;
mod room;
mod rules;
mod standing;
mod vanished;
