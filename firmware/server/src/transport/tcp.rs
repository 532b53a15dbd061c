//! Drives a stream over its line: one task per connection, which holds no buffer while nothing happens.

use super::{
    Ahead, Driven, Line,
    alarms::{Alarm, Alarms},
};
use crate::{
    connection::{Done, Todo, Work},
    limits::{CLOSE_MS_MAX, LOOKUPS_MAX, TLS_HANDSHAKE_MS_MAX},
    listen::Admission,
    server::Server,
    tls::Tls,
};
use std::{
    any::Any,
    future::poll_fn,
    io,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{debug, error};
use xmpp::StreamError;

/// What all connections share.
pub(crate) struct House {
    pub(crate) server: Arc<Server>,
    pub(crate) tls: Arc<Tls>,
    lookups: Semaphore,
}

impl House {
    pub(crate) fn new(server: Arc<Server>, tls: Arc<Tls>) -> House {
        House {
            server,
            tls,
            lookups: Semaphore::new(LOOKUPS_MAX),
        }
    }
}

/// What a connection is served with.
pub(crate) struct Serving {
    /// Of the peer, for the log.
    pub(crate) address: IpAddr,
    /// TLS comes before the first byte, and is yet to begin.
    pub(crate) direct: bool,
    /// Counts until the peer has authenticated; nothing where we called.
    pub(crate) admission: Option<Admission>,
    /// Turns true when the server shuts down.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Serves one connection to its end, and gives the stream back.
pub(crate) fn serve<S: Driven>(
    house: Arc<House>,
    line: impl Line,
    mut stream: S,
    how: Serving,
) -> impl Future<Output = S> + Send {
    let address = how.address;
    let mut driver = Driver {
        house,
        socket: line,
        how,
    };
    // A block, because what an `async fn` is given lies in its future a second time; and boxed, or what
    // drives it would lie there twice, too: as what is called and as what is awaited.
    async move {
        match caught(Box::pin(driver.drive(&mut stream))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(%address, %error, "connection lost");
                stream.lost(&error);
            }
            Err(_) => error!(%address, "a connection panicked and is closed"),
        }
        Box::pin(stream.leave()).await;
        stream
    }
}

struct Driver<L> {
    house: Arc<House>,
    socket: L,
    how: Serving,
}

impl<L: Line> Driver<L> {
    // What takes long or much is boxed: an idle task is as large as the largest thing it ever waits for by
    // name.
    async fn drive(&mut self, connection: &mut impl Driven) -> io::Result<()> {
        let mut stopping = self.how.stop.clone();
        let stop = pin!(async move {
            let _ = stopping.wait_for(|stop| *stop).await; // or nobody is left to say so
        });
        let time = pin!(sleep(Duration::ZERO));
        let mut alarms = Alarms::new(stop, time);
        if self.how.direct {
            Box::pin(self.secure(connection)).await?;
        }
        loop {
            let todo = Box::pin(connection.step()).await;
            if connection.is_authenticated()
                && let Some(mut admission) = self.how.admission.take()
            {
                admission.authenticated();
                self.socket.trust();
            }
            if let Todo::Close = todo {
                Box::pin(self.close(connection)).await;
                return Ok(());
            }
            if !connection.output().is_empty() || self.socket.owes() {
                Box::pin(self.write(connection)).await?;
            }
            let goes_on = match todo {
                Todo::Write => true,
                Todo::Read => {
                    self.wait(connection, &mut alarms, |socket, cx, connection| {
                        socket.poll_read(cx, |bytes, count| connection.arrived(bytes, count))
                    })
                    .await?
                }
                Todo::Wait => {
                    self.wait(connection, &mut alarms, |_, _, _| Poll::Pending)
                        .await?
                }
                Todo::StartTls => Box::pin(self.secure(connection)).await.map(|()| true)?,
                Todo::Work(work) => Box::pin(self.look_up(connection, work)).await,
                Todo::Close => false,
            };
            if !goes_on {
                Box::pin(connection.leave()).await;
                Box::pin(self.socket.part()).await;
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do: bytes, a batch in the outbox, a deadline, the end of the server.
    /// `false` when the peer is gone.
    async fn wait<S: Driven>(
        &mut self,
        connection: &mut S,
        alarms: &mut Alarms<'_, impl Future<Output = ()>>,
        mut poll_read: impl FnMut(&mut L, &mut std::task::Context<'_>, &mut S) -> Poll<io::Result<bool>>,
    ) -> io::Result<bool> {
        let deadline = connection.deadline().unwrap_or(0);
        let now = self.house.server.clock().elapsed_ms();
        alarms.set(deadline, now);
        let socket = &mut self.socket;
        poll_fn(|cx| {
            match alarms.poll(cx) {
                Poll::Ready(Alarm::Stop) => {
                    connection.end(StreamError::SYSTEM_SHUTDOWN);
                    return Poll::Ready(Ok(true));
                }
                Poll::Ready(Alarm::Time) => {
                    connection.tick();
                    return Poll::Ready(Ok(true));
                }
                Poll::Pending => {}
            }
            if connection.poll_wake(cx).is_ready() {
                return Poll::Ready(Ok(true));
            }
            let read = poll_read(socket, cx, connection);
            if let Some(error) = socket.fault() {
                connection.end(error);
            }
            read
        })
        .await
    }

    async fn write(&mut self, connection: &mut impl Driven) -> io::Result<()> {
        let bytes = std::mem::take(connection.output());
        let ahead = Pushing {
            stream: connection,
            pushed: 0,
        };
        self.socket.write(&bytes, ahead).await?;
        connection.written().await;
        Ok(())
    }

    /// The stream is closed: last words, then the session goes before the socket does.
    async fn close(&mut self, connection: &mut impl Driven) {
        let last = timeout(Duration::from_millis(CLOSE_MS_MAX), self.write(connection)).await;
        connection.leave().await;
        if let Ok(Ok(())) = last {
            self.socket.close().await;
        }
    }

    async fn secure(&mut self, connection: &mut impl Driven) -> io::Result<()> {
        let identity = self.house.tls.identity();
        let handshake = connection.handshake(&identity);
        let limit = Duration::from_millis(TLS_HANDSHAKE_MS_MAX);
        self.socket.negotiate_tls(handshake, limit).await?;
        if let Some(tls) = self.socket.tls() {
            connection.secured(&identity, tls);
        }
        Ok(())
    }

    async fn look_up(&mut self, connection: &mut impl Driven, work: Work) -> bool {
        let permit = self.house.lookups.acquire().await;
        let done: Result<Done, _> = spawn_blocking(move || work.run()).await;
        drop(permit);
        match done {
            Ok(done) => connection.resume(done).await,
            Err(_) => connection.end(StreamError::INTERNAL),
        }
        true
    }
}

/// What comes in while we write goes to the stream, which looks at it later.
struct Pushing<'a, S> {
    stream: &'a mut S,
    pushed: usize,
}

impl<S: Driven> Ahead for Pushing<'_, S> {
    fn wants_more(&self) -> bool {
        self.pushed < S::READ_AHEAD_BYTES_MAX
    }

    fn take(&mut self, bytes: &[u8]) {
        self.pushed += bytes.len();
        self.stream.push(bytes);
    }
}

/// Runs a future; a panic inside comes out as an error.
async fn caught<T>(mut future: impl Future<Output = T> + Unpin) -> Result<T, Box<dyn Any + Send>> {
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    )
    .await
}
