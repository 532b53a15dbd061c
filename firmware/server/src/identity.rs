//! Who somebody is, for apps of every age: a name, a nickname and a picture have two faces. Old clients keep
//! them in one card (vcard-temp, XEP-0054) and tell of the picture with its hash in presence (XEP-0153).
//! Newer ones publish them as events of the account (XEP-0292, XEP-0172, XEP-0084). Here they are one
//! person's (XEP-0398 for pictures, XEP-0292 §11 and XEP-0172 §3 for the rest).
//!
//! What was said last is true, each of the three for itself:
//! - A card that is stored is also published, in the same commit: as vCard4, nickname and picture. A node
//!   made for that is open, as a card is; one that there was keeps its configuration. What the card does not
//!   have is taken back by an empty payload, as XEP-0084 §3.5 does.
//! - What a client publishes is not copied into the card. It is noted here that it is newer, in the same
//!   commit, and the card is made of both when somebody asks (XEP-0398 §5.2): nothing is read under a lock,
//!   and there is no moment at which one face has what the other lacks.
//!
//! Who may read is what the nodes say, in both faces (XEP-0398 §7): a picture that is for contacts alone is
//! in nobody else's copy of the card, nor its hash in presence for rooms.
//!
//! What does not fit both faces is in one of them, and the other shows nothing rather than what is not true
//! any more: a picture of the card that is too large for an item or of no known type; a picture that is
//! published as an address on the web, or together with whose text a card would be too large; a text that is
//! too large for a card. What the card has besides text and picture (sounds, logos) stays in the card; a
//! picture inside of a vCard4 is not looked at. Nicknames inside of a vCard4 give way to one that was
//! published as such.
//!
//! State: table `identity.events`, in memory while the account is loaded.

mod card;
mod hash;
mod picture;
#[cfg(test)]
mod tests;
mod vcard4;

pub(crate) use card::plan;
pub(crate) use hash::{as_sent, complete, completed_anew, shown_to};
pub(crate) use picture::{DATA, METADATA, data_changed, metadata_changed};

use crate::{
    account::Cx,
    features::vcard::PhotoHash,
    presence,
    pubsub::{self, Node, Visitor},
};
use picture::Taken;
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table};
use tracing::debug;
use xmpp::{Element, Jid, compose};

/// By account; absent where nothing in events is newer than the card.
pub(crate) const EVENTS: Table<u32, Newer> = Table::per_account("identity.events", 1);

pub(crate) const VCARD4: &str = "urn:xmpp:vcard4";
pub(crate) const NICK: &str = "http://jabber.org/protocol/nick";

/// The id of an item that replaces whatever was there.
pub(crate) const CURRENT: &str = "current";

/// Which events are newer than the card. Fields are in the order of the first release and only ever appended
/// to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Newer {
    /// A client published a vCard4, or took it away.
    text: bool,
    /// A nickname, likewise.
    nick: bool,
    picture: Picture,
}

impl Record for Newer {}

/// Where the picture is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Picture {
    /// In the card, if there is one.
    #[default]
    OfCard,
    /// In the event with this hash for its id.
    OfEvents(PhotoHash),
    /// There was one once, and people are to know that it is gone.
    Gone,
    /// Described, but its bytes are not there (yet, or any more); to be shown as soon as they are.
    Awaited(PhotoHash),
}

impl Newer {
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<Newer, store::Error> {
        Ok(EVENTS.get(snapshot, &account)?.unwrap_or_default())
    }
}

impl Cx<'_> {
    /// The hash of this person's picture, in whatever face it is.
    pub(crate) fn picture(&self) -> Option<PhotoHash> {
        match self.state.memory.newer.picture {
            Picture::OfCard => self.state.memory.photo.hash(),
            Picture::OfEvents(hash) => Some(hash),
            Picture::Gone | Picture::Awaited(_) => None,
        }
    }

    /// Takes over what is newer now; who sees presence hears of another picture than `before`.
    fn put_newer(&mut self, newer: Newer, before: Option<PhotoHash>) {
        if newer != self.state.memory.newer {
            self.write(if newer == Newer::default() {
                EVENTS.remove(&self.id())
            } else {
                EVENTS.put(&self.id(), &newer)
            });
            self.state.memory.newer = newer;
        }
        if self.picture() != before {
            presence::tell_anew(self);
        }
    }

    /// Publishes what the card says; whether there was room for it.
    fn say(&mut self, node: &str, id: &str, payload: String) -> bool {
        // Everybody may read a card, so everybody may read what is made of it.
        let as_open_as_a_card: &[(&str, &str)] = match self.node(node) {
            Ok(_) => &[],
            Err(_) => &[("pubsub#access_model", "open")],
        };
        let published = self.publish(node, id, payload, as_open_as_a_card);
        if let Err(refusal) = published {
            debug!(account = %self.jid(), node, ?refusal, "the card is not published");
        }
        published.is_ok()
    }

    /// Takes back what was published, with a payload that says nothing; where not even that is taken any
    /// more, without a word.
    fn say_nothing(&mut self, node: &str, payload: &str) {
        let has_one = self.node(node).is_ok_and(|node| node.last().is_some());
        if has_one && !self.say(node, CURRENT, payload.to_owned()) {
            // What is refused here is refused for want of the disk, with all the rest.
            let _ = pubsub::purge(self, &Visitor::account(self), node);
        }
    }
}

/// The card was replaced; `before` is the hash of the picture until then.
pub(crate) fn card_stored(
    cx: &mut Cx<'_>,
    card: &Element,
    picture: Option<&[u8]>,
    before: Option<PhotoHash>,
) {
    publish_text(cx, card);
    publish_nick(cx, card);
    let now = match picture {
        Some(_) => Picture::OfCard,
        None if before.is_some() => Picture::Gone,
        // It had none before, and what events say of one that is not there is still true.
        None => cx.state.memory.newer.picture,
    };
    match (picture.map(|picture| Taken::of(card, picture)), before) {
        (Some(taken), before) => picture::publish(cx, &taken, before),
        (None, Some(before)) => picture::take_back(cx, before),
        (None, None) => {}
    }
    let newer = Newer {
        picture: now,
        ..Newer::default()
    };
    cx.put_newer(newer, before);
}

fn publish_text(cx: &mut Cx<'_>, card: &Element) {
    let said = vcard4::from_temp(card).is_some_and(|vcard| {
        let mut payload = String::new();
        vcard.write(&mut payload, "");
        cx.say(VCARD4, CURRENT, payload)
    });
    if !said {
        cx.say_nothing(VCARD4, &format!("<vcard xmlns='{}'/>", vcard4::NS));
    }
}

/// XEP-0172 §3.
fn publish_nick(cx: &mut Cx<'_>, card: &Element) {
    let nick = vcard4::nickname(card).is_some_and(|nick| {
        let nick = compose::escaped(&nick);
        cx.say(NICK, CURRENT, format!("<nick xmlns='{NICK}'>{nick}</nick>"))
    });
    if !nick {
        cx.say_nothing(NICK, &format!("<nick xmlns='{NICK}'/>"));
    }
}

/// Others may see the picture than before, or these people in particular: the hash is in presence where they
/// may (XEP-0398 §7).
pub(crate) fn readers_changed(cx: &mut Cx<'_>, people: &[Jid]) {
    if people.is_empty() {
        presence::tell_anew(cx);
    }
    let concerns = |cx: &Cx<'_>, who| cx.state.roster.subscription(who).from;
    for person in people {
        if cx.picture().is_some() && concerns(cx, person) {
            presence::show_available(cx, person);
        }
    }
}

/// A client changed its vCard4.
pub(crate) fn text_changed(cx: &mut Cx<'_>) {
    let newer = Newer {
        text: true,
        ..cx.state.memory.newer
    };
    cx.put_newer(newer, cx.picture());
}

/// A client changed its nickname.
pub(crate) fn nick_changed(cx: &mut Cx<'_>) {
    let newer = Newer {
        nick: true,
        ..cx.state.memory.newer
    };
    cx.put_newer(newer, cx.picture());
}

/// Where the newest item of a node is, if it has any.
fn newest(cx: &Cx<'_>, node: &str) -> Option<card::Source> {
    let node: &Node = cx.node(node).ok()?;
    Some(card::Source::Event(cx.shelf(node), node.last()?))
}
