//! Tests of the graph and the election against drawings and a slow reference.

mod claims;
mod differential;
mod drawing;
mod pace;
mod random;
mod reference;
mod twins;
mod world;
