//! The archive as a client asks for it (XEP-0313 §4, XEP-0059), and scenario `archive`: what a page of 50
//! costs, and how long somebody waits for it, among the messages of years.

use crate::{
    Bench,
    login::people,
    meter::Meter,
    server::{Kind, Running},
    session::Session,
    table::{Figure, NOT_OFFERED, figure, note},
};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use xmpp::{Element, Kind as StanzaKind};

const MAM: &str = "urn:xmpp:mam:2";
const RSM: &str = "http://jabber.org/protocol/rsm";
/// Messages of a page.
const PAGE: usize = 50;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pages before we look at the clock.
const WARM_UP: usize = 3;

/// A page as it came.
pub(crate) struct Page {
    /// The ids that their senders gave the messages.
    pub(crate) ids: Vec<String>,
    /// The archive's ids of the first and the last one.
    pub(crate) first: String,
    pub(crate) last: String,
    /// Whether there is nothing beyond, in the direction of paging.
    pub(crate) is_last: bool,
}

/// Which page: after a message of the archive, or before one; an empty id is the archive's end.
#[derive(Clone, Copy)]
pub(crate) enum From<'a> {
    Begin,
    After(&'a str),
    Before(&'a str),
}

impl Session {
    /// A page of one's own archive.
    pub(crate) async fn page(&mut self, from: From<'_>, max: usize) -> Result<Page> {
        timeout(PATIENCE, self.ask_for_page(from, max)).await?
    }

    async fn ask_for_page(&mut self, from: From<'_>, max: usize) -> Result<Page> {
        let place = match from {
            From::Begin => String::new(),
            From::After(id) => format!("<after>{id}</after>"),
            From::Before(id) => format!("<before>{id}</before>"),
        };
        self.outgoing
            .send(&format!(
                "<iq type='set' id='page'><query xmlns='{MAM}' queryid='page'><set xmlns='{RSM}'>\
                 <max>{max}</max>{place}</set></query></iq>"
            ))
            .await?;
        let mut ids = Vec::with_capacity(max);
        loop {
            let stanza = self.incoming.stanza().await?;
            if stanza.kind == StanzaKind::Message {
                let result = stanza.child(MAM, "result");
                ids.extend(result.map(|result| sent_as(&result.element())));
            } else if stanza.kind == StanzaKind::Iq && stanza.id().as_deref() == Some("page") {
                if stanza.type_() != "result" {
                    bail!("the archive refuses a page");
                }
                let fin = stanza.child(MAM, "fin").context("a page without an end")?;
                return Page::new(ids, &fin.element());
            }
        }
    }
}

impl Page {
    fn new(ids: Vec<String>, fin: &Element) -> Result<Page> {
        let set = fin.child(RSM, "set").context("a page without a set")?;
        let text = |name| set.child(RSM, name).map(Element::text).unwrap_or_default();
        Ok(Page {
            is_last: ids.is_empty() || fin.attr("complete") == Some("true"),
            first: text("first"),
            last: text("last"),
            ids,
        })
    }
}

/// The id of the message inside a result; empty where it had none.
fn sent_as(result: &Element) -> String {
    let forwarded = result.child("urn:xmpp:forward:0", "forwarded");
    let message = forwarded.and_then(|forwarded| forwarded.child("jabber:client", "message"));
    let id = message.and_then(|message| message.attr("id"));
    id.unwrap_or_default().to_owned()
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let messages = bench.sizes().archived;
    let name = |unit| format!("archive page of {PAGE} out of {messages}, {unit}");
    let names = [name("CPU ms"), name("p50 ms"), name("p99 ms")];
    let accounts = people(2);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    if !server.door.offer.archive {
        return Ok(names.map(|name| note(name, NOT_OFFERED)).into());
    }
    let offer = server.into_offer()?;
    kind.converse(&place, accounts.as_chunks::<2>().0, messages)?;
    let mut server = Running::start(kind, &place)?;
    server.door.offer = offer;
    let mut session = server.door.log_in(&accounts[0]).await?;
    let mut before = String::new();
    for _ in 0..WARM_UP {
        before = session.page(From::Before(&before), PAGE).await?.first;
    }
    let meter = Meter::start(server.process, None).await?;
    let mut times = Vec::with_capacity(bench.sizes().pages);
    for _ in 0..bench.sizes().pages {
        let begin = Instant::now();
        let page = session.page(From::Before(&before), PAGE).await?;
        times.push(begin.elapsed());
        if page.ids.len() != PAGE || page.is_last {
            bail!(
                "a page of {} messages, and is_last is {}",
                page.ids.len(),
                page.is_last
            );
        }
        before = page.first;
    }
    let (cpu, _) = meter.stop().await?;
    times.sort_unstable();
    let part = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    let values = [
        cpu.as_secs_f64() * 1e3 / times.len() as f64,
        part(50),
        part(99),
    ];
    let figures = names.into_iter().zip(values);
    Ok(figures.map(|(name, value)| figure(name, value)).collect())
}
