//! Bytes from one socket to another, and back: one buffer each way, at a bounded pace, until both sides have
//! said their last, one of them breaks, or nothing comes any more.

use super::{
    Line,
    limits::{BUFFER_BYTES, BURST_BYTES, BYTES_PER_SECOND_MAX, IDLE_MS_MAX},
};
use crate::{connection::Rate, world::Clock};
use rustix::net::{Shutdown, shutdown};
use std::{
    io::{self, ErrorKind},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{net::TcpStream, time::sleep, try_join};

/// Ends when the stream is over, for whatever reason. The sockets close when they are dropped.
pub(super) async fn relay(clock: &dyn Clock, one: &Line, other: &Line) {
    let last = AtomicU64::new(clock.elapsed_ms());
    let both = async {
        try_join!(
            pump(clock, &one.socket, &other.socket, &last),
            pump(clock, &other.socket, &one.socket, &last)
        )
    };
    tokio::select! {
        _ = both => {}
        () = silence(clock, &last) => {}
        () = one.stopped() => {}
        () = other.stopped() => {}
    }
}

/// One direction. What its end says goes through, too: the other direction may go on.
async fn pump(
    clock: &dyn Clock,
    from: &TcpStream,
    to: &TcpStream,
    last: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut rate = Rate::default();
    loop {
        let count = read(from, &mut buffer).await?;
        last.store(clock.elapsed_ms(), Ordering::Relaxed);
        if count == 0 {
            return Ok(shutdown(to, Shutdown::Write)?);
        }
        write(to, &buffer[..count], clock, last).await?;
        let now = clock.elapsed_ms();
        rate.spend(count, BYTES_PER_SECOND_MAX, now);
        if let Some(until) = rate.pause_until((BYTES_PER_SECOND_MAX, BURST_BYTES), now) {
            sleep(Duration::from_millis(until.saturating_sub(now))).await;
        }
    }
}

/// What is there, once something is; 0 at the end.
pub(super) async fn read(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        socket.readable().await?;
        match socket.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// All of it. That the other side takes some is a sign of life as well.
async fn write(
    socket: &TcpStream,
    mut bytes: &[u8],
    clock: &dyn Clock,
    last: &AtomicU64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(count) => {
                bytes = &bytes[count..];
                last.store(clock.elapsed_ms(), Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends when nothing has moved for [`IDLE_MS_MAX`].
async fn silence(clock: &dyn Clock, last: &AtomicU64) {
    loop {
        let quiet = clock
            .elapsed_ms()
            .saturating_sub(last.load(Ordering::Relaxed));
        let left = u64::from(IDLE_MS_MAX).saturating_sub(quiet);
        if left == 0 {
            return;
        }
        sleep(Duration::from_millis(left)).await;
    }
}
