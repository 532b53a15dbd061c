//! A small XMPP client, thousands of which fit into one process. What it costs itself is not measured.

use crate::scram::{Attempt, MECHANISMS};
use anyhow::{Context, Result, anyhow, bail};
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, ServerName};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use xmpp::{
    Element, Stanza, ns,
    stream::{Event, Reader},
};

/// The resource of every session.
pub(crate) const RESOURCE: &str = "bench";
/// Bytes of one element that a server may send us.
const ELEMENT_BYTES_MAX: usize = 1 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// Somebody who can log in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) localpart: String,
    pub(crate) password: String,
}

/// The door of a server: an address for direct TLS (XEP-0368), the domain behind it, whom to trust.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    domain: String,
    tls: TlsConnector,
}

/// A bound resource.
pub(crate) struct Session {
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
}

/// What comes.
pub(crate) struct Incoming {
    tls: ReadHalf<TlsStream<TcpStream>>,
    reader: Reader,
}

/// What goes.
pub(crate) struct Outgoing {
    tls: WriteHalf<TlsStream<TcpStream>>,
}

impl Door {
    /// Every connection shakes hands in full: sessions are not resumed.
    pub(crate) fn new(
        address: SocketAddr,
        domain: &str,
        certificate: CertificateDer<'static>,
    ) -> Result<Door> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let mut tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.resumption = Resumption::disabled();
        tls.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Ok(Door {
            address,
            domain: domain.into(),
            tls: Arc::new(tls).into(),
        })
    }

    /// The bare JID of an account behind this door.
    pub(crate) fn jid(&self, account: &Account) -> String {
        format!("{}@{}", account.localpart, self.domain)
    }

    /// Connects, authenticates and binds (RFC 6120 §6, §7).
    pub(crate) async fn bind(&self, account: &Account) -> Result<Session> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.domain.clone())?;
        let (incoming, outgoing) = tokio::io::split(self.tls.connect(name, tcp).await?);
        let reader = Reader::new(ns::CLIENT, ELEMENT_BYTES_MAX);
        let mut session = Session {
            incoming: Incoming {
                tls: incoming,
                reader,
            },
            outgoing: Outgoing { tls: outgoing },
        };
        let features = session.open(&self.domain).await?;
        session.authenticate(account, &features).await?;
        session.incoming.reader.restart();
        session.open(&self.domain).await?;
        let (bind, ns) = (format!("<resource>{RESOURCE}</resource>"), ns::BIND);
        session
            .ask(&format!(
                "<iq type='set' id='bind'><bind xmlns='{ns}'>{bind}</bind></iq>"
            ))
            .await?;
        Ok(session)
    }

    /// As [`Door::bind`], then what every client does: asks for the roster and becomes available.
    pub(crate) async fn log_in(&self, account: &Account) -> Result<Session> {
        let mut session = self.bind(account).await?;
        session
            .ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
            .await?;
        session.outgoing.send("<presence/>").await?;
        Ok(session)
    }

    /// Logs all of them in, `at_once` at a time; in their order.
    pub(crate) async fn log_in_all(
        &self,
        accounts: &[Account],
        at_once: usize,
    ) -> Result<Vec<Session>> {
        let free = Arc::new(Semaphore::new(at_once));
        let mut tasks = JoinSet::new();
        for (index, account) in accounts.iter().cloned().enumerate() {
            let (door, free) = (self.clone(), free.clone());
            tasks.spawn(async move {
                let _turn = free.acquire().await?;
                let session = door.log_in(&account).await;
                session
                    .map(|session| (index, session))
                    .with_context(|| format!("{} cannot log in", account.localpart))
            });
        }
        let mut sessions = Vec::with_capacity(accounts.len());
        while let Some(task) = tasks.join_next().await {
            sessions.push(task??);
        }
        sessions.sort_unstable_by_key(|(index, _)| *index);
        Ok(sessions.into_iter().map(|(_, session)| session).collect())
    }
}

impl Session {
    /// A stream header, and the features in answer to it (RFC 6120 §4.3).
    async fn open(&mut self, domain: &str) -> Result<Element> {
        let (client, streams) = (ns::CLIENT, ns::STREAMS);
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='{client}' \
             xmlns:stream='{streams}'>"
        );
        self.outgoing.send(&header).await?;
        loop {
            match self.incoming.event().await? {
                Event::Opened(_) => {}
                Event::Nonza(features) if features.name == "features" => return Ok(features),
                other => bail!("stream features were expected and {other:?} came"),
            }
        }
    }

    async fn authenticate(&mut self, account: &Account, features: &Element) -> Result<()> {
        let offered = features
            .child(ns::SASL, "mechanisms")
            .context("no mechanism is offered")?;
        let offered: Vec<String> = offered.elements().map(Element::text).collect();
        let mechanism = MECHANISMS
            .iter()
            .find(|mechanism| offered.iter().any(|name| name == mechanism.name));
        let mechanism =
            mechanism.with_context(|| format!("SCRAM is not offered, but {offered:?}"))?;
        let attempt = Attempt::new(mechanism, &account.localpart)?;
        let (ns, name, first) = (ns::SASL, mechanism.name, attempt.first());
        self.outgoing
            .send(&format!(
                "<auth xmlns='{ns}' mechanism='{name}'>{first}</auth>"
            ))
            .await?;
        let challenge = self.incoming.nonza("challenge").await?;
        let (response, last) = attempt.answer(&challenge.text(), &account.password)?;
        self.outgoing
            .send(&format!("<response xmlns='{ns}'>{response}</response>"))
            .await?;
        let success = self.incoming.nonza("success").await?;
        if success.text() != last {
            bail!("the server does not know the password");
        }
        Ok(())
    }

    /// Sends a request and waits for its result; what comes in between is passed over.
    async fn ask(&mut self, request: &str) -> Result<()> {
        self.outgoing.send(request).await?;
        loop {
            let stanza = self.incoming.stanza().await?;
            match (stanza.kind, stanza.type_()) {
                (xmpp::Kind::Iq, "result") => return Ok(()),
                (xmpp::Kind::Iq, "error") => bail!("refused: {request}"),
                _ => {}
            }
        }
    }

    /// Says goodbye and waits until the server has done so (RFC 6120 §4.4).
    pub(crate) async fn close(mut self) -> Result<()> {
        self.outgoing.send("</stream:stream>").await?;
        while !matches!(self.incoming.event().await?, Event::Closed) {}
        Ok(())
    }
}

impl Incoming {
    /// The next stanza.
    pub(crate) async fn stanza(&mut self) -> Result<Stanza> {
        loop {
            match self.event().await? {
                Event::Stanza(stanza) => return Ok(stanza),
                Event::Nonza(nonza) if nonza.is(ns::STREAMS, "error") => {
                    bail!("the stream ended: {nonza:?}")
                }
                Event::Nonza(_) => {}
                other => bail!("a stanza was expected and {other:?} came"),
            }
        }
    }

    async fn nonza(&mut self, name: &str) -> Result<Element> {
        match self.event().await? {
            Event::Nonza(nonza) if nonza.name == name => Ok(nonza),
            other => bail!("<{name}/> was expected and {other:?} came"),
        }
    }

    async fn event(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self
                .reader
                .next()
                .map_err(|error| anyhow!("not XMPP: {error:?}"))?
            {
                return Ok(event);
            }
            let mut bytes = [0; READ_BYTES];
            let count = self.tls.read(&mut bytes).await?;
            if count == 0 {
                bail!("the server closed the connection");
            }
            self.reader.push(&bytes[..count]);
        }
    }
}

impl Outgoing {
    /// Writes one record.
    pub(crate) async fn send(&mut self, xml: &str) -> Result<()> {
        self.tls.write_all(xml.as_bytes()).await?;
        Ok(self.tls.flush().await?)
    }
}
