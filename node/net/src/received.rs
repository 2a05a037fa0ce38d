//! Take one whole message from a socket.

use zmq::{Message, Socket};

/// A message as it arrived at a ROUTER: routing id, then payload parts.
pub(crate) struct Received {
    /// All parts up to the limit that was asked for.
    pub(crate) parts: Vec<Message>,
    /// There were more parts, which were thrown away.
    pub(crate) excess: bool,
}

impl Received {
    /// The CURVE key that the handshake proved, or nothing where the
    /// authenticator did not vouch for the connection.
    pub(crate) fn sender_key(&mut self) -> Option<[u8; 32]> {
        let user = self.parts.last_mut()?.gets("User-Id")?;
        let mut key = [0; 32];
        hex::decode_to_slice(user, &mut key).ok()?;
        Some(key)
    }

    /// The key that the sender claims, where connections are not encrypted.
    pub(crate) fn claimed_key(&self) -> Option<[u8; 32]> {
        let (mark, key) = self.parts.first()?.split_first()?;
        (*mark == b'=').then(|| key.try_into().ok()).flatten()
    }
}

/// The next message, or nothing when none waits. Keeps at most `parts_max`
/// parts. A message arrives whole or not at all, so this never blocks.
pub(crate) fn receive(socket: &Socket, parts_max: usize) -> zmq::Result<Option<Received>> {
    let mut received = Received {
        parts: Vec::with_capacity(parts_max),
        excess: false,
    };
    loop {
        let part = match socket.recv_msg(zmq::DONTWAIT) {
            Ok(part) => part,
            Err(zmq::Error::EINTR) => continue,
            Err(zmq::Error::EAGAIN) => return Ok(None),
            Err(error) => return Err(error),
        };
        let more = part.get_more();
        if received.parts.len() < parts_max {
            received.parts.push(part);
        } else {
            received.excess = true;
        }
        if !more {
            return Ok(Some(received));
        }
    }
}
