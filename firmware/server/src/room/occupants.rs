//! Who is in a room (XEP-0045 §7): nicknames, and the sessions behind each.
//!
//! Somebody may be there with several devices under one nickname (§7.2.8). What the others see is the
//! presence that came last from any of them; the nickname is gone with the last device.

use super::standing::Role;
use std::sync::Arc;
use xmpp::{Jid, Stanza};

/// Everybody in a room, in the order in which they came.
#[derive(Default)]
pub(crate) struct Occupants(Vec<Occupant>);

/// A nickname and whoever has it.
pub(crate) struct Occupant {
    /// The occupant JID: the room's, with the nickname.
    pub(crate) jid: Jid,
    pub(crate) role: Role,
    /// By which others recognise it without knowing its address (XEP-0421).
    pub(crate) id: Arc<str>,
    /// The sessions; what the last one said of itself is shown.
    pub(crate) seats: Vec<Seat>,
}

/// A session in a room.
#[derive(Clone)]
pub(crate) struct Seat {
    /// The real full JID.
    pub(crate) jid: Jid,
    /// What its client said last in its presence.
    pub(crate) presence: Said,
}

/// What a client says in its presence. Shared by all that say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said(Arc<Saying>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Saying {
    lang: Box<str>,
    content: Box<str>,
}

impl Said {
    /// What stands between the tags, as XML that was judged, and the language it says that is in; empty where
    /// it does not.
    pub(crate) fn new(lang: &str, content: &str) -> Said {
        Said(Arc::new(Saying {
            lang: lang.into(),
            content: content.into(),
        }))
    }

    /// The same from the disk: what goes to everybody is judged once, whoever damaged it there.
    pub(crate) fn kept(lang: &str, content: &str) -> Said {
        if Stanza::parse(&format!("<presence>{content}</presence>")).is_ok() {
            Said::new(lang, content)
        } else {
            Said::default()
        }
    }

    pub(crate) fn lang(&self) -> &str {
        &self.0.lang
    }

    pub(crate) fn content(&self) -> &str {
        &self.0.content
    }
}

/// XML in no language in particular.
impl From<&str> for Said {
    fn from(content: &str) -> Said {
        Said::new("", content)
    }
}

impl Occupant {
    /// The real bare JID.
    pub(crate) fn real(&self) -> Jid {
        self.shown()
            .map_or_else(|| self.jid.bare(), |seat| seat.jid.bare())
    }

    pub(crate) fn is(&self, bare: &str) -> bool {
        self.seats.iter().any(|seat| seat.jid.bare_str() == bare)
    }

    /// Whether the session with this real full JID is one of its.
    pub(crate) fn has(&self, real: &Jid) -> bool {
        self.seats.iter().any(|seat| seat.jid == *real)
    }

    pub(crate) fn nick(&self) -> &str {
        self.jid.resourcepart().unwrap_or_default()
    }

    /// The session whose presence is that of the nickname.
    pub(crate) fn shown(&self) -> Option<&Seat> {
        self.seats.last()
    }

    /// Takes what a session of this occupant says now, or a new session. Whether others see something else
    /// than before: a device that says what another one said already changes nothing.
    pub(crate) fn take(&mut self, seat: Seat) -> bool {
        let shown = self.shown();
        let changes = shown.is_none_or(|shown| shown.presence != seat.presence);
        let stays = shown.is_some_and(|shown| shown.jid == seat.jid);
        self.seats.retain(|known| known.jid != seat.jid);
        self.seats.reserve_exact(1); // most people have one
        if changes || stays {
            self.seats.push(seat);
        } else {
            self.seats.insert(0, seat);
        }
        changes
    }
}

impl Occupants {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Occupant> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Occupant> {
        self.0.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whoever has this occupant JID.
    pub(crate) fn get(&self, jid: &Jid) -> Option<&Occupant> {
        self.0.iter().find(|occupant| occupant.jid == *jid)
    }

    pub(crate) fn get_mut(&mut self, jid: &Jid) -> Option<&mut Occupant> {
        self.0.iter_mut().find(|occupant| occupant.jid == *jid)
    }

    /// The occupant that this real full JID is.
    pub(crate) fn of(&self, real: &Jid) -> Option<&Occupant> {
        let mut occupants = self.0.iter();
        occupants.find(|occupant| occupant.has(real))
    }

    /// Every session, with its occupant.
    pub(crate) fn seats(&self) -> impl Iterator<Item = (&Occupant, &Seat)> {
        let occupants = self.0.iter();
        occupants.flat_map(|occupant| occupant.seats.iter().map(move |seat| (occupant, seat)))
    }

    /// The real full JID of every session.
    pub(crate) fn sessions(&self) -> Vec<Jid> {
        self.seats().map(|(_, seat)| seat.jid.clone()).collect()
    }

    /// Seats a session at the occupant of that JID, or at a new one. Whether others see something else then.
    pub(crate) fn seat(&mut self, jid: &Jid, new: impl FnOnce() -> Occupant, seat: Seat) -> bool {
        let at = self.0.iter().position(|occupant| occupant.jid == *jid);
        let at = at.unwrap_or_else(|| {
            self.0.push(new());
            self.0.len() - 1
        });
        self.0[at].take(seat)
    }

    /// The session with this real full JID leaves. Gives its occupant if that was its last one.
    pub(crate) fn unseat(&mut self, real: &Jid) -> Option<Occupant> {
        let at = self.0.iter().position(|occupant| occupant.has(real))?;
        self.0[at].seats.retain(|seat| seat.jid != *real);
        self.0[at].seats.is_empty().then(|| self.0.remove(at))
    }

    /// Those whom something holds of, and the others.
    pub(crate) fn parted(self, holds: impl Fn(&Occupant) -> bool) -> (Vec<Occupant>, Occupants) {
        let (those, others) = self.0.into_iter().partition(holds);
        (those, Occupants(others))
    }

    /// The occupant of that JID leaves with all sessions.
    pub(crate) fn remove(&mut self, jid: &Jid) -> Option<Occupant> {
        let at = self.0.iter().position(|occupant| occupant.jid == *jid)?;
        Some(self.0.remove(at))
    }

    /// A presence as others have it already, so that the many that say the same cost one.
    pub(crate) fn shared(&self, said: Said) -> Said {
        let mut seats = self.seats();
        let known = seats.find(|(_, seat)| seat.presence == said);
        known.map_or(said, |(_, seat)| seat.presence.clone())
    }
}
