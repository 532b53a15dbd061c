//! What comes in over a WebSocket: frames to what a stream says, within limits, and what is no part of it.

use super::limits::{FRAME_BYTES_MAX, STRANGERS_FRAME_BYTES_MAX};
use xmpp::{
    StreamError, framing,
    websocket::{self, Decoder, Fault, Message, Unread},
};

pub(super) struct Inbox {
    decoder: Decoder,
    /// Of one message, and of all fragments of one.
    pub(super) message_bytes_max: usize,
    /// Has come, and is looked at before anything more is read.
    rest: Option<Vec<u8>>,
    /// Why nothing more is read.
    pub(super) end: Option<End>,
    /// What is wrong, until it is told.
    pub(super) fault: Option<StreamError>,
    /// The payload of a question that is yet to be answered; of several, of the last (RFC 6455 §5.5.3).
    pub(super) ping: Option<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer's.
    Goodbye(Option<u16>),
    /// With the code of our goodbye.
    Fault { code: u16, error: StreamError },
}

impl From<Fault> for End {
    fn from(fault: Fault) -> End {
        End::Fault {
            code: fault.code(),
            error: fault.error(),
        }
    }
}

impl Inbox {
    /// Of a stranger, of whom `first` has come.
    pub(super) fn new(first: Vec<u8>) -> Inbox {
        Inbox {
            decoder: Decoder::default(),
            message_bytes_max: STRANGERS_FRAME_BYTES_MAX,
            rest: (!first.is_empty()).then_some(first),
            end: None,
            fault: None,
            ping: None,
        }
    }

    /// Looks at what was left the last time: whether the peer is there, or `None` where more is to be read.
    pub(super) fn go_on(&mut self, take: impl FnMut(&[u8])) -> Option<bool> {
        if self.end.is_some() {
            return Some(self.tell_end());
        }
        let mut rest = self.rest.take()?;
        Some(self.work(&mut rest, take))
    }

    /// Hands on what has come. `false` when the peer is gone, or has said goodbye.
    pub(super) fn arrived(&mut self, bytes: &mut [u8], take: impl FnMut(&[u8])) -> bool {
        !bytes.is_empty() && self.work(bytes, take)
    }

    fn work(&mut self, bytes: &mut [u8], mut take: impl FnMut(&[u8])) -> bool {
        let mut bytes = Unread::new(bytes);
        let mut has_taken = false;
        while self.end.is_none() {
            match self.decoder.next(&mut bytes, self.message_bytes_max) {
                Ok(None) => return true,
                Ok(Some(Message::Text(text))) => match framing::put(&text) {
                    Ok(put) => {
                        take(put.as_bytes());
                        has_taken = true;
                    }
                    Err(error) => self.end = Some(of_the_stream(error)),
                },
                Ok(Some(Message::Ping(payload))) => self.ping = Some(payload.into_owned()),
                Ok(Some(Message::Pong)) => {}
                Ok(Some(Message::Close(code))) => self.end = Some(End::Goodbye(code)),
                // What is before it may be a login, after which it is not too large.
                Err(Fault::TooLarge) if has_taken && self.message_bytes_max < FRAME_BYTES_MAX => {
                    self.rest = Some(bytes.rest().to_vec());
                    return true;
                }
                Err(fault) => self.end = Some(fault.into()),
            }
        }
        // What was said before is worked off first.
        has_taken || self.tell_end()
    }

    fn tell_end(&mut self) -> bool {
        match self.end {
            Some(End::Fault { error, .. }) => {
                self.fault = Some(error);
                true
            }
            Some(End::Goodbye(_)) | None => false,
        }
    }
}

/// The frames are right, and what is in them is not.
fn of_the_stream(error: StreamError) -> End {
    End::Fault {
        code: websocket::NORMAL,
        error,
    }
}
