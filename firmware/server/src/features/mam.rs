//! XEP-0313: Message Archive Management, the wire face. What is archived is decided in `archive.rs` beside
//! this folder, where it is and how it is found in `crate::archive`.
//!
//! Choices the specification leaves: a page has at most [`PAGE_MESSAGES_MAX`] messages and about
//! [`crate::limits::PAGE_BYTES_MAX`] bytes; `<count/>` and `index` are told unless each message would
//! have to be looked at (a search, or `with` a full JID), `index` only where pages go forwards, and it is
//! not served as a page's start. A search (XEP-0431) that names no page begins with the newest matches, and
//! where it stopped before it had looked at all, the id to go on from is that of the last message it looked
//! at. A session that has not acknowledged many pages is told to wait (RFC 6120 §8.3.3.18), since one more
//! would fill its outbox, whosever archive it is. What a query gave to a client counts as delivered (§6.1.1):
//! it is not sent again with what waited. The archives of rooms are in `rooms.rs`.

mod preferences;
mod query;
mod rooms;

pub(super) use preferences::PREFERENCES_FEATURE;
pub(crate) use preferences::{PREFERENCES, Preferences};

use crate::{
    account::Cx,
    archive::{Archive, Ids, Kept, Page, PageError, Place, Query, Start},
    feature::{
        Answer, Feature, Iq, IqHandler, IqHook, On, Plan, Read, Reply, Spec, Verdict, get, refuse,
    },
    limits::{PAGE_OUTBOX_BYTES_MAX, PAGE_OUTBOX_STANZAS_MAX},
    room::Sight,
    session::Session,
};
use bytes::Bytes;
use query::Asked;
use std::sync::Arc;
use store::Snapshot;
use tracing::error;
use xmpp::{Class, Element, Entry, Jid, Kind, Passing, StanzaError, compose, datetime, rsm};

pub(crate) const NS: &str = "urn:xmpp:mam:2";
const QUERY: (&str, &str) = (NS, "query");
const METADATA: (&str, &str) = (NS, "metadata");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(313, "1.1.3", "Message Archive Management"),
    disco: &[
        (On::OwnAccount, NS),
        (On::OwnAccount, "urn:xmpp:mam:2#extended"),
        (On::OwnAccount, rsm::NS),
        (On::RoomArchive, NS),
        (On::RoomArchive, "urn:xmpp:mam:2#extended"),
    ],
    iq: &[
        IqHandler {
            on: On::OwnAccount,
            type_: "set",
            payload: QUERY,
            hook: IqHook::Reads(ask),
        },
        get(On::OwnAccount, QUERY, |_, _| Ok(query::form())),
        get(On::OwnAccount, METADATA, |cx, _| Ok(metadata(cx))),
        // §8.1: other people's archives, and those of nobody, so that the two look alike.
        refuse(On::OtherAccount, "set", QUERY, forbidden),
        refuse(On::OtherAccount, "get", QUERY, forbidden),
        refuse(On::OtherAccount, "get", METADATA, forbidden),
        refuse(On::NoAccount, "set", QUERY, forbidden),
        refuse(On::NoAccount, "get", QUERY, forbidden),
        refuse(On::NoAccount, "get", METADATA, forbidden),
        IqHandler {
            on: On::Room,
            type_: "set",
            payload: QUERY,
            hook: IqHook::Reads(rooms::ask),
        },
        get(On::Room, QUERY, rooms::form),
        get(On::Room, METADATA, rooms::metadata),
    ],
    stanza_out: Some(leave_if_there_is_room),
    bound: Some(metadata_when_bound),
    ..Feature::NONE
};

/// A field of the query (XEP-0431 §3.1); no handlers of its own.
pub(super) const SEARCH_FEATURE: Feature = Feature {
    spec: Spec::Xep(431, "0.2.0", "Full Text Search in MAM"),
    disco: &[
        (On::OwnAccount, "urn:xmpp:fulltext:0"),
        (On::RoomArchive, "urn:xmpp:fulltext:0"),
    ],
    ..Feature::NONE
};

fn forbidden(_: &crate::server::Server, _: &Iq<'_>) -> Answer {
    Err(StanzaError::FORBIDDEN)
}

/// §5: what the archive begins and ends with.
fn metadata(cx: &mut Cx<'_>) -> String {
    let (ids, account) = (cx.server.archive_ids(), cx.id());
    let archive = &cx.state.memory.archive;
    let Some((first, last)) = archive.first.zip(archive.last) else {
        return format!("<metadata xmlns='{NS}'/>");
    };
    let end = |name, place: Place| {
        let (id, stamp) = (
            ids.text(account, place.position),
            datetime::format(place.stamp),
        );
        format!("<{name} id='{id}' timestamp='{stamp}'/>")
    };
    let (start, end) = (end("start", first), end("end", last));
    format!("<metadata xmlns='{NS}'>{start}{end}</metadata>")
}

/// XEP-0386 §3.2: the state of the archive at the moment of binding.
fn metadata_when_bound(cx: &mut Cx<'_>, _: &Arc<Session>, _: &Element) -> Option<String> {
    Some(metadata(cx))
}

/// A query for any archive, the own one or a room's here or elsewhere: its answer must find a place.
fn leave_if_there_is_room(cx: &mut Cx<'_>, passing: &mut Passing) -> Verdict {
    let stanza = &passing.stanza;
    let asks = (stanza.kind, stanza.type_()) == (Kind::Iq, "set")
        && stanza.child(QUERY.0, QUERY.1).is_some();
    if asks && has_enough(cx, &passing.from) {
        return Verdict::Refuse(
            StanzaError::RESOURCE_CONSTRAINT.with_text("too many pages at once"),
        );
    }
    Verdict::Pass
}

/// Whether a page more may cost the session that asks its connection (XEP-0198): it has not acknowledged
/// what it asked for before.
fn has_enough(cx: &mut Cx<'_>, jid: &Jid) -> bool {
    let Some(resource) = cx.state.resource(jid) else {
        return false;
    };
    let (stanzas, bytes) = resource.session.outbox.load();
    stanzas > PAGE_OUTBOX_STANZAS_MAX || bytes > PAGE_OUTBOX_BYTES_MAX
}

/// §4: a query is understood under the lock; then its page is read.
fn ask(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let (ids, account) = (cx.server.archive_ids().clone(), cx.id());
    let asked = Asked::read(&iq.payload.element(), |id| ids.position(account, id))?;
    let index = cx.state.memory.archive.clone();
    let (own, to) = (cx.jid().clone(), iq.passing.from.clone());
    Ok(Box::new(move |snapshot| {
        let page = read(snapshot, account, &index, &asked.query)?;
        let answer = Results {
            ids: &ids,
            account,
            own: &own,
            to: &to,
            asked: &asked,
            sight: None,
        };
        Ok(answer.of(page))
    }))
}

fn read(
    snapshot: &Snapshot,
    account: u32,
    index: &crate::archive::Index,
    query: &Query,
) -> Result<Page, StanzaError> {
    let page = Archive::new(snapshot, account, index).page(query);
    page.map_err(|error| match error {
        PageError::NotFound => StanzaError::ITEM_NOT_FOUND,
        PageError::Store(error) => {
            error!(account, %error, "an archive cannot be read");
            StanzaError::INTERNAL
        }
    })
}

/// How a page is told to whoever asked.
struct Results<'a> {
    ids: &'a Ids,
    account: u32,
    own: &'a Jid,
    to: &'a Jid,
    asked: &'a Asked,
    /// In a room, how much of who said what.
    sight: Option<Sight>,
}

impl Results<'_> {
    fn of(&self, page: Page) -> Read {
        let mut head = String::new();
        compose::attribute(&mut head, "from", self.own.as_str());
        let head = Bytes::from(head);
        let result = self.fin(&page);
        let stanzas = page.messages.iter().map(|kept| self.message(kept, &head));
        let mut stanzas: Vec<Entry> = stanzas.collect();
        if self.asked.flipped {
            stanzas.reverse(); // §4.3.4: what is in the page stays the same
        }
        Read {
            stanzas,
            reply: Reply::Done(result),
        }
    }

    /// §4.2.
    fn message(&self, kept: &Kept, head: &Bytes) -> Entry {
        let mut content = String::with_capacity(kept.payload.len() + 256);
        content.push_str("<result xmlns='urn:xmpp:mam:2'");
        if let Some(queryid) = &self.asked.queryid {
            compose::attribute(&mut content, "queryid", queryid);
        }
        content.push_str(" id='");
        self.ids.write(&mut content, self.account, kept.position);
        content.push_str(
            "'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='",
        );
        content.push_str(&datetime::format(kept.stamp));
        content.push_str("'/>");
        let payload = String::from_utf8_lossy(&kept.payload);
        match self.sight {
            Some(sight) => content.push_str(&rooms::shown(&payload, kept, sight, self.own)),
            None => content.push_str(&payload),
        }
        content.push_str("</forwarded></result>");
        Entry {
            kind: Kind::Message,
            head: head.clone(),
            to: Some(self.to.clone()),
            content: content.into(),
            position: Some(kept.position),
            class: Class::Urgent,
        }
    }

    /// §4.3.2, §4.3: `index` is optional. Paging backwards it stays away, because slixmpp takes a page that
    /// reaches the end of the whole for the last one in either direction.
    fn fin(&self, page: &Page) -> String {
        let id = |position| self.ids.text(self.account, position);
        let forwards = matches!(self.asked.query.page, Start::First | Start::After(_));
        let set = rsm::Answer {
            ends: page.ends.map(|(first, last)| (id(first), id(last))),
            index: page.index.filter(|_| forwards),
            count: page.count,
        };
        let complete = if page.complete {
            " complete='true'"
        } else {
            ""
        };
        format!("<fin xmlns='{NS}'{complete}>{}</fin>", set.to_xml())
    }
}
