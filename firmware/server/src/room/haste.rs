//! How often one person may come, go by another name or show another status (XEP-0045 §14.6): each such
//! change is a stanza for everybody who is there, and with some hundred bytes somebody would have all the
//! others' lines and phones busy. Messages cost the same, and are what a room is for: they are held to the
//! rate of the line (`[limits] c2s_rate`) and to that of the disk.

use crate::{
    limits::{ROOM_CHANGE_MS, ROOM_CHANGES_MAX_AT_ONCE, ROOM_HASTY_MAX},
    world::Timestamp,
};
use std::hash::{DefaultHasher, Hash, Hasher};
use xmpp::Jid;

/// Who changed something a short while ago, by the hash of the bare JID: until when that is counted, in
/// elapsed milliseconds.
#[derive(Default)]
pub(crate) struct Haste(Vec<(u64, Timestamp)>);

impl Haste {
    /// Counts a change of somebody's; whether it may be.
    pub(crate) fn allows(&mut self, who: &Jid, now: Timestamp) -> bool {
        let mut hasher = DefaultHasher::new();
        who.bare_str().hash(&mut hasher);
        let person = hasher.finish();
        self.0.retain(|(_, until)| *until > now);
        let known = self.0.iter().position(|(known, _)| *known == person);
        let until = known.map_or(now, |at| self.0[at].1);
        if until + ROOM_CHANGE_MS > now + ROOM_CHANGES_MAX_AT_ONCE * ROOM_CHANGE_MS {
            return false;
        }
        let counted = (person, until + ROOM_CHANGE_MS);
        match known {
            Some(at) => self.0[at] = counted,
            None => {
                if self.0.len() >= ROOM_HASTY_MAX {
                    self.0.remove(0); // who has been counted for longest
                }
                self.0.push(counted);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_at_a_time() {
        let (who, other) = (
            Jid::parse("juliet@home.example/balcony").unwrap(),
            Jid::parse("romeo@home.example/orchard").unwrap(),
        );
        let mut haste = Haste::default();
        let burst = (0..1_000).filter(|_| haste.allows(&who, 5)).count();
        assert_eq!(burst as u64, ROOM_CHANGES_MAX_AT_ONCE);
        assert!(haste.allows(&other, 5), "it is about one person");
        let second = Jid::parse("juliet@home.example/garden").unwrap();
        assert!(!haste.allows(&second, 5), "with all devices");
        for (after, allowed) in [
            (ROOM_CHANGE_MS - 1, false),
            (ROOM_CHANGE_MS, true),
            (ROOM_CHANGE_MS, false),
            (ROOM_CHANGE_MS * 3, true),
            (ROOM_CHANGE_MS * 3, true),
            (ROOM_CHANGE_MS * 3, false),
        ] {
            assert_eq!(haste.allows(&who, 5 + after), allowed, "{after}");
        }
        let much_later = ROOM_CHANGE_MS * 1_000;
        let burst = (0..1_000)
            .filter(|_| haste.allows(&who, much_later))
            .count();
        assert_eq!(burst as u64, ROOM_CHANGES_MAX_AT_ONCE);
        assert_eq!(haste.0.len(), 1, "who is not hasty is forgotten");
    }

    #[test]
    fn a_crowd_is_not_remembered_for_ever() {
        let mut haste = Haste::default();
        for number in 0..ROOM_HASTY_MAX * 2 {
            let who = Jid::parse(&format!("n{number}@far.example/r")).unwrap();
            assert!(haste.allows(&who, 5));
        }
        assert_eq!(haste.0.len(), ROOM_HASTY_MAX);
    }
}
