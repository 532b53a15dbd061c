//! Whether something happens on a connection: the bytes that pass are counted, and one on which hardly any
//! do for minutes is not kept open.

use crate::limits::{PACE_BYTES_MIN, PACE_PERIOD};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
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
    passed: Arc<AtomicU64>,
}

/// What has passed.
pub(crate) struct Pace(Arc<AtomicU64>);

impl<S> Paced<S> {
    pub(crate) fn new(socket: S) -> (Paced<S>, Pace) {
        let passed = Arc::new(AtomicU64::new(0));
        let pace = Pace(passed.clone());
        (Paced { socket, passed }, pace)
    }

    /// The connection, which nobody counts any more.
    pub(crate) fn into_inner(self) -> S {
        self.socket
    }

    fn count(&self, bytes: usize) {
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Pace {
    /// Returns when less than [`PACE_BYTES_MIN`] have passed in a [`PACE_PERIOD`].
    pub(crate) async fn until_lost(self) {
        loop {
            let before = self.0.load(Ordering::Relaxed);
            sleep(PACE_PERIOD).await;
            if self.0.load(Ordering::Relaxed) - before < PACE_BYTES_MIN {
                return;
            }
        }
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
        if let Poll::Ready(Ok(bytes)) = written {
            self.count(bytes);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(bytes)) = written {
            self.count(bytes);
        }
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
    async fn lasts(bytes: usize, minutes: u64) -> Duration {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (mut near, pace) = Paced::new(near);
        let mut far = far;
        let start = Instant::now();
        let work = async {
            let mut minute = interval(Duration::from_mins(1));
            for _ in 0..minutes {
                minute.tick().await;
                near.write_all(&vec![0; bytes]).await.expect("room");
                far.read_exact(&mut vec![0; bytes]).await.expect("written");
            }
        };
        tokio::select! {
            () = work => {}
            () = pace.until_lost() => {}
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_download_goes_on_and_a_dribble_does_not() {
        let hour = Duration::from_hours(1);
        assert!(lasts(80_000, 61).await >= hour, "a bad line");
        assert_eq!(lasts(100, 61).await, PACE_PERIOD, "a trickle");
    }
}
