//! What waits to leave an account or room, and what accounts of ours ask of one another without a stanza.

use crate::{
    capabilities::Capabilities, features::notification_settings::Notify, session::intake::Cause,
};
use std::sync::Arc;
use xmpp::{Jid, Passing};
/// A stanza between two locks.
pub(crate) struct Leaving {
    pub(crate) passing: Passing,
    /// How many stanzas caused one another before this one.
    pub(crate) depth: u8,
    /// The client's stanza that began it, where that is counted.
    pub(crate) cause: Option<Cause>,
    /// What becomes of it where it is no stanza on its way to somebody.
    pub(crate) errand: Option<Errand>,
}

/// What one account of ours asks another, or itself, to do when its turn comes. `from` and `to` are those of
/// the stanza it goes with.
pub(crate) enum Errand {
    /// An event of this node (XEP-0163 §4): to the resources that ask for such, but for those that have it
    /// already.
    Event(Box<str>, Box<[Jid]>),
    /// The same for whoever subscribed to it: as any stanza, where no resource asks for such (§4.3.2).
    Subscribed(Box<str>, Box<[Jid]>),
    /// To a resource that became available, the last items it asks for.
    LastItems(Arc<Capabilities>),
    /// To a new subscriber, the last item of this node.
    LastItem(Box<str>),
    /// What was said in a room, to somebody whom the room calls so and who may want a device to be woken for
    /// it; what holds where nothing was chosen.
    SaidInRoom(Box<str>, Notify),
}

impl Leaving {
    /// A stanza that no account decided.
    pub(crate) fn of(passing: Passing) -> Leaving {
        Leaving {
            passing,
            depth: 0,
            cause: None,
            errand: None,
        }
    }
}
