//! TCP and TLS: one connection of a client. Messages one after the other; the buffer is the thread's, and the
//! connection keeps only what has come of a message that is not whole yet, and what its line does not take.

use super::{
    Inner, Way,
    datagrams::with_scratch,
    limits::{FRAME_BYTES_MAX, TURNS_MAX, WAITING_BYTES_MAX, WITHOUT_ALLOCATION_MAX},
    wire::frame_length,
};
use server::listen::{ByteStream, RelayConnection, Stranger};
use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};
use tracing::debug;

/// Bytes that an empty buffer keeps for the next message.
const KEPT: usize = 4_096;

/// What others know of a connection.
pub(super) struct StreamLine {
    pub(super) client: SocketAddr,
    pub(super) came_to: Option<IpAddr>,
    outbox: Mutex<Outbox>,
}

/// What waits to be written.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// Of the connection, while it has nothing to write.
    waker: Option<Waker>,
}

impl StreamLine {
    /// Takes a whole message, unless too much waits already.
    pub(super) fn send(&self, message: &[u8]) -> bool {
        let mut outbox = self.outbox();
        if outbox.bytes.len() + message.len() > WAITING_BYTES_MAX {
            return false;
        }
        outbox.bytes.extend_from_slice(message);
        let waker = outbox.waker.take();
        drop(outbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the client goes, the house closes, or nothing is relayed for it. Its allocation ends with it.
pub(super) async fn serve(turn: Arc<Inner>, connection: RelayConnection) {
    let RelayConnection {
        stream,
        peer,
        came_to,
        stranger,
        mut stop,
    } = connection;
    let line = Arc::new(StreamLine {
        client: peer,
        came_to,
        outbox: Mutex::default(),
    });
    let way = Way::Stream(line.clone());
    let mut connection = Connection {
        turn: turn.clone(),
        stream,
        way: way.clone(),
        line,
        stranger: Some(stranger),
        begun: Vec::new(),
        leaving: Vec::new(),
        written: 0,
    };
    let idle = async {
        loop {
            sleep(WITHOUT_ALLOCATION_MAX).await;
            if !turn.core().has_allocation(&way) {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        error = poll_fn(|cx| connection.poll(cx)) => debug!(%peer, %error, "a connection to the relay ended"),
        () = idle => debug!(%peer, "a connection to the relay had no allocation"),
        _ = stop.wait_for(|stop| *stop) => {}
    }
    turn.core().gone(&way);
}

struct Connection {
    turn: Arc<Inner>,
    stream: ByteStream,
    way: Way,
    line: Arc<StreamLine>,
    /// Until it has an allocation.
    stranger: Option<Stranger>,
    /// The beginning of a message.
    begun: Vec<u8>,
    /// What is being written, and how much of it is.
    leaving: Vec<u8>,
    written: usize,
}

impl Connection {
    /// Writes and reads what can be; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        for _ in 0..TURNS_MAX {
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(error);
            }
            match ready!(self.poll_read(cx)) {
                Ok(()) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Pending where nothing is left to write, too.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.leaving.len() {
                self.leaving.clear();
                self.leaving.shrink_to(KEPT);
                self.written = 0;
                let mut outbox = self.line.outbox();
                if outbox.bytes.is_empty() {
                    outbox.waker = Some(cx.waker().clone());
                    drop(outbox);
                    return Pin::new(&mut self.stream).poll_flush(cx);
                }
                std::mem::swap(&mut self.leaving, &mut outbox.bytes);
            }
            let rest = &self.leaving[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
    }

    /// Reads once, and does what the messages ask for.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_scratch(|buffer, out| {
            let mut read = ReadBuf::new(&mut buffer[..FRAME_BYTES_MAX]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let came = read.filled();
            if came.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Ready(self.take(came, out))
        })
    }

    fn take(&mut self, mut came: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        // First the message that had begun before.
        while !self.begun.is_empty() && !came.is_empty() {
            let head = if self.begun.len() < 4 { 4 } else { 8 };
            let wanted = frame(&self.begun)?.unwrap_or(head);
            let more = (wanted - self.begun.len()).min(came.len());
            self.begun.extend_from_slice(&came[..more]);
            came = &came[more..];
            if frame(&self.begun)? == Some(self.begun.len()) {
                let mut message = std::mem::take(&mut self.begun);
                self.act(&message, out)?;
                message.clear();
                message.shrink_to(KEPT);
                self.begun = message;
            }
        }
        while let Some(length) = frame(came)?.filter(|length| *length <= came.len()) {
            let (message, rest) = came.split_at(length);
            self.act(message, out)?;
            came = rest;
        }
        self.begun.extend_from_slice(came);
        Ok(())
    }

    fn act(&mut self, message: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let now = self.turn.machine.elapsed_ms();
        if self.turn.hear_client(now, &self.way, message, out) {
            if self.stranger.is_some() && self.turn.core().has_allocation(&self.way) {
                self.stranger = None;
            }
            if !self.line.send(out) {
                return Err(io::Error::other("asks and does not listen"));
            }
        }
        Ok(())
    }
}

/// How long the message is that begins here, if enough of it is there to say.
fn frame(bytes: &[u8]) -> io::Result<Option<usize>> {
    match frame_length(bytes) {
        Ok(Some(length)) if length > FRAME_BYTES_MAX => Err(refused()),
        Ok(length) => Ok(length),
        Err(()) => Err(refused()),
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no message of STUN or TURN")
}
