//! A client's stream in frames, over a WebSocket (RFC 7395). The socket and its handshake are the web's; the
//! session behind it is the same as everybody's.

use super::{
    Ahead, Line,
    tcp::{self, House, Serving},
};
use crate::{
    connection::{Connection, Door, Peer},
    limits::{CLOSE_MS_MAX, WRITE_STALL_MS_MAX},
    listen::Admission,
};
use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use xmpp::{
    StreamError,
    framing::{self, Piece},
    sasl::ChannelBindings,
};

/// What frames go over.
pub trait Frames: Send {
    /// The next frame, with text or without; `None` when the peer is gone or has said goodbye.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame>>>;

    /// Sends a frame of text.
    fn send(&mut self, text: String) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends something that carries no text, to see whether anybody is there.
    fn ping(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Says goodbye.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    /// A sign of life.
    Pong,
    /// Bytes that are no text: not of this protocol (§3.2).
    Binary,
}

/// Who comes in over the web.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub address: IpAddr,
    /// Of the TLS connection below.
    pub bindings: ChannelBindings,
}

/// Serves a client to its end.
pub(crate) async fn serve(
    house: Arc<House>,
    frames: impl Frames,
    visitor: Visitor,
    admission: Admission,
    stop: watch::Receiver<bool>,
) {
    let peer = Peer {
        address: visitor.address,
        door: Door::Secured,
    };
    let mut connection = Connection::new(house.server.clone(), peer);
    connection.secured(visitor.bindings);
    let how = Serving {
        address: visitor.address,
        direct: false,
        admission: Some(admission),
        stop,
    };
    let line = Framed {
        frames,
        fault: None,
    };
    tcp::serve(house, line, connection, how).await;
}

struct Framed<F> {
    frames: F,
    fault: Option<StreamError>,
}

impl<F: Frames> Line for Framed<F> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<bool>> {
        let Some(frame) = ready!(self.frames.poll_frame(cx))? else {
            return Poll::Ready(Ok(false));
        };
        let put = match &frame {
            Frame::Text(text) => framing::put(text),
            Frame::Pong => Ok("".into()),
            Frame::Binary => Err(StreamError::BAD_FORMAT),
        };
        match put {
            Ok(bytes) => take(bytes.as_bytes()),
            Err(error) => {
                take(b"");
                self.fault = Some(error);
            }
        }
        Poll::Ready(Ok(true))
    }

    async fn write(&mut self, bytes: &[u8], _: impl Ahead) -> io::Result<()> {
        let cut = framing::cut(bytes);
        let pieces = cut.map_err(|error| io::Error::other(error.condition))?;
        let all = async {
            for piece in pieces {
                match piece {
                    Piece::Space => self.frames.ping().await?,
                    piece => {
                        if let Some(text) = piece.into_frame() {
                            self.frames.send(text).await?;
                        }
                    }
                }
            }
            Ok(())
        };
        timeout(Duration::from_millis(WRITE_STALL_MS_MAX), all).await?
    }

    async fn close(&mut self) {
        self.frames.close().await;
        // The peer's goodbye, and what it sent before it.
        let goodbye = poll_fn(|cx| {
            while ready!(self.frames.poll_frame(cx)).ok().flatten().is_some() {}
            Poll::Ready(())
        });
        let _ = timeout(Duration::from_millis(CLOSE_MS_MAX), goodbye).await;
    }

    fn fault(&mut self) -> Option<StreamError> {
        self.fault.take()
    }
}
