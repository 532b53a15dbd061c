//! Scenario `pep`: what a publication costs (XEP-0163) that 20 contacts hear of, each with two devices whose
//! clients ask for it. One at a time: the next one follows when all 40 devices have the one before.

use crate::{
    Bench,
    households::{CONTACTS, HOUSEHOLD, PATIENCE, prepare},
    meter::{Meter, one_by_one},
    server::Kind,
    session::Session,
    table::Figure,
};
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::timeout,
};
use xmpp::{Kind as StanzaKind, Stanza};

/// The devices of every contact.
const DEVICES: [&str; 2] = ["phone", "laptop"];
const WARM_UP: usize = 5;
/// How long a publication may take to be everywhere before anything is measured, and how many there are.
const ATTEMPT: Duration = Duration::from_secs(2);
const ATTEMPTS_MAX: usize = 60;
const NODE: &str = "http://jabber.org/protocol/tune";
const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
const DISCO: &str = "http://jabber.org/protocol/disco#info";
/// What every device is (XEP-0115 §5.1): the hash belongs to [`INFO`].
const CAPABILITIES: &str = "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
     node='urn:example:bench' ver='4s8i+l1PITD3O4G9wTAjuWgTe8E='/></presence>";
const INFO: &str = "<identity category='client' type='pc' name='Bench'/>\
     <feature var='http://jabber.org/protocol/caps'/>\
     <feature var='http://jabber.org/protocol/disco#info'/>\
     <feature var='http://jabber.org/protocol/tune'/>\
     <feature var='http://jabber.org/protocol/tune+notify'/>";

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let place = bench.place()?;
    let accounts = prepare(kind, &place, HOUSEHOLD).await?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let mut publisher = server.door.log_in(&accounts[0]).await?;
    let (heard, mut hears) = unbounded_channel();
    let mut devices = JoinSet::new();
    for contact in &accounts[1..HOUSEHOLD] {
        for device in DEVICES {
            let session = server.door.log_in_as(contact, device).await?;
            session.outgoing.send(CAPABILITIES).await?;
            devices.spawn(listen(session, heard.clone()));
        }
    }
    let publications = bench.sizes().publications;
    let first = warm_up(&mut publisher, &mut hears).await?;
    let meter = Meter::start(server.process, place.device()).await?;
    let numbers = first..first + publications;
    let times = publish_all(&mut publisher, &mut hears, numbers).await?;
    let (cpu, device) = meter.stop().await?;
    // A device that lost its connection would have been noticed by what it did not hear.
    devices.abort_all();
    Ok(one_by_one(
        ("publication to 40 devices", "until all have it"),
        (cpu, device),
        times,
    ))
}

/// Publishes until everybody heard of the last few: some servers know what a client wants only some time
/// after it came. The number of the next item.
async fn warm_up(publisher: &mut Session, hears: &mut UnboundedReceiver<usize>) -> Result<usize> {
    let mut heard_by_all = 0;
    for number in 0..ATTEMPTS_MAX {
        publish(publisher, number).await?;
        let heard = timeout(ATTEMPT, everybody_hears(hears, number)).await;
        heard_by_all = if heard.is_ok() { heard_by_all + 1 } else { 0 };
        if heard_by_all == WARM_UP {
            return Ok(number + 1);
        }
    }
    bail!("some device does not hear of publications")
}

/// Publishes one after the other; how long each took to be everywhere.
async fn publish_all(
    publisher: &mut Session,
    hears: &mut UnboundedReceiver<usize>,
    numbers: impl Iterator<Item = usize>,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in numbers {
        let begin = Instant::now();
        publish(publisher, number).await?;
        everybody_hears(hears, number).await?;
        times.push(begin.elapsed());
    }
    Ok(times)
}

/// Returns once the server has taken it.
async fn publish(publisher: &mut Session, number: usize) -> Result<()> {
    let item = format!("<tune xmlns='{NODE}'><title>The lark, {number}</title></tune>");
    let request = format!(
        "<iq type='set' id='p{number}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <publish node='{NODE}'><item id='{number}'>{item}</item></publish></pubsub></iq>"
    );
    let taken = timeout(PATIENCE, publisher.ask(&request));
    taken.await.context("a publication was not taken")??;
    Ok(())
}

/// Waits until every device has heard of that item. What else one hears may be the last item again.
async fn everybody_hears(hears: &mut UnboundedReceiver<usize>, number: usize) -> Result<()> {
    let mut missing = CONTACTS * DEVICES.len();
    let all = async {
        while missing > 0 {
            let heard = hears.recv().await.context("no device is left")?;
            missing -= usize::from(heard == number);
        }
        anyhow::Ok(())
    };
    let all = timeout(PATIENCE, all).await;
    all.with_context(|| format!("{missing} devices never heard of item {number}"))?
}

/// Says which items a device hears of, and says what it is to whoever asks (XEP-0115 §6.2).
async fn listen(mut session: Session, heard: UnboundedSender<usize>) -> Result<()> {
    loop {
        let stanza = session.incoming.stanza().await?;
        match stanza.kind {
            StanzaKind::Message => {
                if let Some(number) = item(&stanza) {
                    heard.send(number)?;
                }
            }
            StanzaKind::Iq if stanza.child(DISCO, "query").is_some() => {
                session.outgoing.send(&introduction(&stanza)?).await?;
            }
            _ => {}
        }
    }
}

/// Which item an event is about.
fn item(message: &Stanza) -> Option<usize> {
    let event = message.child(EVENT, "event")?.element();
    let item = event.child(EVENT, "items")?.child(EVENT, "item")?;
    item.attr("id")?.parse().ok()
}

fn introduction(request: &Stanza) -> Result<String> {
    ensure!(request.type_() == "get", "nobody was asked");
    let query = request.child(DISCO, "query").context("a question")?;
    let query = query.element();
    let (id, from) = (request.id().unwrap_or_default(), request.from()?);
    let to = from.map_or_else(String::new, |from| format!(" to='{from}'"));
    let node = query.attr("node").unwrap_or_default();
    Ok(format!(
        "<iq type='result' id='{id}'{to}><query xmlns='{DISCO}' node='{node}'>{INFO}</query></iq>"
    ))
}
