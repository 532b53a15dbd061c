//! XEP-0357: Push Notifications, as devices ask for them, with what Siskin adds (its `tigase:push:…`).
//!
//! State: that of `push.rs`; nothing of its own.

use crate::{
    account::Cx,
    feature::{Answer, Delivery, Feature, Iq, On, Spec, Verdict, set},
    limits::{
        PUSH_FILTER_ADDRESSES_MAX, PUSH_FILTER_BYTES_MAX, PUSH_NODE_BYTES_MAX,
        PUSH_OPTIONS_BYTES_MAX, PUSH_PAYLOAD_BYTES, PUSH_PAYLOAD_BYTES_MAX, PUSH_PAYLOAD_BYTES_MIN,
    },
    push::{self, Encryption, Filters, Room, Settings},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use xmpp::{
    Class, Element, Jid, Kind, Passing, StanzaError,
    form::{self, Form},
};

pub(crate) const NS: &str = "urn:xmpp:push:0";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// What Siskin's specifications say of the attribute `away`, that other clients do not matter while nobody
/// sits there, holds here for every device.
const AWAY: &str = "tigase:push:away:0";
const CALLS: &str = "tigase:push:jingle:0";
const ENCRYPT: &str = "tigase:push:encrypt:0";
const IGNORE_UNKNOWN: &str = "tigase:push:filter:ignore-unknown:0";
const MUTED: &str = "tigase:push:filter:muted:0";
const PRIORITY: &str = "tigase:push:priority:0";
const ROOMS: &str = "tigase:push:filter:groupchat:0";

const TOO_LONG: StanzaError =
    StanzaError::POLICY_VIOLATION.with_text("this is too much for a push registration");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(357, "0.4.1", "Push Notifications"),
    disco: &[
        (On::OwnAccount, NS),
        // Where some clients look for it, too.
        (On::Server, NS),
        (On::OwnAccount, AWAY),
        (On::OwnAccount, CALLS),
        (On::OwnAccount, ENCRYPT),
        (On::OwnAccount, "tigase:push:encrypt:aes-128-gcm"),
        (On::OwnAccount, IGNORE_UNKNOWN),
        (On::OwnAccount, MUTED),
        (On::OwnAccount, PRIORITY),
        (On::OwnAccount, ROOMS),
    ],
    iq: &[
        set(On::OwnAccount, (NS, "enable"), enable),
        set(On::OwnAccount, (NS, "disable"), disable),
    ],
    stanza_in: Some(disabled_remotely),
    message_out: Some(end_of_call),
    message_in: Some(end_of_call),
    message_delivered: Some(delivered),
    loaded: Some(push::loaded),
    available: Some(looked_at),
    waits: Some(|cx, _| push::work(cx)),
    gone: Some(push::session_gone),
    answered: Some(push::answered),
    written_anew: Some(push::write_anew),
    ..Feature::NONE
};

/// Asked before offline messages, which take what they are asked about.
pub(super) const NOBODY_THERE_FEATURE: Feature = Feature {
    spec: Spec::Own("push to those who are away"),
    message_undelivered: Some(undelivered),
    ..Feature::NONE
};

/// §5: as a whole or not at all.
fn enable(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let request = iq.payload.element();
    let service = service(&request)?;
    // What is published there would be read by others.
    if service == *cx.server.pubsub() || service == *cx.jid() {
        return Err(StanzaError::NOT_ALLOWED.with_text("this is no push service"));
    }
    let node = request.attr("node").unwrap_or_default();
    if node.len() > PUSH_NODE_BYTES_MAX {
        return Err(TOO_LONG);
    }
    let resource = cx.state.resource(&iq.passing.from);
    let memory = resource.map(|resource| &resource.memory);
    let device = memory.and_then(|memory| memory.device);
    let kind = memory.and_then(|memory| memory.capabilities.kind());
    let kind = kind.unwrap_or_default().into();
    let settings = Settings {
        enabled_ms: cx.now(),
        resource: iq.passing.from.resourcepart().unwrap_or_default().into(),
        device: device.map(crate::devices::Id::to_bytes),
        options: options(&request)?.into(),
        encryption: encryption(&request)?,
        filters: filters(&request)?,
        priority: request.child(PRIORITY, "priority").is_some(),
        calls: request.child(CALLS, "jingle").is_some(),
        kind,
    };
    push::enable(cx, service, node, settings);
    Ok(String::new())
}

/// §6. What is not enabled is disabled already.
fn disable(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let request = iq.payload.element();
    push::disable(cx, &service(&request)?, request.attr("node"));
    Ok(String::new())
}

/// §5, §6: the attribute `jid` MUST be there.
fn service(request: &Element) -> Result<Jid, StanzaError> {
    jid(request)
}

fn jid(element: &Element) -> Result<Jid, StanzaError> {
    let jid = element.attr("jid").ok_or(StanzaError::BAD_REQUEST)?;
    Jid::parse(jid).map_err(|_| StanzaError::JID_MALFORMED)
}

/// §5: what goes with every notification, as it was given; empty where nothing was.
fn options(request: &Element) -> Result<String, StanzaError> {
    let mut forms = request.elements().filter(|child| child.is(form::NS, "x"));
    let Some(x) = forms.next() else {
        return Ok(String::new());
    };
    let is_of_this_kind = Form::submitted(x)?.form_type() == Some(PUBLISH_OPTIONS);
    if !is_of_this_kind || forms.next().is_some() {
        return Err(StanzaError::BAD_REQUEST);
    }
    let mut xml = String::new();
    x.write(&mut xml, "");
    if xml.len() > PUSH_OPTIONS_BYTES_MAX {
        return Err(TOO_LONG);
    }
    Ok(xml)
}

/// `tigase:push:encrypt:0` §4.2.
fn encryption(request: &Element) -> Result<Option<Encryption>, StanzaError> {
    let Some(encrypt) = request.child(ENCRYPT, "encrypt") else {
        return Ok(None);
    };
    if encrypt.attr("alg") != Some("aes-128-gcm") {
        return Err(StanzaError::FEATURE_NOT_IMPLEMENTED);
    }
    let digits: Vec<u8> = encrypt
        .text()
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    let key = BASE64_STANDARD.decode(digits).ok();
    let key = key.and_then(|key| key.try_into().ok());
    let max_bytes = match encrypt.attr("max-size") {
        Some(size) => size.parse().map_err(|_| StanzaError::BAD_REQUEST)?,
        None => PUSH_PAYLOAD_BYTES,
    };
    Ok(Some(Encryption {
        key: key.ok_or(StanzaError::BAD_REQUEST)?,
        max_bytes: max_bytes.clamp(PUSH_PAYLOAD_BYTES_MIN, PUSH_PAYLOAD_BYTES_MAX),
    }))
}

fn filters(request: &Element) -> Result<Filters, StanzaError> {
    let items = request.child(MUTED, "muted");
    let items = items.into_iter().flat_map(Element::elements);
    let muted = items
        .filter(|item| item.is(MUTED, "item"))
        .map(|item| Ok(jid(item)?.bare_str().into()))
        .collect::<Result<Vec<Box<str>>, StanzaError>>()?;
    let rooms = request.child(ROOMS, "groupchat").map(rooms).transpose()?;
    let room_bytes = |room: &Room| room.jid.len() + room.nickname.as_ref().map_or(0, |n| n.len());
    let bytes = muted.iter().map(|jid| jid.len()).sum::<usize>()
        + rooms.iter().flatten().map(room_bytes).sum::<usize>();
    let addresses = muted.len() + rooms.as_ref().map_or(0, Vec::len);
    if bytes > PUSH_FILTER_BYTES_MAX || addresses > PUSH_FILTER_ADDRESSES_MAX {
        return Err(TOO_LONG);
    }
    Ok(Filters {
        ignore_unknown: request.child(IGNORE_UNKNOWN, "ignore-unknown").is_some(),
        muted,
        rooms,
    })
}

/// `tigase:push:filter:groupchat:0` §4.2. A room with `never` is one that is not listed.
fn rooms(groupchat: &Element) -> Result<Vec<Room>, StanzaError> {
    let rooms = groupchat.elements().filter(|child| child.is(ROOMS, "room"));
    let rooms = rooms.map(|room| {
        let nickname = match room.attr("allow") {
            Some("always") => None,
            Some("never") => return Ok(None),
            Some("mentioned") => Some(room.attr("nick").ok_or(StanzaError::BAD_REQUEST)?.into()),
            _ => return Err(StanzaError::BAD_REQUEST),
        };
        let jid = jid(room)?.bare_str().into();
        Ok(Some(Room { jid, nickname }))
    });
    rooms.filter_map(Result::transpose).collect()
}

/// §8: a push service says that it takes no more for a node.
fn disabled_remotely(cx: &mut Cx<'_>, stanza: &mut Passing) -> Verdict {
    if cx.state.memory.push.is_empty() || stanza.stanza.kind != Kind::Message {
        return Verdict::Pass;
    }
    let Some(pubsub) = stanza.stanza.child(PUBSUB, "pubsub") else {
        return Verdict::Pass;
    };
    let (pubsub, own) = (pubsub.element(), cx.jid().as_str());
    let taken_away = pubsub.elements().any(|child| {
        let lost = matches!(child.attr("affiliation"), Some("none" | "outcast"));
        child.is(PUBSUB, "affiliation") && child.attr("jid") == Some(own) && lost
    });
    match pubsub.attr("node") {
        Some(node) if taken_away => {
            push::disable(cx, &stanza.from, Some(node));
            Verdict::Taken
        }
        _ => Verdict::Pass,
    }
}

fn end_of_call(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    push::may_end_a_call(cx, message);
    Verdict::Pass
}

fn delivered(cx: &mut Cx<'_>, message: &Passing, delivery: &mut Delivery<'_>) {
    // Where nobody takes it, [`undelivered`] is told.
    let taken = !(delivery.receivers.is_empty() && delivery.copies.is_empty());
    if cx.state.memory.push.is_empty() || !taken {
        return;
    }
    let gets = |jid: &Jid| {
        let mut copies = delivery.copies.iter();
        delivery.receivers.contains(jid) || copies.any(|(copied, _)| copied == jid)
    };
    if push::arrived(cx, message, gets) {
        delivery.entry.class = Class::Urgent; // whom that wakes shall find it
    }
}

/// It waits for somebody to come, if it was kept.
fn undelivered(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    push::arrived(cx, message, |_| false);
    Verdict::Pass
}

fn looked_at(cx: &mut Cx<'_>, jid: &Jid) {
    let resource = cx.state.resource(jid);
    if resource.is_some_and(|resource| !resource.session.outbox.is_inactive()) {
        push::looked_at(cx, jid);
    }
}
