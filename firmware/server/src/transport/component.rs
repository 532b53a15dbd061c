//! Drives a [`Component`] over TCP, without TLS: components live on the same machine, or behind a tunnel of
//! the administrator's.

use super::{
    alarms::{Alarm, Alarms},
    socket::Socket,
    tcp::caught,
};
use crate::{
    component::{Component, Todo},
    limits::CLOSE_MS_MAX,
    listen::Admission,
    server::Server,
};
use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, error};
use xmpp::StreamError;

/// Serves one component to its end. `stop` turns true when the server shuts down.
pub(crate) async fn serve(
    server: Arc<Server>,
    tcp: TcpStream,
    address: IpAddr,
    admission: Admission,
    stop: watch::Receiver<bool>,
) {
    let mut component = Component::new(server.clone(), address);
    let mut driver = Driver {
        server,
        socket: Socket::Clear(tcp),
        admission,
        stop,
    };
    match caught(Box::pin(driver.drive(&mut component))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%address, %error, "connection of a component lost"),
        Err(_) => error!(%address, "the connection of a component panicked and is closed"),
    }
    component.leave();
}

struct Driver {
    server: Arc<Server>,
    socket: Socket,
    admission: Admission,
    stop: watch::Receiver<bool>,
}

impl Driver {
    async fn drive(&mut self, component: &mut Component) -> io::Result<()> {
        let mut stopping = self.stop.clone();
        let stop = pin!(async move {
            let _ = stopping.wait_for(|stop| *stop).await; // or nobody is left to say so
        });
        let time = pin!(sleep(Duration::ZERO));
        let mut alarms = Alarms::new(stop, time);
        loop {
            let todo = component.step().await;
            if component.is_authenticated() {
                self.admission.authenticated();
            }
            if todo == Todo::Close {
                self.close(component).await;
                return Ok(());
            }
            if !component.output().is_empty() {
                self.write(component).await?;
            }
            let goes_on = match todo {
                Todo::Write => true,
                Todo::Read => {
                    self.wait(component, &mut alarms, |socket, cx, component| {
                        socket.poll_read(cx, |bytes| component.push(bytes))
                    })
                    .await?
                }
                Todo::Wait => {
                    self.wait(component, &mut alarms, |_, _, _| Poll::Pending)
                        .await?
                }
                Todo::Close => false,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do: bytes, stanzas, a deadline, the end of the server. `false` when
    /// the component is gone.
    async fn wait(
        &mut self,
        component: &mut Component,
        alarms: &mut Alarms<'_, impl Future<Output = ()>>,
        mut poll_read: impl FnMut(
            &mut Socket,
            &mut Context<'_>,
            &mut Component,
        ) -> Poll<io::Result<bool>>,
    ) -> io::Result<bool> {
        let deadline = component.deadline().unwrap_or(0);
        alarms.set(deadline, self.server.clock().elapsed_ms());
        let socket = &mut self.socket;
        poll_fn(|cx| {
            match alarms.poll(cx) {
                Poll::Ready(Alarm::Stop) => {
                    component.end(StreamError::SYSTEM_SHUTDOWN);
                    return Poll::Ready(Ok(true));
                }
                Poll::Ready(Alarm::Time) => {
                    component.tick();
                    return Poll::Ready(Ok(true));
                }
                Poll::Pending => {}
            }
            if component.poll_wake(cx).is_ready() {
                return Poll::Ready(Ok(true));
            }
            poll_read(socket, cx, component)
        })
        .await
    }

    async fn write(&mut self, component: &mut Component) -> io::Result<()> {
        let bytes = std::mem::take(component.output());
        self.socket.write(&bytes).await?;
        component.written();
        Ok(())
    }

    /// The stream is closed: last words, then the socket goes.
    async fn close(&mut self, component: &mut Component) {
        let limit = Duration::from_millis(CLOSE_MS_MAX);
        if let Ok(Ok(())) = timeout(limit, self.write(component)).await {
            self.socket.close().await;
        }
    }
}
