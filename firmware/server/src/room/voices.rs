//! Voice over visits (XEP-0045 §5.1): whom a moderator gave it or took it from has it, or not, when coming
//! back.
//!
//! State: [`Room::voices`], in table `room.voice`.

use super::{
    Room,
    record::{VOICE, VoiceRecord},
    standing::Role,
};
use crate::{account::Cx, limits::ROOM_VOICES_MAX};
use xmpp::Jid;

impl Room {
    /// The role with which somebody enters (§5.1.2), or left with.
    pub(crate) fn first_role(&self, who: &Jid) -> Role {
        let own = self.affiliation(who).first_role(self.config.moderated);
        let kept = self.voices.get(&who.bare());
        match kept {
            Some(voice) if own < Role::Moderator && voice.has => Role::Participant,
            Some(_) if own < Role::Moderator => Role::Visitor,
            _ => own,
        }
    }

    /// Bare JIDs of those from whom a moderator took their voice.
    pub(crate) fn silenced(&self) -> Vec<Jid> {
        let silenced = self.voices.iter().filter(|(_, voice)| !voice.has);
        silenced.map(|(jid, _)| jid.clone()).collect()
    }
}

impl Cx<'_> {
    /// Keeps that somebody of ordinary affiliation was given this role, where it is not what they would enter
    /// with. A moderator has a voice; that they moderate ends with the visit.
    pub(crate) fn keep_voice(&mut self, who: &Jid, role: Role) {
        let now = self.now();
        let Some(room) = self.room_mut() else { return };
        let bare = who.bare();
        let own = room.affiliation(&bare).first_role(room.config.moderated);
        let has = role >= Role::Participant;
        if role == Role::None || has == (own >= Role::Participant) {
            return self.forget_voice(&bare);
        }
        if room.voices.len() >= ROOM_VOICES_MAX && !room.voices.contains_key(&bare) {
            let oldest = room.voices.iter().min_by_key(|(_, voice)| voice.since_ms);
            if let Some(oldest) = oldest.map(|(jid, _)| jid.clone()) {
                self.forget_voice(&oldest);
            }
        }
        let voice = VoiceRecord { has, since_ms: now };
        let Some(room) = self.room_mut() else { return };
        room.voices.insert(bare.clone(), voice.clone());
        if !room.locked {
            let key = (self.id(), bare.as_str().to_owned());
            self.write(VOICE.put(&key, &voice));
        }
    }

    /// Whoever it is enters as the affiliation says.
    pub(crate) fn forget_voice(&mut self, bare: &Jid) {
        let known = self.room_mut().map(|room| room.voices.remove(bare));
        if known.flatten().is_some() {
            self.write(VOICE.remove(&(self.id(), bare.as_str().to_owned())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use std::sync::Arc;

    fn jid(name: &str) -> Jid {
        Jid::parse(&format!("{name}@home.example")).unwrap()
    }

    fn at<T>(fixture: &Fixture, doing: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let server: &Arc<_> = &fixture.server;
        let address = Jid::parse("capulet@groupchat.home.example").unwrap();
        let known = server.directory().get(address.as_str());
        let room = known
            .or_else(|| server.make_room(&address, &jid("juliet")))
            .unwrap();
        server.at(&room, 0, doing)
    }

    /// §5.1: who was given a voice comes back with it; who enters with it anyway is not remembered.
    #[test]
    fn voice_outlasts_a_visit() {
        let fixture = Fixture::new(&["juliet"]);
        for (moderated, given, first, kept) in [
            (true, Role::Participant, Role::Participant, 1),
            (true, Role::Moderator, Role::Participant, 1),
            (true, Role::Visitor, Role::Visitor, 0),
            (false, Role::Visitor, Role::Visitor, 1),
            (false, Role::Participant, Role::Participant, 0),
            (false, Role::None, Role::Participant, 0),
        ] {
            at(&fixture, |cx| {
                cx.room_mut().unwrap().config.moderated = moderated;
                cx.keep_voice(&jid("romeo"), given);
                let room = cx.room().unwrap();
                assert_eq!(
                    room.first_role(&jid("romeo")),
                    first,
                    "{moderated} {given:?}"
                );
                assert_eq!(room.voices.len(), kept, "{moderated} {given:?}");
                cx.forget_voice(&jid("romeo"));
            });
        }
    }

    /// The one that was decided first is forgotten.
    #[test]
    fn voices_have_a_limit() {
        let fixture = Fixture::new(&["juliet"]);
        for n in 0..=ROOM_VOICES_MAX {
            at(&fixture, |cx| {
                cx.keep_voice(&jid(&format!("v{n}")), Role::Visitor);
            });
            fixture.hands.pass(1);
        }
        at(&fixture, |cx| {
            let room = cx.room().unwrap();
            assert_eq!(room.voices.len(), ROOM_VOICES_MAX);
            assert_eq!(room.first_role(&jid("v0")), Role::Participant);
            assert_eq!(room.first_role(&jid("v1")), Role::Visitor);
            assert_eq!(room.first_role(&jid("juliet")), Role::Moderator);
        });
    }

    /// What was decided is there when the room is read again.
    #[test]
    fn voice_is_kept() {
        let fixture = Fixture::new(&["juliet"]);
        at(&fixture, |cx| {
            cx.unlock_room();
            cx.keep_voice(&jid("romeo"), Role::Visitor);
            cx.keep_voice(&jid("tybalt"), Role::Visitor);
            cx.forget_voice(&jid("tybalt"));
        });
        fixture.write();
        let server = &fixture.server;
        let snapshot = server.store().snapshot().unwrap();
        let key = "capulet@groupchat.home.example";
        let known = server.directory().get(key).unwrap();
        server.directory().forget(&known);
        let room = server.read_room(key, &snapshot).unwrap().unwrap();
        server.at(&room, 0, |cx| {
            let room = cx.room().unwrap();
            assert_eq!(room.voices.len(), 1);
            assert_eq!(room.first_role(&jid("romeo")), Role::Visitor);
        });
    }
}
