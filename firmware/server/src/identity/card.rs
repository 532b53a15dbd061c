//! The card that somebody gets who asks for one (XEP-0054 §3.3): as it was stored, with what was published
//! since in place of its own (XEP-0398 §5.2), and without what the one who asks may not read.

use super::{DATA, METADATA, NICK, Picture, VCARD4, hash::may_read, newest, picture, vcard4};
use crate::{
    account::Cx,
    feature::{Plan, Read},
    features::vcard::{self, PhotoHash},
    limits::VCARD_BYTES_MAX,
    pubsub::{Place, Shelf, Visitor},
};
use store::{Error, Snapshot};
use tracing::error;
use xmpp::{Element, Jid, StanzaError, element::Node};

/// Where a part of the card is.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Card,
    Event(Shelf, Place),
    Nowhere,
}

/// Where all of it is, for one who asks.
struct Parts {
    account: u32,
    text: Source,
    /// [`Source::Card`] for that of the text.
    nick: Source,
    picture: Source,
    /// Of a picture among the events: its hash, and where its metadata is.
    described: Option<(PhotoHash, Source)>,
}

/// What is to be read of this account's card for somebody; `none` where there is nothing.
pub(crate) fn plan(cx: &Cx<'_>, asker: &Jid, none: StanzaError) -> Plan {
    let parts = Parts::of(cx, asker);
    Box::new(move |snapshot| match parts.read(snapshot) {
        Ok(card) => card.map(Read::of).ok_or(none),
        Err(error) => {
            error!(%error, "a vCard cannot be read");
            Err(StanzaError::INTERNAL)
        }
    })
}

impl Parts {
    fn of(cx: &Cx<'_>, asker: &Jid) -> Parts {
        let visitor = Visitor::new(cx, asker);
        let newer = cx.state.memory.newer;
        let text = match newer.text {
            _ if !may_read(cx, &visitor, &[VCARD4]) => Source::Nowhere,
            true => newest(cx, VCARD4).unwrap_or(Source::Nowhere),
            false => Source::Card,
        };
        let nick = match newest(cx, NICK) {
            _ if !may_read(cx, &visitor, &[NICK]) => Source::Nowhere,
            Some(event) if newer.nick || newer.text => event,
            // A vCard4 may have one inside; the card's own is that of before.
            None if newer.text && matches!(text, Source::Event(..)) => Source::Card,
            None if newer.nick || newer.text => Source::Nowhere,
            _ => Source::Card,
        };
        let (picture, described) = match newer.picture {
            _ if !may_read(cx, &visitor, &[DATA, METADATA]) => (Source::Nowhere, None),
            Picture::OfCard => (Source::Card, None),
            Picture::Gone | Picture::Awaited(_) => (Source::Nowhere, None),
            Picture::OfEvents(hash) => {
                let metadata = newest(cx, METADATA).unwrap_or(Source::Nowhere);
                (item(cx, DATA, &hash.to_string()), Some((hash, metadata)))
            }
        };
        Parts {
            account: cx.id(),
            text,
            nick,
            picture,
            described,
        }
    }

    fn read(&self, snapshot: &Snapshot) -> Result<Option<String>, Error> {
        let stored = vcard::card(snapshot, self.account)?;
        if let (Source::Card, Source::Card, Source::Card) = (self.text, self.nick, self.picture) {
            return Ok(stored);
        }
        let stored = stored.and_then(|xml| Element::parse(&xml, "").ok());
        let stored = stored.unwrap_or_else(|| Element::new(vcard::NS, "vCard"));
        let (pictures, rest) = stored.children.into_iter().partition(is_picture);
        let mut card = Element::new(vcard::NS, "vCard");
        card.children = match self.text {
            Source::Card => rest,
            Source::Nowhere => rest
                .into_iter()
                .filter(|child| is(child, "NICKNAME"))
                .collect(),
            Source::Event(..) => self.published_text(snapshot)?,
        };
        self.put_nick(snapshot, &mut card)?;
        let photo = match self.picture {
            Source::Card => {
                card.children.extend(pictures);
                None
            }
            Source::Event(..) => self.photo(snapshot)?,
            Source::Nowhere => None,
        };
        shorten(&mut card);
        Ok(written(&card, photo))
    }

    fn published_text(&self, snapshot: &Snapshot) -> Result<Vec<Node>, Error> {
        let vcard = payload(snapshot, self.text)?;
        let vcard = vcard.and_then(|vcard| Element::parse(&vcard, "").ok());
        Ok(vcard.map_or_else(Vec::new, |vcard| vcard4::to_temp(&vcard).children))
    }

    fn put_nick(&self, snapshot: &Snapshot, card: &mut Element) -> Result<(), Error> {
        let nick = match self.nick {
            Source::Card => return Ok(()),
            Source::Nowhere => None,
            Source::Event(..) => payload(snapshot, self.nick)?,
        };
        let nick = nick.and_then(|nick| Element::parse(&nick, "").ok());
        let nick = nick
            .map(|nick| nick.text())
            .filter(|nick| !nick.trim().is_empty());
        // What a vCard4 has for one is as good as none that was published beside it.
        let stays = nick.is_none()
            && matches!(
                (self.nick, self.text),
                (Source::Event(..), Source::Event(..))
            );
        if !stays {
            card.children.retain(|child| !is(child, "NICKNAME"));
        }
        if let Some(nick) = nick {
            let mut element = Element::new(vcard::NS, "NICKNAME");
            element.children.push(Node::Text(nick));
            card.children.push(Node::Element(element));
        }
        Ok(())
    }

    fn photo(&self, snapshot: &Snapshot) -> Result<Option<String>, Error> {
        let (Some(data), Some((hash, metadata))) =
            (payload(snapshot, self.picture)?, self.described)
        else {
            return Ok(None);
        };
        let metadata = payload(snapshot, metadata)?;
        Ok(picture::photo(&data, metadata.as_deref(), hash))
    }
}

/// What is written anew may be longer than it was, and more than a stanza holds: then only the nickname is
/// left of it, or not even that.
fn shorten(card: &mut Element) {
    let is_too_long = |card: &Element| {
        let mut xml = String::new();
        card.write(&mut xml, "");
        xml.len() > VCARD_BYTES_MAX
    };
    if is_too_long(card) {
        card.children.retain(|child| is(child, "NICKNAME"));
    }
    if is_too_long(card) {
        card.children = Vec::new();
    }
}

/// The card with a picture that is XML already, if both fit into one; `None` where nothing is in it.
fn written(card: &Element, photo: Option<String>) -> Option<String> {
    let mut xml = String::new();
    card.write(&mut xml, "");
    let photo = photo.filter(|photo| xml.len() + photo.len() <= VCARD_BYTES_MAX);
    match photo {
        Some(photo) => {
            let mut start = format!("<vCard xmlns='{}'>", vcard::NS);
            for child in card.elements() {
                child.write(&mut start, vcard::NS);
            }
            Some(start + &photo + "</vCard>")
        }
        None => card.elements().next().map(|_| xml),
    }
}

fn is(child: &Node, name: &str) -> bool {
    matches!(child, Node::Element(element) if element.is(vcard::NS, name))
}

fn is_picture(child: &Node) -> bool {
    is(child, "PHOTO")
}

fn payload(snapshot: &Snapshot, source: Source) -> Result<Option<String>, Error> {
    match source {
        Source::Event(shelf, place) => {
            Ok(shelf.read(snapshot, place)?.map(|record| record.payload))
        }
        Source::Card | Source::Nowhere => Ok(None),
    }
}

fn item(cx: &Cx<'_>, node: &str, id: &str) -> Source {
    let nodes = &cx.state.memory.nodes;
    let place = nodes.get(node).and_then(|node| {
        let at = nodes.find(node, id)?;
        let place = node.items.get(at..at + 1).first().copied()?;
        Some(Source::Event(cx.shelf(node), place))
    });
    place.unwrap_or(Source::Nowhere)
}
