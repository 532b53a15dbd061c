//! All rooms of the service, by name, in a few words each: what the list of rooms, the limits and the command
//! line need to know without a room's lock. The rooms themselves are in the directory.
//!
//! State: a card per room in memory, made of `room.record` at the start; the secret behind occupant ids.

use super::record::{ROOM, RoomRecord, SECRET, SecretRecord};
use crate::world::Dice;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use store::{Sequence, Store, Urgency};
use xmpp::Jid;

/// The number of the first room: those of accounts begin at 1 and are smaller.
const FIRST: u32 = 1 << 31;

/// A number for a new room, from the sequence of them.
pub(super) fn next_number(numbers: &Sequence) -> Option<u32> {
    let number = numbers.next()? - store::limits::SEQUENCE_START;
    u32::try_from(number).ok()?.checked_add(FIRST)
}

/// The service's book of rooms.
pub(crate) struct Rooms {
    /// The address of the service.
    service: Jid,
    cards: Mutex<BTreeMap<Box<str>, Card>>,
    numbers: Sequence,
    secret: hmac::Key,
}

/// A room in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    /// Bare JID of whoever made it.
    pub(crate) creator: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) lang: Box<str>,
    pub(crate) public: bool,
    pub(crate) persistent: bool,
    pub(crate) members_only: bool,
    pub(crate) non_anonymous: bool,
    pub(crate) has_password: bool,
    /// Nicknames in it now.
    pub(crate) occupants: usize,
}

impl Card {
    pub(crate) fn of(record: &RoomRecord, occupants: usize) -> Card {
        let config = &record.config;
        Card {
            creator: record.creator.as_str().into(),
            name: config.name.as_str().into(),
            description: config.description.as_str().into(),
            lang: config.lang.as_str().into(),
            public: config.public,
            persistent: config.persistent,
            members_only: config.members_only,
            non_anonymous: config.non_anonymous,
            has_password: !config.password.is_empty(),
            occupants,
        }
    }
}

impl Rooms {
    /// Reads the book. A new secret is queued before anything that it is used for.
    pub(crate) fn open(
        store: &std::sync::Arc<Store>,
        dice: &dyn Dice,
        service: Jid,
    ) -> Result<Rooms, store::Error> {
        let snapshot = store.snapshot()?;
        let mut cards = BTreeMap::new();
        for row in ROOM.range(&snapshot, ..)? {
            let (localpart, record) = row?;
            cards.insert(localpart.into(), Card::of(&record, 0));
        }
        let secret = match SECRET.get(&snapshot, &())? {
            Some(secret) => secret,
            None => {
                let mut bytes = [0; 32];
                dice.fill(&mut bytes);
                let secret = SecretRecord { bytes };
                store.queue(vec![SECRET.put(&(), &secret)], Urgency::Now);
                secret
            }
        };
        Ok(Rooms {
            service,
            cards: Mutex::new(cards),
            numbers: store.sequence("room.number")?,
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret.bytes),
        })
    }

    /// The address of the service.
    pub(crate) fn service(&self) -> &Jid {
        &self.service
    }

    /// Whether an address is that of a room or of somebody in it.
    pub(crate) fn has_address(&self, jid: &Jid) -> bool {
        jid.localpart().is_some() && jid.domainpart() == self.service.as_str()
    }

    /// A number for a new room; `None` while the disk takes nothing, or when all were given away.
    pub(crate) fn next_number(&self) -> Option<u32> {
        next_number(&self.numbers)
    }

    /// XEP-0421 §4: what tells a person from others in one room, and from nobody outside it.
    pub(crate) fn occupant_id(&self, room: &Jid, real: &Jid) -> Box<str> {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(room.bare_str().as_bytes());
        context.update(b"\0");
        context.update(real.bare_str().as_bytes());
        URL_SAFE_NO_PAD
            .encode(&context.sign().as_ref()[..18])
            .into()
    }

    /// Notes what a room is now.
    pub(crate) fn note(&self, localpart: &str, card: Card) {
        self.lock().insert(localpart.into(), card);
    }

    /// A room is no more.
    pub(crate) fn forget(&self, localpart: &str) {
        self.lock().remove(localpart);
    }

    /// The card of a room.
    pub(crate) fn card(&self, localpart: &str) -> Option<Card> {
        self.lock().get(localpart).cloned()
    }

    /// Looks at every card, by name.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&str, &Card)) {
        for (localpart, card) in self.lock().iter() {
            look(localpart, card);
        }
    }

    /// How many rooms there are, and how many of them somebody made.
    pub(crate) fn count(&self, creator: &str) -> (usize, usize) {
        let cards = self.lock();
        let own = cards.values().filter(|card| *card.creator == *creator);
        (cards.len(), own.count())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Card>> {
        self.cards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
