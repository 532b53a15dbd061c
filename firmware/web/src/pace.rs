//! Whether something happens on a connection: the bytes that pass are counted. One on which hardly any do for
//! minutes, while the peer has something to take or to send, is not kept open.

use crate::limits::{PACE_BYTES_MIN, PACE_PERIOD};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};

/// A connection whose bytes are counted, both ways.
pub(crate) struct Paced<S> {
    socket: S,
    pace: Arc<Pace>,
}

/// What has passed, and what does not.
#[derive(Default)]
pub(crate) struct Pace {
    bytes: AtomicU64,
    /// The peer has not taken what was written last.
    is_full: AtomicBool,
}

impl<S> Paced<S> {
    pub(crate) fn new(socket: S) -> (Paced<S>, Arc<Pace>) {
        let pace = Arc::<Pace>::default();
        let shared = pace.clone();
        (Paced { socket, pace }, shared)
    }

    /// The connection, which nobody counts any more.
    pub(crate) fn into_inner(self) -> S {
        self.socket
    }

    fn count(&self, bytes: usize) {
        self.pace.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        self.pace
            .is_full
            .store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = written {
            self.count(*bytes);
        }
    }
}

impl Pace {
    /// Returns when less than [`PACE_BYTES_MIN`] have passed in a [`PACE_PERIOD`], and it is the peer's turn:
    /// it takes nothing, or `owes` says that something is to come from it. Who waits for our answer is not
    /// lost.
    pub(crate) async fn until_lost(&self, owes: impl Fn() -> bool) {
        loop {
            let before = self.bytes();
            sleep(PACE_PERIOD).await;
            let is_its_turn = owes() || self.is_full();
            if is_its_turn && self.bytes() - before < PACE_BYTES_MIN {
                return;
            }
        }
    }

    /// Whether something waits for the peer to take it.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.count(buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::{Instant, interval},
    };

    /// For how long a connection stays on which so many bytes go every minute.
    async fn lasts(bytes: usize, owes: bool) -> Duration {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut near, pace) = Paced::new(near);
        let start = Instant::now();
        let work = async {
            let mut minute = interval(Duration::from_mins(1));
            for _ in 0..61 {
                minute.tick().await;
                near.write_all(&vec![0; bytes]).await.expect("room");
                far.read_exact(&mut vec![0; bytes]).await.expect("written");
            }
        };
        tokio::select! {
            () = work => {}
            () = pace.until_lost(|| owes) => {}
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_upload_goes_on_and_a_dribble_does_not() {
        let hour = Duration::from_hours(1);
        assert!(lasts(80_000, true).await >= hour, "a bad line");
        assert_eq!(lasts(100, true).await, PACE_PERIOD, "a trickle");
        assert!(lasts(100, false).await >= hour, "who waits for us");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_lost() {
        let (near, _far) = tokio::io::duplex(64);
        let (mut near, pace) = Paced::new(near);
        let start = Instant::now();
        tokio::select! {
            written = near.write_all(&[0; 65]) => panic!("{written:?}"),
            () = pace.until_lost(|| false) => {}
        }
        assert_eq!(start.elapsed(), PACE_PERIOD);
    }
}
