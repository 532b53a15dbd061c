//! What a stream goes over, as its driver sees it: a socket, or what stands for one behind HTTP.

use super::Handshake;
use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use xmpp::StreamError;

/// Takes what comes in while something is written.
pub(crate) trait Ahead: Send {
    fn wants_more(&self) -> bool;
    fn take(&mut self, bytes: &[u8]);
}

pub(crate) trait Line: Send {
    /// Hands what came in to `take`, and as how many bytes of the line it counts. `false` at the end: the
    /// peer sends nothing more.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnMut(&[u8], usize),
    ) -> Poll<io::Result<bool>>;

    /// Writes all of it: whole elements. Where the peer takes nothing, a line that can hands what comes in to
    /// `ahead`, as long as that wants more.
    fn write(
        &mut self,
        bytes: &[u8],
        ahead: impl Ahead,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Says goodbye on every layer below the stream.
    fn close(&mut self) -> impl Future<Output = ()> + Send;

    /// Answers the goodbye that the peer said below the stream, if it said one. Comes after the end.
    fn part(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The peer has authenticated, and may say more at once.
    fn trust(&mut self) {}

    /// Whether the peer waits for something that goes out with the next write and is no part of the stream.
    fn owes(&self) -> bool {
        false
    }

    /// What is wrong with what came in, where that cannot be told by what it says.
    fn fault(&mut self) -> Option<StreamError> {
        None
    }

    /// Begins TLS.
    fn negotiate_tls(
        &mut self,
        _: Handshake,
        _: Duration,
    ) -> impl Future<Output = io::Result<()>> + Send {
        // Never asked for: nothing is offered TLS that is inside of it.
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// The TLS that was begun.
    fn tls(&self) -> Option<&TlsStream<TcpStream>> {
        None
    }
}
