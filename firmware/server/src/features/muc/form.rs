//! The form of a room's configuration (XEP-0045 §10.1.3, §16.5.3): one table of fields, read and written by
//! name.
//!
//! A form is a change of every field it names, applied to a draft: what cannot be applied whole is refused
//! whole. Fields that nobody here knows are passed over, as XEP-0004 §3.1 wants it.

mod fields;

use crate::{
    limits::ROOM_PASSWORD_BYTES_MAX,
    room::{Affiliation, Config, Room},
};
use fields::FIELDS;
use xmpp::{
    Element, Jid, StanzaError,
    form::{Form, Writer},
};

/// FORM_TYPE of a configuration.
pub(super) const CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";

const UNACCEPTABLE: StanzaError =
    StanzaError::NOT_ACCEPTABLE.with_text("a field has a value that this room cannot have");
const NO_PASSWORD: StanzaError =
    StanzaError::NOT_ACCEPTABLE.with_text("a room with a password needs one");

/// What other servers call fields that have another name here; clients that know no better send these.
const SYNONYMS: [(&str, &str); 4] = [
    ("mam", "muc#roomconfig_enablearchiving"),
    ("muc#roomconfig_mam", "muc#roomconfig_enablearchiving"),
    ("muc#roomconfig_historylength", "muc#maxhistoryfetch"),
    (
        "{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites",
        "muc#roomconfig_allowinvites",
    ),
];

/// What a form makes of a room.
pub(super) struct Draft {
    pub(super) config: Config,
    /// The full list of owners, bare JIDs.
    pub(super) owners: Vec<Jid>,
    /// The full list of admins; `None` where the form says nothing of them.
    pub(super) admins: Option<Vec<Jid>>,
    /// Whether a password is wanted, and which, where the form says so.
    protected: Option<bool>,
    secret: Option<String>,
}

/// A form to fill in, with what the room is now.
pub(super) fn to_fill_in(room: &Room) -> String {
    let mut form = Writer::form(CONFIG);
    for field in FIELDS {
        let values = (field.get)(room);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut choice = field.choice.to_vec();
        if !choice.is_empty() {
            // One may keep what one has, though it is not among what is offered.
            choice.extend(values.iter().filter(|value| !field.choice.contains(value)));
        }
        form = form.labelled((field.type_, field.var, field.label), &choice, &values);
    }
    form.finish()
}

/// Adds fields of the configuration to a form that tells what the room is.
pub(super) fn tell(mut form: Writer, room: &Room, told: &[&str]) -> Writer {
    for field in FIELDS.iter().filter(|field| told.contains(&field.var)) {
        let values = (field.get)(room);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        if values.iter().all(|value| value.is_empty()) {
            continue; // nobody said anything
        }
        form = form.field(field.type_, field.var, &values);
    }
    form
}

impl Draft {
    /// The room as it is configured, with these owners and admins.
    pub(super) fn of(room: &Room, owners: Vec<Jid>, admins: Option<Vec<Jid>>) -> Draft {
        Draft {
            config: room.config.clone(),
            owners,
            admins,
            protected: None,
            secret: None,
        }
    }

    /// What a submitted form makes of a room. `bad-request` where it is no such form; `not-acceptable` where
    /// a value is none of its field, or the room cannot have it (§10.1.3).
    pub(super) fn read(room: &Room, x: &Element) -> Result<Draft, StanzaError> {
        let form = Form::submitted(x)?;
        if form.form_type() != Some(CONFIG) && form.fields().next().is_some() {
            return Err(StanzaError::BAD_REQUEST);
        }
        let owners = affiliated(room, Affiliation::Owner).cloned().collect();
        let mut draft = Draft::of(room, owners, None);
        for (var, values) in form.fields() {
            let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == var);
            let ours = synonym.map_or(var, |(_, ours)| ours);
            if ours != var && form.values(ours).is_some() {
                continue; // its own name counts
            }
            if let Some(field) = FIELDS.iter().find(|field| field.var == ours) {
                (field.set)(&mut draft, values).ok_or(UNACCEPTABLE)?;
            }
        }
        draft.choose_password()?;
        Ok(draft)
    }

    /// Two fields say one thing: whether there is a password, and which.
    fn choose_password(&mut self) -> Result<(), StanzaError> {
        let secret = self.secret.take();
        let password = match (self.protected, secret) {
            (Some(false), _) => String::new(),
            (Some(true), Some(secret)) if secret.is_empty() => return Err(NO_PASSWORD),
            (Some(true), None) if self.config.password.is_empty() => return Err(NO_PASSWORD),
            (Some(true) | None, Some(secret)) => secret,
            (Some(true) | None, None) => return Ok(()),
        };
        if password.len() > ROOM_PASSWORD_BYTES_MAX {
            return Err(UNACCEPTABLE);
        }
        self.config.password = password;
        Ok(())
    }
}

/// Who is that to the room.
fn affiliated(room: &Room, meant: Affiliation) -> impl Iterator<Item = &Jid> {
    let all = room.affiliations.iter();
    all.filter(move |(_, known)| known.affiliation == meant)
        .map(|(jid, _)| jid)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = &'a [(&'a str, &'a [&'a str])];

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn room() -> Room {
        Room::new(&jid("crone1@shakespeare.lit/desktop"), 0)
    }

    fn read(room: &Room, fields: Fields<'_>) -> Result<Draft, &'static str> {
        let mut form = Writer::submit(CONFIG);
        for (var, values) in fields {
            form = form.field(xmpp::form::FieldType::TextSingle, var, values);
        }
        let x = Element::parse(&form.finish(), "").unwrap();
        Draft::read(room, &x).map_err(|refusal| refusal.condition)
    }

    /// A field of the form after others were submitted, as `value,value`; the condition of the refusal
    /// otherwise.
    fn after(fields: Fields<'_>, var: &str) -> String {
        let mut room = room();
        match read(&room, fields) {
            Ok(draft) => room.config = draft.config,
            Err(condition) => return condition.to_owned(),
        }
        let field = FIELDS.iter().find(|field| field.var == var).unwrap();
        (field.get)(&room).join(",")
    }

    #[test]
    fn values_are_read() {
        const NO: &str = "not-acceptable";
        let long = "a".repeat(crate::limits::ROOM_NAME_BYTES_MAX + 1);
        let rows: &[(&str, &[&str], &str)] = &[
            ("muc#roomconfig_roomname", &["A Dark Cave"], "A Dark Cave"),
            ("muc#roomconfig_roomname", &[" A\u{a0}Cave "], "A\u{a0}Cave"),
            ("muc#roomconfig_roomname", &["A\nCave"], NO),
            ("muc#roomconfig_roomname", &[], ""),
            ("muc#roomconfig_roomname", &["a", "b"], NO),
            ("muc#roomconfig_roomname", &[&long], NO),
            ("muc#roomconfig_roomdesc", &["two\nlines"], "two\nlines"),
            ("muc#roomconfig_lang", &["hu"], "hu"),
            ("muc#roomconfig_lang", &["hu HU"], NO),
            ("muc#roomconfig_publicroom", &["1"], "1"),
            ("muc#roomconfig_publicroom", &["true"], "1"),
            ("muc#roomconfig_publicroom", &["false"], "0"),
            ("muc#roomconfig_publicroom", &["yes"], NO),
            ("muc#roomconfig_publicroom", &[""], NO),
            ("muc#roomconfig_publicroom", &[], NO),
            ("muc#roomconfig_publicroom", &["0", "1"], NO),
            ("muc#roomconfig_whois", &["anyone"], "anyone"),
            ("muc#roomconfig_whois", &["moderators"], "moderators"),
            ("muc#roomconfig_whois", &["nobody"], NO),
            ("muc#roomconfig_allowpm", &["anyone"], "anyone"),
            ("muc#roomconfig_allowpm", &["participants"], "participants"),
            ("muc#roomconfig_allowpm", &["moderators"], "moderators"),
            ("muc#roomconfig_allowpm", &["none"], "none"),
            ("muc#roomconfig_allowpm", &["1"], NO),
            ("muc#roomconfig_maxusers", &["10"], "10"),
            ("muc#roomconfig_maxusers", &["11"], "11"),
            ("muc#roomconfig_maxusers", &["none"], "none"),
            ("muc#roomconfig_maxusers", &[""], "none"),
            ("muc#roomconfig_maxusers", &[], "none"),
            ("muc#roomconfig_maxusers", &["0"], "none"),
            ("muc#roomconfig_maxusers", &["1000"], "1000"),
            ("muc#roomconfig_maxusers", &["1001"], NO),
            ("muc#roomconfig_maxusers", &["-1"], NO),
            ("muc#roomconfig_maxusers", &["many"], NO),
            ("muc#maxhistoryfetch", &["0"], "0"),
            ("muc#maxhistoryfetch", &["50"], "50"),
            ("muc#maxhistoryfetch", &["101"], NO),
            ("muc#maxhistoryfetch", &[""], NO),
            (
                "muc#roomconfig_getmemberlist",
                &["participant"],
                "moderator,participant",
            ),
            ("muc#roomconfig_getmemberlist", &[], ""),
            ("muc#roomconfig_getmemberlist", &["admin"], NO),
            ("muc#roomconfig_presencebroadcast", &["visitor"], "visitor"),
            ("muc#roomconfig_presencebroadcast", &[], ""),
            ("muc#roominfo_contactjid", &["a@b", "a@b", ""], "a@b"),
            ("muc#roominfo_contactjid", &["@"], NO),
        ];
        for (var, values, expected) in rows {
            assert_eq!(after(&[(var, values)], var), *expected, "{var} {values:?}");
        }
    }

    #[test]
    fn a_password_is_two_fields() {
        const NO: Result<&str, &str> = Err("not-acceptable");
        let (protected, secret) = (
            "muc#roomconfig_passwordprotectedroom",
            "muc#roomconfig_roomsecret",
        );
        let rows: &[(&str, Fields<'_>, Result<&str, &str>)] = &[
            ("", &[(protected, &["1"]), (secret, &["x"])], Ok("x")),
            ("", &[(protected, &["1"]), (secret, &[""])], NO),
            ("", &[(protected, &["1"]), (secret, &[])], NO),
            ("", &[(protected, &["1"])], NO),
            ("", &[(secret, &["x"])], Ok("x")),
            ("", &[(protected, &["0"]), (secret, &["x"])], Ok("")),
            ("old", &[], Ok("old")),
            ("old", &[(protected, &["1"])], Ok("old")),
            ("old", &[(protected, &["1"]), (secret, &["new"])], Ok("new")),
            ("old", &[(secret, &[""])], Ok("")),
            ("old", &[(protected, &["0"])], Ok("")),
            ("old", &[(protected, &["0"]), (secret, &["old"])], Ok("")),
        ];
        for (before, fields, expected) in rows {
            let mut room = room();
            (*before).clone_into(&mut room.config.password);
            let password = read(&room, fields).map(|draft| draft.config.password);
            assert_eq!(
                password.as_deref().map_err(|condition| *condition),
                *expected,
                "{before} {fields:?}"
            );
        }
    }

    #[test]
    fn a_form_is_applied_whole_or_not_at_all() {
        let rows: &[(Fields<'_>, bool)] = &[
            (&[], true),
            (
                &[
                    ("muc#roomconfig_lang", &["hu"]),
                    ("allow_query_users", &["?"]),
                ],
                true,
            ),
            (
                &[
                    ("muc#roomconfig_lang", &["hu"]),
                    ("muc#roomconfig_whois", &["?"]),
                ],
                false,
            ),
            (&[("muc#roomconfig_roomowners", &["a@b", "a@b/c"])], true),
            (&[("muc#roomconfig_roomowners", &["a@b", "b"])], false),
        ];
        for (fields, applied) in rows {
            assert_eq!(read(&room(), fields).is_ok(), *applied, "{fields:?}");
        }
    }

    #[test]
    fn names_of_other_servers_are_known_but_give_way() {
        let archive = "muc#roomconfig_enablearchiving";
        for (fields, expected) in [
            (&[("mam", &["0"] as &[&str])] as Fields<'_>, "0"),
            (&[("muc#roomconfig_mam", &["0"])], "0"),
            (&[("mam", &["0"]), (archive, &["1"])], "1"),
            (&[("mam", &["?"])], "not-acceptable"),
        ] {
            assert_eq!(after(fields, archive), expected, "{fields:?}");
        }
        for (theirs, ours) in SYNONYMS {
            assert!(FIELDS.iter().any(|field| field.var == ours), "{ours}");
            assert!(FIELDS.iter().all(|field| field.var != theirs), "{theirs}");
        }
    }

    #[test]
    fn a_form_that_comes_back_as_it_was_changes_nothing() {
        let mut room = room();
        room.config.password = "cauldronburn".to_owned();
        room.config.max_users = 11;
        room.config.contacts = vec!["hecate@shakespeare.lit".to_owned()];
        let form = to_fill_in(&room).replace("type='form'", "type='submit'");
        let x = Element::parse(&form, "").unwrap();
        let draft = Draft::read(&room, &x).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert_eq!(draft.config, room.config);
        assert_eq!(draft.owners, [jid("crone1@shakespeare.lit")]);
        assert_eq!(draft.admins, Some(Vec::new()));
    }

    #[test]
    fn other_forms_are_refused() {
        let room = room();
        for (x, expected) in [
            ("<x xmlns='jabber:x:data' type='submit'/>", Ok(())),
            (
                "<x xmlns='jabber:x:data' type='submit'><field var='mam'><value>1</value></field></x>",
                Err("bad-request"),
            ),
            (
                "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>other</value></field>\
                 <field var='mam'><value>1</value></field></x>",
                Err("bad-request"),
            ),
            ("<x xmlns='jabber:x:data' type='form'/>", Err("bad-request")),
        ] {
            let read = Draft::read(&room, &Element::parse(x, "").unwrap());
            assert_eq!(
                read.map(|_| ()).map_err(|refusal| refusal.condition),
                expected,
                "{x}"
            );
        }
    }
}
