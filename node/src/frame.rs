//! Several messages in one frame of gossip.
//!
//! What a node says to the same peers at once goes in one frame: an own event
//! and the block signatures beside it. A frame costs a wake-up and two sealed
//! boxes at each end, far more than its bytes.
//!
//! A message alone is its own frame. Several are a byte that no message begins
//! with, and each message behind its length as u32, big-endian. Deliberately
//! absent: any look into the messages.

use bytes::{BufMut, Bytes, BytesMut};
use dctrl_consensus::{DecodeError, message::MESSAGE_VERSION};

/// The first byte of a frame of several messages.
const JOINED: u8 = 0;

/// Bytes of a length.
const LENGTH_BYTES: usize = 4;

/// Messages in one frame: an event, its signatures, and what else was due.
pub(crate) const MESSAGES_MAX: usize = 8;

const _: () = assert!(JOINED != MESSAGE_VERSION);

/// How long a frame of these messages is.
pub(crate) fn length(messages: &[Bytes]) -> usize {
    let length = |message: &Bytes| LENGTH_BYTES + message.len();
    1 + messages.iter().map(length).sum::<usize>()
}

/// One frame of at most [`MESSAGES_MAX`] messages.
pub(crate) fn join(messages: &[Bytes]) -> Bytes {
    if let [alone] = messages {
        return alone.clone();
    }
    let mut frame = BytesMut::with_capacity(length(messages));
    frame.put_u8(JOINED);
    for message in messages {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        frame.put_u32(length);
        frame.put_slice(message);
    }
    frame.freeze()
}

/// The messages of a frame.
///
/// # Errors
/// Where the lengths do not fit or there are too many.
pub(crate) fn split(frame: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    let Some((&JOINED, mut rest)) = frame.split_first() else {
        return Ok(vec![frame]);
    };
    let mut messages = Vec::new();
    while !rest.is_empty() {
        if messages.len() == MESSAGES_MAX {
            return Err(DecodeError::TooLarge {
                what: "messages of a frame",
                actual: MESSAGES_MAX as u64 + 1,
                bound: MESSAGES_MAX as u64,
            });
        }
        let (length, behind) = rest.split_first_chunk().ok_or(DecodeError::Short)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (message, behind) = behind.split_at_checked(length).ok_or(DecodeError::Short)?;
        messages.push(message);
        rest = behind;
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_comes_apart_as_it_was() {
        let one = Bytes::from_static(&[MESSAGE_VERSION, 7, 7]);
        let two = Bytes::from_static(&[MESSAGE_VERSION]);
        assert_eq!(join(std::slice::from_ref(&one)), one);
        assert_eq!(split(&one), Ok(vec![one.as_ref()]));
        let frame = join(&[one.clone(), two.clone()]);
        assert_eq!(frame.len(), length(&[one.clone(), two.clone()]));
        assert_eq!(split(&frame), Ok(vec![one.as_ref(), two.as_ref()]));
    }

    #[test]
    fn a_frame_that_lies_about_lengths_or_holds_too_many_is_refused() {
        assert_eq!(split(&[JOINED, 0, 0, 0, 2, 1]), Err(DecodeError::Short));
        assert_eq!(split(&[JOINED, 0, 0]), Err(DecodeError::Short));
        let many = vec![Bytes::from_static(&[MESSAGE_VERSION]); MESSAGES_MAX + 1];
        assert!(split(&join(&many[1..])).is_ok());
        let refused = split(&join(&many)).is_err();
        assert!(refused);
        assert_eq!(split(&[]), Ok(vec![[].as_slice()]));
    }
}
