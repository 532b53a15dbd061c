//! Hats (XEP-0317): what somebody is in a room besides what the room itself knows, as its admins say: a
//! teacher, whoever cooks this week. They are named by URIs, and worn by people, there or not.
//!
//! State: [`Room::hats`], in table `room.hat`.

use super::{
    Room,
    record::{HAT, HatRecord},
};
use crate::{
    account::Cx,
    limits::{ROOM_HAT_WEARERS_MAX, ROOM_HATS_MAX},
};
use xmpp::Jid;

/// A hat that there is in a room.
pub(crate) struct Hat {
    pub(crate) uri: String,
    pub(crate) known: HatRecord,
}

/// As many as there may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Hat {
    fn at(&self, who: &Jid) -> Result<usize, usize> {
        let bare = who.bare_str();
        let mut wearers = self.known.wearers.iter();
        let at = wearers.position(|wearer| **wearer >= *bare);
        match at {
            Some(at) if self.known.wearers[at] == bare => Ok(at),
            at => Err(at.unwrap_or(self.known.wearers.len())),
        }
    }

    pub(crate) fn is_worn_by(&self, who: &Jid) -> bool {
        self.at(who).is_ok()
    }
}

impl Room {
    pub(crate) fn hat(&self, uri: &str) -> Option<&Hat> {
        self.hats.iter().find(|hat| hat.uri == uri)
    }

    fn hat_mut(&mut self, uri: &str) -> Option<&mut Hat> {
        self.hats.iter_mut().find(|hat| hat.uri == uri)
    }

    /// §3.2: one more hat, or what is known of one from now on; who wears it wears it still. Whether anything
    /// is another than before.
    pub(crate) fn make_hat(&mut self, uri: &str, looks: HatRecord) -> Result<bool, Full> {
        if let Some(hat) = self.hat_mut(uri) {
            let known = HatRecord {
                order: hat.known.order,
                wearers: std::mem::take(&mut hat.known.wearers),
                ..looks
            };
            let old = std::mem::replace(&mut hat.known, known);
            let new = &hat.known;
            return Ok((&old.title, &old.lang, &old.hue) != (&new.title, &new.lang, &new.hue));
        }
        if self.hats.len() >= ROOM_HATS_MAX {
            return Err(Full);
        }
        let last = self.hats.last().map_or(0, |hat| hat.known.order);
        self.hats.push(Hat {
            uri: uri.to_owned(),
            known: HatRecord {
                order: last + 1,
                wearers: Vec::new(),
                ..looks
            },
        });
        Ok(true)
    }

    /// §3.3. Who wore it.
    pub(crate) fn destroy_hat(&mut self, uri: &str) -> Option<Vec<String>> {
        let at = self.hats.iter().position(|hat| hat.uri == uri)?;
        Some(self.hats.remove(at).known.wearers)
    }

    /// §3.5: somebody wears a hat from now on, where there is such a hat. Whether they did not.
    pub(crate) fn put_on(&mut self, uri: &str, who: &Jid) -> Result<bool, Full> {
        let Some(hat) = self.hat_mut(uri) else {
            return Ok(false);
        };
        match hat.at(who) {
            Ok(_) => Ok(false),
            Err(_) if hat.known.wearers.len() >= ROOM_HAT_WEARERS_MAX => Err(Full),
            Err(at) => {
                hat.known.wearers.insert(at, who.bare_str().to_owned());
                Ok(true)
            }
        }
    }

    /// §3.6. Whether they wore it.
    pub(crate) fn take_off(&mut self, uri: &str, who: &Jid) -> bool {
        let Some(hat) = self.hat_mut(uri) else {
            return false;
        };
        let at = hat.at(who).ok();
        at.map(|at| hat.known.wearers.remove(at)).is_some()
    }
}

impl Cx<'_> {
    /// Keeps what is known of a hat now, or that there is none.
    pub(crate) fn keep_hat(&mut self, uri: &str) {
        let Some(room) = self.room() else { return };
        if room.locked {
            return; // written with the room, when it is unlocked
        }
        let key = (self.id(), uri.to_owned());
        let write = match room.hat(uri) {
            Some(hat) => HAT.put(&key, &hat.known),
            None => HAT.remove(&key),
        };
        self.write(write);
    }

    /// Takes off all that somebody wears who is gone.
    pub(super) fn take_off_all(&mut self, gone: &Jid) {
        let Some(room) = self.room_mut() else { return };
        let worn = room.hats.iter().filter(|hat| hat.is_worn_by(gone));
        let worn: Vec<String> = worn.map(|hat| hat.uri.clone()).collect();
        for uri in worn {
            if let Some(room) = self.room_mut() {
                room.take_off(&uri, gone);
            }
            self.keep_hat(&uri);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{accounts, fixture::Fixture, room::acquainted};

    fn jid(name: &str) -> Jid {
        Jid::parse(&format!("{name}@home.example")).unwrap()
    }

    fn looks(title: &str) -> HatRecord {
        HatRecord {
            title: title.to_owned(),
            ..HatRecord::default()
        }
    }

    #[test]
    fn hats_have_limits_and_stay_in_order() {
        let mut room = Room::new(&jid("juliet"), 0);
        for n in 0..ROOM_HATS_MAX {
            assert_eq!(room.make_hat(&format!("urn:h:{n}"), looks("h")), Ok(true));
        }
        assert_eq!(room.make_hat("urn:h:more", looks("h")), Err(Full));
        for n in 0..ROOM_HAT_WEARERS_MAX {
            assert_eq!(room.put_on("urn:h:0", &jid(&format!("w{n}"))), Ok(true));
        }
        assert_eq!(room.put_on("urn:h:0", &jid("w0")), Ok(false));
        assert_eq!(room.put_on("urn:h:0", &jid("more")), Err(Full));
        assert_eq!(room.put_on("urn:none", &jid("w0")), Ok(false));
        assert!(room.hats[0].known.wearers.is_sorted());
        assert_eq!(room.make_hat("urn:h:0", looks("h")), Ok(false));
        assert_eq!(room.make_hat("urn:h:0", looks("other")), Ok(true));
        assert!(room.hats[0].is_worn_by(&jid("w3")));
        assert!(room.take_off("urn:h:0", &jid("w3")));
        assert!(!room.take_off("urn:h:0", &jid("w3")));
        let wearers = room.destroy_hat("urn:h:0").unwrap();
        assert_eq!(wearers.len(), ROOM_HAT_WEARERS_MAX - 1);
        assert_eq!(room.destroy_hat("urn:h:0"), None);
        room.make_hat("urn:h:0", looks("h")).unwrap();
        assert_eq!(room.hats.last().unwrap().uri, "urn:h:0");
    }

    /// They are there when the room is read again, and go with whoever wore them, and with the room.
    #[test]
    fn hats_are_kept() {
        let home = Fixture::new(&["juliet"]);
        let address = Jid::parse("capulet@groupchat.home.example").unwrap();
        let room = home.server.make_room(&address, &jid("juliet")).unwrap();
        home.server.at(&room, 0, |cx| {
            let room = cx.room_mut().unwrap();
            room.make_hat("urn:h:z", looks("first")).unwrap();
            room.put_on("urn:h:z", &jid("romeo")).unwrap();
            cx.unlock_room();
            cx.room_mut()
                .unwrap()
                .make_hat("urn:h:a", looks("second"))
                .unwrap();
            cx.keep_hat("urn:h:a");
        });
        home.write();
        let store = home.server.store();
        let snapshot = || store.snapshot().unwrap();
        let known = |who: &str| acquainted(&snapshot(), jid(who).as_str()).unwrap().len();
        assert_eq!((known("romeo"), known("juliet"), known("nurse")), (1, 1, 0));
        home.server.directory().forget(&room);
        let room = home.server.read_room(address.as_str(), &snapshot());
        let room = room.unwrap().unwrap();
        home.server.at(&room, 0, |cx| {
            let titles = cx
                .room()
                .unwrap()
                .hats
                .iter()
                .map(|hat| hat.known.title.clone());
            assert_eq!(titles.collect::<Vec<_>>(), ["first", "second"]);
            crate::room::forget(cx, &jid("romeo"), &[]);
        });
        home.write();
        assert_eq!(known("romeo"), 0);
        let writes = accounts::writes_to_remove_room(&snapshot(), room.id).unwrap();
        store.queue(writes, store::Urgency::Now);
        home.write();
        assert_eq!(HAT.prefix(&snapshot(), &()).unwrap().count(), 0);
    }
}
