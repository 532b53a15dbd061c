//! What people do with their devices, besides losing their lines: they write, look for one another, block one
//! another, and turn things on and off.

use super::{contacts::ROSTER, device::bare, login::CLIENT_STATE, session::Sent, story::Story};

impl Story {
    pub(super) fn somebody_says_something(&mut self, who: usize) {
        let from = self.devices[who].account;
        let other = self.somebody_else(from);
        let account = self.devices[other].account;
        let is_bare = !self.chance.once_in(4);
        let to = if is_bare {
            bare(account)
        } else {
            self.devices[other].jid.clone()
        };
        for _ in 0..self.chance.within(1..4) {
            let is_kept = !self.chance.once_in(8);
            let message = self.ledger.write(from, account, is_bare, is_kept);
            let hint = if is_kept {
                ""
            } else {
                "<no-permanent-store xmlns='urn:xmpp:hints'/>"
            };
            let body = "x".repeat(self.body);
            let xml = format!(
                "<message to='{to}' type='chat' id='m{message}'><body>{body}</body>{hint}\
                 <origin-id xmlns='urn:xmpp:sid:0' id='m{message}'/></message>"
            );
            self.note(who, &format!("says m{message} to {to}"));
            let sent = Sent {
                message: Some(message),
                ..Sent::of(xml)
            };
            self.devices[who].send(sent, &mut self.ledger);
        }
        self.mark_trouble();
    }

    /// A device of another account.
    fn somebody_else(&mut self, account: usize) -> usize {
        let others: Vec<usize> = (0..self.devices.len())
            .filter(|other| self.devices[*other].account != account)
            .collect();
        self.chance.one_of(&others)
    }

    /// Anything but a message.
    pub(super) fn somebody_moves(&mut self, who: usize) {
        match self.chance.within(0..14) {
            0 => {
                self.devices[who].priority = self.chance.one_of(&[0, 0, 5, -1]);
                self.devices[who].announce(&mut self.ledger);
            }
            1..4 => self.somebody_shows(who),
            4 | 5 => self.somebody_asks(who),
            6 | 11..13 => self.somebody_changes_a_contact(who),
            7 if self.chance.once_in(2) => self.somebody_blocks(who),
            8 => {
                self.devices[who].is_inactive ^= true;
                let is_inactive = self.devices[who].is_inactive;
                let state = if is_inactive { "inactive" } else { "active" };
                self.note(who, &format!("is {state}"));
                self.devices[who].write(&format!("<{state} xmlns='{CLIENT_STATE}'/>"));
            }
            9 => {
                self.devices[who].wants_copies ^= true;
                self.note(who, "turns copies on or off");
                self.devices[who].switch_copies(&mut self.ledger);
            }
            10 if self.devices[who].catches_up => {
                let known = self.devices[who].known.clone();
                self.note(who, "looks into the archive");
                self.devices[who].ask_archive(known, &mut self.ledger);
            }
            _ => self.somebody_types(who),
        }
    }

    /// Presence for one: shown, taken back, or wanted and given for good.
    fn somebody_shows(&mut self, who: usize) {
        let other = self.somebody_else(self.devices[who].account);
        let (full, other) = (
            self.devices[other].jid.clone(),
            bare(self.devices[other].account),
        );
        let xml = match self.chance.within(0..5) {
            0 | 1 => format!("<presence to='{full}'/>"),
            2 => format!("<presence to='{full}' type='unavailable'/>"),
            3 => format!("<presence to='{other}' type='subscribe'/>"),
            _ => format!("<presence to='{other}' type='subscribed'/>"),
        };
        self.devices[who].send(Sent::of(xml), &mut self.ledger);
    }

    /// Requests, for the counts and the answers.
    fn somebody_asks(&mut self, who: usize) {
        let other = self.chance.within(0..self.devices.len());
        let to = self.devices[other].jid.clone();
        let id = self.ledger.number();
        let ping = "<ping xmlns='urn:xmpp:ping'/>";
        let xml = if self.chance.once_in(2) {
            format!("<iq type='get' id='p{id}'>{ping}</iq>")
        } else {
            format!("<iq to='{to}' type='get' id='p{id}'>{ping}</iq>")
        };
        self.devices[who].send(Sent::of(xml), &mut self.ledger);
    }

    /// Chat states wait for nobody.
    fn somebody_types(&mut self, who: usize) {
        let other = self.somebody_else(self.devices[who].account);
        let to = bare(self.devices[other].account);
        let xml = format!(
            "<message to='{to}' type='chat'>\
             <composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
        );
        self.devices[who].send(Sent::of(xml), &mut self.ledger);
    }

    fn somebody_changes_a_contact(&mut self, who: usize) {
        let account = self.devices[who].account;
        let other = self.somebody_else(account);
        let contact = bare(self.devices[other].account);
        let number = self.ledger.number();
        let name = (!self.chance.once_in(4)).then(|| format!("friend {number}"));
        let named = name.as_ref().map_or_else(
            || "subscription='remove'".to_owned(),
            |name| format!("name='{name}'"),
        );
        self.note(who, &format!("has {contact} with {named}"));
        let changes = &mut self.ledger.changes;
        changes.ask(number, account, &contact, name.as_deref());
        let xml = format!(
            "<iq type='set' id='s{number}'><query xmlns='{ROSTER}'>\
             <item jid='{contact}' {named}/></query></iq>"
        );
        self.devices[who].send(Sent::of(xml), &mut self.ledger);
    }

    fn somebody_blocks(&mut self, who: usize) {
        let account = self.devices[who].account;
        let other = self.somebody_else(account);
        let other = self.devices[other].account;
        let is_blocked = self.ledger.blocks.is_blocked((account, other));
        let blocks = match is_blocked {
            Some(is_blocked) => !is_blocked,
            None => self.chance.once_in(2),
        };
        self.asks_to_block(who, other, blocks);
    }

    pub(super) fn asks_to_block(&mut self, who: usize, other: usize, blocks: bool) {
        let Some(session) = self.devices[who].session.as_ref() else {
            return;
        };
        let (account, session) = (self.devices[who].account, session.number);
        let number = self.ledger.asks_to_block((account, other), blocks, session);
        let (verb, jid) = (if blocks { "block" } else { "unblock" }, bare(other));
        self.note(who, &format!("{verb}s {jid}"));
        let xml = format!(
            "<iq type='set' id='k{number}'><{verb} xmlns='urn:xmpp:blocking'>\
             <item jid='{jid}'/></{verb}></iq>"
        );
        self.devices[who].send(Sent::of(xml), &mut self.ledger);
    }
}
