//! A room (XEP-0045) that people come into and leave as their lines allow: who is in it for each session,
//! what was said in it, and what must hold of that.
//!
//! Everybody who is there agrees on who is there, and on what was said in which order; history agrees with
//! what was heard; whoever is not there hears nothing; a nickname is one person's; and what the server said
//! is handled is missed by nobody who heard what came before and behind it.

use super::{chance::Chance, session::Sent, story::Story};
use std::collections::{BTreeMap, BTreeSet};
use xmpp::Element;

pub(super) const HALL: &str = "hall@groupchat.home.example";
const MUC: &str = "http://jabber.org/protocol/muc";
const USER: &str = "http://jabber.org/protocol/muc#user";

/// Something said in the room, by its number; `g7` on the wire.
pub(super) type Words = usize;

/// What a session knows of the room.
#[derive(Debug, Default)]
pub(super) struct View {
    /// It asked to come in, and has no answer yet.
    is_entering: bool,
    /// Its own nickname, while it is there.
    nick: Option<String>,
    /// Nicknames, each with what tells its person from others (XEP-0421).
    occupants: BTreeMap<String, String>,
    /// Since it came in.
    stay: Option<usize>,
}

/// What was heard by one session from coming in to leaving: ids of the room's archive.
type Stay = Vec<String>;

/// All that anybody knows.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// Whether the server said that they are handled.
    promised: Vec<bool>,
    stays: Vec<Stay>,
    /// What has which id.
    words: BTreeMap<String, Words>,
}

impl View {
    pub(super) fn is_in(&self) -> bool {
        self.nick.is_some()
    }

    /// A stanza of the room or of somebody in it. Whether the room was made for us, and is to be opened.
    pub(super) fn hears(&mut self, stanza: &Element, rooms: &mut Rooms) -> Result<bool, String> {
        let from = stanza.attr("from").unwrap_or_default();
        let nick = from.split_once('/').map(|(_, nick)| nick.to_owned());
        match (stanza.name.as_str(), stanza.attr("type"), nick) {
            ("presence", Some("error"), _) => self.is_entering = false,
            ("presence", Some("unavailable"), Some(nick)) => self.is_gone(stanza, &nick)?,
            ("presence", None, Some(nick)) => return self.is_there(stanza, &nick, rooms),
            ("message", Some("groupchat"), _) => self.is_said(stanza, rooms)?,
            _ => {}
        }
        Ok(false)
    }

    fn is_there(
        &mut self,
        presence: &Element,
        nick: &str,
        rooms: &mut Rooms,
    ) -> Result<bool, String> {
        if !self.is_entering && !self.is_in() {
            return Err(format!("heard of {nick} in a room that it is not in"));
        }
        let id = presence.child("urn:xmpp:occupant-id:0", "occupant-id");
        let id = id.and_then(|id| id.attr("id")).unwrap_or_default();
        // Of somebody it did not look at it may have missed that another one went by that name (XEP-0352).
        self.occupants.insert(nick.to_owned(), id.to_owned());
        let codes = codes(presence);
        if codes.contains("110") {
            self.nick = Some(nick.to_owned());
            self.is_entering = false;
            if self.stay.is_none() {
                self.stay = Some(rooms.stays.len());
                rooms.stays.push(Stay::new());
            }
        }
        Ok(codes.contains("201"))
    }

    fn is_gone(&mut self, presence: &Element, nick: &str) -> Result<(), String> {
        let codes = codes(presence);
        let is_own = codes.contains("110");
        if !is_own && !self.is_in() && !self.is_entering {
            return Err(format!("heard that {nick} left a room that it is not in"));
        }
        if is_own && !codes.contains("303") {
            *self = View::default();
        } else if !is_own || self.nick.as_deref() == Some(nick) {
            self.occupants.remove(nick);
        }
        Ok(())
    }

    fn is_said(&mut self, message: &Element, rooms: &mut Rooms) -> Result<(), String> {
        let Some(stay) = self.stay else {
            return Err("heard what is said in a room that it is not in".into());
        };
        let Some(words) = number(message) else {
            return Ok(()); // the subject
        };
        let id = message.elements().find(|child| {
            child.is("urn:xmpp:sid:0", "stanza-id") && child.attr("by") == Some(HALL)
        });
        let id = id.and_then(|id| id.attr("id"));
        let id = id.ok_or_else(|| format!("g{words} has no place in the archive"))?;
        if *rooms.words.entry(id.to_owned()).or_insert(words) != words {
            return Err(format!("g{words} has the id of something else"));
        }
        let stay = &mut rooms.stays[stay];
        if stay.iter().any(|known| known == id) {
            return Err(format!("g{words} came twice"));
        }
        stay.push(id.to_owned());
        Ok(())
    }
}

impl Rooms {
    fn say(&mut self) -> Words {
        self.promised.push(false);
        self.promised.len() - 1
    }

    /// The server said that it is handled.
    pub(super) fn promised(&mut self, words: Words) {
        self.promised[words] = true;
    }

    /// Coming in, and what was heard.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.stays.len(), self.stays.iter().map(Vec::len).sum()]
    }

    /// At the end.
    pub(super) fn hold(&self) -> Result<(), String> {
        self.there_is_one_order()?;
        self.nothing_is_missed()
    }

    /// Whatever anybody heard one behind the other, nobody heard the other way round: there is an order that
    /// all of them follow.
    fn there_is_one_order(&self) -> Result<(), String> {
        let mut behind: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for stay in &self.stays {
            for pair in stay.windows(2) {
                behind.entry(&pair[1]).or_default().insert(&pair[0]);
            }
        }
        while !behind.is_empty() {
            let open: BTreeSet<&str> = behind.keys().copied().collect();
            behind.retain(|_, before| before.iter().any(|id| open.contains(id)));
            if behind.len() == open.len() {
                let words: Vec<String> = open.iter().map(|id| self.named(id)).collect();
                return Err(format!("heard in different orders: {}", words.join(" ")));
            }
        }
        Ok(())
    }

    /// Between two things that two of them heard, both heard the same, as far as it was promised.
    fn nothing_is_missed(&self) -> Result<(), String> {
        for stay in &self.stays {
            for pair in stay.windows(2) {
                for other in &self.stays {
                    let place = |id: &String| other.iter().position(|known| known == id);
                    let (Some(one), Some(next)) = (place(&pair[0]), place(&pair[1])) else {
                        continue;
                    };
                    let between = &other[(one + 1).min(next)..next];
                    let missed = between.iter().find(|id| self.promised[self.words[*id]]);
                    if let Some(missed) = missed {
                        return Err(format!(
                            "{} was missed between {} and {}",
                            self.named(missed),
                            self.named(&pair[0]),
                            self.named(&pair[1])
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn named(&self, id: &str) -> String {
        self.words
            .get(id)
            .map_or_else(String::new, |words| format!("g{words}"))
    }
}

fn codes(presence: &Element) -> BTreeSet<String> {
    let x = presence.child(USER, "x").into_iter();
    let codes = x
        .flat_map(Element::elements)
        .filter(|child| child.name == "status");
    codes
        .filter_map(|code| code.attr("code").map(str::to_owned))
        .collect()
}

fn number(message: &Element) -> Option<Words> {
    message.attr("id")?.strip_prefix('g')?.parse().ok()
}

/// A stanza of the room in a few words.
pub(super) fn told(stanza: &Element) -> String {
    let from = stanza.attr("from").unwrap_or_default();
    let what = stanza.attr("type").unwrap_or(&stanza.name);
    let error = stanza.child(xmpp::ns::CLIENT, "error").into_iter();
    let why: Vec<&str> = error
        .flat_map(Element::elements)
        .map(|e| e.name.as_str())
        .collect();
    format!("{what} of {from} {} {:?}", why.join(" "), codes(stanza))
}

/// What opens a room that was made by coming in (§10.1.2).
pub(super) fn open(number: usize) -> String {
    format!(
        "<iq type='set' id='o{number}' to='{HALL}'><query xmlns='{MUC}#owner'>\
         <x xmlns='jabber:x:data' type='submit'/></query></iq>"
    )
}

/// What the owner of the room alone may ask for (§10).
fn asked_of_owner(what: &str, number: usize) -> String {
    format!(
        "<iq type='set' id='z{number}' to='{HALL}'><query xmlns='{MUC}#owner'>{what}</query></iq>"
    )
}

impl Story {
    /// Somebody comes into the room, or does something there.
    pub(super) fn somebody_is_about_the_room(&mut self, who: usize) {
        let nick = self.a_nickname(who);
        let Some(session) = &mut self.devices[who].session else {
            return;
        };
        let view = &mut session.view;
        if view.is_entering {
            return;
        }
        let own = view.nick.clone();
        view.is_entering = own.is_none();
        let Some(own) = own else {
            return self.somebody_enters(who, &nick);
        };
        let xml = match self.chance.within(0..24) {
            18..21 => self.a_kick(who),
            21..23 => self.another_room(),
            23 if self.chance.once_in(2) => asked_of_owner("<destroy/>", self.ledger.number()),
            0 => format!("<presence to='{HALL}/{own}' type='unavailable'/>"),
            1 => format!("<presence to='{HALL}/{own}'><show>away</show></presence>"),
            2..4 => format!("<presence to='{HALL}/{nick}'/>"),
            _ => return self.somebody_speaks(who, &own),
        };
        self.note(who, &format!("does in the room as {own}: {xml}"));
        self.devices[who].send(Sent::of(xml), &mut self.ledger);
    }

    /// Of somebody who may be there, by somebody who may be a moderator (§8.2).
    fn a_kick(&mut self, who: usize) -> String {
        let (number, nick) = (self.ledger.number(), self.a_nickname(who));
        format!(
            "<iq type='set' id='z{number}' to='{HALL}'><query xmlns='{MUC}#admin'>\
             <item nick='{nick}' role='none'/></query></iq>"
        )
    }

    /// The room in another form, if whoever asks for it owns it (§10.2).
    fn another_room(&mut self) -> String {
        let whois = self.chance.one_of(&["anyone", "moderators"]);
        let mut form = format!("<field var='muc#roomconfig_whois'><value>{whois}</value></field>");
        for (field, chance) in [
            ("persistentroom", 2),
            ("moderatedroom", 2),
            ("membersonly", 4),
        ] {
            let value = u8::from(self.chance.once_in(chance));
            form += &format!("<field var='muc#roomconfig_{field}'><value>{value}</value></field>");
        }
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>{MUC}#roomconfig</value></field>{form}</x>"
        );
        asked_of_owner(&form, self.ledger.number())
    }

    fn somebody_speaks(&mut self, who: usize, own: &str) {
        for _ in 0..self.chance.within(1..5) {
            let words = self.ledger.rooms.say();
            self.note(who, &format!("says g{words} in the room as {own}"));
            let sent = Sent {
                words: Some(words),
                ..Sent::of(format!(
                    "<message to='{HALL}' type='groupchat' id='g{words}'><body>Hark</body></message>"
                ))
            };
            self.devices[who].send(sent, &mut self.ledger);
        }
    }

    fn somebody_enters(&mut self, who: usize, nick: &str) {
        let history = self.chance.one_of(&["maxchars='0'", "maxstanzas='100'"]);
        self.note(who, &format!("enters the room as {nick}"));
        let xml = format!(
            "<presence to='{HALL}/{nick}'><x xmlns='{MUC}'><history {history}/></x></presence>"
        );
        self.devices[who].send(Sent::of(xml), &mut self.ledger);
    }

    /// Its account's, its own, or somebody else's perhaps.
    fn a_nickname(&mut self, who: usize) -> String {
        let account = self.devices[who].account;
        match self.chance.within(0..4) {
            0 | 1 => format!("person{account}"),
            2 => format!("device{who}"),
            _ => format!("person{}", self.chance.within(0..self.accounts)),
        }
    }

    /// Everything is at rest: whoever is there and looks agrees with the others about who is.
    pub(super) fn rooms_agree(&mut self) -> Result<(), String> {
        for _ in 0..2 {
            for who in 0..self.devices.len() {
                self.carry_all(who)?;
            }
        }
        let there = self
            .devices
            .iter()
            .filter(|device| device.is_online() && !device.is_inactive && device.has_heard_all());
        let views = there.filter_map(|device| Some((&device.jid, &device.session.as_ref()?.view)));
        let views: Vec<_> = views.filter(|(_, view)| view.is_in()).collect();
        for (jid, view) in &views {
            let nick = view.nick.as_deref().unwrap_or_default();
            if !view.occupants.contains_key(nick) {
                return Err(format!("{jid} is {nick}, and not in the room"));
            }
            let (first, known) = views[0];
            if view.occupants != known.occupants {
                return Err(format!(
                    "in the room are {:?} for {first}, and {:?} for {jid}",
                    known.occupants, view.occupants
                ));
            }
        }
        Ok(())
    }

    /// Now and then.
    pub(super) fn rooms_may_agree(&mut self) -> Result<(), String> {
        let chance: &mut Chance = &mut self.chance;
        if chance.once_in(40) && !self.trouble {
            return self.rooms_agree();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stays as words of one letter each; capitals were promised.
    fn rooms(stays: &[&str]) -> Rooms {
        let letters = "abcdeABCDE";
        Rooms {
            promised: letters.chars().map(char::is_uppercase).collect(),
            words: (0..)
                .zip(letters.chars())
                .map(|(n, c)| (c.into(), n))
                .collect(),
            stays: stays
                .iter()
                .map(|s| s.chars().map(String::from).collect())
                .collect(),
        }
    }

    #[test]
    fn what_must_hold_of_what_was_heard() {
        for (stays, holds) in [
            (&["abc", "bcd", "cde"][..], true),
            (&["abc", "acb"], false),
            (&["ab", "bc", "ca"], false),
            (&["AC", "AbC"], true),
            (&["ac", "aBc"], false),
            (&["ab", "abC"], true),
        ] {
            assert_eq!(rooms(stays).hold().is_ok(), holds, "{stays:?}");
        }
    }
}
