//! The services over real sockets on the loopback interface.

#[cfg(test)]
mod bus;
#[cfg(test)]
mod door;
#[cfg(test)]
mod gossip;
#[cfg(test)]
mod lost_peers;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod support;
