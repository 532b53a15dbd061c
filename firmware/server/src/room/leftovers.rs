//! What rooms leave behind: one that is no more its rows, which go when nothing else is to be written; and an
//! account that is removed what it was to the rooms that stay.
//!
//! A room's name is free as soon as it ends; its number, by which everything of it is kept, is never given to
//! another. A power cut in the middle of a sweep changes nothing: the next one goes on.
//!
//! State: table `room.ended`.

use super::{
    Affiliation, Room,
    changes::Change,
    record::{AFFILIATION, ENDED, HAT, ROOM, VOICE},
};
use crate::{account::Cx, accounts, features::muc, limits::SWEEP_GROUPS_MAX, server::Server};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};
use store::{Durable, Error, Snapshot, Urgency};
use tracing::error;
use xmpp::Jid;

impl Server {
    /// Housekeeping: on the reader pool, unless somebody is at it.
    pub(crate) fn sweep_rooms(self: &Arc<Self>) {
        if self.rooms().sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let server = self.clone();
        self.readers().run(Box::new(move || {
            let swept = catch_unwind(AssertUnwindSafe(|| server.sweep_ended()));
            if let Ok(Err(error)) = swept {
                error!(%error, "what rooms left cannot be swept");
            }
            server.rooms().sweeping.store(false, Ordering::Release);
        }));
    }

    fn sweep_ended(&self) -> Result<(), Error> {
        for row in ENDED.range(&self.store().snapshot()?, ..)? {
            self.sweep_room(row?.0)?;
        }
        Ok(())
    }

    /// What it does not finish is left to the next time. Nothing is written for a room behind its end, so
    /// what is found empty stays so.
    fn sweep_room(&self, id: u32) -> Result<(), Error> {
        let store = self.store();
        for _ in 0..SWEEP_GROUPS_MAX {
            let snapshot = store.snapshot()?;
            let mut writes = accounts::writes_to_remove_room(&snapshot, id)?;
            let is_last = writes.is_empty();
            if is_last {
                writes.push(ENDED.remove(&id));
            }
            drop(snapshot);
            let ticket = store.queue(writes, Urgency::Idle);
            drop(store.snapshot_after(ticket)?);
            if is_last || store.is_durable(ticket) != Some(Durable::Yes) {
                break;
            }
        }
        Ok(())
    }

    /// Every room on the disk: its key in the directory, and its number.
    pub(crate) fn stored_rooms(&self, snapshot: &Snapshot) -> Result<Vec<(String, u32)>, Error> {
        let rooms = ROOM.range(snapshot, ..)?;
        rooms
            .map(|row| row.map(|(name, record)| (self.room_key(&name), record.id)))
            .collect()
    }

    /// Under which a room is in the directory.
    pub(crate) fn room_key(&self, name: &str) -> String {
        format!("{name}@{}", self.rooms().service())
    }
}

/// The rooms to which somebody, a bare JID, is something, that gave or took its voice, or where it wears a
/// hat: name and number.
///
/// # Errors
/// The disk's.
pub(crate) fn acquainted(snapshot: &Snapshot, who: &str) -> Result<Vec<(String, u32)>, Error> {
    let mut numbers = BTreeSet::new();
    for row in AFFILIATION.range(snapshot, ..)? {
        let ((room, jid), _) = row?;
        if jid == who {
            numbers.insert(room);
        }
    }
    for row in VOICE.range(snapshot, ..)? {
        let ((room, jid), _) = row?;
        if jid == who {
            numbers.insert(room);
        }
    }
    for row in HAT.range(snapshot, ..)? {
        let ((room, _), hat) = row?;
        if hat.wearers.iter().any(|wearer| wearer == who) {
            numbers.insert(room);
        }
    }
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let mut rooms = Vec::new();
    for row in ROOM.range(snapshot, ..)? {
        let (name, record) = row?;
        if numbers.contains(&record.id) {
            rooms.push((name, record.id));
        }
    }
    Ok(rooms)
}

/// The room forgets what somebody was to it who is gone, whose sessions have left. Where nobody owns it any
/// more others do from now on (§10.4): its admins; else the administrators of the household, who own what the
/// house makes, too; and where there are none either, its members.
pub(crate) fn forget(cx: &mut Cx<'_>, gone: &Jid, administrators: &[Jid]) {
    cx.forget_voice(gone);
    cx.take_off_all(gone);
    let Some(room) = cx.room_mut() else { return };
    if room.affiliations.remove(gone).is_none() {
        return;
    }
    let heirs = heirs(room, administrators);
    cx.keep_affiliation(gone);
    if !heirs.is_empty() {
        muc::decided(cx, None, &heirs);
    }
}

/// Who is to own a room that nobody owns.
fn heirs(room: &Room, administrators: &[Jid]) -> Vec<Change> {
    let of = |meant: Affiliation| {
        let known = room.affiliations.iter();
        let known =
            known.filter(|(jid, known)| known.affiliation == meant && jid.localpart().is_some());
        known.map(|(jid, _)| jid.clone()).collect::<Vec<Jid>>()
    };
    if !of(Affiliation::Owner).is_empty() {
        return Vec::new();
    }
    let may = |who: &&Jid| room.affiliation(who) != Affiliation::Outcast;
    let administrators: Vec<Jid> = administrators.iter().filter(may).cloned().collect();
    let heirs = [
        of(Affiliation::Admin),
        administrators,
        of(Affiliation::Member),
    ];
    let heirs = heirs.into_iter().find(|heirs| !heirs.is_empty());
    let reason = |who: &Jid| room.affiliations.get(who).map(|known| known.reason.clone());
    let change = |jid: Jid| Change {
        affiliation: Affiliation::Owner,
        nick: None,
        reason: reason(&jid).unwrap_or_default(),
        jid,
    };
    heirs.into_iter().flatten().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::{ENTRY, PAYLOAD},
        fixture::{Fixture, run_beside},
        room::record::{AffiliationRecord, OCCUPANT},
        server::AccountChange,
        session::Session,
    };
    use store::{Key, Table, Value};

    const KEY: &str = "coven@groupchat.home.example";

    /// Romeo and juliet are in a room that juliet made.
    fn coven(home: &Fixture) -> (Arc<Session>, Arc<Session>) {
        let (romeo, juliet) = (home.online("romeo", "x"), home.online("juliet", "x"));
        enter(home, &juliet);
        let form = "<query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query>";
        let open = format!("<iq type='set' id='o' to='{KEY}'>{form}</iq>");
        home.send(&juliet, &open);
        enter(home, &romeo);
        home.write();
        home.got(&romeo);
        (romeo, juliet)
    }

    fn enter(home: &Fixture, who: &Arc<Session>) {
        let nick = who.jid.localpart().unwrap();
        let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
        home.send(who, &format!("<presence to='{KEY}/{nick}'>{x}</presence>"));
    }

    fn say(home: &Fixture, who: &Arc<Session>, times: usize) {
        for n in 0..times {
            let body = format!("<body>{n}</body>");
            let message = format!("<message to='{KEY}' type='groupchat'>{body}</message>");
            home.send(who, &message);
        }
        home.write();
        home.got(who);
    }

    fn count<K: Key, V: Value>(home: &Fixture, table: &Table<K, V>) -> usize {
        let snapshot = home.server.store().snapshot().unwrap();
        table.prefix(&snapshot, &()).unwrap().count()
    }

    /// Messages, their payloads, people, seats, rooms, ended ones.
    fn rows(home: &Fixture) -> [usize; 6] {
        [
            count(home, &ENTRY),
            count(home, &PAYLOAD),
            count(home, &AFFILIATION),
            count(home, &OCCUPANT),
            count(home, &ROOM),
            count(home, &ENDED),
        ]
    }

    #[test]
    fn a_room_that_ended_leaves_nothing() {
        let home = Fixture::new(&["romeo", "juliet"]);
        let (romeo, juliet) = coven(&home);
        say(&home, &romeo, 600);
        assert_eq!(rows(&home), [600, 600, 1, 2, 1, 0]);
        home.leave(&juliet);
        home.leave(&romeo);
        home.write();
        let left = rows(&home);
        assert_eq!((left[0], left[4], left[5]), (600, 0, 1));
        // The name is free at once, and who has it now finds nothing of what was there before.
        let juliet = home.online("juliet", "x");
        enter(&home, &juliet);
        let got = home.got(&juliet).concat();
        assert!(
            got.contains("<status code='201'/>") && !got.contains("<body>"),
            "{got}"
        );
        home.leave(&juliet);
        // The power fails before anything is swept.
        let again = Fixture::on(home.disk.clone());
        again.tick();
        again.write();
        assert_eq!(rows(&again), [0; 6]);
        home.tick();
        home.write();
        assert_eq!(rows(&home), [0; 6]);
    }

    #[test]
    fn a_locked_room_is_not_on_the_disk() {
        let home = Fixture::new(&["juliet"]);
        let juliet = home.online("juliet", "x");
        enter(&home, &juliet);
        say(&home, &juliet, 3);
        assert_eq!(rows(&home), [0; 6]);
        home.leave(&juliet);
        home.write();
        assert_eq!(rows(&home), [0; 6]);
    }

    #[test]
    fn nothing_is_written_behind_the_end_of_a_room() {
        let home = Fixture::new(&["romeo", "juliet"]);
        let _people = coven(&home);
        let room = home.server.directory().get(KEY).unwrap();
        // Nobody has taken it out of the directory yet.
        home.server
            .at(&room, 0, |cx| cx.room_mut().unwrap().destroyed = true);
        home.server.at(&room, 0, |cx| {
            let record = cx.room().unwrap().record(7);
            cx.write(ROOM.put(&"heath".to_owned(), &record));
            cx.write_soon(ENDED.put(&7, &()));
        });
        home.write();
        assert_eq!((count(&home, &ROOM), count(&home, &ENDED)), (1, 0));
    }

    #[test]
    fn rooms_forget_the_removed() {
        let home = Fixture::new(&["romeo", "juliet"]);
        let (_romeo, juliet) = coven(&home);
        home.leave(&juliet);
        let store = home.server.store();
        let writes = accounts::remove(&store.snapshot().unwrap(), "juliet", 0).unwrap();
        store.queue(writes, Urgency::Now);
        home.write();
        assert!(accounts::rests(&store.snapshot().unwrap(), "juliet").unwrap());
        let change = home
            .server
            .account_changed("juliet", AccountChange::Removed);
        run_beside(store, change);
        home.write();
        assert_eq!((count(&home, &AFFILIATION), count(&home, &ROOM)), (0, 1));
        assert!(!accounts::rests(&store.snapshot().unwrap(), "juliet").unwrap());
        let room = home.server.directory().get(KEY).unwrap();
        assert!(room.lock().room.as_ref().unwrap().affiliations.is_empty());
    }

    /// §10.4, §5.1.
    #[test]
    fn who_is_gone_leaves_an_owner_and_no_voice() {
        let home = Fixture::new(&["romeo", "juliet"]);
        let (romeo, juliet) = coven(&home);
        let room = home.server.directory().get(KEY).unwrap();
        let jid = |name: &str| Jid::parse(&format!("{name}@home.example")).unwrap();
        home.server.at(&room, 0, |cx| {
            let admin = Change {
                jid: jid("romeo"),
                affiliation: Affiliation::Admin,
                nick: None,
                reason: String::new(),
            };
            muc::decided(cx, None, &[admin]);
            cx.keep_voice(&jid("nurse"), crate::room::Role::Visitor);
        });
        home.write();
        home.got(&romeo);
        let known = |who: &str| {
            let snapshot = home.server.store().snapshot().unwrap();
            acquainted(&snapshot, &format!("{who}@home.example"))
                .unwrap()
                .len()
        };
        assert_eq!(
            (known("juliet"), known("nurse"), known("tybalt")),
            (1, 1, 0)
        );
        home.server.at(&room, 0, |cx| {
            forget(cx, &jid("nurse"), &[]);
            forget(cx, &jid("juliet"), &[]);
        });
        home.write();
        assert_eq!((known("juliet"), known("nurse")), (0, 0));
        let affiliation = room
            .lock()
            .room
            .as_ref()
            .unwrap()
            .affiliation(&jid("romeo"));
        assert_eq!(affiliation, Affiliation::Owner);
        // What the room has to say leaves with the next thing that comes.
        home.send(&juliet, &format!("<presence to='{KEY}/juliet'/>"));
        let got = home.got(&romeo).concat();
        assert!(got.contains("affiliation='owner'"), "{got}");
    }

    /// §10.4: who owns a room that nobody owns, of whom is affiliated and who runs the house.
    #[test]
    fn a_room_has_an_heir() {
        use Affiliation::{Admin, Member, Outcast, Owner};
        let jid = |name: &str| Jid::parse(&format!("{name}@home.example")).unwrap();
        type People<'a> = &'a [(&'a str, Affiliation)];
        let rows: [(People<'_>, &[&str], &[&str]); 6] = [
            (&[("a", Owner), ("b", Admin)], &["h"], &[]),
            (
                &[("b", Admin), ("c", Admin), ("m", Member)],
                &["h"],
                &["b", "c"],
            ),
            (&[("m", Member)], &["h", "i"], &["h", "i"]),
            (&[("m", Member), ("h", Outcast)], &["h"], &["m"]),
            (
                &[("m", Member), ("n", Member), ("o", Outcast)],
                &[],
                &["m", "n"],
            ),
            (&[("o", Outcast)], &[], &[]),
        ];
        for (people, administrators, expected) in rows {
            let mut room = Room::new(&jid("gone"), 0);
            room.affiliations.clear();
            for (name, affiliation) in people {
                let record = AffiliationRecord::of(*affiliation, String::new());
                room.affiliations.insert(jid(name), record);
            }
            let administrators: Vec<Jid> = administrators.iter().map(|name| jid(name)).collect();
            let heirs = heirs(&room, &administrators)
                .into_iter()
                .map(|heir| heir.jid);
            let expected: Vec<Jid> = expected.iter().map(|name| jid(name)).collect();
            assert_eq!(heirs.collect::<Vec<_>>(), expected, "{people:?}");
        }
    }

    #[test]
    fn old_messages_go_from_rooms_too() {
        let home = Fixture::new(&["romeo", "juliet"]);
        let mut config = household::Config::clone(&home.server.config());
        config.archive.keep = Some(std::time::Duration::from_hours(7 * 24));
        home.server.configure(Arc::new(config));
        let (romeo, _juliet) = coven(&home);
        say(&home, &romeo, 300);
        home.hands.pass(5 * 86_400_000);
        say(&home, &romeo, 10);
        home.hands.pass(3 * 86_400_000);
        for _ in 0..4 {
            home.tick();
            home.write();
        }
        assert_eq!((count(&home, &ENTRY), count(&home, &PAYLOAD)), (10, 10));
        let id = home.server.directory().get(KEY).unwrap().id;
        let snapshot = home.server.store().snapshot().unwrap();
        let entries = ENTRY.prefix(&snapshot, &id).unwrap();
        let bytes: u64 = entries.map(|row| u64::from(row.unwrap().1.bytes)).sum();
        assert_eq!(crate::archive::bytes(&snapshot, id).unwrap(), bytes);
    }
}
