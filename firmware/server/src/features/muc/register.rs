//! Registering with a room (XEP-0045 §7.10, §9.9) and reserved nicknames (§7.12). Whoever registers with an
//! open room is a member of it, with a nickname that is theirs alone. For a room that is public and for
//! members only, its admins are asked. A hidden one does not let strangers ask: who is to be in it is
//! invited.

use super::{admin, affiliation, disco, room};
use crate::{
    account::Cx,
    feature::{Answer, Iq},
    limits::{ROOM_AFFILIATIONS_MAX, ROOM_NICK_BYTES_MAX},
    room::{Affiliation, Room, changes::Change, nickname},
};
use std::sync::Arc;
use xmpp::{
    Element, Jid, Kind, Passing, Stanza, StanzaError, compose,
    form::{self, FieldType, Form, Writer},
};

pub(super) const NS: &str = "jabber:iq:register";
pub(super) const FORM: &str = "http://jabber.org/protocol/muc#register";
/// The node by which somebody asks for their nickname.
pub(super) const RESERVED: &str = "x-roomuser-item";
const NICK: &str = "muc#register_roomnick";
const ALLOW: &str = "muc#register_allow";
const JID: &str = "muc#jid";

/// How somebody becomes a member, as things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// At once.
    Open,
    /// When an admin says yes.
    Asks,
    /// Is one already: it is about the nickname alone.
    Member,
}

fn way(room: &Room, who: &Jid) -> Result<Way, StanzaError> {
    match room.affiliation(who) {
        Affiliation::Outcast => Err(StanzaError::NOT_ALLOWED),
        Affiliation::None if !room.config.members_only => Ok(Way::Open),
        Affiliation::None if room.config.public => Ok(Way::Asks),
        Affiliation::None => Err(StanzaError::NOT_ALLOWED),
        _ => Ok(Way::Member),
    }
}

/// What there is to fill in, or what was.
pub(super) fn get(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let who = &iq.passing.from;
    let room = admin::open_to(cx, who)?;
    way(room, who)?;
    let mut out = format!("<query xmlns='{NS}'>");
    match reserved(room, who) {
        Some(nick) => {
            out.push_str("<registered/><username>");
            compose::escape(&mut out, nick);
            out.push_str("</username>");
        }
        None => {
            let form =
                Writer::form(FORM).field_with(FieldType::TextSingle, NICK, &[], "<required/>");
            out.push_str(
                "<instructions>The nickname that nobody else may have in this room.</instructions>",
            );
            out.push_str(&form.finish());
        }
    }
    Ok(out + "</query>")
}

/// Registers, chooses another nickname, or ends a registration (XEP-0077 §3.2).
pub(super) fn set(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let who = &iq.passing.from;
    let own = cx.jid().clone();
    let room = admin::open_to(cx, who)?;
    let way = way(room, who)?;
    let query = iq.payload.element();
    if query.child(NS, "remove").is_some() {
        return end(cx, who, way);
    }
    let nick = chosen(&query)?;
    let nick = reservable(room, &own, &nick, &who.bare())?;
    if way == Way::Asks {
        return ask(cx, who, &nick);
    }
    let known = room.affiliations.get(&who.bare());
    // Some places are left for those whom admins have something to say about.
    if known.is_none() && room.affiliations.len() >= ROOM_AFFILIATIONS_MAX / 2 {
        return Err(
            StanzaError::RESOURCE_CONSTRAINT.with_text("the room has as many members as it may")
        );
    }
    let change = Change {
        jid: who.bare(),
        affiliation: room.affiliation(who).max(Affiliation::Member),
        nick: Some(nick),
        reason: known.map(|known| known.reason.clone()).unwrap_or_default(),
    };
    affiliation::decided(cx, None, &[change]);
    Ok(String::new())
}

/// The nickname in a form; `bad-request` where it is no valid one.
fn chosen(query: &Element) -> Result<String, StanzaError> {
    let x = query.child(form::NS, "x").ok_or(StanzaError::BAD_REQUEST)?;
    let form = Form::submitted(x)?;
    match (form.form_type(), form.values(NICK)) {
        (Some(FORM), Some([nick])) if !nick.is_empty() => Ok(nick.clone()),
        _ => Err(StanzaError::BAD_REQUEST),
    }
}

/// Who leaves an open room for good is nobody to it. In a room for members only the nickname is free, and who
/// registered is let in as before.
fn end(cx: &mut Cx<'_>, who: &Jid, way: Way) -> Answer {
    let room = room(cx)?;
    let known = room.affiliations.get(&who.bare());
    let Some(known) = known.filter(|_| way == Way::Member) else {
        return Err(StanzaError::REGISTRATION_REQUIRED); // XEP-0077 §3.2
    };
    let leaves = known.affiliation == Affiliation::Member && !room.config.members_only;
    let change = Change {
        jid: who.bare(),
        affiliation: if leaves {
            Affiliation::None
        } else {
            known.affiliation
        },
        nick: Some(String::new()),
        reason: known.reason.clone(),
    };
    affiliation::decided(cx, None, &[change]);
    Ok(String::new())
}

/// The nickname that is somebody's alone.
fn reserved<'a>(room: &'a Room, who: &Jid) -> Option<&'a str> {
    let known = room.affiliations.get(&who.bare())?;
    Some(known.nick.as_str()).filter(|nick| !nick.is_empty())
}

/// A nickname in the form in which it is compared. `not-acceptable` where it can be nobody's, `conflict`
/// where it is somebody else's, for good or now.
pub(super) fn reservable(
    room: &Room,
    own: &Jid,
    nick: &str,
    whose: &Jid,
) -> Result<String, StanzaError> {
    let jid = own
        .with_resource(nick)
        .map_err(|_| StanzaError::NOT_ACCEPTABLE)?;
    let nick = jid.resourcepart().unwrap_or_default();
    if nick.len() > ROOM_NICK_BYTES_MAX || nickname::normal(nick) != nick {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("this cannot be a nickname"));
    }
    let of_another = room.owner_of_nick(nick).is_some_and(|owner| owner != whose);
    let mut others = room.occupants.iter().filter(|it| !it.is(whose.as_str()));
    if of_another || others.any(|other| nickname::is_same(other.nick(), nick)) {
        return Err(StanzaError::CONFLICT);
    }
    Ok(nick.to_owned())
}

/// §7.12: what disco#info says of the node.
pub(super) fn reserved_nickname(cx: &mut Cx<'_>, who: &Jid) -> Answer {
    let room = admin::open_to(cx, who)?;
    let mut out = format!("<query xmlns='{}' node='{RESERVED}'>", disco::INFO);
    if let Some(nick) = reserved(room, who) {
        out.push_str("<identity category='conference'");
        compose::attribute(&mut out, "name", nick);
        out.push_str(" type='text'/>");
    }
    Ok(out + "</query>")
}

/// §9.9: every admin and owner is asked, there or not; a sentence beside the form is for clients that show
/// none.
fn ask(cx: &mut Cx<'_>, who: &Jid, nick: &str) -> Answer {
    let now = cx.now();
    let room = room(cx)?;
    if !room.may_ask(who, now) {
        return Err(StanzaError::RESOURCE_CONSTRAINT.with_text("this was asked a short while ago"));
    }
    let form = Writer::form(FORM)
        .labelled(
            (FieldType::TextSingle, NICK, "Desired nickname"),
            &[],
            &[nick],
        )
        .labelled(
            (FieldType::JidSingle, JID, "Address"),
            &[],
            &[who.bare_str()],
        )
        .labelled(
            (
                FieldType::Boolean,
                ALLOW,
                "Allow this person to register with the room?",
            ),
            &[],
            &["0"],
        );
    let mut content = String::from("<body>");
    compose::escape(&mut content, who.bare_str());
    content.push_str(" would like to become a member of this room.</body>");
    content.push_str(&form.finish());
    let stanza = Arc::new(Stanza::compose(Kind::Message, &[], &content));
    let admins = room.affiliations.iter();
    let admins = admins.filter(|(_, known)| known.affiliation >= Affiliation::Admin);
    let admins: Vec<Jid> = admins.map(|(jid, _)| jid.clone()).collect();
    let own = cx.jid().clone();
    for admin in admins {
        cx.route(Passing::new(stanza.clone(), own.clone(), admin));
    }
    Ok(String::new())
}

/// §9.9: what an admin decided about a request.
pub(super) fn decided(cx: &mut Cx<'_>, by: &Jid, form: &Form) -> Result<(), StanzaError> {
    let one = |var| match form.values(var) {
        Some([value]) => Ok(value.as_str()),
        _ => Err(StanzaError::BAD_REQUEST),
    };
    let (jid, nick, allowed) = (one(JID)?, one(NICK)?, one(ALLOW)?);
    let jid = Jid::parse(jid)
        .map_err(|_| StanzaError::JID_MALFORMED)?
        .bare();
    let allowed = super::voice::truth(allowed)?;
    let own = cx.jid().clone();
    let room = room(cx)?;
    let now = room.affiliation(&jid);
    room.affiliation(by)
        .may_change(Affiliation::None, Affiliation::Member)?;
    if jid.localpart().is_none() || cx.server.rooms().has_address(&jid) {
        return Err(StanzaError::NOT_ACCEPTABLE);
    }
    if !allowed || now >= Affiliation::Member {
        return Ok(()); // nothing, or somebody else said yes before
    }
    if now == Affiliation::Outcast {
        return Err(StanzaError::NOT_ALLOWED); // banned since they asked: that is to be undone knowingly
    }
    let room = super::room(cx)?;
    let change = Change {
        nick: Some(reservable(room, &own, nick, &jid)?),
        jid,
        affiliation: Affiliation::Member,
        reason: String::new(),
    };
    affiliation::change(cx, by, vec![change])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{Affiliation as A, config::Config};

    fn jid(name: &str) -> Jid {
        Jid::parse(&format!("{name}@home.example")).unwrap()
    }

    /// §7.10, §5.2.1: who may register how.
    #[test]
    fn ways_to_become_a_member() {
        let no = Err(StanzaError::NOT_ALLOWED);
        for (members_only, public, affiliation, expected) in [
            (false, false, A::None, Ok(Way::Open)),
            (false, true, A::None, Ok(Way::Open)),
            (true, true, A::None, Ok(Way::Asks)),
            (true, false, A::None, no),
            (false, true, A::Outcast, no),
            (true, true, A::Outcast, no),
            (false, true, A::Member, Ok(Way::Member)),
            (true, false, A::Member, Ok(Way::Member)),
            (true, false, A::Admin, Ok(Way::Member)),
        ] {
            let mut room = Room::new(&jid("owner"), 0);
            room.config = Config {
                public,
                members_only,
                ..Config::default()
            };
            room.affiliate(&Change {
                jid: jid("romeo"),
                affiliation,
                nick: None,
                reason: String::new(),
            });
            assert_eq!(
                way(&room, &jid("romeo")),
                expected,
                "{members_only} {public} {affiliation:?}"
            );
        }
    }

    #[test]
    fn forms_that_register() {
        let field =
            |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
        let type_ = field("FORM_TYPE", FORM);
        let nick = field(NICK, "hag");
        for (fields, expected) in [
            (format!("{type_}{nick}"), Some("hag")),
            (
                format!("{type_}{nick}{}", field("muc#register_first", "B")),
                Some("hag"),
            ),
            (nick.clone(), None),
            (type_.clone(), None),
            (format!("{type_}{}", field(NICK, "")), None),
            (format!("{type_}<field var='{NICK}'/>"), None),
            (format!("{}{nick}", field("FORM_TYPE", "other")), None),
        ] {
            let xml = format!(
                "<query xmlns='{NS}'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>"
            );
            let chosen = chosen(&Element::parse(&xml, "").unwrap());
            let expected = expected.map(str::to_owned).ok_or(StanzaError::BAD_REQUEST);
            assert_eq!(chosen, expected, "{fields}");
        }
        for xml in [
            format!("<query xmlns='{NS}'><username>hag</username></query>"),
            format!("<query xmlns='{NS}'/>"),
        ] {
            let chosen = chosen(&Element::parse(&xml, "").unwrap());
            assert_eq!(chosen, Err(StanzaError::BAD_REQUEST));
        }
    }

    #[test]
    fn nicknames_that_can_be_had() {
        let own = Jid::parse("capulet@groupchat.home.example").unwrap();
        let mut room = Room::new(&jid("owner"), 0);
        room.affiliate(&Change {
            jid: jid("hag66"),
            affiliation: A::Member,
            nick: Some("thirdwitch".into()),
            reason: String::new(),
        });
        let long = "n".repeat(ROOM_NICK_BYTES_MAX + 1);
        for (nick, whose, expected) in [
            ("thirdwitch", "hag66", Ok("thirdwitch")),
            ("thirdwitch", "romeo", Err("conflict")),
            ("Romeo", "romeo", Ok("Romeo")),
            ("", "romeo", Err("not-acceptable")),
            (" Romeo", "romeo", Err("not-acceptable")),
            ("The  Nurse", "romeo", Err("not-acceptable")),
            ("ThirdWitch", "romeo", Err("conflict")),
            (&long, "romeo", Err("not-acceptable")),
        ] {
            let outcome = reservable(&room, &own, nick, &jid(whose));
            let outcome = outcome.as_deref().map_err(|error| error.condition);
            assert_eq!(outcome, expected, "{nick}");
        }
    }
}
