//! What a device asked for when it enabled its push: kept as it is, until it asks for something else.

use super::filter::Filters;
use crate::{account::Resource, devices, world::Timestamp};
use serde::{Deserialize, Serialize};
use store::{Record, Value};

/// A registration as it is stored. It has no `Debug`: keys and what an app server wants to be shown are
/// secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// When, by the wall clock.
    pub(crate) enabled_ms: Timestamp,
    /// The resource that asked.
    pub(crate) resource: Box<str>,
    /// Its device, where that is known.
    pub(crate) device: Option<[u8; 16]>,
    /// XEP-0357 §5: the form that goes with every notification, as XML; empty where there is none.
    pub(crate) options: Box<str>,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) filters: Filters,
    /// `tigase:push:priority:0`: wants to know what is urgent.
    pub(crate) priority: bool,
    /// `tigase:push:jingle:0`: can ring for a call.
    pub(crate) calls: bool,
    /// What kind of client asked (XEP-0030 §3.1), as `category/type`; empty where it has not said that yet.
    /// Since version 2.
    pub(crate) kind: Box<str>,
}

impl Record for Settings {
    fn upgrade(version: u8, bytes: &[u8]) -> Option<Settings> {
        (version == 1).then_some(())?;
        Settings::decode(&[bytes, &[0]].concat()) // an empty text behind it
    }
}

/// `tigase:push:encrypt:0` §4.2: what a push service carries is for the device alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Encryption {
    /// Of AES-128 in Galois/Counter mode.
    pub(crate) key: [u8; 16],
    /// Bytes of an encrypted notification at most.
    pub(crate) max_bytes: u32,
}

/// `tigase:push:filter:groupchat:0` §4.2: a room of which the device wants to hear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// Its bare JID.
    pub(crate) jid: Box<str>,
    /// Only of messages that mention this nickname.
    pub(crate) nickname: Option<Box<str>>,
}

/// Who wants to be woken and does not say what it is.
const PHONE: (&str, &str) = ("client", "phone");

impl Settings {
    /// Category and type of the client.
    pub(super) fn identity<'a>(&'a self, resources: &'a [Resource]) -> (&'a str, &'a str) {
        let mut own = resources.iter().filter(|resource| self.is_of(resource));
        let kind = own.find_map(|own| own.memory.capabilities.kind());
        kind.unwrap_or(&self.kind).split_once('/').unwrap_or(PHONE)
    }

    pub(crate) fn device(&self) -> Option<devices::Id> {
        devices::Id::from_bytes(self.device.as_ref()?)
    }

    /// Whether a connected resource is the device's.
    pub(super) fn is_of(&self, resource: &Resource) -> bool {
        let by_device = self.device.is_some() && resource.memory.device == self.device();
        by_device || resource.session.jid.resourcepart() == Some(&self.resource)
    }

    pub(super) fn is_same_device(&self, other: &Settings) -> bool {
        match (self.device, other.device) {
            (Some(one), Some(other)) => one == other,
            _ => self.resource == other.resource,
        }
    }
}
