//! A room in memory: the way of a message to everybody in it, without sockets, TLS and the card.
//!
//! Shared by the scenario `route` and by `tests/allocations.rs`.

use crate::in_memory::{DOMAIN, Still, at_once, online, server, store};
use server::{Server, Session};
use std::sync::Arc;
use store::disk::{Fault, FileName, SimDisk};
use xmpp::Stanza;

/// Everybody is there with as many devices as an account may have, each under a nickname of its own.
const PEOPLE: [&str; 20] = [
    "abram",
    "anthony",
    "benvolio",
    "capulet",
    "chorus",
    "gregory",
    "helena",
    "john",
    "juliet",
    "laurence",
    "lucentio",
    "mercutio",
    "montague",
    "nurse",
    "paris",
    "peter",
    "petruchio",
    "potpan",
    "romeo",
    "tybalt",
];
/// Who is nowhere, and whose words the disk does not take.
const WATCHMAN: &str = "watchman";
const DEVICES: usize = 10;
/// How many there can be.
pub(crate) const OCCUPANTS_MAX: usize = PEOPLE.len() * DEVICES;

/// A room with everybody in it.
pub(crate) struct InRoom {
    server: Arc<Server>,
    disk: SimDisk,
    sessions: Vec<Arc<Session>>,
    present: usize,
    message: String,
    output: Vec<u8>,
}

impl InRoom {
    /// Everybody is online, and nobody is in the room.
    pub(crate) fn new() -> InRoom {
        let disk = SimDisk::new();
        let server = server(
            store(&disk, &[&PEOPLE[..], &[WATCHMAN]].concat()),
            Arc::new(Still),
            DOMAIN,
        );
        let mut sessions = Vec::with_capacity(OCCUPANTS_MAX);
        for device in 0..DEVICES {
            for person in PEOPLE {
                sessions.push(online(&server, person, &format!("device{device}")));
            }
        }
        let text = "x".repeat(330);
        let room = InRoom {
            message: format!(
                "<message to='room@groupchat.{DOMAIN}' type='groupchat' id='0123456789'>\
                 <body>{text}</body></message>"
            ),
            server,
            disk,
            sessions,
            present: 0,
            output: Vec::with_capacity(1 << 20),
        };
        room.read_all();
        room
    }

    /// One more comes in.
    pub(crate) fn enter(&mut self) {
        let session = &self.sessions[self.present];
        self.say(session, &self.entering());
        if self.present == 0 {
            self.say(
                session,
                &format!(
                    "<iq type='set' id='open' to='room@groupchat.{DOMAIN}'>\
                     <query xmlns='http://jabber.org/protocol/muc#owner'>\
                     <x xmlns='jabber:x:data' type='submit'/></query></iq>"
                ),
            );
        }
        self.present += 1;
    }

    /// One more comes in, to the wires of everybody who is there then.
    #[inline(never)]
    pub(crate) fn welcome(&mut self) {
        let enter = self.entering();
        let stanza = Stanza::parse(&enter).expect("a stanza");
        at_once(self.server.receive(&self.sessions[self.present], stanza));
        self.present += 1;
        self.output.clear();
        for session in &self.sessions[..self.present] {
            let entries = session.outbox.take().entries;
            assert!(!entries.is_empty(), "everybody is told");
            for entry in &entries {
                entry.write(&mut self.output);
            }
        }
    }

    /// Presence of the next one who comes in.
    fn entering(&self) -> String {
        format!(
            "<presence to='room@groupchat.{DOMAIN}/nick{}'><x xmlns='http://jabber.org/protocol/muc'>\
             <history maxchars='0'/></x></presence>",
            self.present
        )
    }

    /// Somebody makes a room that nobody else may enter yet.
    pub(crate) fn make(&self, room: usize) {
        let session = &self.sessions[room];
        self.say(
            session,
            &format!(
                "<presence to='room{room}@groupchat.{DOMAIN}/nick'>\
                 <x xmlns='http://jabber.org/protocol/muc'/></presence>"
            ),
        );
        session.outbox.take();
    }

    /// From now on nothing is written, so that what is in memory is not rows on their way to the disk.
    pub(crate) fn break_disk(&self) {
        self.disk.fail(FileName::Journal, Fault::Write);
        let watchman = online(&self.server, WATCHMAN, "tower");
        let note =
            format!("<message to='{WATCHMAN}@{DOMAIN}' type='chat'><body>Hark</body></message>");
        self.say(&watchman, &note);
        assert!(!self.server.store().takes_writes(), "the disk is broken");
    }

    /// How many are in the room.
    pub(crate) fn present(&self) -> usize {
        self.present
    }

    /// One message, to the wires of everybody who is in the room.
    #[inline(never)]
    pub(crate) fn pass(&mut self) {
        let stanza = Stanza::parse(&self.message).expect("a stanza");
        at_once(self.server.receive(&self.sessions[0], stanza));
        self.output.clear();
        for session in &self.sessions[..self.present] {
            let entries = session.outbox.take().entries;
            assert!(entries.len() == 1, "everybody gets it, once");
            for entry in &entries {
                entry.write(&mut self.output);
            }
        }
    }

    /// Lets the store write everything that was queued, and everybody read what came.
    pub(crate) fn settle(&self) {
        while self.server.store().turn() {}
        self.read_all();
    }

    fn read_all(&self) {
        for session in &self.sessions {
            session.outbox.take();
        }
    }

    fn say(&self, session: &Arc<Session>, stanza: &str) {
        let stanza = Stanza::parse(stanza).expect("a stanza");
        let said = self.server.receive(session, stanza);
        at_once(said);
        while self.server.store().turn() {}
    }
}
