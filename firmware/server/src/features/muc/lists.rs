//! Who is what in a room, for those who may know (XEP-0045 §8.5, §9.2, §9.5, §9.8, §10.5, §10.8).

use super::admin::{self, NS};
use crate::{
    account::Cx,
    feature::{Answer, Iq},
    room::{Affiliation, Occupant, Role, Room},
};
use std::collections::BTreeMap;
use xmpp::{Jid, StanzaError, compose};

/// One list: everybody of one role or of one affiliation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Role(Role),
    Affiliation(Affiliation),
}

/// Answers with the list that is asked for.
pub(super) fn get(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let who = &iq.passing.from;
    let room = admin::open_to(cx, who)?;
    let query = iq.payload.element();
    let mut items = query.elements().filter(|item| item.is(NS, "item"));
    let (Some(item), None) = (items.next(), items.next()) else {
        return Err(StanzaError::BAD_REQUEST);
    };
    let list = List::read(item.attr("role"), item.attr("affiliation"))?;
    if !list.is_for(room, who) {
        return Err(StanzaError::FORBIDDEN);
    }
    let mut out = format!("<query xmlns='{NS}'>");
    match list {
        List::Role(role) => occupants(&mut out, room, role),
        List::Affiliation(affiliation) => {
            let with_reasons = room.affiliation(who) >= Affiliation::Admin;
            affiliated(&mut out, room, affiliation, with_reasons);
        }
    }
    Ok(out + "</query>")
}

impl List {
    /// There is no list of those who are nothing.
    fn read(role: Option<&str>, affiliation: Option<&str>) -> Result<List, StanzaError> {
        let list = match (role, affiliation) {
            (Some(role), None) => Role::parse(role)
                .filter(|role| *role != Role::None)
                .map(List::Role),
            (None, Some(affiliation)) => Affiliation::parse(affiliation)
                .filter(|affiliation| *affiliation != Affiliation::None)
                .map(List::Affiliation),
            _ => None,
        };
        list.ok_or(StanzaError::BAD_REQUEST)
    }

    fn is_for(self, room: &Room, who: &Jid) -> bool {
        let standing = room.standing(who);
        let is_admin = standing.affiliation >= Affiliation::Admin;
        match self {
            List::Role(Role::Moderator) => is_admin,             // §9.8
            List::Role(_) => standing.moderates(),               // §8.5
            List::Affiliation(Affiliation::Outcast) => is_admin, // §9.2
            List::Affiliation(Affiliation::Owner | Affiliation::Admin)
                if !room.config.non_anonymous =>
            {
                standing.affiliation == Affiliation::Owner // §10.5, §10.8
            }
            List::Affiliation(_) => is_admin || may_read_members(room, who),
        }
    }
}

/// §9.5, the note, and §5.2.1, note ***: members of a room without secret addresses, there or not; in another
/// room moderators. The configuration says of which roles.
fn may_read_members(room: &Room, who: &Jid) -> bool {
    let standing = room.standing(who);
    let role = standing.role.max(room.first_role(who)); // that of whoever is outside: as they would enter
    let knows_addresses = standing.role == Role::Moderator
        || room.config.non_anonymous && standing.affiliation >= Affiliation::Member;
    knows_addresses && room.config.get_member_list.contains(role)
}

/// §8.5, §9.8.
fn occupants(out: &mut String, room: &Room, role: Role) {
    for occupant in room
        .occupants
        .iter()
        .filter(|occupant| occupant.role == role)
    {
        let Some(seat) = occupant.shown() else {
            continue;
        };
        out.push_str("<item");
        compose::attribute(out, "affiliation", room.affiliation(&seat.jid).name());
        compose::attribute(out, "jid", seat.jid.as_str());
        compose::attribute(out, "nick", occupant.nick());
        compose::attribute(out, "role", role.name());
        out.push_str("/>");
    }
}

/// §9.2, §9.5, §10.5, §10.8: with the nickname that is theirs or that they have, and the role of those who
/// are there.
fn affiliated(out: &mut String, room: &Room, affiliation: Affiliation, with_reasons: bool) {
    let there: BTreeMap<Jid, &Occupant> = room.occupants.iter().map(|o| (o.real(), o)).collect();
    let listed = room.affiliations.iter();
    for (jid, known) in listed.filter(|(_, known)| known.affiliation == affiliation) {
        out.push_str("<item");
        compose::attribute(out, "affiliation", affiliation.name());
        compose::attribute(out, "jid", jid.as_str());
        let occupant = there.get(jid);
        let nick = Some(known.nick.as_str()).filter(|nick| !nick.is_empty());
        if let Some(nick) = nick.or(occupant.map(|occupant| occupant.nick())) {
            compose::attribute(out, "nick", nick);
        }
        if let Some(occupant) = occupant {
            compose::attribute(out, "role", occupant.role.name());
        }
        if known.reason.is_empty() || !with_reasons {
            out.push_str("/>");
            continue;
        }
        out.push_str("><reason>");
        compose::escape(out, &known.reason);
        out.push_str("</reason></item>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{
        Seat,
        changes::Change,
        config::{Config, Roles},
    };

    fn jid(name: &str) -> Jid {
        Jid::parse(&format!("{name}@home.example/r")).unwrap()
    }

    /// A room with one of each kind, outside and inside; `mo` is a moderator without affiliation.
    fn room(config: Config) -> Room {
        let mut room = Room::new(&jid("owner"), 0);
        room.locked = false;
        room.config = config;
        for affiliation in Affiliation::ALL {
            let outside = Jid::parse(&format!("{}@away.example", affiliation.name())).unwrap();
            for jid in [jid(affiliation.name()).bare(), outside] {
                if affiliation != Affiliation::None {
                    room.affiliate(&Change {
                        jid,
                        affiliation,
                        nick: None,
                        reason: "<why>".into(),
                    });
                }
            }
        }
        for (nick, role) in [
            ("vi", Role::Visitor),
            ("none", Role::Participant),
            ("mo", Role::Moderator),
            ("member", Role::Participant),
            ("admin", Role::Moderator),
            ("owner", Role::Moderator),
        ] {
            let occupant = Jid::parse(&format!("capulet@groupchat.home.example/{nick}")).unwrap();
            let seat = Seat {
                jid: jid(nick),
                presence: "".into(),
            };
            let new = || Occupant {
                jid: occupant.clone(),
                role,
                id: "".into(),
                seats: Vec::new(),
            };
            room.occupants.seat(&occupant, new, seat);
        }
        room
    }

    const WHO: [&str; 11] = [
        "vi@home.example/r",
        "none@home.example/r",
        "mo@home.example/r",
        "member@home.example/r",
        "admin@home.example/r",
        "owner@home.example/r",
        "none@away.example/r",
        "outcast@away.example/r",
        "member@away.example/r",
        "admin@away.example/r",
        "owner@away.example/r",
    ];

    fn readers(room: &Room, list: List) -> String {
        let may = WHO.map(|who| {
            let may = list.is_for(room, &Jid::parse(who).unwrap());
            if may { '+' } else { '-' }
        });
        String::from_iter(may)
    }

    /// Columns as in [`WHO`]: inside, then outside.
    #[test]
    fn lists_are_for_some() {
        let semi = Config::default();
        let non = Config {
            non_anonymous: true,
            ..Config::default()
        };
        let closed = Config {
            get_member_list: Roles {
                participant: false,
                visitor: false,
                ..Roles::EVERYBODY
            },
            ..non.clone()
        };
        use List::{Affiliation as A, Role as R};
        for (config, list, expected) in [
            (&semi, R(Role::Visitor), "--+-++---++"),
            (&semi, R(Role::Participant), "--+-++---++"),
            (&semi, R(Role::Moderator), "----++---++"),
            (&semi, A(Affiliation::Outcast), "----++---++"),
            (&semi, A(Affiliation::Member), "--+-++---++"),
            (&semi, A(Affiliation::Admin), "-----+----+"),
            (&semi, A(Affiliation::Owner), "-----+----+"),
            (&non, R(Role::Participant), "--+-++---++"),
            (&non, A(Affiliation::Outcast), "----++---++"),
            (&non, A(Affiliation::Member), "--++++--+++"),
            (&non, A(Affiliation::Admin), "--++++--+++"),
            (&non, A(Affiliation::Owner), "--++++--+++"),
            (&closed, A(Affiliation::Member), "--+-++---++"),
            (&closed, A(Affiliation::Owner), "--+-++---++"),
        ] {
            assert_eq!(readers(&room(config.clone()), list), expected, "{list:?}");
        }
    }

    #[test]
    fn one_list_is_asked_for() {
        for (role, affiliation, expected) in [
            (Some("visitor"), None, Some(List::Role(Role::Visitor))),
            (
                None,
                Some("outcast"),
                Some(List::Affiliation(Affiliation::Outcast)),
            ),
            (None, Some("none"), None),
            (Some("none"), None, None),
            (Some("king"), None, None),
            (None, Some("king"), None),
            (Some("visitor"), Some("member"), None),
            (None, None, None),
        ] {
            let list = List::read(role, affiliation);
            assert_eq!(list, expected.ok_or(StanzaError::BAD_REQUEST));
        }
    }

    #[test]
    fn a_list_says_who_is_there() {
        let room = room(Config::default());
        let mut out = String::new();
        affiliated(&mut out, &room, Affiliation::Member, true);
        assert_eq!(
            out,
            "<item affiliation='member' jid='member@away.example'><reason>&lt;why&gt;</reason></item>\
             <item affiliation='member' jid='member@home.example' nick='member' role='participant'>\
             <reason>&lt;why&gt;</reason></item>"
        );
        let mut out = String::new();
        affiliated(&mut out, &room, Affiliation::Outcast, false);
        assert_eq!(
            out,
            "<item affiliation='outcast' jid='outcast@away.example'/>\
             <item affiliation='outcast' jid='outcast@home.example'/>"
        );
        let mut out = String::new();
        occupants(&mut out, &room, Role::Visitor);
        assert_eq!(
            out,
            "<item affiliation='none' jid='vi@home.example/r' nick='vi' role='visitor'/>"
        );
    }
}
