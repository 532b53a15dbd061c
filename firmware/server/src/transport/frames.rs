//! A client's stream in frames, over a WebSocket (RFC 7395). The web makes the handshake and hands over what
//! it came on; the session behind it is the same as everybody's. Idle, it has the socket and some numbers:
//! what comes is read through the buffer of the thread, as over TCP.

mod inbox;
mod limits;

use super::{
    Ahead, Line,
    socket::Socket,
    tcp::{self, House, Serving},
};
use crate::{
    connection::{Connection, Door, Peer},
    limits::{CLOSE_MS_MAX, OUTPUT_BYTES_PAUSE},
    listen::Admission,
};
use inbox::{End, Inbox};
use limits::{CLOSE_ANSWER_MS_MAX, FRAME_BYTES_MAX};
use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use xmpp::{StreamError, framing, sasl::ChannelBindings, websocket};

/// Who comes in over the web.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub address: IpAddr,
    /// Of the TLS connection below.
    pub bindings: ChannelBindings,
}

/// Serves a client to its end. `first` came on the socket already.
pub(crate) fn serve(
    house: Arc<House>,
    (socket, first): (Socket, Vec<u8>),
    visitor: Visitor,
    admission: Admission,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = Connection> + Send {
    let peer = Peer {
        address: visitor.address,
        door: Door::Secured,
    };
    let mut connection = Connection::new(house.server.clone(), peer);
    connection.secured(visitor.bindings);
    connection.arrived(b"", first.len());
    let how = Serving {
        address: visitor.address,
        direct: false,
        admission: Some(admission),
        stop,
    };
    let line = Framed {
        socket,
        inbox: Inbox::new(first),
    };
    tcp::serve(house, line, connection, how)
}

struct Framed {
    socket: Socket,
    inbox: Inbox,
}

impl Line for Framed {
    /// What whole messages there are in one read.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&[u8], usize),
    ) -> Poll<io::Result<bool>> {
        if let Some(goes_on) = self.inbox.go_on(|said| take(said, 0)) {
            return Poll::Ready(Ok(goes_on));
        }
        let inbox = &mut self.inbox;
        self.socket.poll_bytes(cx, |bytes| {
            // Whatever they are: pings, and parts of what never becomes whole.
            take(b"", bytes.len());
            inbox.arrived(bytes, |said| take(said, 0))
        })
    }

    /// All of it at once where it is not much, so that it fills as few packets as it can.
    async fn write(&mut self, bytes: &[u8], _: impl Ahead) -> io::Result<()> {
        let mut frames = Vec::new();
        if let Some(ping) = self.inbox.ping.take() {
            websocket::write_pong(&ping, &mut frames);
        }
        let wrong = |error: StreamError| io::Error::other(error.condition);
        for piece in framing::pieces(bytes).map_err(wrong)? {
            match piece.map_err(wrong)?.into_frame() {
                Some(text) => websocket::write_text(&text, &mut frames),
                None => websocket::write_ping(&mut frames), // white space is none (§3.8)
            }
            if frames.len() >= OUTPUT_BYTES_PAUSE {
                self.socket.write(&frames, Deaf).await?;
                frames.clear();
            }
        }
        self.socket.write(&frames, Deaf).await
    }

    /// RFC 6455 §7.1: a goodbye each, and then TLS and TCP are closed.
    async fn close(&mut self) {
        let (code, is_answered) = match self.inbox.end {
            Some(End::Goodbye(code)) => (code, true),
            Some(End::Fault { code, .. }) => (Some(code), false),
            None => (Some(websocket::NORMAL), false),
        };
        let goodbye = async {
            let mut frame = Vec::new();
            websocket::write_close(code, &mut frame);
            self.socket.write(&frame, Deaf).await?;
            if !is_answered {
                let limit = Duration::from_millis(CLOSE_ANSWER_MS_MAX);
                let _ = timeout(limit, self.until_goodbye()).await;
            }
            self.socket.close().await;
            io::Result::Ok(())
        };
        // Whatever goes wrong now, the connection ends.
        let _ = timeout(Duration::from_millis(CLOSE_MS_MAX), goodbye).await;
    }

    /// RFC 6455 §5.5.1: a goodbye is answered.
    async fn part(&mut self) {
        if let Some(End::Goodbye(_)) = self.inbox.end {
            self.close().await;
        }
    }

    fn trust(&mut self) {
        self.inbox.message_bytes_max = FRAME_BYTES_MAX;
    }

    fn owes(&self) -> bool {
        self.inbox.ping.is_some()
    }

    fn fault(&mut self) -> Option<StreamError> {
        self.inbox.fault.take()
    }
}

impl Framed {
    /// Reads, and forgets, what the peer had sent before it heard ours.
    async fn until_goodbye(&mut self) {
        if let Some(End::Fault { code, .. }) = self.inbox.end
            && code != websocket::NORMAL
        {
            // Where its next frame begins is not known: whatever it says now may be the goodbye.
            let _ = poll_fn(|cx| self.socket.poll_bytes(cx, |_| true)).await;
            return;
        }
        while !matches!(self.inbox.end, Some(End::Goodbye(_))) {
            self.inbox.end = None; // it need not make more sense than before
            match poll_fn(|cx| self.poll_read(cx, |_, _| {})).await {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
        }
    }
}

/// Nothing is read while something is written to a client.
struct Deaf;

impl Ahead for Deaf {
    fn wants_more(&self) -> bool {
        false
    }

    fn take(&mut self, _: &[u8]) {}
}

#[cfg(test)]
mod tests;
