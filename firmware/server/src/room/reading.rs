//! Who may read what was said in a room, and how much of who said it (XEP-0313 §6.1.2).
//!
//! State: who is being given a page now, so that nobody keeps the disk busy for everybody else.

use super::{Affiliation, Role, Room};
use crate::limits::{ROOM_PAGES_MAX, ROOM_PAGES_PER_PERSON_MAX};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xmpp::{Jid, StanzaError};

/// How much of who said what somebody gets to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Nicknames: addresses are for moderators.
    Nicknames,
    /// Addresses, of what was said while everybody saw them.
    Shown,
    /// All addresses.
    All,
}

impl Room {
    /// Whether what is said now is kept. Of a locked room nothing is.
    pub(crate) fn keeps(&self) -> bool {
        self.config.archive && !self.locked
    }

    /// §6.1.2: whoever may enter may read, whether there or not. Errors: `item-not-found` for a room that is
    /// no more, or not yet; `service-unavailable` where nothing is kept; `forbidden` (§8.1).
    pub(crate) fn reader(&self, who: &Jid) -> Result<Sight, StanzaError> {
        let affiliation = self.affiliation(who);
        let is_owner = affiliation == Affiliation::Owner;
        if self.destroyed || self.locked && !is_owner {
            return Err(StanzaError::ITEM_NOT_FOUND);
        }
        if !self.config.archive {
            return Err(StanzaError::SERVICE_UNAVAILABLE);
        }
        let own = self.occupants.iter().filter(|it| it.is(who.bare_str()));
        let role = own.map(|occupant| occupant.role).max();
        // A query has no place for a password: whoever is there has given it, and owners know it.
        let knows_it = self.config.password.is_empty() || is_owner || role.is_some();
        let is_outside = self.config.members_only && affiliation < Affiliation::Member;
        if affiliation == Affiliation::Outcast || is_outside || !knows_it {
            return Err(StanzaError::FORBIDDEN);
        }
        Ok(
            if affiliation >= Affiliation::Admin || role == Some(Role::Moderator) {
                Sight::All
            } else if self.config.non_anonymous {
                Sight::Shown
            } else {
                Sight::Nicknames
            },
        )
    }
}

/// Whose pages are being read, by bare JID.
#[derive(Clone, Default)]
pub(crate) struct Pages(Arc<Mutex<Vec<Jid>>>);

/// A page that is being read; it is over when this is dropped.
pub(crate) struct UnderWay {
    pages: Pages,
    whose: Jid,
}

impl Pages {
    /// One more for somebody; `resource-constraint` for who has as many as one may have.
    pub(crate) fn begin(&self, whose: &Jid) -> Result<UnderWay, StanzaError> {
        let whose = whose.bare();
        let mut reading = self.lock();
        let own = reading.iter().filter(|jid| **jid == whose).count();
        if own >= ROOM_PAGES_PER_PERSON_MAX || reading.len() >= ROOM_PAGES_MAX {
            return Err(StanzaError::RESOURCE_CONSTRAINT.with_text("too many pages at once"));
        }
        reading.push(whose.clone());
        drop(reading);
        Ok(UnderWay {
            pages: self.clone(),
            whose,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Jid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut reading = self.pages.lock();
        if let Some(at) = reading.iter().position(|jid| *jid == self.whose) {
            reading.swap_remove(at);
        }
        if reading.is_empty() {
            *reading = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{Config, record::AffiliationRecord};

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    /// A room of the affiliations in the names.
    fn room(config: Config) -> Room {
        let mut room = Room::new(&jid("owner@h"), 0);
        room.locked = false;
        room.config = config;
        for affiliation in Affiliation::ALL {
            let record = AffiliationRecord {
                affiliation,
                nick: String::new(),
                reason: String::new(),
            };
            let who = jid(&format!("{}@h", affiliation.name()));
            room.affiliations.insert(who, record);
        }
        room
    }

    const FORBIDDEN: Result<Sight, &str> = Err("forbidden");

    fn of(room: &Room, who: &str) -> Result<Sight, &'static str> {
        room.reader(&jid(&format!("{who}@h/x")))
            .map_err(|error| error.condition)
    }

    /// §6.1.2, affiliation by affiliation.
    #[test]
    fn who_reads_what() {
        let open = room(Config::default());
        let members_only = room(Config {
            members_only: true,
            ..Config::default()
        });
        let secured = room(Config {
            password: "cauldron".into(),
            ..Config::default()
        });
        let nicknames = Ok(Sight::Nicknames);
        for (who, in_open, in_members_only, in_secured) in [
            ("outcast", FORBIDDEN, FORBIDDEN, FORBIDDEN),
            ("none", nicknames, FORBIDDEN, FORBIDDEN),
            ("member", nicknames, nicknames, FORBIDDEN),
            ("admin", Ok(Sight::All), Ok(Sight::All), FORBIDDEN),
            ("owner", Ok(Sight::All), Ok(Sight::All), Ok(Sight::All)),
        ] {
            assert_eq!(of(&open, who), in_open, "{who}");
            assert_eq!(of(&members_only, who), in_members_only, "{who}");
            assert_eq!(of(&secured, who), in_secured, "{who}");
        }
        let shown = room(Config {
            non_anonymous: true,
            ..Config::default()
        });
        assert_eq!(of(&shown, "none"), Ok(Sight::Shown));
        assert_eq!(of(&shown, "admin"), Ok(Sight::All));
    }

    #[test]
    fn rooms_that_have_nothing_to_read() {
        let off = room(Config {
            archive: false,
            ..Config::default()
        });
        assert_eq!(of(&off, "owner"), Err("service-unavailable"));
        let mut room = room(Config::default());
        room.locked = true;
        assert_eq!(of(&room, "admin"), Err("item-not-found"));
        assert_eq!(of(&room, "owner"), Ok(Sight::All));
        room.destroyed = true;
        assert_eq!(of(&room, "owner"), Err("item-not-found"));
    }

    #[test]
    fn one_person_has_some_pages_at_a_time() {
        let pages = Pages::default();
        let devices = (0..ROOM_PAGES_PER_PERSON_MAX).map(|n| jid(&format!("a@far/{n}")));
        let mut under_way: Vec<_> = devices.map(|jid| pages.begin(&jid).unwrap()).collect();
        assert!(pages.begin(&jid("a@far/more")).is_err());
        let _other = pages.begin(&jid("b@far/x")).unwrap();
        under_way.pop();
        assert!(pages.begin(&jid("a@far/more")).is_ok());
    }
}
