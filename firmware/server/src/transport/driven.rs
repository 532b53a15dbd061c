//! What a driver drives: a stream of a client, of another server, or of a component.

use crate::{
    component::Component,
    connection::{Connection, Done, Todo},
    limits::READ_AHEAD_BYTES_MAX,
    s2s::Link,
    tls::Identity,
};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use xmpp::StreamError;

/// One stream, without sockets and timers. A driver works in a circle: [`Driven::step`], write
/// [`Driven::output`] and tell that it was [`Driven::written`], then do what `step` asked for.
/// [`Driven::leave`] comes last, however it ended.
pub(crate) trait Driven: Send {
    /// How much may be pushed while the peer takes nothing of what is written.
    const READ_AHEAD_BYTES_MAX: usize = 0;

    fn step(&mut self) -> impl Future<Output = Todo> + Send;
    /// Whether it does not count as a stranger any more.
    fn is_authenticated(&self) -> bool;
    fn output(&mut self) -> &mut Vec<u8>;
    fn push(&mut self, bytes: &[u8]);
    /// The same, where it counts as so many bytes.
    fn arrived(&mut self, bytes: &[u8], _count: usize) {
        self.push(bytes);
    }
    fn written(&mut self) -> impl Future<Output = ()> + Send;
    /// What [`Todo::Work`] asked for.
    fn resume(&mut self, done: Done) -> impl Future<Output = ()> + Send;
    /// In elapsed milliseconds.
    fn deadline(&self) -> Option<u64>;
    fn tick(&mut self);
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    fn end(&mut self, error: StreamError);
    /// The line is gone, and not by our will.
    fn lost(&mut self, _: &io::Error) {}
    fn leave(&mut self) -> impl Future<Output = ()> + Send;
    /// Who says the first word of TLS, and what with.
    fn handshake(&self, identity: &Identity) -> Handshake;
    fn secured(&mut self, identity: &Identity, tls: &TlsStream<TcpStream>);
}

/// One side of a TLS handshake.
pub(crate) enum Handshake {
    Answer(Arc<ServerConfig>),
    Begin(Arc<ClientConfig>, ServerName<'static>),
}

impl Driven for Connection {
    fn step(&mut self) -> impl Future<Output = Todo> + Send {
        Connection::step(self)
    }

    fn is_authenticated(&self) -> bool {
        self.session().is_some()
    }

    fn output(&mut self) -> &mut Vec<u8> {
        Connection::output(self)
    }

    fn push(&mut self, bytes: &[u8]) {
        Connection::push(self, bytes);
    }

    fn arrived(&mut self, bytes: &[u8], count: usize) {
        Connection::arrived(self, bytes, count);
    }

    fn written(&mut self) -> impl Future<Output = ()> + Send {
        Connection::written(self)
    }

    fn resume(&mut self, done: Done) -> impl Future<Output = ()> + Send {
        Connection::resume(self, done)
    }

    fn deadline(&self) -> Option<u64> {
        Connection::deadline(self)
    }

    fn tick(&mut self) {
        Connection::tick(self);
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Connection::poll_wake(self, cx)
    }

    fn end(&mut self, error: StreamError) {
        Connection::end(self, error);
    }

    fn leave(&mut self) -> impl Future<Output = ()> + Send {
        Connection::leave(self)
    }

    fn handshake(&self, identity: &Identity) -> Handshake {
        Handshake::Answer(identity.for_strangers())
    }

    fn secured(&mut self, identity: &Identity, tls: &TlsStream<TcpStream>) {
        if let TlsStream::Server(tls) = tls {
            Connection::secured(self, identity.bindings(tls.get_ref().1));
        }
    }
}

impl Driven for Link {
    const READ_AHEAD_BYTES_MAX: usize = READ_AHEAD_BYTES_MAX;

    fn step(&mut self) -> impl Future<Output = Todo> + Send {
        Link::step(self)
    }

    fn is_authenticated(&self) -> bool {
        Link::is_authenticated(self)
    }

    fn output(&mut self) -> &mut Vec<u8> {
        Link::output(self)
    }

    fn push(&mut self, bytes: &[u8]) {
        Link::push(self, bytes);
    }

    async fn written(&mut self) {
        Link::written(self);
    }

    async fn resume(&mut self, _: Done) {}

    fn deadline(&self) -> Option<u64> {
        Link::deadline(self)
    }

    fn tick(&mut self) {
        Link::tick(self);
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Link::poll_wake(self, cx)
    }

    fn end(&mut self, error: StreamError) {
        Link::end(self, error);
    }

    fn lost(&mut self, error: &io::Error) {
        Link::lost(self, error);
    }

    fn leave(&mut self) -> impl Future<Output = ()> + Send {
        Link::leave(self)
    }

    fn handshake(&self, identity: &Identity) -> Handshake {
        match self.server_name() {
            Some(name) => Handshake::Begin(identity.dialer(self.is_direct()), name),
            None => Handshake::Answer(identity.for_servers()),
        }
    }

    fn secured(&mut self, _: &Identity, tls: &TlsStream<TcpStream>) {
        let (_, common) = tls.get_ref();
        let chain = common.peer_certificates().unwrap_or_default();
        Link::secured(
            self,
            chain.iter().map(|der| der.clone().into_owned()).collect(),
        );
    }
}

impl Driven for Component {
    const READ_AHEAD_BYTES_MAX: usize = READ_AHEAD_BYTES_MAX;

    fn step(&mut self) -> impl Future<Output = Todo> + Send {
        Component::step(self)
    }

    fn is_authenticated(&self) -> bool {
        Component::is_authenticated(self)
    }

    fn output(&mut self) -> &mut Vec<u8> {
        Component::output(self)
    }

    fn push(&mut self, bytes: &[u8]) {
        Component::push(self, bytes);
    }

    async fn written(&mut self) {
        Component::written(self);
    }

    async fn resume(&mut self, _: Done) {}

    fn deadline(&self) -> Option<u64> {
        Component::deadline(self)
    }

    fn tick(&mut self) {
        Component::tick(self);
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Component::poll_wake(self, cx)
    }

    fn end(&mut self, error: StreamError) {
        Component::end(self, error);
    }

    fn leave(&mut self) -> impl Future<Output = ()> + Send {
        Component::leave(self)
    }

    // It is never asked: no step of a component's stream begins TLS.
    fn handshake(&self, identity: &Identity) -> Handshake {
        Handshake::Answer(identity.for_strangers())
    }

    fn secured(&mut self, _: &Identity, _: &TlsStream<TcpStream>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connection::fixture::World,
        s2s::{Reached, Remote},
    };
    use xmpp::Jid;

    /// Who has no name for TLS would answer a handshake that nobody begins.
    #[test]
    fn whoever_calls_begins_tls() {
        let world = World::new("domain = 'home.example'");
        let address = "2a01::1".parse().unwrap();
        let long = format!("{}.example", "a".repeat(64));
        for (theirs, expected) in [
            ("far.example", "far.example"),
            ("[2a01::2]", "2a01::2"),
            ("8.8.8.8", "8.8.8.8"),
            (&long, "2a01::1"),
        ] {
            let jid = |text| Jid::parse(text).unwrap();
            let remote = Arc::new(Remote::new(jid("home.example"), jid(theirs)));
            let why = Reached::Deliver(remote);
            let link = Link::calling(world.server.clone(), address, true, why);
            let name = link.server_name().map(|name| name.to_str().into_owned());
            assert_eq!(name.as_deref(), Some(expected), "{theirs}");
        }
        let called = Link::called(world.server.clone(), address, true);
        assert!(called.server_name().is_none());
    }
}
