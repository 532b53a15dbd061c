//! Asking for voice (XEP-0045 §7.13) and granting it (§8.6): forms in messages to the room itself.

use super::{admin, register, room, something_can_be_kept};
use crate::{
    account::Cx,
    room::{Occupant, Role, Room, matrix::Standing},
};
use std::sync::Arc;
use xmpp::{
    Jid, Kind, Passing, Stanza, StanzaError,
    form::{self, FieldType, Form, Writer},
};

const REQUEST: &str = "http://jabber.org/protocol/muc#request";
const ROLE: &str = "muc#role";
const JID: &str = "muc#jid";
const NICK: &str = "muc#roomnick";
const ALLOW: &str = "muc#request_allow";

/// What a message to the room itself asks for with a form; `None` where it has none.
pub(super) fn form(cx: &mut Cx<'_>, said: &Passing) -> Option<Result<(), StanzaError>> {
    let x = said.stanza.child(form::NS, "x")?.element();
    if x.attr("type") == Some("cancel") {
        return Some(Ok(())); // §8.6: skipped
    }
    let form = match Form::submitted(&x) {
        Ok(form) => form,
        Err(refusal) => return Some(Err(refusal)),
    };
    Some(match form.form_type() {
        Some(REQUEST) if form.values(ALLOW).is_some() => decided(cx, &said.from, &form),
        Some(REQUEST) => ask(cx, &said.from, &form),
        Some(register::FORM) => register::decided(cx, &said.from, &form),
        _ => Err(StanzaError::BAD_REQUEST),
    })
}

/// A boolean field (XEP-0004 §3.3).
pub(super) fn truth(value: &str) -> Result<bool, StanzaError> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(StanzaError::BAD_REQUEST),
    }
}

/// §7.13: every moderator who is there is asked.
fn ask(cx: &mut Cx<'_>, who: &Jid, form: &Form) -> Result<(), StanzaError> {
    let now = cx.now();
    let room = room(cx)?;
    let occupant = room.occupants.of(who).ok_or(StanzaError::NOT_ACCEPTABLE)?;
    if !matches!(form.values(ROLE), Some([role]) if role == Role::Participant.name()) {
        return Err(StanzaError::BAD_REQUEST);
    }
    if occupant.role >= Role::Participant {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("you have a voice already"));
    }
    if !room.config.voice_requests {
        return Err(StanzaError::FORBIDDEN);
    }
    let nick = occupant.nick().to_owned();
    let seats = room.occupants.seats();
    let moderators = seats.filter(|(occupant, _)| occupant.role == Role::Moderator);
    let moderators: Vec<Jid> = moderators.map(|(_, seat)| seat.jid.clone()).collect();
    if moderators.is_empty() {
        return Err(StanzaError::RECIPIENT_UNAVAILABLE.with_text("no moderator is there"));
    }
    if !room.may_ask(who, now) {
        return Err(StanzaError::RESOURCE_CONSTRAINT.with_text("this was asked a short while ago"));
    }
    let content = approval(who, &nick);
    let stanza = Arc::new(Stanza::compose(Kind::Message, &[], &content));
    let own = cx.jid().clone();
    for moderator in moderators {
        cx.route(Passing::new(stanza.clone(), own.clone(), moderator));
    }
    Ok(())
}

/// §8.6: what a moderator fills in.
fn approval(who: &Jid, nick: &str) -> String {
    Writer::form(REQUEST)
        .labelled(
            (FieldType::ListSingle, ROLE, "Requested role"),
            &[],
            &["participant"],
        )
        .labelled((FieldType::JidSingle, JID, "User ID"), &[], &[who.as_str()])
        .labelled((FieldType::TextSingle, NICK, "Room nickname"), &[], &[nick])
        .labelled(
            (FieldType::Boolean, ALLOW, "Grant voice to this person?"),
            &[],
            &["false"],
        )
        .finish()
}

/// §8.6: what a moderator decided.
fn decided(cx: &mut Cx<'_>, by: &Jid, form: &Form) -> Result<(), StanzaError> {
    let one = |var| match form.values(var) {
        Some([value]) => Ok(value.as_str()),
        _ => Err(StanzaError::BAD_REQUEST),
    };
    let (role, allowed) = (one(ROLE)?, truth(one(ALLOW)?)?);
    if role != Role::Participant.name() {
        return Err(StanzaError::BAD_REQUEST);
    }
    let own = cx.jid().clone();
    let room = room(cx)?;
    let standing = room.standing(by);
    if !standing.moderates() {
        return Err(StanzaError::FORBIDDEN);
    }
    if !allowed {
        return Ok(());
    }
    let (jid, nick) = (form.values(JID), form.values(NICK));
    let occupant = asked_for(room, &own, jid, nick).ok_or(StanzaError::ITEM_NOT_FOUND)?;
    if occupant.role >= Role::Participant {
        return Ok(()); // another moderator said yes before
    }
    let to = Standing {
        affiliation: room.affiliation(&occupant.real()),
        role: occupant.role,
    };
    standing.may_give(Role::Participant, to)?;
    let occupant = occupant.jid.clone();
    something_can_be_kept(cx)?;
    admin::give_role(cx, by, &occupant, Role::Participant, "");
    Ok(())
}

/// Who asked: by address, since the nickname may be another's by now; by nickname where the form has no
/// address.
fn asked_for<'a>(
    room: &'a Room,
    own: &Jid,
    jid: Option<&[String]>,
    nick: Option<&[String]>,
) -> Option<&'a Occupant> {
    match (jid, nick) {
        (Some([jid]), _) => room.occupants.of(&Jid::parse(jid).ok()?),
        (_, Some([nick])) => room.occupants.get(&own.with_resource(nick).ok()?),
        _ => None,
    }
}
