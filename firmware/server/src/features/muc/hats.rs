//! XEP-0317: Hats. Whoever runs a room makes them, and says who wears them; everybody in it sees them beside
//! the nickname. What somebody is to a room anyway is no hat (§1): clients show owners and admins as such.
//!
//! State: `crate::room::hats`.

use super::{
    announce,
    commands::{BAD_PAYLOAD, Said},
    configure, disco,
    kick::{self, Why},
    room,
};
use crate::{
    account::Cx,
    feature::{Feature, Iq, On, Spec},
    limits::{ROOM_HAT_TITLE_BYTES_MAX, ROOM_HAT_URI_BYTES_MAX},
    room::{
        Affiliation, Role, Room,
        hats::{Full, Hat},
        record::HatRecord,
    },
};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use xmpp::{
    Jid, StanzaError, compose,
    form::{self, FieldType, Form, Writer},
};

pub(super) const NS: &str = "urn:xmpp:hats:0";
/// §3.8.
const FORM: &str = "urn:xmpp:hats:commands";
const TITLE: &str = "hats#title";
const URI: &str = "hats#uri";
const HUE: &str = "hats#hue";
const JID: &str = "hats#jid";
/// Bytes of a language tag (BCP 47 §4.4.1).
const LANG_BYTES_MAX: usize = 35;

pub(in super::super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(317, "0.3.1", "Hats"),
    disco: &[(On::Room, NS)],
    ..Feature::NONE
};

impl From<Full> for StanzaError {
    fn from(_: Full) -> StanzaError {
        StanzaError::RESOURCE_CONSTRAINT.with_text("these are as many as there may be")
    }
}

/// §3.2 to §3.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    List,
    ListAssigned,
    Create,
    Destroy,
    Assign,
    Unassign,
}

impl Command {
    pub(super) const ALL: [Command; 6] = [
        Command::List,
        Command::ListAssigned,
        Command::Create,
        Command::Destroy,
        Command::Assign,
        Command::Unassign,
    ];

    pub(super) fn of(node: &str) -> Option<Command> {
        Command::ALL.into_iter().find(|known| known.node() == node)
    }

    pub(super) fn node(self) -> &'static str {
        match self {
            Command::List => "urn:xmpp:hats:commands:list",
            Command::ListAssigned => "urn:xmpp:hats:commands:list-assigned",
            Command::Create => "urn:xmpp:hats:commands:create",
            Command::Destroy => "urn:xmpp:hats:commands:destroy",
            Command::Assign => "urn:xmpp:hats:commands:assign",
            Command::Unassign => "urn:xmpp:hats:commands:unassign",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Command::List => "List the hats",
            Command::ListAssigned => "List who wears which hat",
            Command::Create => "Make or change a hat",
            Command::Destroy => "Destroy a hat",
            Command::Assign => "Give somebody a hat",
            Command::Unassign => "Take a hat from somebody",
        }
    }

    /// Who wears what is for those who see addresses; making and giving hats is for admins.
    pub(super) fn is_for(self, room: &Room, who: &Jid) -> bool {
        let standing = room.standing(who);
        let is_admin = standing.affiliation >= Affiliation::Admin;
        let sees = standing.role > Role::None && room.shows_addresses_to(standing.role);
        match self {
            Command::List => disco::sees_inside(room, who),
            Command::ListAssigned => is_admin || sees,
            _ => is_admin,
        }
    }

    fn form(self, room: &Room) -> String {
        let form = Writer::titled(FORM, self.name(), "Fill out this form.");
        let person = (FieldType::JidSingle, JID, "Address");
        let hats = room.hats.iter();
        let hats: Vec<_> = hats
            .map(|hat| (hat.uri.as_str(), hat.known.title.as_str()))
            .collect();
        let hat = (FieldType::ListSingle, URI, "Hat");
        match self {
            Command::Create => form
                .required((FieldType::TextSingle, TITLE, "Title"), &[])
                .required((FieldType::TextSingle, URI, "URI"), &[])
                .labelled((FieldType::TextSingle, HUE, "Hue, 0 to 360"), &[], &[]),
            Command::Destroy => form.required(hat, &hats),
            _ => form.required(person, &[]).required(hat, &hats),
        }
        .finish()
    }
}

/// Does what a command says, where it was told what it has to know.
pub(super) fn run(
    cx: &mut Cx<'_>,
    command: Command,
    iq: &Iq<'_>,
    form: Option<&Form>,
) -> Result<Said, StanzaError> {
    let room = room(cx)?;
    match command {
        Command::List => return Ok(Said::Done(list(room))),
        Command::ListAssigned => return Ok(Said::Done(assigned(room))),
        _ => {}
    }
    let Some(form) = form else {
        return Ok(Said::Form(command.form(room)));
    };
    match command {
        Command::Create => create(cx, form, &iq.passing.stanza.lang().unwrap_or_default())?,
        Command::Destroy => destroy(cx, form)?,
        _ => {
            let who = person(cx, form)?;
            wear(cx, form, &who, command == Command::Assign)?;
        }
    }
    Ok(Said::Done(String::new()))
}

/// §3.4.
fn list(room: &Room) -> String {
    let hats = room.hats.iter();
    let rows = hats.map(|Hat { uri, known }| vec![known.title.as_str(), uri, &known.hue]);
    form::table("Hats", &[TITLE, URI, HUE], rows)
}

/// §3.7.
fn assigned(room: &Room) -> String {
    let rows = room.hats.iter().flat_map(|Hat { uri, known }| {
        let wearers = known.wearers.iter();
        wearers.map(move |who| vec![who.as_str(), uri, &known.title, &known.hue])
    });
    form::table("Hats and who wears them", &[JID, URI, TITLE, HUE], rows)
}

/// §3.2: another hat, or another look of one.
fn create(cx: &mut Cx<'_>, form: &Form, lang: &str) -> Result<(), StanzaError> {
    let (title, uri) = (text(form, TITLE)?, text(form, URI)?);
    let hue = match form.values(HUE) {
        None | Some([]) => "",
        Some([hue]) => hue.trim(),
        Some(_) => return Err(BAD_PAYLOAD),
    };
    let is_title = title.len() <= ROOM_HAT_TITLE_BYTES_MAX && !title.contains(char::is_control);
    if !is_title || !is_uri(uri) || !is_hue(hue) {
        return Err(BAD_PAYLOAD);
    }
    let looks = HatRecord {
        title: title.to_owned(),
        lang: lang
            .chars()
            .take(LANG_BYTES_MAX)
            .filter(char::is_ascii)
            .collect(),
        hue: hue.to_owned(),
        ..HatRecord::default()
    };
    let room = room(cx)?;
    if room.make_hat(uri, looks)? {
        let wearers = room.hat(uri).map(|hat| hat.known.wearers.clone());
        changed(cx, uri, &wearers.unwrap_or_default());
    }
    Ok(())
}

/// §3.3.
fn destroy(cx: &mut Cx<'_>, form: &Form) -> Result<(), StanzaError> {
    // The form of the example has another name for the field than what is submitted.
    let uri = text(form, URI).or_else(|_| text(form, "hat"))?;
    let wearers = room(cx)?.destroy_hat(uri);
    let wearers = wearers.ok_or(StanzaError::ITEM_NOT_FOUND)?;
    changed(cx, uri, &wearers);
    Ok(())
}

/// §3.2, §3.3: everybody is told that there are other hats, and sees those who wear it anew.
fn changed(cx: &mut Cx<'_>, uri: &str, wearers: &[String]) {
    cx.keep_hat(uri);
    announce::codes_to_all(cx, &[configure::CHANGED]);
    for wearer in wearers {
        show(cx, wearer);
    }
}

/// §3.5, §3.6.
fn wear(cx: &mut Cx<'_>, form: &Form, who: &Jid, is_on: bool) -> Result<(), StanzaError> {
    let uri = text(form, URI)?;
    let room = room(cx)?;
    if room.hat(uri).is_none() {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    let is_new = if is_on {
        room.put_on(uri, who)?
    } else {
        room.take_off(uri, who)
    };
    if is_new {
        cx.keep_hat(uri);
        show(cx, who.as_str());
    }
    Ok(())
}

/// Everybody sees anew who is there of these devices.
fn show(cx: &mut Cx<'_>, bare: &str) {
    let Some(room) = cx.room() else { return };
    let there = room.occupants.iter().filter(|occupant| occupant.is(bare));
    let there: Vec<(Jid, Role)> = there.map(|it| (it.jid.clone(), it.role)).collect();
    for (occupant, role) in there {
        kick::renew(cx, &occupant, role, &Why::default());
    }
}

/// The bare JID of a person.
fn person(cx: &Cx<'_>, form: &Form) -> Result<Jid, StanzaError> {
    let jid = Jid::parse(text(form, JID)?).map_err(|_| StanzaError::JID_MALFORMED)?;
    if jid.localpart().is_none() || cx.server.rooms().has_address(&jid) {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("hats are for people"));
    }
    Ok(jid.bare())
}

/// The one value of a field.
fn text<'a>(form: &'a Form, var: &str) -> Result<&'a str, StanzaError> {
    match form.values(var) {
        Some([value]) if !value.trim().is_empty() => Ok(value.trim()),
        _ => Err(BAD_PAYLOAD),
    }
}

/// Whether it has a scheme (RFC 3986 §3.1), and nothing that no IRI has (RFC 3987 §2.2).
fn is_uri(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or_default();
    let of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let never = |c: char| c.is_control() || c.is_whitespace() || "<>\"{}|\\^`".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(of_scheme)
        && !rest.is_empty()
        && !uri.contains(never)
        && uri.len() <= ROOM_HAT_URI_BYTES_MAX
}

/// Whether it is an angle, or nothing.
fn is_hue(hue: &str) -> bool {
    let is_number = hue.len() <= 16 && hue.chars().all(|c| c.is_ascii_digit() || c == '.');
    let angle = hue.parse().ok().filter(|angle: &f64| *angle <= 360.0);
    hue.is_empty() || is_number && angle.is_some()
}

/// §3.1: what somebody wears, as XML; nothing for who wears none.
pub(super) fn worn(room: &Room, who: &Jid) -> String {
    let mut hats = room
        .hats
        .iter()
        .filter(|hat| hat.is_worn_by(who))
        .peekable();
    if hats.peek().is_none() {
        return String::new();
    }
    let mut out = format!("<hats xmlns='{NS}'>");
    for Hat { uri, known } in hats {
        out.push_str("<hat");
        compose::attribute(&mut out, "title", &known.title);
        compose::attribute(&mut out, "uri", uri);
        for (name, value) in [("hue", &known.hue), ("xml:lang", &known.lang)] {
            if !value.is_empty() {
                compose::attribute(&mut out, name, value);
            }
        }
        out.push_str("/>");
    }
    out + "</hats>"
}

/// §2: another one whenever the list is another one; nothing where there are no hats.
pub(super) fn hash(room: &Room) -> String {
    if room.hats.is_empty() {
        return String::new();
    }
    let mut list = String::new();
    for Hat { uri, known } in &room.hats {
        for part in [uri, &known.title, &known.hue, &known.lang] {
            list.push_str(part);
            list.push('\n'); // no part has one
        }
    }
    STANDARD.encode(digest::digest(&digest::SHA256, list.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hat_can_be_named_by() {
        let long = format!("urn:{}", "a".repeat(ROOM_HAT_URI_BYTES_MAX));
        for (uri, expected) in [
            ("http://tech.example.edu/hats#TeacherAssistant", true),
            ("urn:hat:köchin", true),
            ("x:y", true),
            ("x:", false),
            ("hat", false),
            (":hat", false),
            ("1x:hat", false),
            ("a hat:b", false),
            ("urn:a b", false),
            ("urn:a\u{a0}b", false),
            ("urn:<a>", false),
            (&long, false),
        ] {
            assert_eq!(is_uri(uri), expected, "{uri}");
        }
    }

    #[test]
    fn hues_are_angles() {
        for (hue, expected) in [
            ("", true),
            ("327.255249", true),
            ("0", true),
            ("360", true),
            ("360.1", false),
            ("-1", false),
            ("1e2", false),
            ("NaN", false),
            (".", false),
            ("1.00000000000000000", false),
        ] {
            assert_eq!(is_hue(hue), expected, "{hue}");
        }
    }
}
