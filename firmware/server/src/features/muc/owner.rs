//! What an owner does (XEP-0045 §10): asking for the configuration, changing it or giving that up, and
//! destroying the room.

use super::{
    OWNER,
    announce::{self, News, Told},
    configure::configure,
    form::{self, Draft},
    kick, leave, room,
};
use crate::{
    account::Cx,
    feature::{Answer, Iq},
    limits::ROOM_FAREWELL_BYTES_MAX,
    room::{Affiliation, Room},
    server::Server,
};
use xmpp::{Element, Jid, StanzaError, compose, form::NS as FORM};

/// §10.1.3, §10.2: the form, filled in as the room is.
pub(super) fn get(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    Ok(query(owned(cx, iq)?))
}

/// §10.1.3: of a room that is not there yet, what it would be. Making it takes entering it (§10.1.1).
pub(super) fn get_of_none(server: &Server, iq: &Iq<'_>) -> Answer {
    let from = &iq.passing.from;
    if from.domainpart() != server.domain().as_str() {
        return Err(StanzaError::NOT_ALLOWED);
    }
    Ok(query(&Room::new(from, server.now())))
}

fn query(room: &Room) -> String {
    format!("<query xmlns='{OWNER}'>{}</query>", form::to_fill_in(room))
}

/// The room, where it is this one's. Of one that is not configured yet nobody else knows (§10.1.1).
fn owned<'a>(cx: &'a mut Cx<'_>, iq: &Iq<'_>) -> Result<&'a mut Room, StanzaError> {
    let room = room(cx)?;
    match room.affiliation(&iq.passing.from) {
        Affiliation::Owner => Ok(room),
        _ if room.locked => Err(StanzaError::ITEM_NOT_FOUND),
        _ => Err(StanzaError::FORBIDDEN),
    }
}

/// §10.1.2, §10.1.3, §10.2, §10.9.
pub(super) fn set(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let room = owned(cx, iq)?;
    let query = iq.payload.element();
    let mut asked = query.elements();
    let (Some(asked), None) = (asked.next(), asked.next()) else {
        return Err(StanzaError::BAD_REQUEST);
    };
    if asked.is(OWNER, "destroy") {
        let farewell = farewell(asked)?;
        destroy(cx, &farewell);
    } else if asked.is(FORM, "x") && asked.attr("type") == Some("cancel") {
        // Making the room is given up, or changing it, which then was never begun.
        if room.locked {
            destroy(cx, NO_WORD);
        }
    } else {
        let draft = Draft::read(room, asked)?;
        configure(cx, draft)?;
    }
    Ok(String::new())
}

/// What is said of a room that is destroyed, where nobody says anything (§10.9).
pub(super) const NO_WORD: &str = "<destroy/>";

/// §10.9: why, and where to go, as everybody in the room is told it.
fn farewell(asked: &Element) -> Result<String, StanzaError> {
    let mut out = String::from("<destroy");
    if let Some(venue) = asked.attr("jid").filter(|venue| !venue.is_empty()) {
        let venue = Jid::parse(venue).map_err(|_| StanzaError::JID_MALFORMED)?;
        compose::attribute(&mut out, "jid", venue.as_str());
    }
    let mut content = String::new();
    for name in ["password", "reason"] {
        let said = asked.child(OWNER, name).map(Element::text);
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            content.push_str(&format!("<{name}>"));
            compose::escape(&mut content, &said);
            content.push_str(&format!("</{name}>"));
        }
    }
    if out.len() + content.len() > ROOM_FAREWELL_BYTES_MAX {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("these last words are too long"));
    }
    if content.is_empty() {
        return Ok(out + "/>");
    }
    Ok(out + ">" + &content + "</destroy>")
}

/// The same by whoever runs the house.
pub(crate) fn destroy_without_a_word(cx: &mut Cx<'_>) {
    destroy(cx, NO_WORD);
}

/// §10.9: everybody is told once that they are out, with `farewell` (`<destroy/>` as XML), and the room is no
/// more.
pub(super) fn destroy(cx: &mut Cx<'_>, farewell: &str) {
    let Some(room) = cx.room_mut() else { return };
    let occupants = std::mem::take(&mut room.occupants);
    let news = News {
        type_: "unavailable",
        further: farewell,
        ..News::default()
    };
    for occupant in occupants.iter() {
        let Some(told) = cx.room().and_then(|room| Told::of(room, occupant)) else {
            continue;
        };
        let told = Told {
            affiliation: Affiliation::None,
            presence: "".into(),
            ..told.gone()
        };
        let seats = kick::seats(occupant);
        announce::to_itself(cx, &told, &news, &seats);
    }
    leave::end(cx);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §10.9.
    #[test]
    fn last_words_are_passed_on() {
        let long = format!("<reason>{}</reason>", "a".repeat(ROOM_FAREWELL_BYTES_MAX));
        for (attributes, inside, expected) in [
            ("", "", "<destroy/>"),
            ("", "<reason/>", "<destroy/>"),
            (
                "jid='coven@chat.lit'",
                "",
                "<destroy jid='coven@chat.lit'/>",
            ),
            ("jid=''", "", "<destroy/>"),
            ("jid='@'", "", "jid-malformed"),
            (
                "jid='coven@chat.lit' evil='1'",
                "<reason>Macbeth doth &lt;come/&gt;</reason><x xmlns='evil'/><password>p</password>",
                "<destroy jid='coven@chat.lit'><password>p</password>\
                 <reason>Macbeth doth &lt;come/&gt;</reason></destroy>",
            ),
            ("", &long, "not-acceptable"),
        ] {
            let asked = format!("<destroy xmlns='{OWNER}' {attributes}>{inside}</destroy>");
            let said = farewell(&Element::parse(&asked, "").unwrap());
            let said = said.unwrap_or_else(|refusal| refusal.condition.to_owned());
            assert_eq!(said, expected, "{asked}");
        }
    }
}
