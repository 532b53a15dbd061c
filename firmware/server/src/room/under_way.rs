//! Messages that a room brought to one person in the name of another: private ones (XEP-0045 §7.5) and
//! invitations (§7.8.2). Those that come back are for whoever sent them, and tell nothing about who is in the
//! room: somebody may refuse the messages of one occupant and be there all the same.

use crate::limits::ROOM_UNDER_WAY_MAX;
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};
use xmpp::Jid;

/// The last of them, in the order in which they left.
#[derive(Default)]
pub(crate) struct UnderWay(VecDeque<Brought>);

/// A message to one person, who may have several devices.
struct Brought {
    /// Of its id and of the addresses it went under.
    key: u64,
    /// The real full JID of whoever sent it.
    by: Jid,
    /// The address it was sent to: an occupant's, or that of somebody who was invited.
    to: Jid,
    /// Copies that have not come back.
    copies: usize,
}

/// What is to be done about a message that came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CameBack {
    /// Its sender is told that it did not reach that address.
    Tell { sender: Jid, about: Jid },
    /// Another copy has reached somebody, or its sender was told before.
    Ignore,
}

impl UnderWay {
    /// Notes a message with that id that left under `from` for devices of `real`.
    pub(crate) fn note(
        &mut self,
        (from, real, id): (&Jid, &Jid, &str),
        brought: (Jid, Jid, usize),
    ) {
        if self.0.len() >= ROOM_UNDER_WAY_MAX {
            self.0.pop_front();
        }
        let (by, to, copies) = brought;
        self.0.push_back(Brought {
            key: key(from, real, id),
            by,
            to,
            copies,
        });
    }

    /// An error for `from` came from `real`; `None` where it is not about any of these.
    pub(crate) fn came_back(&mut self, from: &Jid, real: &Jid, id: &str) -> Option<CameBack> {
        let key = key(from, real, id);
        let mut brought = self.0.iter_mut().rev();
        let brought = brought.find(|brought| brought.key == key)?;
        if brought.copies != 1 {
            brought.copies = brought.copies.saturating_sub(1);
            return Some(CameBack::Ignore);
        }
        brought.copies = 0;
        Some(CameBack::Tell {
            sender: brought.by.clone(),
            about: brought.to.clone(),
        })
    }
}

fn key(from: &Jid, real: &Jid, id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (from.as_str(), real.bare_str(), id).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[test]
    fn the_sender_is_told_once_and_only_if_no_copy_arrived() {
        let (from, real) = (jid("room@h/Romeo"), jid("juliet@h"));
        let tell = CameBack::Tell {
            sender: jid("romeo@h/orchard"),
            about: jid("room@h/Juliet"),
        };
        let mut under_way = UnderWay::default();
        let brought = (jid("romeo@h/orchard"), jid("room@h/Juliet"), 2);
        under_way.note((&from, &real, "m1"), brought);
        let mut back = |real: &str, id: &str| under_way.came_back(&from, &jid(real), id);
        assert_eq!(back("juliet@h/a", "m2"), None);
        assert_eq!(back("nurse@h/a", "m1"), None);
        assert_eq!(back("juliet@h/a", "m1"), Some(CameBack::Ignore));
        assert_eq!(back("juliet@h/b", "m1"), Some(tell));
        assert_eq!(back("juliet@h/b", "m1"), Some(CameBack::Ignore));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let (from, real) = (jid("room@h/Romeo"), jid("juliet@h"));
        let mut under_way = UnderWay::default();
        for number in 0..=ROOM_UNDER_WAY_MAX {
            let id = number.to_string();
            under_way.note((&from, &real, &id), (from.clone(), real.clone(), 1));
        }
        assert_eq!(under_way.0.len(), ROOM_UNDER_WAY_MAX);
        assert_eq!(under_way.came_back(&from, &real, "0"), None);
        assert!(under_way.came_back(&from, &real, "1").is_some());
    }
}
