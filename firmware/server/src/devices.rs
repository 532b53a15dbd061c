//! The devices of an account: what signs in with SASL2 and tells its installation (XEP-0388 §2.3), its names
//! for people, and its tokens (XEP-0484). XEP-0494 shows them to their owner, the command line to whoever
//! runs the house.
//!
//! The installation itself is kept nowhere; what stands for it is an HMAC of it.
//!
//! State: the devices of a loaded account in memory, in table `device.known`; for each session the device it
//! came from, in memory.

mod admit;
mod tokens;

pub(crate) use admit::{Arrival, Issued, Used};
pub(crate) use tokens::{Seed, TokenKey};

use crate::{
    account::{Cx, State},
    accounts::{self, Refusal},
    limits::{DEVICE_MS_MAX, DEVICE_NAME_CHARS_MAX, DEVICES_MAX},
    push,
    server::Server,
    session::Session,
    world::Timestamp,
};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use store::{Record, Snapshot, Table, Write};
use tokens::Token;
use xmpp::StreamError;

/// By account and device.
pub(crate) const KNOWN: Table<(u32, [u8; 16]), Device> = Table::per_account("device.known", 1);

/// What stands for an installation of a client in one account: the same for the same two, and telling
/// neither. 16 lower-case letters and digits (80 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id([u8; 16]);

const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl Id {
    /// As it is stored with a session.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Id> {
        bytes.try_into().ok().map(Id)
    }

    pub(crate) fn of(secret: &[u8], localpart: &str, installation: &str) -> Id {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let text = format!("installation\0{localpart}\0{installation}");
        let tag = hmac::sign(&key, text.as_bytes());
        let mut id = [0; 16];
        for (letter, byte) in id.iter_mut().zip(tag.as_ref()) {
            *letter = ALPHABET[usize::from(byte & 31)];
        }
        Id(id)
    }

    /// Nothing where a damaged row held what is no id.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads what was printed; whether there is such a device is another question.
impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Id, ()> {
        let id: [u8; 16] = text.as_bytes().try_into().map_err(|_| ())?;
        let is_id = id.iter().all(|byte| ALPHABET.contains(byte));
        is_id.then_some(Id(id)).ok_or(())
    }
}

/// What is kept of a device. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    /// What its client calls itself and the machine it runs on; empty where it did not say.
    pub(crate) software: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) first_seen_ms: Timestamp,
    pub(crate) last_seen_ms: Timestamp,
    /// Whether it signed in with the password that the account has now.
    pub(crate) password: bool,
    /// XEP-0484 §5.1.
    current: Option<Box<Token>>,
    new: Option<Box<Token>>,
}

impl Record for Device {}

impl Device {
    fn new(now: Timestamp) -> Device {
        Device {
            software: Box::default(),
            name: Box::default(),
            first_seen_ms: now,
            last_seen_ms: now,
            password: false,
            current: None,
            new: None,
        }
    }

    /// Whether it may sign in with a token.
    pub(crate) fn has_token(&self, now: Timestamp) -> bool {
        let mut tokens = self.current.iter().chain(&self.new);
        tokens.any(|token| now < token.expires_ms)
    }

    /// What it could sign in with is worth nothing any more.
    fn lock_out(&mut self) {
        (self.password, self.current, self.new) = (false, None, None);
    }
}

/// The devices of an account while it is loaded.
#[derive(Default)]
pub(crate) struct Devices(Vec<(Id, Device)>);

impl Devices {
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<Devices, store::Error> {
        Ok(Devices(rows(snapshot, account)?))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Id, Device)> {
        self.0.iter()
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Device> {
        self.0
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, device)| device)
    }

    fn get_mut(&mut self, id: Id) -> Option<&mut Device> {
        self.0
            .iter_mut()
            .find(|(known, _)| *known == id)
            .map(|(_, device)| device)
    }

    fn remove(&mut self, id: Id) {
        self.0.retain(|(known, _)| *known != id);
    }

    /// Those that are not connected and were away for too long.
    fn given_up(&self, connected: &[Id], now: Timestamp) -> Vec<Id> {
        let away = self.0.iter().filter(|(id, _)| !connected.contains(id));
        away.filter(|(_, device)| now.saturating_sub(device.last_seen_ms) > DEVICE_MS_MAX)
            .map(|(id, _)| *id)
            .collect()
    }

    /// The one that gives up its place to another, if there is no place left: of those that are not
    /// connected, the one that was away for longest.
    fn without_place(&self, connected: &[Id]) -> Option<Id> {
        if self.0.len() < DEVICES_MAX {
            return None;
        }
        let away = self.0.iter().filter(|(id, _)| !connected.contains(id));
        let longest = away.min_by_key(|(_, device)| device.last_seen_ms)?;
        Some(longest.0)
    }
}

fn rows(snapshot: &Snapshot, account: u32) -> Result<Vec<(Id, Device)>, store::Error> {
    KNOWN
        .prefix(snapshot, &account)?
        .map(|row| row.map(|((_, id), device)| (Id(id), device)))
        .collect()
}

impl State {
    /// The devices of all sessions.
    pub(crate) fn connected(&self) -> Vec<Id> {
        let devices = self.resources.iter().map(|resource| resource.memory.device);
        devices.flatten().collect()
    }
}

/// A name that a client told, fit to be shown in one line anywhere: no controls, nothing that turns the
/// direction of what follows, and not too long.
fn clean(name: &str) -> Box<str> {
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    let words: Vec<String> = name
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !is_odd(*c)).collect())
        .collect();
    let line = words.join(" ");
    line.trim().chars().take(DEVICE_NAME_CHARS_MAX).collect()
}

/// A device as people see it.
pub struct Listed {
    pub id: Id,
    pub software: String,
    pub name: String,
    pub first_seen_ms: Timestamp,
    pub last_seen_ms: Timestamp,
    /// Whether it knows the password, as far as it was ever asked for it.
    pub password: bool,
    pub token: bool,
}

/// The devices of an account, the last one seen first.
pub fn list(snapshot: &Snapshot, localpart: &str, now: Timestamp) -> Result<Vec<Listed>, Refusal> {
    let record = accounts::find(snapshot, localpart)?.ok_or(Refusal::Unknown)?;
    let listed = |(id, device): (Id, Device)| Listed {
        id,
        token: device.has_token(now),
        software: device.software.into(),
        name: device.name.into(),
        first_seen_ms: device.first_seen_ms,
        last_seen_ms: device.last_seen_ms,
        password: device.password,
    };
    let mut all: Vec<Listed> = rows(snapshot, record.id)?.into_iter().map(listed).collect();
    all.sort_by_key(|listed| std::cmp::Reverse(listed.last_seen_ms));
    Ok(all)
}

/// Forgets a device and its tokens.
pub fn sign_out(snapshot: &Snapshot, localpart: &str, id: Id) -> Result<Vec<Write>, Refusal> {
    let record = accounts::find(snapshot, localpart)?.ok_or(Refusal::Unknown)?;
    let key = (record.id, id.0);
    KNOWN.get(snapshot, &key)?.ok_or(Refusal::UnknownDevice)?;
    let mut writes = push::removals_of_device(snapshot, record.id, id)?;
    writes.push(KNOWN.remove(&key));
    Ok(writes)
}

/// A device, if it is known.
pub(crate) fn find(
    snapshot: &Snapshot,
    account: u32,
    id: Id,
) -> Result<Option<Device>, store::Error> {
    KNOWN.get(snapshot, &(account, id.0))
}

/// Takes away what every device of an account could sign in with.
pub(crate) fn lock_out(snapshot: &Snapshot, account: u32) -> Result<Vec<Write>, store::Error> {
    let mut rows = rows(snapshot, account)?;
    let writes = rows.iter_mut().map(|(id, device)| {
        device.lock_out();
        KNOWN.put(&(account, id.0), device)
    });
    let mut writes: Vec<Write> = writes.collect();
    writes.extend(push::lock_out(snapshot, account)?);
    Ok(writes)
}

/// What memory does about [`lock_out`]; what a login has written since then is written once more. One device
/// may have given the account its new password.
pub(crate) fn locked_out(cx: &mut Cx<'_>, by: Option<Id>) {
    let account = cx.id();
    let mut writes = Vec::new();
    for (id, device) in &mut cx.state.memory.devices.0 {
        device.lock_out();
        device.password = by == Some(*id);
        writes.push(KNOWN.put(&(account, id.0), device));
    }
    for write in writes {
        cx.write(write);
    }
}

/// What memory does about [`sign_out`], or decides itself: the device is unknown, and its sessions end.
pub(crate) fn signed_out(cx: &mut Cx<'_>, id: Id) {
    cx.state.memory.devices.remove(id);
    cx.write(KNOWN.remove(&(cx.id(), id.0)));
    push::device_gone(cx, id);
    end_sessions(cx, id);
}

/// Takes away what a device has, but not what it knows: its tokens are worth nothing and its sessions end.
/// With the password it may come back, so it stays listed.
pub(crate) fn cut_off(cx: &mut Cx<'_>, id: Id) {
    let account = cx.id();
    if let Some(device) = cx.state.memory.devices.get_mut(id) {
        (device.current, device.new) = (None, None);
        let write = KNOWN.put(&(account, id.0), device);
        cx.write(write);
    }
    push::device_gone(cx, id);
    end_sessions(cx, id);
}

fn end_sessions(cx: &mut Cx<'_>, id: Id) {
    let resources = cx.state.resources.iter();
    let sessions: Vec<_> = resources
        .filter(|resource| resource.memory.device == Some(id))
        .map(|resource| resource.session.clone())
        .collect();
    for session in sessions {
        session
            .outbox
            .end(StreamError::NOT_AUTHORIZED.with_text("this device was signed out"));
        crate::presence::gone(cx, &session);
    }
}

/// The device was there until now.
pub(crate) fn seen(cx: &mut Cx<'_>, id: Id) {
    let (account, now) = (cx.id(), cx.now());
    if let Some(device) = cx.state.memory.devices.get_mut(id) {
        device.last_seen_ms = now;
        let write = KNOWN.put(&(account, id.0), device);
        cx.write_soon(write);
    }
}

/// All of them.
pub(crate) fn write_anew(cx: &mut Cx<'_>) {
    let (account, devices) = (cx.id(), cx.state.memory.devices.iter());
    let writes = devices.map(|(id, device)| KNOWN.put(&(account, id.0), device));
    for write in writes.collect::<Vec<_>>() {
        cx.write_soon(write);
    }
}

impl Server {
    /// A session was bound by this device.
    pub(crate) fn note_device(&self, session: &Session, id: Id) {
        self.at(&session.account, 0, |cx| {
            if cx.state.has(session)
                && let Some(resource) = cx.state.resource(&session.jid)
            {
                resource.memory.device = Some(id);
            }
        });
    }

    /// Devices of an account that are connected now.
    pub fn connected_devices(&self, localpart: &str) -> Vec<Id> {
        let account = self.directory().get(localpart);
        account.map_or_else(Vec::new, |account| {
            self.at(&account, 0, |cx| cx.state.connected())
        })
    }
}

#[cfg(test)]
mod tests;
