//! Changes of affiliations (XEP-0045 §9, §10.3 to §10.8): whether all of a request may be done, and doing it.
//! The list is [`Room::affiliations`]; the matrices are in `matrix.rs`.

use super::{
    Room,
    matrix::{Refusal, Standing},
    record::AffiliationRecord,
    standing::{Affiliation, Role},
};
use std::collections::BTreeMap;
use xmpp::Jid;

/// What somebody is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// A bare JID or a domain.
    pub(crate) jid: Jid,
    pub(crate) affiliation: Affiliation,
    /// The nickname that is to be theirs alone, empty for none; `None` leaves it as it is.
    pub(crate) nick: Option<String>,
    pub(crate) reason: String,
}

impl Room {
    /// What somebody is to the room and in it, under whatever nickname.
    pub(crate) fn standing(&self, who: &Jid) -> Standing {
        let mine = self.occupants.iter().filter(|o| o.is(who.bare_str()));
        Standing {
            affiliation: self.affiliation(who),
            role: mine.map(|own| own.role).max().unwrap_or(Role::None),
        }
    }

    /// Whether all of that may be done by somebody; no two of them are about the same.
    pub(crate) fn may_affiliate(&self, by: &Jid, changes: &[Change]) -> Result<(), Refusal> {
        let own = self.affiliation(by);
        for change in changes {
            own.may_change(self.affiliation(&change.jid), change.affiliation)?;
            let is_own = change.jid.as_str() == by.bare_str();
            if is_own && change.affiliation == Affiliation::Outcast {
                return Err(Refusal::Conflict); // §9.1
            }
        }
        let changes: BTreeMap<&Jid, Affiliation> = changes
            .iter()
            .map(|change| (&change.jid, change.affiliation))
            .collect();
        let stays = |(jid, known): (&Jid, &AffiliationRecord)| {
            let affiliation = changes.get(jid).copied().unwrap_or(known.affiliation);
            affiliation == Affiliation::Owner
        };
        let has_owner = self.affiliations.iter().any(stays)
            || changes.values().any(|to| *to == Affiliation::Owner);
        if has_owner {
            Ok(())
        } else {
            Err(Refusal::Conflict) // §10.4
        }
    }

    /// Does it. Whether anything is another than before.
    pub(crate) fn affiliate(&mut self, change: &Change) -> bool {
        let before = self.affiliations.get(&change.jid);
        // §9.1: an outcast has no nickname; nobody in particular has none, either.
        let nick = if change.affiliation >= Affiliation::Member {
            let known = || before.map(|known| known.nick.clone());
            change.nick.clone().or_else(known).unwrap_or_default()
        } else {
            String::new()
        };
        let after = AffiliationRecord {
            affiliation: change.affiliation,
            nick,
            reason: change.reason.clone(),
        };
        if change.affiliation == Affiliation::None {
            return self.affiliations.remove(&change.jid).is_some();
        }
        let is_new = before != Some(&after);
        self.affiliations.insert(change.jid.clone(), after);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(name: &str) -> Jid {
        Jid::parse(&format!("{name}@home.example")).unwrap()
    }

    fn change(name: &str, affiliation: &str) -> Change {
        Change {
            jid: jid(name),
            affiliation: Affiliation::parse(affiliation).unwrap(),
            nick: None,
            reason: String::new(),
        }
    }

    /// Owners of the room are `owner` and what `more` says.
    fn room(more: &[(&str, &str)]) -> Room {
        let mut room = Room::new(&jid("owner"), 0);
        for (name, affiliation) in more {
            room.affiliate(&change(name, affiliation));
        }
        room
    }

    /// People and what they are, or are to be.
    type People<'a> = &'a [(&'a str, &'a str)];

    /// Who wants it, of a room of whom, what, and whether they may.
    fn check(rows: &[(&str, People<'_>, People<'_>, Result<(), Refusal>)]) {
        for (by, room_of, changes, outcome) in rows {
            let changes: Vec<Change> = changes
                .iter()
                .map(|(name, affiliation)| change(name, affiliation))
                .collect();
            let judged = room(room_of).may_affiliate(&jid(by), &changes);
            assert_eq!(judged, *outcome, "{by} wants {changes:?}");
        }
    }

    /// §9.1, §10.4, §10.5.
    #[test]
    fn a_room_has_an_owner_and_nobody_bans_themselves() {
        let conflict = Err(Refusal::Conflict);
        let alone = &[("romeo", "member")][..];
        let two = &[("juliet", "owner"), ("nurse", "admin")][..];
        check(&[
            ("owner", alone, &[("owner", "none")], conflict),
            ("owner", alone, &[("owner", "admin")], conflict),
            ("owner", alone, &[("owner", "outcast")], conflict),
            (
                "owner",
                alone,
                &[("owner", "admin"), ("romeo", "owner")],
                Ok(()),
            ),
            (
                "owner",
                alone,
                &[("romeo", "owner"), ("owner", "none")],
                Ok(()),
            ),
            ("owner", alone, &[("owner", "owner")], Ok(())),
            ("owner", two, &[("owner", "none")], Ok(())),
            ("owner", two, &[("juliet", "outcast")], Ok(())),
            ("owner", two, &[("owner", "outcast")], conflict),
            (
                "owner",
                two,
                &[("owner", "none"), ("juliet", "none")],
                conflict,
            ),
            (
                "nurse",
                two,
                &[("romeo", "outcast"), ("tybalt", "member")],
                Ok(()),
            ),
            (
                "nurse",
                two,
                &[("romeo", "outcast"), ("owner", "outcast")],
                Err(Refusal::NotAllowed),
            ),
            (
                "nurse",
                two,
                &[("romeo", "outcast"), ("tybalt", "admin")],
                Err(Refusal::Forbidden),
            ),
            (
                "romeo",
                alone,
                &[("tybalt", "member")],
                Err(Refusal::Forbidden),
            ),
        ]);
    }

    /// §9.1, §9.3, §9.5: what becomes of a nickname.
    #[test]
    fn a_nickname_is_kept_with_the_affiliation() {
        let mut room = room(&[]);
        for (affiliation, nick, kept) in [
            ("member", Some("thirdwitch"), "thirdwitch"),
            ("member", None, "thirdwitch"),
            ("admin", None, "thirdwitch"),
            ("member", Some(""), ""),
            ("member", Some("hag"), "hag"),
            ("outcast", Some("hag"), ""),
            ("member", None, ""),
        ] {
            let change = Change {
                nick: nick.map(str::to_owned),
                ..change("romeo", affiliation)
            };
            assert!(room.affiliate(&change) || kept == "thirdwitch");
            let known = &room.affiliations[&jid("romeo")];
            assert_eq!(known.nick, kept, "{affiliation} {nick:?}");
        }
        assert!(room.affiliate(&change("romeo", "none")));
        assert!(!room.affiliate(&change("romeo", "none")));
        assert!(!room.affiliations.contains_key(&jid("romeo")));
    }
}
