//! A stream of the small client: what comes, what goes, and the counts of XEP-0198, which both sides of the
//! stream keep. Acknowledgements are given as soon as they are asked for, as a phone that is awake does.

use anyhow::{Context, Result, anyhow, bail, ensure};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::{Mutex, watch},
    task::JoinSet,
};
use tokio_rustls::client::TlsStream;
use xmpp::{
    Element, Kind, Stanza, ns,
    stream::{Event, Reader},
};

/// XEP-0198.
pub(crate) const SM: &str = "urn:xmpp:sm:3";
/// Bytes of one element that a server may send us.
const ELEMENT_BYTES_MAX: usize = 1 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// A bound resource.
pub(crate) struct Session {
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    /// The account's bare JID.
    pub(crate) own: String,
    /// What the server calls the session, if it can be resumed (XEP-0198 §5).
    pub(crate) resumption: Option<String>,
    /// For the next login of this installation (XEP-0484).
    pub(crate) token: Option<String>,
}

/// What a client still knows of a session whose connection is gone.
pub(crate) struct Left {
    pub(crate) resumption: String,
    /// Stanzas that came in it, and that went.
    pub(crate) handled: u32,
    pub(crate) sent: u32,
    pub(crate) token: Option<String>,
}

/// What comes.
pub(crate) struct Incoming {
    tls: ReadHalf<TlsStream<TcpStream>>,
    reader: Reader,
    /// For acknowledgements.
    outgoing: Outgoing,
}

/// What goes; clones write to the same stream.
#[derive(Clone)]
pub(crate) struct Outgoing {
    tls: Arc<Mutex<WriteHalf<TlsStream<TcpStream>>>>,
    counts: Arc<Counts>,
}

/// XEP-0198 §4.
struct Counts {
    enabled: AtomicBool,
    /// Stanzas that came, and that went, since then.
    handled: AtomicU32,
    sent: AtomicU32,
    /// Of those that went, how many the server has taken over.
    acknowledged: watch::Sender<u32>,
}

impl Session {
    /// A stream that is about to begin.
    pub(crate) fn new(tls: TlsStream<TcpStream>, own: String) -> Session {
        let (incoming, outgoing) = tokio::io::split(tls);
        let outgoing = Outgoing {
            tls: Arc::new(Mutex::new(outgoing)),
            counts: Arc::new(Counts {
                enabled: AtomicBool::new(false),
                handled: AtomicU32::new(0),
                sent: AtomicU32::new(0),
                acknowledged: watch::Sender::new(0),
            }),
        };
        Session {
            incoming: Incoming {
                tls: incoming,
                reader: Reader::new(ns::CLIENT, ELEMENT_BYTES_MAX),
                outgoing: outgoing.clone(),
            },
            outgoing,
            own,
            resumption: None,
            token: None,
        }
    }

    /// A stream header, and the features in answer to it (RFC 6120 §4.3).
    pub(crate) async fn open(&mut self, domain: &str) -> Result<Element> {
        let (client, streams) = (ns::CLIENT, ns::STREAMS);
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='{client}' \
             xmlns:stream='{streams}'>"
        );
        self.outgoing.write(&header).await?;
        self.incoming.features().await
    }

    /// The same, after authentication.
    pub(crate) async fn reopen(&mut self, domain: &str) -> Result<Element> {
        self.incoming.reader.restart();
        self.open(domain).await
    }

    /// Sends a request and waits for its result; what comes in between is passed over.
    pub(crate) async fn ask(&mut self, request: &str) -> Result<Stanza> {
        self.outgoing.send(request).await?;
        loop {
            let stanza = self.incoming.stanza().await?;
            match (stanza.kind, stanza.type_()) {
                (Kind::Iq, "result") => return Ok(stanza),
                (Kind::Iq, "error") => bail!("refused: {request}"),
                _ => {}
            }
        }
    }

    /// Asks for stream management with resumption (XEP-0198 §3, §5).
    pub(crate) async fn manage(&mut self) -> Result<()> {
        self.outgoing
            .write(&format!("<enable xmlns='{SM}' resume='true'/>"))
            .await?;
        let enabled = self.incoming.nonza("enabled").await?;
        self.managed(&enabled);
        Ok(())
    }

    /// The counts begin at `<enabled/>` (XEP-0198 §4).
    pub(crate) fn managed(&mut self, enabled: &Element) {
        self.outgoing.counts.enabled.store(true, Ordering::Relaxed);
        self.resumption = enabled.attr("id").map(str::to_owned);
    }

    /// The counts go on where they were (XEP-0198 §5). What the server has not taken over is not sent again:
    /// these clients wait for acknowledgements before they lose a connection.
    pub(crate) fn continued(&mut self, left: &Left, resumed: &Element) -> Result<()> {
        let counts = &self.outgoing.counts;
        counts.enabled.store(true, Ordering::Relaxed);
        counts.handled.store(left.handled, Ordering::Relaxed);
        counts.sent.store(left.sent, Ordering::Relaxed);
        let h: u32 = resumed.attr("h").context("resumed without h")?.parse()?;
        ensure!(
            h == left.sent,
            "{} stanzas were sent, and {h} handled",
            left.sent
        );
        counts.acknowledged.send_replace(h);
        self.resumption = Some(left.resumption.clone());
        Ok(())
    }

    /// Drops the connection without a word.
    pub(crate) fn cut(self) -> Left {
        Left {
            resumption: self.resumption.unwrap_or_default(),
            handled: self.outgoing.counts.handled.load(Ordering::Relaxed),
            sent: self.outgoing.sent(),
            token: self.token,
        }
    }

    /// Says goodbye and waits until the server has done so (RFC 6120 §4.4).
    pub(crate) async fn close(mut self) -> Result<()> {
        self.outgoing.write("</stream:stream>").await?;
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

    /// The next nonza, which must have this name. Stanzas before it are passed over: what is said of a
    /// resource may reach the session that has just taken its place.
    pub(crate) async fn nonza(&mut self, name: &str) -> Result<Element> {
        let nonza = self.any_nonza().await?;
        ensure!(
            nonza.name == name,
            "<{name}/> was expected and {nonza:?} came"
        );
        Ok(nonza)
    }

    /// The next nonza, whatever it is.
    pub(crate) async fn any_nonza(&mut self) -> Result<Element> {
        loop {
            match self.event().await? {
                Event::Nonza(nonza) => return Ok(nonza),
                Event::Stanza(_) => {}
                other => bail!("an answer was expected and {other:?} came"),
            }
        }
    }

    /// Stream features, after a header or without one.
    pub(crate) async fn features(&mut self) -> Result<Element> {
        loop {
            match self.event().await? {
                Event::Opened(_) => {}
                Event::Nonza(features) if features.is(ns::STREAMS, "features") => {
                    return Ok(features);
                }
                other => bail!("stream features were expected and {other:?} came"),
            }
        }
    }

    /// The next event that is not one of stream management.
    async fn event(&mut self) -> Result<Event> {
        loop {
            let event = self.reader.next();
            match event.map_err(|error| anyhow!("not XMPP: {error:?}"))? {
                Some(Event::Nonza(nonza)) if nonza.is(SM, "r") => self.acknowledge().await?,
                Some(Event::Nonza(nonza)) if nonza.is(SM, "a") => self.acknowledged(&nonza)?,
                Some(event) => {
                    if matches!(event, Event::Stanza(_)) {
                        self.outgoing.counts.count_handled();
                    }
                    return Ok(event);
                }
                None => {
                    let mut bytes = [0; READ_BYTES];
                    let count = self.tls.read(&mut bytes).await?;
                    if count == 0 {
                        bail!("the server closed the connection");
                    }
                    self.reader.push(&bytes[..count]);
                }
            }
        }
    }

    async fn acknowledge(&self) -> Result<()> {
        let handled = self.outgoing.counts.handled.load(Ordering::Relaxed);
        self.outgoing
            .write(&format!("<a xmlns='{SM}' h='{handled}'/>"))
            .await
    }

    fn acknowledged(&self, nonza: &Element) -> Result<()> {
        let h = nonza.attr("h").context("an <a/> without h")?.parse()?;
        self.outgoing.counts.acknowledged.send_replace(h);
        Ok(())
    }
}

impl Outgoing {
    /// Writes one stanza.
    pub(crate) async fn send(&self, stanza: &str) -> Result<()> {
        self.counts.count_sent();
        self.write(stanza).await
    }

    /// Writes one stanza and asks for an acknowledgement; returns how many stanzas it has to cover.
    pub(crate) async fn send_and_ask(&self, stanza: &str) -> Result<u32> {
        let sent = self.counts.count_sent();
        self.write(&format!("{stanza}<r xmlns='{SM}'/>")).await?;
        Ok(sent)
    }

    /// Writes what is not a stanza, as one record.
    pub(crate) async fn write(&self, xml: &str) -> Result<()> {
        let mut tls = self.tls.lock().await;
        tls.write_all(xml.as_bytes()).await?;
        Ok(tls.flush().await?)
    }

    /// Whether the stream is managed.
    pub(crate) fn is_managed(&self) -> bool {
        self.counts.enabled.load(Ordering::Relaxed)
    }

    /// How many stanzas went since the stream is managed.
    pub(crate) fn sent(&self) -> u32 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// How many of the stanzas that went the server has acknowledged, now and from now on.
    pub(crate) fn acknowledged(&self) -> watch::Receiver<u32> {
        self.counts.acknowledged.subscribe()
    }
}

impl Counts {
    fn count_handled(&self) {
        if self.enabled.load(Ordering::Relaxed) {
            self.handled.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_sent(&self) -> u32 {
        if self.enabled.load(Ordering::Relaxed) {
            self.sent.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            0
        }
    }
}

/// Sessions of people who look at nothing: what comes is read, and thrown away.
pub(crate) struct Asleep {
    readers: JoinSet<Result<(usize, Session)>>,
    wake: watch::Sender<bool>,
}

impl Asleep {
    pub(crate) fn new(sessions: Vec<Session>) -> Asleep {
        let (wake, woken) = watch::channel(false);
        let mut readers = JoinSet::new();
        for (index, mut session) in sessions.into_iter().enumerate() {
            let mut woken = woken.clone();
            readers.spawn(async move {
                loop {
                    // Reading may be given up at any point; an acknowledgement under way belongs to it, so
                    // that nothing more can be sent. Whoever wakes sessions cuts them.
                    tokio::select! {
                        stanza = session.incoming.stanza() => drop(stanza?),
                        _ = woken.changed() => return Ok((index, session)),
                    }
                }
            });
        }
        Asleep { readers, wake }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.readers.len()
    }

    /// Drops all their connections at once, like a router that restarts; what each client still knows, in
    /// their order.
    pub(crate) async fn cut(mut self) -> Result<Vec<Left>> {
        self.wake.send_replace(true);
        let mut sessions = Vec::with_capacity(self.readers.len());
        while let Some(session) = self.readers.join_next().await {
            sessions.push(session??);
        }
        sessions.sort_unstable_by_key(|(index, _)| *index);
        Ok(sessions
            .into_iter()
            .map(|(_, session)| session.cut())
            .collect())
    }
}
