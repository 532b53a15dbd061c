//! What is asked about rooms: of the running server, which has them in memory, or of the store alone.

use super::Desk;
use crate::{
    control::protocol::{Answer, RoomLine, RoomPerson, RoomShown},
    machine,
};
use anyhow::Result;
use server::rooms::{self, Listed, NewRoom, Refusal, Shown};
use store::{Urgency, Write};

impl Desk {
    /// How many rooms there are.
    pub(super) fn rooms(&self) -> Result<u64> {
        match self.host.running() {
            Some(running) => Ok(running.server.room_count()),
            None => Ok(rooms::count(&self.snapshot()?)?),
        }
    }

    pub(super) fn list_rooms(&self) -> Result<Answer> {
        let listed = match self.host.running() {
            Some(running) => running.server.list_rooms(),
            None => rooms::list(&self.snapshot()?)?,
        };
        let lines = listed.into_iter().map(|listed| self.room_line(listed));
        Ok(Answer::Rooms(lines.collect()))
    }

    pub(super) fn show_room(&self, localpart: &str) -> Result<Answer> {
        let shown = match self.host.running() {
            Some(running) => running.wait(running.server.show_room(localpart)),
            None => rooms::show(&self.snapshot()?, localpart),
        };
        let shown = shown.map_err(|refusal| self.room_refused(localpart, &refusal))?;
        Ok(Answer::Room(self.room_shown(shown)))
    }

    pub(super) fn create_room(
        &self,
        localpart: &str,
        name: &str,
        members_only: bool,
    ) -> Result<Answer> {
        let new = NewRoom {
            localpart,
            name,
            members_only,
        };
        match self.host.running() {
            Some(running) => {
                let made = running.wait(running.server.create_room(&new));
                made.map_err(|refusal| self.room_refused(localpart, &refusal))?;
                Ok(Answer::Done)
            }
            None => {
                let _turn = self.host.turn();
                let (snapshot, config) = (self.snapshot()?, self.host.config());
                let now = machine::now_ms();
                let made = rooms::create((&self.store, &snapshot), &config, &new, now);
                self.done_to_room(localpart, made.map(|(writes, _)| writes))
            }
        }
    }

    pub(super) fn destroy_room(&self, localpart: &str) -> Result<Answer> {
        match self.host.running() {
            Some(running) => {
                let ended = running.wait(running.server.destroy_room(localpart));
                ended.map_err(|refusal| self.room_refused(localpart, &refusal))?;
                running.wait(running.server.keep_family()); // it may have been the household's
                Ok(Answer::Done)
            }
            None => {
                let _turn = self.host.turn();
                self.done_to_room(localpart, rooms::destroy(&self.snapshot()?, localpart))
            }
        }
    }

    fn done_to_room(&self, localpart: &str, writes: Result<Vec<Write>, Refusal>) -> Result<Answer> {
        let writes = writes.map_err(|refusal| self.room_refused(localpart, &refusal))?;
        self.write(writes, Urgency::Now)?;
        Ok(Answer::Done)
    }

    fn room_refused(&self, localpart: &str, refusal: &Refusal) -> anyhow::Error {
        anyhow::anyhow!("{}: {refusal}", self.room_jid(localpart))
    }

    fn room_jid(&self, localpart: &str) -> String {
        format!("{localpart}@{}", rooms::service(&self.host.config()))
    }

    fn room_line(&self, listed: Listed) -> RoomLine {
        RoomLine {
            jid: self.room_jid(&listed.localpart),
            name: listed.name,
            occupants: listed.occupants,
            members_only: listed.members_only,
            persistent: listed.persistent,
        }
    }

    fn room_shown(&self, shown: Shown) -> RoomShown {
        let person = |(jid, affiliation): (String, &str)| RoomPerson {
            jid,
            affiliation: affiliation.to_owned(),
        };
        RoomShown {
            line: self.room_line(shown.listed),
            description: shown.description,
            public: shown.public,
            archive: shown.archive,
            created: xmpp::datetime::format(shown.created_ms),
            people: shown.people.into_iter().map(person).collect(),
            outcasts: shown.outcasts,
        }
    }
}
