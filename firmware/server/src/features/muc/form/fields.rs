//! Every field of a room's configuration that is served, in the order of the form. Those that no
//! specification names are called what ejabberd and Prosody call them, so that clients know them.

use super::{Draft, affiliated};
use crate::{
    limits::{
        ROOM_CONTACTS_MAX, ROOM_DESCRIPTION_BYTES_MAX, ROOM_HISTORY_MAX, ROOM_NAME_BYTES_MAX,
        ROOM_OCCUPANTS_MAX, ROOM_OWNERS_MAX,
    },
    pubsub::flag,
    room::{Affiliation, Role, Room, config::Roles},
};
use xmpp::{Jid, form::FieldType, limits::LANG_BYTES_MAX};

/// A field.
pub(super) struct Field {
    pub(super) var: &'static str,
    pub(super) type_: FieldType,
    pub(super) label: &'static str,
    /// What may be chosen, where that is fixed.
    pub(super) choice: &'static [&'static str],
    pub(super) get: fn(&Room) -> Vec<String>,
    /// `None` where the values are none of this field, or the room cannot have them.
    pub(super) set: fn(&mut Draft, &[String]) -> Option<()>,
}

macro_rules! boolean {
    ($var:literal, $label:literal, $field:ident) => {
        Field {
            var: $var,
            type_: FieldType::Boolean,
            label: $label,
            choice: &[],
            get: |room| vec![shown(room.config.$field)],
            set: |draft, values| flag(values).map(|value| draft.config.$field = value),
        }
    };
}

macro_rules! number {
    ($var:literal, $label:literal, $field:ident, $max:expr) => {
        Field {
            var: $var,
            type_: FieldType::TextSingle,
            label: $label,
            choice: &[],
            get: |room| vec![room.config.$field.to_string()],
            set: |draft, values| {
                number(single(values)?, $max).map(|value| draft.config.$field = value)
            },
        }
    };
}

macro_rules! roles {
    ($var:literal, $label:literal, $field:ident, $then:expr) => {
        Field {
            var: $var,
            type_: FieldType::ListMulti,
            label: $label,
            choice: &["moderator", "participant", "visitor"],
            get: |room| {
                let there = [Role::Moderator, Role::Participant, Role::Visitor].into_iter();
                let chosen = there.filter(|role| room.config.$field.contains(*role));
                chosen.map(|role| role.name().to_owned()).collect()
            },
            set: |draft, values| roles(values).map(|value| draft.config.$field = $then(value)),
        }
    };
}

pub(super) const FIELDS: &[Field] = &[
    Field {
        var: "muc#roomconfig_roomname",
        type_: FieldType::TextSingle,
        label: "Name of the room",
        choice: &[],
        get: |room| vec![room.config.name.clone()],
        set: |draft, values| {
            let name = text(values, ROOM_NAME_BYTES_MAX)?.trim();
            let is_one_line = !name.chars().any(char::is_control);
            is_one_line.then(|| name.clone_into(&mut draft.config.name))
        },
    },
    Field {
        var: "muc#roomconfig_roomdesc",
        type_: FieldType::TextSingle,
        label: "What it is about",
        choice: &[],
        get: |room| vec![room.config.description.clone()],
        set: |draft, values| {
            let description = text(values, ROOM_DESCRIPTION_BYTES_MAX)?;
            description.clone_into(&mut draft.config.description);
            Some(())
        },
    },
    Field {
        var: "muc#roomconfig_lang",
        type_: FieldType::TextSingle,
        label: "Language of the discussions",
        choice: &[],
        get: |room| vec![room.config.lang.clone()],
        set: |draft, values| {
            let lang = text(values, LANG_BYTES_MAX)?.trim();
            let is_tag = lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            is_tag.then(|| lang.clone_into(&mut draft.config.lang))
        },
    },
    boolean!(
        "muc#roomconfig_persistentroom",
        "Keep the room when nobody is in it",
        persistent
    ),
    boolean!(
        "muc#roomconfig_publicroom",
        "Show the room in the list of rooms",
        public
    ),
    boolean!(
        "muc#roomconfig_membersonly",
        "Let only members in",
        members_only
    ),
    boolean!(
        "muc#roomconfig_moderatedroom",
        "Let only those speak to whom a moderator gave voice",
        moderated
    ),
    Field {
        var: "muc#roomconfig_passwordprotectedroom",
        type_: FieldType::Boolean,
        label: "Ask for a password at the door",
        choice: &[],
        get: |room| vec![shown(!room.config.password.is_empty())],
        set: |draft, values| flag(values).map(|value| draft.protected = Some(value)),
    },
    Field {
        var: "muc#roomconfig_roomsecret",
        type_: FieldType::TextPrivate,
        label: "Password",
        choice: &[],
        get: |room| vec![room.config.password.clone()],
        set: |draft, values| {
            draft.secret = Some(text(values, usize::MAX)?.to_owned());
            Some(())
        },
    },
    Field {
        var: "muc#roomconfig_whois",
        type_: FieldType::ListSingle,
        label: "Who may see the addresses of those in the room",
        choice: &["moderators", "anyone"],
        get: |room| {
            let anyone = room.config.non_anonymous;
            vec![if anyone { "anyone" } else { "moderators" }.to_owned()]
        },
        set: |draft, values| {
            draft.config.non_anonymous = match single(values)? {
                "anyone" => true,
                "moderators" => false,
                _ => return None,
            };
            Some(())
        },
    },
    Field {
        var: "muc#roomconfig_maxusers",
        type_: FieldType::ListSingle,
        label: "Nicknames in the room at most",
        choice: &["10", "20", "30", "50", "100", "200", "none"],
        get: |room| {
            let max = Some(room.config.max_users).filter(|max| *max > 0);
            vec![max.map_or_else(|| "none".to_owned(), |max| max.to_string())]
        },
        set: |draft, values| {
            draft.config.max_users = match text(values, usize::MAX)?.trim() {
                "" | "none" => 0,
                max => number(max, ROOM_OCCUPANTS_MAX)?,
            };
            Some(())
        },
    },
    boolean!(
        "muc#roomconfig_changesubject",
        "Let everybody with voice change the subject",
        change_subject
    ),
    boolean!(
        "muc#roomconfig_allowinvites",
        "Let everybody invite others",
        allow_invites
    ),
    Field {
        var: "muc#roomconfig_allowpm",
        type_: FieldType::ListSingle,
        label: "Who may send private messages",
        choice: &["anyone", "participants", "moderators", "none"],
        get: |room| {
            let least = match room.config.allow_pm {
                Some(Role::None | Role::Visitor) => "anyone",
                Some(Role::Participant) => "participants",
                Some(Role::Moderator) => "moderators",
                None => "none",
            };
            vec![least.to_owned()]
        },
        set: |draft, values| {
            draft.config.allow_pm = match single(values)? {
                "anyone" => Some(Role::Visitor),
                "participants" => Some(Role::Participant),
                "moderators" => Some(Role::Moderator),
                "none" => None,
                _ => return None,
            };
            Some(())
        },
    },
    roles!(
        "muc#roomconfig_presencebroadcast",
        "Roles of those whom everybody sees",
        presence_broadcast,
        std::convert::identity
    ),
    roles!(
        "muc#roomconfig_getmemberlist",
        "Roles of those who may ask who the members are",
        get_member_list,
        Roles::and_above
    ),
    boolean!(
        "muc#roomconfig_allowvoicerequests",
        "Let visitors ask for voice",
        voice_requests
    ),
    boolean!(
        "muc#roomconfig_allowvisitorstatus",
        "Let visitors change their status",
        visitors_may_change
    ),
    boolean!(
        "muc#roomconfig_allowvisitornickchange",
        "Let visitors change their nickname",
        visitors_may_rename
    ),
    boolean!(
        "muc#roomconfig_enablearchiving",
        "Keep what is said, for those who come later",
        archive
    ),
    boolean!(
        "muc#roomconfig_enablelogging",
        "Warn everybody that what is said is published elsewhere",
        public_log
    ),
    number!(
        "muc#maxhistoryfetch",
        "Messages that are shown at most to whoever enters",
        history_max,
        ROOM_HISTORY_MAX
    ),
    number!(
        "muc#roomconfig_defaulthistorymessages",
        "Messages that are shown to whoever enters and asks for no number",
        history,
        ROOM_HISTORY_MAX
    ),
    Field {
        var: "muc#roominfo_contactjid",
        type_: FieldType::JidMulti,
        label: "Whom to write to about the room",
        choice: &[],
        get: |room| room.config.contacts.clone(),
        set: |draft, values| {
            let contacts = jids(values, ROOM_CONTACTS_MAX)?;
            let contacts = contacts.iter().map(|jid| jid.as_str().to_owned());
            draft.config.contacts = contacts.collect();
            Some(())
        },
    },
    Field {
        var: "muc#roomconfig_roomadmins",
        type_: FieldType::JidMulti,
        label: "All who may decide who is a member, and who is kept out",
        choice: &[],
        get: |room| everybody(room, Affiliation::Admin),
        set: |draft, values| people(values).map(|admins| draft.admins = Some(admins)),
    },
    Field {
        var: "muc#roomconfig_roomowners",
        type_: FieldType::JidMulti,
        label: "All who may decide what the room is like",
        choice: &[],
        get: |room| everybody(room, Affiliation::Owner),
        set: |draft, values| people(values).map(|owners| draft.owners = owners),
    },
];

fn shown(flag: bool) -> String {
    u8::from(flag).to_string()
}

fn everybody(room: &Room, meant: Affiliation) -> Vec<String> {
    affiliated(room, meant)
        .map(|jid| jid.as_str().to_owned())
        .collect()
}

/// The one value of a field that always has one.
fn single(values: &[String]) -> Option<&str> {
    match values {
        [value] => Some(value.trim()),
        _ => None,
    }
}

/// The one value of a field that may be empty.
fn text(values: &[String], bytes_max: usize) -> Option<&str> {
    match values {
        [] => Some(""),
        [value] if value.len() <= bytes_max => Some(value),
        _ => None,
    }
}

fn number(text: &str, max: usize) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = text.parse().ok().filter(|_| is_number)?;
    (number as usize <= max).then_some(number)
}

fn roles(values: &[String]) -> Option<Roles> {
    let mut roles = Roles::default();
    for value in values {
        match Role::parse(value.trim())? {
            Role::None => return None,
            Role::Visitor => roles.visitor = true,
            Role::Participant => roles.participant = true,
            Role::Moderator => roles.moderator = true,
        }
    }
    Some(roles)
}

/// Bare JIDs, each once (XEP-0004 §3.3, `jid-multi`).
fn jids(values: &[String], max: usize) -> Option<Vec<Jid>> {
    let mut jids: Vec<Jid> = Vec::new();
    let values = values.iter().map(|value| value.trim());
    for value in values.filter(|value| !value.is_empty()) {
        let jid = Jid::parse(value).ok()?.bare();
        if !jids.contains(&jid) {
            if jids.len() == max {
                return None;
            }
            jids.push(jid);
        }
    }
    Some(jids)
}

/// Likewise, of people: a whole domain can be neither owner nor admin.
fn people(values: &[String]) -> Option<Vec<Jid>> {
    let people = jids(values, ROOM_OWNERS_MAX)?;
    let are_people = people.iter().all(|jid| jid.localpart().is_some());
    are_people.then_some(people)
}
