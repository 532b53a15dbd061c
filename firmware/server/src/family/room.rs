//! The household's room: who becomes a member, under which nickname, and the bookmark for it.

use super::record::{MEMBER, MemberRecord};
use crate::{
    account::Cx,
    features::{bookmarks, muc},
    limits::ROOM_NICK_BYTES_MAX,
    room::{Affiliation, Room, record::AffiliationRecord},
};
use std::collections::BTreeSet;
use tracing::warn;
use xmpp::Jid;

/// Somebody who is to be a member.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub(super) jid: Jid,
    pub(super) display_name: String,
    pub(super) is_administrator: bool,
}

/// What a member's bookmark says.
#[derive(Clone, Debug)]
pub(super) struct Invitation {
    pub(super) room: Jid,
    pub(super) name: String,
    pub(super) nick: String,
}

/// In the room: lets newcomers in, each with a nickname of their own (XEP-0045 §7.10); accounts that are no
/// more are nothing to it. What each gets; nothing for whom the room has put out.
pub(super) fn admit(
    cx: &mut Cx<'_>,
    newcomers: &[Newcomer],
    accounts: &BTreeSet<Jid>,
    house: &str,
) -> Vec<(Jid, Option<Invitation>)> {
    part(cx, accounts, house);
    let mut admitted = Vec::with_capacity(newcomers.len());
    for newcomer in newcomers {
        let Some(room) = cx.room_mut() else { break };
        let before = room.affiliation(&newcomer.jid);
        if let Some(nick) = affiliate(room, newcomer) {
            let name = room.config.name.clone();
            cx.keep_affiliation(&newcomer.jid);
            muc::decided_by_household(cx, &newcomer.jid, before);
            let invitation = Invitation {
                room: cx.jid().clone(),
                name,
                nick,
            };
            admitted.push((newcomer.jid.clone(), Some(invitation)));
        } else {
            admitted.push((newcomer.jid.clone(), None));
        }
    }
    admitted
}

/// What an account was that is no more, the next one of its name must not be.
fn part(cx: &mut Cx<'_>, accounts: &BTreeSet<Jid>, house: &str) {
    let Some(room) = cx.room_mut() else { return };
    let of_house = |jid: &Jid| jid.localpart().is_some() && jid.domainpart() == house;
    let known = room.affiliations.iter();
    let gone = known.filter(|(jid, known)| {
        known.affiliation > Affiliation::None && of_house(jid) && !accounts.contains(*jid)
    });
    let gone: Vec<Jid> = gone.map(|(jid, _)| jid.clone()).collect();
    for jid in gone {
        if let Some(room) = cx.room_mut() {
            room.affiliations.remove(&jid);
        }
        cx.keep_affiliation(&jid);
    }
}

/// Makes somebody a member, or what they are already; the nickname. `None` for an outcast.
fn affiliate(room: &mut Room, newcomer: &Newcomer) -> Option<String> {
    let known = room.affiliations.get(&newcomer.jid).cloned();
    let usual = if newcomer.is_administrator {
        Affiliation::Owner
    } else {
        Affiliation::Member
    };
    let mut record = known.unwrap_or_else(|| AffiliationRecord::of(usual, String::new()));
    match record.affiliation {
        Affiliation::Outcast => return None,
        Affiliation::None => record.affiliation = usual,
        Affiliation::Member | Affiliation::Admin | Affiliation::Owner => {}
    }
    if record.nick.is_empty() {
        record.nick = nick(room, newcomer);
    }
    let nick = record.nick.clone();
    room.affiliations.insert(newcomer.jid.clone(), record);
    Some(nick)
}

/// The display name, or what stands before the `@`; another one where somebody else has it, or looks as if.
fn nick(room: &Room, newcomer: &Newcomer) -> String {
    let localpart = newcomer.jid.localpart().unwrap_or_default();
    let display = newcomer.display_name.trim();
    let taken: BTreeSet<String> = room
        .affiliations
        .iter()
        .filter(|(jid, _)| **jid != newcomer.jid)
        .map(|(_, known)| known.nick.to_lowercase())
        .collect();
    let distinct = format!("{display} ({localpart})");
    let mut wanted = vec![display.to_owned()];
    if !display.is_empty() {
        wanted.push(distinct);
    }
    wanted.push(localpart.to_owned());
    let numbered = (2..).map(|number: u32| format!("{localpart} {number}"));
    let usable = wanted.into_iter().chain(numbered.take(taken.len() + 1));
    let mut usable = usable.filter_map(|nick| prepared(&newcomer.jid, &nick));
    let free = usable.find(|nick| !taken.contains(&nick.to_lowercase()));
    free.unwrap_or_else(|| localpart.to_owned())
}

/// A nickname as an address has it, where one can have it at all.
fn prepared(jid: &Jid, nick: &str) -> Option<String> {
    let full = jid.bare().with_resource(nick).ok()?;
    let nick = full.resourcepart()?;
    let fits = nick.len() <= ROOM_NICK_BYTES_MAX && nick.trim() == nick;
    fits.then(|| nick.to_owned())
}

/// In the account of a member: notes it, with the bookmark that goes with it.
pub(super) fn invite(cx: &mut Cx<'_>, number: u32, invitation: Option<&Invitation>) {
    let bookmark = invitation.map(|invitation| {
        let made = bookmarks::add(cx, &invitation.room, &invitation.name, &invitation.nick);
        made.unwrap_or_else(|refusal| {
            warn!(account = %cx.jid(), ?refusal, "no bookmark is made for the household's room");
            String::new()
        })
    });
    let record = MemberRecord {
        room: number,
        bookmark: bookmark.unwrap_or_default(),
    };
    let write = MEMBER.put(&cx.id(), &record);
    cx.write(write);
}

/// In the account of a member, when the room is switched off: the bookmark goes, if it is as it was made.
pub(super) fn take_back(cx: &mut Cx<'_>, room: &Jid, record: &MemberRecord) {
    if !record.bookmark.is_empty() {
        bookmarks::take_back(cx, room, &record.bookmark);
    }
    let write = MEMBER.remove(&cx.id());
    cx.write(write);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(localpart: &str) -> Jid {
        Jid::parse(&format!("{localpart}@home.example")).unwrap()
    }

    #[test]
    fn everybody_has_a_nickname_of_their_own() {
        let mut room = Room::new(&jid("eve"), 0);
        let long = "n".repeat(ROOM_NICK_BYTES_MAX + 1);
        for (localpart, display_name, expected) in [
            ("anna", "Anna", "Anna"),
            ("anna2", "anna", "anna (anna2)"),
            ("bob", "", "bob"),
            ("bobby", "Bob", "Bob (bobby)"),
            ("cleo", "C\u{0}leo", "cleo"),
            ("dan", &long, "dan"),
            ("x", "dan", "dan (x)"),
            ("y", "z", "z"),
            ("z", "", "z 2"),
            ("anna", "Anna", "Anna"),
        ] {
            let newcomer = Newcomer {
                jid: jid(localpart),
                display_name: display_name.to_owned(),
                is_administrator: false,
            };
            let nick = affiliate(&mut room, &newcomer);
            assert_eq!(
                nick.as_deref(),
                Some(expected),
                "{localpart} {display_name}"
            );
        }
    }

    #[test]
    fn whoever_the_room_has_put_out_stays_out() {
        let mut room = Room::new(&jid("eve"), 0);
        let outcast = AffiliationRecord::of(Affiliation::Outcast, String::new());
        room.affiliations.insert(jid("tybalt"), outcast);
        for (localpart, is_administrator, expected) in [
            ("tybalt", true, Affiliation::Outcast),
            ("eve", false, Affiliation::Owner),
            ("amy", true, Affiliation::Owner),
            ("bob", false, Affiliation::Member),
        ] {
            let newcomer = Newcomer {
                jid: jid(localpart),
                display_name: String::new(),
                is_administrator,
            };
            affiliate(&mut room, &newcomer);
            assert_eq!(room.affiliation(&jid(localpart)), expected, "{localpart}");
        }
    }
}
