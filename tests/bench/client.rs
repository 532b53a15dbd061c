//! A small XMPP client, thousands of which fit into one process: the ways in. What it costs itself is not
//! measured.

use crate::{
    quick::Quick,
    scram::{Attempt, MECHANISMS},
    session::{Left, SM, Session},
};
use anyhow::{Context, Result, bail, ensure};
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, ServerName};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet};
use tokio_rustls::{TlsConnector, client::TlsStream};
use xmpp::{Element, ns};

/// The resource of a session, unless its account has several.
pub(crate) const RESOURCE: &str = "bench";
/// Keying material of a connection, for channel binding (RFC 9266 §2).
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// Somebody who can log in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) localpart: String,
    pub(crate) password: String,
}

/// What a server can do beyond RFC 6120 and RFC 6121.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    /// XEP-0198.
    pub(crate) management: bool,
    /// XEP-0280.
    pub(crate) carbons: bool,
    /// XEP-0313.
    pub(crate) archive: bool,
    /// Logins and resumption in one round trip.
    pub(crate) quick: Option<Quick>,
}

impl Offer {
    /// In words.
    pub(crate) fn in_words(&self) -> String {
        let all = [
            (self.management, "stream management"),
            (self.carbons, "carbons"),
            (self.archive, "archive queries"),
            (self.quick.is_some(), "SASL2 with FAST and resumption"),
        ];
        let names: Vec<&str> = all
            .iter()
            .filter(|(offered, _)| *offered)
            .map(|(_, name)| *name)
            .collect();
        if names.is_empty() {
            return "nothing".to_owned();
        }
        names.join(", ")
    }
}

/// The door of a server: an address for direct TLS (XEP-0368), the domain behind it, whom to trust.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    pub(crate) domain: String,
    tls: TlsConnector,
    /// Nothing until somebody has looked, so that clients ask for nothing else.
    pub(crate) offer: Offer,
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
            offer: Offer::default(),
        })
    }

    /// Connects to another port of the server, for HTTPS, trusting the same certificate.
    pub(crate) async fn web(&self, port: u16) -> Result<TlsStream<TcpStream>> {
        let mut tls = ClientConfig::clone(self.tls.config());
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let address = SocketAddr::new(self.address.ip(), port);
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.domain.clone())?;
        let tls = TlsConnector::from(Arc::new(tls));
        Ok(tls.connect(name, tcp).await?)
    }

    /// The bare JID of an account behind this door.
    pub(crate) fn jid(&self, account: &Account) -> String {
        format!("{}@{}", account.localpart, self.domain)
    }

    /// Connects for an account: a stream before its header, and what its channel can be bound with.
    pub(crate) async fn connect(&self, account: &Account) -> Result<(Session, [u8; 32])> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.domain.clone())?;
        let tls = self.tls.connect(name, tcp).await?;
        let (_, connection) = tls.get_ref();
        let exporter = connection.export_keying_material([0; 32], EXPORTER, Some(b""))?;
        Ok((Session::new(tls, self.jid(account)), exporter))
    }

    /// Connects and authenticates (RFC 6120 §6); the features of the stream after that.
    async fn authenticated(&self, account: &Account) -> Result<(Session, Element)> {
        let (mut session, _) = self.connect(account).await?;
        let features = session.open(&self.domain).await?;
        session.authenticate(account, &features).await?;
        let features = session.reopen(&self.domain).await?;
        Ok((session, features))
    }

    /// Looks at what the server offers, and keeps it for the logins to come.
    pub(crate) async fn look(&mut self, account: &Account) -> Result<()> {
        let (mut session, _) = self.connect(account).await?;
        let before = session.open(&self.domain).await?;
        session.authenticate(account, &before).await?;
        let after = session.reopen(&self.domain).await?;
        session.bind(RESOURCE).await?;
        let (domain, own) = (self.domain.clone(), self.jid(account));
        self.offer = Offer {
            management: after.child(SM, "sm").is_some(),
            carbons: session.discloses(&domain, "urn:xmpp:carbons:2").await?,
            archive: session.discloses(&own, "urn:xmpp:mam:2").await?,
            quick: Quick::offered(&before),
        };
        session.close().await
    }

    /// What every client does: connects, authenticates, binds, asks for the roster and becomes available
    /// (RFC 6120 §6, §7, RFC 6121 §2.2, §4.2); with stream management and carbons if the server is known
    /// to have them.
    pub(crate) async fn log_in(&self, account: &Account) -> Result<Session> {
        self.log_in_as(account, RESOURCE).await
    }

    /// The same, as one of several devices.
    pub(crate) async fn log_in_as(&self, account: &Account, resource: &str) -> Result<Session> {
        let (mut session, _) = self.authenticated(account).await?;
        session.bind(resource).await?;
        if self.offer.management {
            session.manage().await?;
        }
        if self.offer.carbons {
            session
                .ask("<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
                .await?;
        }
        session.appear().await?;
        Ok(session)
    }

    /// Comes back into a session (XEP-0198 §5).
    pub(crate) async fn resume(&self, account: &Account, left: &Left) -> Result<Session> {
        let session = self.try_to_resume(account, left).await?;
        session.context("not resumed")
    }

    /// The same; nothing where the server says that there is no such session any more.
    pub(crate) async fn try_to_resume(
        &self,
        account: &Account,
        left: &Left,
    ) -> Result<Option<Session>> {
        let (mut session, _) = self.authenticated(account).await?;
        let (previd, h) = (&left.resumption, left.handled);
        session
            .outgoing
            .write(&format!("<resume xmlns='{SM}' previd='{previd}' h='{h}'/>"))
            .await?;
        let answer = session.incoming.any_nonza().await?;
        if answer.is(SM, "failed") {
            return Ok(None);
        }
        ensure!(answer.is(SM, "resumed"), "{answer:?} instead of resumed");
        session.continued(left, &answer)?;
        Ok(Some(session))
    }

    /// Logs all of them in, `at_once` at a time; in their order.
    pub(crate) async fn log_in_all(
        &self,
        accounts: &[Account],
        at_once: usize,
    ) -> Result<Vec<Session>> {
        in_turn(accounts.to_vec(), at_once, |account| {
            let door = self.clone();
            async move {
                let session = door.log_in(&account).await;
                session.with_context(|| format!("{} cannot log in", account.localpart))
            }
        })
        .await
    }
}

/// Does something with everything, with `at_once` under way at a time; the results in the order of the
/// things.
pub(crate) async fn in_turn<T, R, F>(
    things: Vec<T>,
    at_once: usize,
    what: impl Fn(T) -> F,
) -> Result<Vec<R>>
where
    R: Send + 'static,
    F: Future<Output = Result<R>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(at_once));
    let (mut tasks, mut results) = (JoinSet::new(), Vec::with_capacity(things.len()));
    for (index, thing) in things.into_iter().enumerate() {
        let (doing, free) = (what(thing), free.clone());
        tasks.spawn(async move {
            let _turn = free.acquire().await?;
            anyhow::Ok((index, doing.await?))
        });
    }
    while let Some(task) = tasks.join_next().await {
        results.push(task??);
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

impl Session {
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
            .write(&format!(
                "<auth xmlns='{ns}' mechanism='{name}'>{first}</auth>"
            ))
            .await?;
        let challenge = self.incoming.nonza("challenge").await?;
        let (response, last) = attempt.answer(&challenge.text(), &account.password)?;
        self.outgoing
            .write(&format!("<response xmlns='{ns}'>{response}</response>"))
            .await?;
        let success = self.incoming.nonza("success").await?;
        if success.text() != last {
            bail!("the server does not know the password");
        }
        Ok(())
    }

    async fn bind(&mut self, resource: &str) -> Result<()> {
        let (bind, ns) = (format!("<resource>{resource}</resource>"), ns::BIND);
        self.ask(&format!(
            "<iq type='set' id='bind'><bind xmlns='{ns}'>{bind}</bind></iq>"
        ))
        .await?;
        Ok(())
    }

    /// Asks for the roster and becomes available.
    pub(crate) async fn appear(&mut self) -> Result<()> {
        self.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
            .await?;
        self.outgoing.send("<presence/>").await
    }

    /// Whether an entity says that it has a feature (XEP-0030 §3.1).
    async fn discloses(&mut self, entity: &str, feature: &str) -> Result<bool> {
        const DISCO: &str = "http://jabber.org/protocol/disco#info";
        let request = format!("<query xmlns='{DISCO}'/>");
        let info = self
            .ask(&format!(
                "<iq type='get' id='disco' to='{entity}'>{request}</iq>"
            ))
            .await?;
        let query = info
            .child(DISCO, "query")
            .context("no query in the answer")?;
        let query = query.element();
        ensure!(
            query.child(DISCO, "identity").is_some(),
            "{entity} is nobody"
        );
        let mut features = query.elements().filter(|child| child.name == "feature");
        Ok(features.any(|child| child.attr("var") == Some(feature)))
    }
}
