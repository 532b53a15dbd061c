//! Who asked the moderators or admins of a room for something (XEP-0045 §7.10, §7.13), so that nobody floods
//! them. In memory only: [`Room::asked`].

use super::Room;
use crate::{
    limits::{ROOM_ASKING_MAX, ROOM_ASKING_MS},
    world::Timestamp,
};
use xmpp::Jid;

impl Room {
    /// Notes that somebody asks; `false` where that is too often, or too many do.
    pub(crate) fn may_ask(&mut self, who: &Jid, now: Timestamp) -> bool {
        let recent = now.saturating_sub(ROOM_ASKING_MS);
        self.asked.retain(|(_, at)| *at > recent);
        let again = self
            .asked
            .iter()
            .any(|(known, _)| known.as_str() == who.bare_str());
        if again || self.asked.len() >= ROOM_ASKING_MAX {
            return false;
        }
        self.asked.push((who.bare(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_twice_in_a_short_time() {
        let jid = |name: &str| Jid::parse(&format!("{name}@home.example/r")).unwrap();
        let mut room = Room::new(&jid("juliet"), 0);
        let start = ROOM_ASKING_MS;
        assert!(room.may_ask(&jid("romeo"), start));
        assert!(!room.may_ask(&jid("romeo"), start + 1));
        for n in 1..ROOM_ASKING_MAX {
            assert!(room.may_ask(&jid(&format!("v{n}")), start + 1));
        }
        assert!(!room.may_ask(&jid("tybalt"), start + 1));
        assert!(room.may_ask(&jid("romeo"), start + ROOM_ASKING_MS));
        assert_eq!(room.asked.len(), ROOM_ASKING_MAX);
        assert!(!room.may_ask(&jid("tybalt"), start + ROOM_ASKING_MS));
        assert!(room.may_ask(&jid("tybalt"), start + ROOM_ASKING_MS + 1));
    }
}
