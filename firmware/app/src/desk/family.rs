//! What is asked about the household as a whole. A command alone only notes it; the next server does what
//! follows for each account when it starts.

use super::Desk;
use crate::{
    control::protocol::{Answer, FamilyContactsShown, FamilyRoomShown, FamilyShown},
    machine,
};
use anyhow::{Result, anyhow};
use server::{
    family::{self, Refusal},
    rooms,
};
use store::{Snapshot, Urgency, Write};

impl Desk {
    pub(super) fn show_family(&self) -> Result<Answer> {
        let family = family::settings(&self.snapshot()?)?;
        let service = rooms::service(&self.host.config());
        let (localpart, name) = family.room.unzip();
        Ok(Answer::Family(FamilyShown {
            room: FamilyRoomShown {
                on: family.room_on,
                jid: localpart.map(|localpart| format!("{localpart}@{service}")),
                name: name.unwrap_or_default(),
            },
            contacts: FamilyContactsShown {
                on: family.group.is_some(),
                group: family.group.unwrap_or_default(),
            },
        }))
    }

    pub(super) fn family_room_on(&self, localpart: Option<&str>, name: &str) -> Result<Answer> {
        if let Some(running) = self.host.running() {
            return done(running.wait(running.server.family_room_on(localpart, name)));
        }
        self.note_family(|snapshot| {
            let (config, now) = (self.host.config(), machine::now_ms());
            family::room_on((&self.store, snapshot), &config, (localpart, name), now)
        })
    }

    pub(super) fn family_room_off(&self) -> Result<Answer> {
        match self.host.running() {
            Some(running) => done(running.wait(running.server.family_room_off())),
            None => self.note_family(family::room_off),
        }
    }

    pub(super) fn family_contacts_on(&self, group: &str) -> Result<Answer> {
        match self.host.running() {
            Some(running) => done(running.wait(running.server.family_group_on(group))),
            None => self.note_family(|snapshot| family::group_on(snapshot, group)),
        }
    }

    pub(super) fn family_contacts_off(&self) -> Result<Answer> {
        match self.host.running() {
            Some(running) => done(running.wait(running.server.family_group_off())),
            None => self.note_family(family::group_off),
        }
    }

    fn note_family(
        &self,
        decide: impl FnOnce(&Snapshot) -> Result<Vec<Write>, Refusal>,
    ) -> Result<Answer> {
        let _turn = self.host.turn();
        let writes = decide(&self.snapshot()?).map_err(|refusal| anyhow!("{refusal}"))?;
        self.write(writes, Urgency::Now)?;
        Ok(Answer::Done)
    }
}

fn done(outcome: Result<(), Refusal>) -> Result<Answer> {
    outcome.map_err(|refusal| anyhow!("{refusal}"))?;
    Ok(Answer::Done)
}
