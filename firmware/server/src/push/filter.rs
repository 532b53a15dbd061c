//! Which messages a device wants to be woken for: Siskin's filters, which it sends along when it enables its
//! push. What people want to hear of for all their devices is in `chat.rs`.

use super::{
    note::{Note, What},
    settings::Room,
};
use crate::roster::Roster;
use serde::{Deserialize, Serialize};

/// What a device does not want to hear of.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filters {
    /// `tigase:push:filter:ignore-unknown:0`: people who are not in the roster.
    pub(crate) ignore_unknown: bool,
    /// `tigase:push:filter:muted:0`: bare JIDs.
    pub(crate) muted: Vec<Box<str>>,
    /// `tigase:push:filter:groupchat:0`: the rooms to hear of, and no others.
    pub(crate) rooms: Option<Vec<Room>>,
}

impl Filters {
    /// Whether the device wants to hear of it. `names` says whether it is for somebody with that nickname.
    pub(super) fn let_pass(
        &self,
        note: &Note,
        roster: &Roster,
        names: impl Fn(&str) -> bool,
    ) -> bool {
        let sender = note.sender.bare_str();
        if self.muted.iter().any(|muted| **muted == *sender) {
            return false;
        }
        match &note.what {
            What::Room { .. } => match &self.rooms {
                Some(rooms) => rooms
                    .iter()
                    .find(|room| *room.jid == *sender)
                    .is_some_and(|room| room.nickname.as_deref().is_none_or(names)),
                None => true,
            },
            What::Chat { .. } | What::Call { .. } | What::Request => {
                let contact = roster.get(&note.sender.bare());
                !self.ignore_unknown || contact.is_some_and(|contact| contact.listed)
            }
            What::Backlog | What::Trial => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::note::Text;
    use xmpp::Jid;

    fn note(sender: &str, what: What) -> Note {
        Note {
            sender: Jid::parse(sender).unwrap(),
            what,
            position: None,
        }
    }

    fn chat(sender: &str) -> Note {
        note(
            sender,
            What::Chat {
                text: Text::Nothing,
            },
        )
    }

    fn said(room: &str, text: &str) -> Note {
        let text = Text::Plain(text.into());
        note(room, What::Room { text })
    }

    #[test]
    fn nobody_hears_of_what_is_muted() {
        let filters = Filters {
            muted: vec!["tybalt@h".into(), "hall@rooms.h".into()],
            rooms: Some(vec![Room {
                jid: "hall@rooms.h".into(),
                nickname: None,
            }]),
            ..Filters::default()
        };
        for (note, passes) in [
            (chat("tybalt@h/square"), false),
            (chat("romeo@h/orchard"), true),
            (said("hall@rooms.h/nurse", "hark"), false),
        ] {
            let sender = note.sender.to_string();
            assert_eq!(
                filters.let_pass(&note, &Roster::default(), |_| true),
                passes,
                "{sender}"
            );
        }
    }

    #[test]
    fn strangers_are_ignored_where_that_is_wanted() {
        for (ignore_unknown, passes) in [(false, true), (true, false)] {
            let filters = Filters {
                ignore_unknown,
                ..Filters::default()
            };
            let note = chat("paris@h/x");
            assert_eq!(
                filters.let_pass(&note, &Roster::default(), |_| true),
                passes
            );
        }
    }

    #[test]
    fn rooms_are_those_that_are_listed() {
        let room = |jid: &str, nickname: Option<&str>| Room {
            jid: jid.into(),
            nickname: nickname.map(Into::into),
        };
        let listed = Filters {
            rooms: Some(vec![room("all@r", None), room("some@r", Some("Juliet"))]),
            ..Filters::default()
        };
        let rows = [
            (&listed, said("all@r/nurse", "Good morrow"), false, true),
            (&listed, said("some@r/nurse", "Good morrow"), false, false),
            (&listed, said("some@r/nurse", "juliet: hark"), true, true),
            (&listed, said("none@r/nurse", "Juliet"), true, false),
            (
                &Filters::default(),
                said("none@r/nurse", "Hark"),
                false,
                true,
            ),
        ];
        for (at, (filters, note, is_named, passes)) in rows.into_iter().enumerate() {
            let names = |nickname: &str| nickname == "Juliet" && is_named;
            let roster = Roster::default();
            assert_eq!(filters.let_pass(&note, &roster, names), passes, "row {at}");
        }
    }
}
