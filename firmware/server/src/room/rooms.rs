//! All rooms of the service, by name, in a few words each: what the list of rooms, the limits and the command
//! line need to know without a room's lock. The rooms themselves are in the directory.
//!
//! State: a card per room in memory, made of `room.record` at the start; the secret behind occupant ids; who
//! invited how many people lately.

use super::record::{ROOM, RoomRecord, SECRET, SecretRecord};
use crate::{
    limits::{INVITING_MAX, INVITING_MS, INVITING_PEOPLE_MAX},
    world::{Dice, Timestamp},
};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
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
    /// How many people somebody has invited, by bare JID, and since when that is counted.
    inviting: Mutex<BTreeMap<Jid, (u32, Timestamp)>>,
    /// Whether somebody sweeps what ended rooms left.
    pub(super) sweeping: AtomicBool,
    /// Whether people have to leave because the server stops.
    pub(crate) closing: AtomicBool,
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
            inviting: Mutex::default(),
            sweeping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
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
    pub(crate) fn occupant_id(&self, room: &Jid, real: &Jid) -> Arc<str> {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(room.bare_str().as_bytes());
        context.update(b"\0");
        context.update(real.bare_str().as_bytes());
        URL_SAFE_NO_PAD
            .encode(&context.sign().as_ref()[..18])
            .into()
    }

    /// What proves that the service made up something of these texts: 16 characters.
    pub(crate) fn seal(&self, texts: [&str; 4]) -> String {
        let mut context = hmac::Context::with_key(&self.secret);
        for text in texts {
            // No address of a room begins like this, so that no occupant id is a seal. Lengths, so that no
            // two rows of texts look the same.
            context.update(b"\0");
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..12])
    }

    /// Whether somebody may invite as many people now; they are counted then.
    pub(crate) fn may_invite(&self, inviter: &Jid, people: u32, now: Timestamp) -> bool {
        let mut inviting = self.inviting.lock().unwrap_or_else(PoisonError::into_inner);
        inviting.retain(|_, (_, since)| now.saturating_sub(*since) < INVITING_MS);
        let key = inviter.bare();
        if !inviting.contains_key(&key) && inviting.len() >= INVITING_PEOPLE_MAX {
            let oldest = inviting.iter().min_by_key(|(_, (_, since))| *since);
            if let Some(oldest) = oldest.map(|(jid, _)| jid.clone()) {
                inviting.remove(&oldest);
            }
        }
        let (count, _) = inviting.entry(key).or_insert((0, now));
        let may = count.saturating_add(people) <= INVITING_MAX;
        if may {
            *count += people;
        }
        may
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
