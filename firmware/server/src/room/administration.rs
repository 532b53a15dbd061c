//! Rooms as whoever keeps the house sees them: listed, made and destroyed without being in one. A running
//! server does it to the rooms in memory, a command alone to the store; what is on disk then is the same.
//!
//! State: none of its own.

use super::{
    Affiliation, Config, Room,
    record::{self, AffiliationRecord, ROOM, RoomRecord},
    rooms,
};
use crate::{
    accounts,
    features::muc,
    limits::{ROOM_NAME_BYTES_MAX, ROOMS_MAX},
    server::Server,
    world::Timestamp,
};
use household::Config as Settings;
use std::{collections::BTreeMap, fmt, sync::Arc};
use store::{Snapshot, Store, Write};
use xmpp::Jid;

/// Why nothing was done.
#[derive(Debug)]
pub enum Refusal {
    /// There is a room of this name.
    Exists,
    /// There is none.
    Unknown,
    /// There are as many rooms as there may be, or no number is left for another.
    Full,
    /// Nothing that an address can have in front of its `@`.
    BadAddress,
    /// Too long for people, or with characters that nobody sees.
    BadName,
    /// The disk did not take it.
    NotKept,
    Store(store::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Exists => f.write_str("there is such a room already"),
            Refusal::Unknown => f.write_str("there is no such room"),
            Refusal::Full => f.write_str("no more rooms can be made: destroy one first"),
            Refusal::BadAddress => f.write_str("no room can have this address"),
            Refusal::BadName => write!(
                f,
                "this cannot be its name: one has at most {ROOM_NAME_BYTES_MAX} bytes, in one line"
            ),
            Refusal::NotKept => f.write_str("the disk did not take it: try again"),
            Refusal::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Refusal {
        Refusal::Store(error)
    }
}

/// A room to be. It stays when nobody is in it, and the administrators of the household own it.
pub struct NewRoom<'a> {
    /// Prepared as a localpart (RFC 7622 §3.3).
    pub localpart: &'a str,
    /// For people; empty for none.
    pub name: &'a str,
    /// For members alone, who see one another's addresses, and hidden; otherwise everybody finds and enters
    /// it.
    pub members_only: bool,
}

impl NewRoom<'_> {
    /// Whether people can be shown its name.
    fn check(&self) -> Result<(), Refusal> {
        let is_short = self.name.len() <= ROOM_NAME_BYTES_MAX;
        let is_line = self.name.trim() == self.name && !self.name.contains(char::is_control);
        (is_short && is_line).then_some(()).ok_or(Refusal::BadName)
    }

    fn config(&self) -> Config {
        Config {
            name: self.name.to_owned(),
            public: !self.members_only,
            persistent: true,
            members_only: self.members_only,
            non_anonymous: self.members_only,
            ..Config::default()
        }
    }
}

/// A room in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub localpart: String,
    pub name: String,
    /// Nicknames in it now; nobody is where no server runs.
    pub occupants: usize,
    pub members_only: bool,
    pub persistent: bool,
}

/// One room, with what a list has no place for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub listed: Listed,
    pub description: String,
    pub public: bool,
    pub archive: bool,
    pub created_ms: Timestamp,
    /// Whoever is affiliated and may enter, bare JIDs or domains: what each is to the room, owners first.
    pub people: Vec<(String, &'static str)>,
    /// Who may not enter.
    pub outcasts: Vec<String>,
}

/// The service's address, as the configuration has it.
pub fn service(config: &Settings) -> String {
    format!("{}.{}", config.names.rooms, config.domain)
}

/// How many rooms the store has.
///
/// # Errors
/// The disk's.
pub fn count(snapshot: &Snapshot) -> Result<u64, store::Error> {
    ROOM.range(snapshot, ..)?.map(|row| row.map(|_| 1)).sum()
}

/// All rooms of the store, by name.
///
/// # Errors
/// The disk's.
pub fn list(snapshot: &Snapshot) -> Result<Vec<Listed>, store::Error> {
    let rooms = ROOM.range(snapshot, ..)?;
    rooms
        .map(|row| row.map(|(localpart, record)| listed(localpart, &record.config, 0)))
        .collect()
}

/// One room of the store.
///
/// # Errors
/// [`Refusal::Unknown`]; the disk's.
pub fn show(snapshot: &Snapshot, localpart: &str) -> Result<Shown, Refusal> {
    let record = existing(snapshot, localpart)?;
    let room = Room::load(snapshot, record)?;
    Ok(shown(localpart, &room))
}

/// The writes that make a room, and its number.
///
/// # Errors
/// [`Refusal::Exists`], [`Refusal::Full`], [`Refusal::BadName`]; the disk's.
pub fn create(
    (store, snapshot): (&Arc<Store>, &Snapshot),
    config: &Settings,
    new: &NewRoom<'_>,
    now: Timestamp,
) -> Result<(Vec<Write>, u32), Refusal> {
    new.check()?;
    if ROOM.get(snapshot, &new.localpart.to_owned())?.is_some() {
        return Err(Refusal::Exists);
    }
    if count(snapshot)? >= ROOMS_MAX as u64 {
        return Err(Refusal::Full);
    }
    let numbers = store.sequence("room.number")?;
    let number = rooms::next_number(&numbers).ok_or(Refusal::Full)?;
    let room = new_room(snapshot, config, new, now)?;
    Ok((room.rows(number, new.localpart), number))
}

/// The writes that end a room of the store.
///
/// # Errors
/// [`Refusal::Unknown`]; the disk's.
pub fn destroy(snapshot: &Snapshot, localpart: &str) -> Result<Vec<Write>, Refusal> {
    let record = existing(snapshot, localpart)?;
    Ok(record::ending(localpart, record.id).into())
}

fn existing(snapshot: &Snapshot, localpart: &str) -> Result<RoomRecord, Refusal> {
    ROOM.get(snapshot, &localpart.to_owned())?
        .ok_or(Refusal::Unknown)
}

fn new_room(
    snapshot: &Snapshot,
    config: &Settings,
    new: &NewRoom<'_>,
    now: Timestamp,
) -> Result<Room, Refusal> {
    let house = Jid::parse(&config.domain).map_err(|_| Refusal::BadAddress)?;
    let owners = accounts::administrators(snapshot, config)?;
    let owners = owners.into_iter().map(|owner| (owner, Affiliation::Owner));
    Ok(Room::of_house(&house, owners, new.config(), now))
}

fn listed(localpart: String, config: &Config, occupants: usize) -> Listed {
    Listed {
        localpart,
        name: config.name.clone(),
        occupants,
        members_only: config.members_only,
        persistent: config.persistent,
    }
}

fn shown(localpart: &str, room: &Room) -> Shown {
    let mut people: Vec<_> = room.affiliations.iter().collect();
    people.sort_by(|(a, one), (b, other)| (other.affiliation, a).cmp(&(one.affiliation, b)));
    let (outcasts, people): (Vec<_>, Vec<_>) = people
        .into_iter()
        .partition(|(_, known)| known.affiliation == Affiliation::Outcast);
    Shown {
        listed: listed(localpart.to_owned(), &room.config, room.occupants.len()),
        description: room.config.description.clone(),
        public: room.config.public,
        archive: room.config.archive,
        created_ms: room.created,
        people: people
            .into_iter()
            .map(|(jid, known)| (jid.to_string(), known.affiliation.name()))
            .collect(),
        outcasts: outcasts.iter().map(|(jid, _)| jid.to_string()).collect(),
    }
}

impl Room {
    /// A room that the household makes, configured: nobody has to unlock it.
    fn of_house(
        house: &Jid,
        people: impl Iterator<Item = (Jid, Affiliation)>,
        config: Config,
        now: Timestamp,
    ) -> Room {
        let known = |(jid, affiliation)| (jid, AffiliationRecord::of(affiliation, String::new()));
        let affiliations: BTreeMap<_, _> = people.map(known).collect();
        Room {
            config,
            affiliations,
            ..Room::new(house, now)
        }
    }

    /// What of it is on disk, but for those who are in it.
    fn rows(&self, number: u32, localpart: &str) -> Vec<Write> {
        let mut rows = vec![ROOM.put(&localpart.to_owned(), &self.record(number))];
        for (jid, known) in &self.affiliations {
            let key = (number, jid.as_str().to_owned());
            rows.push(record::AFFILIATION.put(&key, known));
        }
        rows
    }
}

impl Server {
    /// How many rooms there are.
    pub fn room_count(&self) -> u64 {
        self.rooms().count("").0 as u64
    }

    /// All rooms, by name, also those that nobody has configured yet.
    pub fn list_rooms(&self) -> Vec<Listed> {
        let mut all = Vec::new();
        self.rooms().for_each(|localpart, card| {
            all.push(Listed {
                localpart: localpart.to_owned(),
                name: card.name.to_string(),
                occupants: card.occupants,
                members_only: card.members_only,
                persistent: card.persistent,
            });
        });
        all
    }

    /// One room.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]; the disk's.
    pub async fn show_room(self: &Arc<Self>, localpart: &str) -> Result<Shown, Refusal> {
        let address = self.room_address(localpart)?;
        let room = self.load(address.as_str()).await.map_err(unreadable)?;
        let room = room.ok_or(Refusal::Unknown)?;
        let shown = self.at(&room, 0, |cx| cx.room().map(|room| shown(localpart, room)));
        shown.ok_or(Refusal::Unknown)
    }

    /// Makes a room, durably. Its number.
    ///
    /// # Errors
    /// [`Refusal::Exists`], [`Refusal::Full`], [`Refusal::BadName`], [`Refusal::NotKept`]; the disk's.
    pub async fn create_room(self: &Arc<Self>, new: &NewRoom<'_>) -> Result<u32, Refusal> {
        new.check()?;
        let address = self.room_address(new.localpart)?;
        let known = self.load(address.as_str()).await.map_err(unreadable)?;
        if known.is_some() {
            return Err(Refusal::Exists);
        }
        if self.rooms().count("").0 >= ROOMS_MAX {
            return Err(Refusal::Full);
        }
        let snapshot = self.store().snapshot()?;
        let room = new_room(&snapshot, &self.config(), new, self.now())?;
        drop(snapshot);
        let (room, is_ours) = self.add_room(&address, room).ok_or(Refusal::Full)?;
        if !is_ours {
            return Err(Refusal::Exists); // somebody entered it a moment ago
        }
        self.at(&room, 0, |cx| {
            cx.unlock_room();
        });
        if self.is_kept(room.ticket()).await {
            return Ok(room.id);
        }
        self.directory().forget(&room);
        self.rooms().forget(new.localpart);
        Err(Refusal::NotKept)
    }

    /// Destroys a room, durably, and tells everybody in it (XEP-0045 §10.9).
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotKept`]; the disk's.
    pub async fn destroy_room(self: &Arc<Self>, localpart: &str) -> Result<(), Refusal> {
        let address = self.room_address(localpart)?;
        let room = self.load(address.as_str()).await.map_err(unreadable)?;
        let room = room.ok_or(Refusal::Unknown)?;
        self.at(&room, 0, muc::destroy_without_a_word);
        self.directory().forget(&room);
        self.settle(&room).await;
        let is_kept = self.is_kept(room.ticket()).await;
        is_kept.then_some(()).ok_or(Refusal::NotKept)
    }

    /// The address of a room of ours.
    pub(crate) fn room_address(&self, localpart: &str) -> Result<Jid, Refusal> {
        let service = self.rooms().service();
        Jid::from_parts(Some(localpart), service.as_str(), None).map_err(|_| Refusal::BadAddress)
    }
}

fn unreadable(error: Arc<store::Error>) -> Refusal {
    tracing::error!(%error, "a room cannot be loaded");
    Refusal::NotKept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, run_beside};

    const DEN: NewRoom<'_> = NewRoom {
        localpart: "den",
        name: "Den",
        members_only: false,
    };

    fn enter(home: &Fixture, session: &Arc<crate::Session>, nick: &str) -> String {
        let muc = "<x xmlns='http://jabber.org/protocol/muc'/>";
        let to = format!("den@groupchat.home.example/{nick}");
        home.send(session, &format!("<presence to='{to}'>{muc}</presence>"));
        home.got(session).concat()
    }

    fn create(home: &Fixture, new: &NewRoom<'_>) -> Result<u32, Refusal> {
        run_beside(home.server.store(), home.server.create_room(new))
    }

    /// XEP-0045 §10.9: one presence each, and the name is free.
    #[test]
    fn whoever_is_in_a_destroyed_room_is_told_at_once() {
        let home = Fixture::new(&["juliet", "romeo"]);
        create(&home, &DEN).unwrap();
        let [juliet, romeo] = ["juliet", "romeo"].map(|name| home.online(name, "x"));
        assert!(enter(&home, &juliet, "Juliet").contains("role='participant'"));
        enter(&home, &romeo, "Romeo");
        home.got(&juliet);
        assert_eq!(home.server.list_rooms()[0].occupants, 2);
        let destroy = home.server.destroy_room("den");
        run_beside(home.server.store(), destroy).unwrap();
        for (session, nick) in [(&juliet, "Juliet"), (&romeo, "Romeo")] {
            let got = home.got(session);
            assert_eq!(got.len(), 1, "{got:?}");
            let from = format!("from='den@groupchat.home.example/{nick}'");
            for part in [&*from, "type='unavailable'", "role='none'", "<destroy/>"] {
                assert!(got[0].contains(part), "{part}: {got:?}");
            }
        }
        assert!(home.server.list_rooms().is_empty());
        assert!(
            list(&home.server.store().snapshot().unwrap())
                .unwrap()
                .is_empty()
        );
        create(&home, &DEN).unwrap();
        assert!(enter(&home, &romeo, "Romeo").contains("role='participant'"));
    }

    #[test]
    fn a_room_that_somebody_just_made_is_theirs() {
        let home = Fixture::new(&["juliet"]);
        let juliet = home.online("juliet", "x");
        assert!(enter(&home, &juliet, "Juliet").contains("affiliation='owner'"));
        assert!(matches!(create(&home, &DEN), Err(Refusal::Exists)));
    }

    /// What a command alone writes is what a server writes.
    #[test]
    fn a_room_is_the_same_whoever_made_it() {
        let home = Fixture::new(&["juliet"]);
        for members_only in [true, false] {
            let new = NewRoom {
                members_only,
                ..DEN
            };
            create(&home, &new).unwrap();
            let store = home.server.store();
            let of = |name: &str| show(&store.snapshot().unwrap(), name).unwrap();
            let by_server = of("den");
            assert_eq!(
                (by_server.public, by_server.listed.persistent),
                (!members_only, true)
            );
            let other = NewRoom {
                localpart: "den2",
                ..new
            };
            let (snapshot, config) = (store.snapshot().unwrap(), home.server.config());
            let (writes, _) =
                super::create((store, &snapshot), &config, &other, home.server.now()).unwrap();
            store.queue(writes, store::Urgency::Now);
            home.write();
            let mut alone = of("den2");
            alone.listed.localpart = "den".to_owned();
            assert_eq!(alone, by_server);
            for name in ["den", "den2"] {
                let writes = destroy(&store.snapshot().unwrap(), name).unwrap();
                store.queue(writes, store::Urgency::Now);
                home.write();
                home.server.rooms().forget(name);
            }
            home.server.directory().evict(store);
        }
    }
}
