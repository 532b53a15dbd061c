//! Drives a [`Connection`] over TCP: one task per connection, which holds no buffer while nothing happens.

use super::{
    alarms::{Alarm, Alarms},
    socket::Socket,
};
use crate::{
    connection::{Connection, Done, Door, Peer, Todo, Work},
    limits::{CLOSE_MS_MAX, LOOKUPS_MAX, TLS_HANDSHAKE_MS_MAX},
    listen::Admission,
    server::Server,
    tls::Tls,
};
use std::{
    any::Any,
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
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

/// Serves one connection to its end. `stop` turns true when the server shuts down.
pub(crate) fn serve(
    house: Arc<House>,
    tcp: TcpStream,
    peer: Peer,
    admission: Admission,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> {
    let mut connection = Connection::new(house.server.clone(), peer);
    let mut driver = Driver {
        house,
        socket: Socket::Clear(tcp),
        door: peer.door,
        admission,
        stop,
    };
    // A block, because what an `async fn` is given lies in its future a second time; and boxed, or what
    // drives it would lie there twice, too: as what is called and as what is awaited.
    async move {
        match caught(Box::pin(driver.drive(&mut connection))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(address = %peer.address, %error, "connection lost"),
            Err(_) => error!(address = %peer.address, "a connection panicked and is closed"),
        }
        Box::pin(connection.leave()).await;
    }
}

struct Driver {
    house: Arc<House>,
    socket: Socket,
    door: Door,
    admission: Admission,
    stop: watch::Receiver<bool>,
}

impl Driver {
    // What takes long or much is boxed: an idle task is as large as the largest thing it ever waits for by
    // name.
    async fn drive(&mut self, connection: &mut Connection) -> io::Result<()> {
        let mut stopping = self.stop.clone();
        let stop = pin!(async move {
            let _ = stopping.wait_for(|stop| *stop).await; // or nobody is left to say so
        });
        let time = pin!(sleep(Duration::ZERO));
        let mut alarms = Alarms::new(stop, time);
        if self.door == Door::DirectTls {
            Box::pin(self.secure(connection)).await?;
        }
        loop {
            let todo = Box::pin(connection.step()).await;
            if connection.session().is_some() {
                self.admission.authenticated();
            }
            if let Todo::Close = todo {
                Box::pin(self.close(connection)).await;
                return Ok(());
            }
            if !connection.output().is_empty() {
                Box::pin(self.write(connection)).await?;
            }
            let goes_on = match todo {
                Todo::Write => true,
                Todo::Read => {
                    self.wait(connection, &mut alarms, |socket, cx, connection| {
                        socket.poll_read(cx, |bytes| connection.push(bytes))
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
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do: bytes, a batch in the outbox, a deadline, the end of the server.
    /// `false` when the peer is gone.
    async fn wait(
        &mut self,
        connection: &mut Connection,
        alarms: &mut Alarms<'_, impl Future<Output = ()>>,
        mut poll_read: impl FnMut(
            &mut Socket,
            &mut std::task::Context<'_>,
            &mut Connection,
        ) -> Poll<io::Result<bool>>,
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
            poll_read(socket, cx, connection)
        })
        .await
    }

    async fn write(&mut self, connection: &mut Connection) -> io::Result<()> {
        let bytes = std::mem::take(connection.output());
        self.socket.write(&bytes).await?;
        connection.written().await;
        Ok(())
    }

    /// The stream is closed: last words, then the session goes before the socket does.
    async fn close(&mut self, connection: &mut Connection) {
        let last = timeout(Duration::from_millis(CLOSE_MS_MAX), self.write(connection)).await;
        connection.leave().await;
        if let Ok(Ok(())) = last {
            self.socket.close().await;
        }
    }

    async fn secure(&mut self, connection: &mut Connection) -> io::Result<()> {
        let identity = self.house.tls.identity();
        let acceptor = TlsAcceptor::from(identity.configuration(self.door));
        self.socket
            .accept_tls(acceptor, Duration::from_millis(TLS_HANDSHAKE_MS_MAX))
            .await?;
        if let Socket::Secured(tls) = &self.socket {
            connection.secured(identity.bindings(tls.get_ref().1));
        }
        Ok(())
    }

    async fn look_up(&mut self, connection: &mut Connection, work: Work) -> bool {
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

/// Runs a future; a panic inside comes out as an error.
pub(super) async fn caught<T>(
    mut future: impl Future<Output = T> + Unpin,
) -> Result<T, Box<dyn Any + Send>> {
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    )
    .await
}
