//! How a node is configured (XEP-0060 §8.2, §16.4.4): one table of fields, read and written by name.
//!
//! A form is a change of every field it names, applied to a copy: what cannot be applied whole is refused
//! whole. A precondition (§7.1.5) is met where applying it would change nothing.

use super::{
    Refusal, moot,
    purpose::{self, holds_keys, is_private},
};
use crate::limits::{
    PUBSUB_EXPIRE_S_MAX, PUBSUB_GROUPS_BYTES_MAX, PUBSUB_GROUPS_MAX, PUBSUB_ITEM_BYTES_MAX,
    PUBSUB_ITEMS_MAX, PUBSUB_TEXT_BYTES_MAX,
};
use serde::{Deserialize, Serialize};
use xmpp::form::FieldType;

/// Who may subscribe and read (§4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    Open,
    /// Whoever may see the account's presence.
    Presence,
    /// Whoever is in one of these groups of the account's roster.
    Roster,
    /// Whom an owner approved.
    Authorize,
    /// Those with an affiliation.
    Whitelist,
}

/// Who may publish, besides owners and publishers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Publishing {
    Publishers,
    Subscribers,
    Open,
}

/// When the last item is sent without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LastItem {
    Never,
    OnSubscription,
    OnSubscriptionAndPresence,
}

/// What happens to the items of a full node when another one comes (§7.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WhenFull {
    /// The oldest goes, without a word: its id is on the disk alone.
    DiscardOldest,
    Reject,
}

/// Whom subscribers are to answer (XEP-0033), where that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Unsaid,
    Owner,
    Publisher,
}

/// Whose services: what a new node is like depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// An account's own nodes (XEP-0163).
    Personal,
    /// The service of the domain.
    Service,
}

/// The configuration of a node. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) title: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) language: Box<str>,
    /// What the payloads are about: a namespace, as a rule.
    pub(crate) payload_type: Box<str>,
    pub(crate) access: Access,
    pub(crate) groups: Box<[Box<str>]>,
    pub(crate) publishing: Publishing,
    pub(crate) persist_items: bool,
    /// `None` for as many as there may be.
    pub(crate) max_items: Option<u32>,
    pub(crate) max_payload: u32,
    pub(crate) deliver_notifications: bool,
    pub(crate) deliver_payloads: bool,
    pub(crate) tell_configuration: bool,
    pub(crate) tell_delete: bool,
    pub(crate) tell_retract: bool,
    pub(crate) tell_sub: bool,
    pub(crate) last_item: LastItem,
    /// Whether notifications are headlines, which nobody keeps.
    pub(crate) headline: bool,
    pub(crate) subscribe: bool,
    pub(crate) reply: Reply,
    pub(crate) when_full: WhenFull,
    /// Seconds after which items go by themselves; `None` for never.
    pub(crate) item_expire: Option<u32>,
}

impl Config {
    /// What a node of this name is like when nobody says anything else.
    pub(crate) fn of_new(face: Face, node: &str) -> Config {
        let personal = face == Face::Personal;
        let access = match face {
            Face::Personal if holds_keys(node) => Access::Open,
            Face::Personal if is_private(face, node) => Access::Whitelist,
            Face::Personal => Access::Presence,
            Face::Service => Access::Open,
        };
        let many = !personal || purpose::has_many_items(node);
        let private_ones = is_private(face, node) && many;
        Config {
            title: Box::default(),
            description: Box::default(),
            language: Box::default(),
            payload_type: Box::default(),
            access,
            groups: Box::default(),
            publishing: Publishing::Publishers,
            persist_items: true,
            max_items: (!many).then_some(1),
            max_payload: PUBSUB_ITEM_BYTES_MAX as u32,
            deliver_notifications: true,
            deliver_payloads: true,
            tell_configuration: false,
            tell_delete: true,
            tell_retract: true,
            tell_sub: false,
            last_item: match face {
                // One of many says little: XEP-0402 §3.3, XEP-0490 §4.2.
                Face::Personal if private_ones => LastItem::Never,
                Face::Personal => LastItem::OnSubscriptionAndPresence,
                Face::Service => LastItem::OnSubscription,
            },
            headline: true,
            subscribe: true,
            reply: Reply::Unsaid,
            when_full: WhenFull::DiscardOldest,
            item_expire: None,
        }
    }

    /// Items it may have.
    pub(crate) fn items_max(&self) -> usize {
        match (self.persist_items, self.max_items) {
            (false, _) => 0,
            (true, None) => PUBSUB_ITEMS_MAX,
            (true, Some(max)) => (max as usize).min(PUBSUB_ITEMS_MAX),
        }
    }

    /// The configuration with these fields changed. Errors: [`Refusal::NotServed`] where a field is unknown,
    /// or a value is none of its field or cannot be served; [`Refusal::AccessNotServed`].
    pub(crate) fn with<'a>(
        &self,
        face: Face,
        fields: impl Iterator<Item = (&'a str, &'a [String])>,
    ) -> Result<Config, Refusal> {
        let mut config = self.clone();
        for (var, values) in fields {
            let field = FIELDS.iter().find(|field| field.var == var);
            let served = match field {
                Some(field) => (field.set)(&mut config, values),
                None => moot::is_moot(var, values).then_some(()),
            };
            served.ok_or(match var {
                "pubsub#access_model" => Refusal::AccessNotServed,
                _ => Refusal::NotServed,
            })?;
        }
        // A service has no roster to look into.
        match config.access {
            Access::Presence | Access::Roster if face == Face::Service => {
                Err(Refusal::AccessNotServed)
            }
            _ => Ok(config),
        }
    }
}

/// A field of the form.
pub(crate) struct Field {
    pub(crate) var: &'static str,
    pub(crate) type_: FieldType,
    pub(crate) label: &'static str,
    /// What may be chosen, where that is fixed.
    pub(crate) choice: &'static [&'static str],
    pub(crate) get: fn(&Config) -> Vec<String>,
    set: fn(&mut Config, &[String]) -> Option<()>,
}

macro_rules! flag {
    ($var:literal, $label:literal, $field:ident) => {
        Field {
            var: $var,
            type_: FieldType::Boolean,
            label: $label,
            choice: &[],
            get: |config| vec![u8::from(config.$field).to_string()],
            set: |config, values| flag(values).map(|value| config.$field = value),
        }
    };
}

macro_rules! text {
    ($var:literal, $label:literal, $field:ident) => {
        Field {
            var: $var,
            type_: FieldType::TextSingle,
            label: $label,
            choice: &[],
            get: |config| vec![config.$field.to_string()],
            set: |config, values| text(values).map(|value| config.$field = value),
        }
    };
}

macro_rules! words {
    ($var:literal, $label:literal, $field:ident, $($word:literal = $value:expr),*) => {
        Field {
            var: $var,
            type_: FieldType::ListSingle,
            label: $label,
            choice: &[$($word),*],
            get: |config| {
                let words = [$(($word, $value)),*];
                let word = words.iter().find(|(_, value)| *value == config.$field);
                word.map(|(word, _)| (*word).to_owned()).into_iter().collect()
            },
            set: |config, values| {
                config.$field = match single(values)? {
                    $($word => $value,)*
                    _ => return None,
                };
                Some(())
            },
        }
    };
}

/// A registered field of which one value alone is served.
macro_rules! fixed {
    ($var:literal, $type_:ident, $label:literal, $word:literal, $($same:literal)|*) => {
        Field {
            var: $var,
            type_: FieldType::$type_,
            label: $label,
            choice: &[],
            get: |_| vec![$word.to_owned()],
            set: |_, values| matches!(single(values)?, $($same)|*).then_some(()),
        }
    };
}

/// Every field of §16.4.4 that is served, in the order of the form. Of some only the value that this server
/// has anyway: clients send back the whole form.
pub(crate) const FIELDS: &[Field] = &[
    text!("pubsub#title", "Name of the node", title),
    text!("pubsub#description", "What it is about", description),
    text!("pubsub#language", "Language of its items", language),
    text!(
        "pubsub#type",
        "Kind of payload, as a namespace",
        payload_type
    ),
    words!(
        "pubsub#access_model",
        "Who may subscribe and read",
        access,
        "authorize" = Access::Authorize,
        "open" = Access::Open,
        "presence" = Access::Presence,
        "roster" = Access::Roster,
        "whitelist" = Access::Whitelist
    ),
    Field {
        var: "pubsub#roster_groups_allowed",
        type_: FieldType::ListMulti,
        label: "Groups of contacts that may subscribe and read",
        choice: &[],
        get: |config| config.groups.iter().map(ToString::to_string).collect(),
        set: |config, values| groups(values).map(|value| config.groups = value),
    },
    words!(
        "pubsub#publish_model",
        "Who may publish",
        publishing,
        "publishers" = Publishing::Publishers,
        "subscribers" = Publishing::Subscribers,
        "open" = Publishing::Open
    ),
    flag!("pubsub#persist_items", "Keep items", persist_items),
    Field {
        var: "pubsub#max_items",
        type_: FieldType::TextSingle,
        label: "Items that are kept; max for as many as the server allows",
        choice: &[],
        get: |config| vec![number_or_max(config.max_items)],
        set: |config, values| {
            let asked = number_or_max_of(values)?;
            config.max_items = Some(asked).filter(|asked| (*asked as usize) < PUBSUB_ITEMS_MAX);
            Some(())
        },
    },
    Field {
        var: "pubsub#item_expire",
        type_: FieldType::TextSingle,
        label: "Seconds after which items go; max for never",
        choice: &[],
        get: |config| vec![number_or_max(config.item_expire)],
        set: |config, values| {
            let asked = number_or_max_of(values)?;
            config.item_expire = Some(asked).filter(|asked| *asked <= PUBSUB_EXPIRE_S_MAX);
            Some(())
        },
    },
    Field {
        var: "pubsub#max_payload_size",
        type_: FieldType::TextSingle,
        label: "Bytes of a payload at most",
        choice: &[],
        get: |config| vec![config.max_payload.to_string()],
        set: |config, values| {
            let bytes = single(values)?.parse().ok()?;
            (bytes as usize <= PUBSUB_ITEM_BYTES_MAX).then(|| config.max_payload = bytes)
        },
    },
    flag!(
        "pubsub#deliver_notifications",
        "Tell subscribers of new items",
        deliver_notifications
    ),
    flag!(
        "pubsub#deliver_payloads",
        "Send new items whole",
        deliver_payloads
    ),
    flag!(
        "pubsub#notify_config",
        "Tell subscribers of a new configuration",
        tell_configuration
    ),
    flag!(
        "pubsub#notify_delete",
        "Tell subscribers when the node is deleted",
        tell_delete
    ),
    flag!(
        "pubsub#notify_retract",
        "Tell subscribers when items are removed",
        tell_retract
    ),
    flag!(
        "pubsub#notify_sub",
        "Tell owners of new subscribers",
        tell_sub
    ),
    words!(
        "pubsub#send_last_published_item",
        "When to send the last item",
        last_item,
        "never" = LastItem::Never,
        "on_sub" = LastItem::OnSubscription,
        "on_sub_and_presence" = LastItem::OnSubscriptionAndPresence
    ),
    words!(
        "pubsub#notification_type",
        "What notifications are",
        headline,
        "normal" = false,
        "headline" = true
    ),
    flag!("pubsub#subscribe", "Allow subscriptions", subscribe),
    Field {
        var: "pubsub#itemreply",
        type_: FieldType::ListSingle,
        label: "Who gets replies to items",
        choice: &["owner", "publisher"],
        get: |config| match config.reply {
            Reply::Unsaid => Vec::new(),
            Reply::Owner => vec!["owner".to_owned()],
            Reply::Publisher => vec!["publisher".to_owned()],
        },
        set: |config, values| {
            config.reply = match values {
                [] => Reply::Unsaid,
                values => match single(values)? {
                    "owner" => Reply::Owner,
                    "publisher" => Reply::Publisher,
                    _ => return None,
                },
            };
            Some(())
        },
    },
    words!(
        "pubsub#publish_node_full",
        "What happens when the node is full",
        when_full,
        "discard-oldest" = WhenFull::DiscardOldest,
        "reject" = WhenFull::Reject
    ),
    fixed!(
        "pubsub#node_type",
        ListSingle,
        "Kind of node",
        "leaf",
        "leaf"
    ),
    fixed!(
        "pubsub#purge_offline",
        Boolean,
        "Purge when the publisher goes offline",
        "0",
        "0" | "false"
    ),
];

fn single(values: &[String]) -> Option<&str> {
    match values {
        [value] => Some(value.trim()),
        _ => None,
    }
}

/// XEP-0004 §3.3: both lexical forms.
pub(crate) fn flag(values: &[String]) -> Option<bool> {
    match single(values)? {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn text(values: &[String]) -> Option<Box<str>> {
    match values {
        [] => Some(Box::default()),
        [value] if value.len() <= PUBSUB_TEXT_BYTES_MAX => Some(value.as_str().into()),
        _ => None,
    }
}

fn groups(values: &[String]) -> Option<Box<[Box<str>]>> {
    let bytes: usize = values.iter().map(String::len).sum();
    let fits = values.len() <= PUBSUB_GROUPS_MAX && bytes <= PUBSUB_GROUPS_BYTES_MAX;
    fits.then(|| values.iter().map(|group| group.as_str().into()).collect())
}

fn number_or_max(number: Option<u32>) -> String {
    number.map_or_else(|| "max".to_owned(), |number| number.to_string())
}

/// A number above what there may be is as good as `max`: clients of before that word ask for a huge one. For
/// no items at all there is `pubsub#persist_items`, and an item that goes at once is none.
fn number_or_max_of(values: &[String]) -> Option<u32> {
    let asked = single(values)?;
    if asked == "max" {
        return Some(u32::MAX);
    }
    let is_number = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let number = asked.parse().unwrap_or(u32::MAX);
    (is_number && number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(fields: &[(&str, &[&str])]) -> Result<Config, Refusal> {
        let owned: Vec<(&str, Vec<String>)> = fields
            .iter()
            .map(|(var, values)| (*var, values.iter().map(ToString::to_string).collect()))
            .collect();
        let config = Config::of_new(Face::Personal, "n");
        config.with(
            Face::Personal,
            owned.iter().map(|(var, values)| (*var, values.as_slice())),
        )
    }

    #[test]
    fn a_form_is_applied_whole_or_not_at_all() {
        type Fields<'a> = &'a [(&'a str, &'a [&'a str])];
        let rows: [(Fields<'_>, bool); 12] = [
            (&[], true),
            (&[("pubsub#access_model", &["open"])], true),
            (&[("pubsub#access_model", &["authorise"])], false),
            (&[("pubsub#access_model", &[])], false),
            (
                &[
                    ("pubsub#max_items", &["max"]),
                    ("pubsub#persist_items", &["true"]),
                ],
                true,
            ),
            (&[("pubsub#max_items", &["-1"])], false),
            (&[("pubsub#persist_items", &["yes"])], false),
            (
                &[("pubsub#title", &["t"]), ("pubsub#of_tomorrow", &["1"])],
                false,
            ),
            (&[("pubsub#item_expire", &["max"])], true),
            (&[("pubsub#item_expire", &[])], false),
            (&[("pubsub#max_payload_size", &["999999999"])], false),
            (&[("pubsub#roster_groups_allowed", &["a", "b"])], true),
        ];
        for (fields, served) in rows {
            assert_eq!(with(fields).is_ok(), served, "{fields:?}");
        }
    }

    #[test]
    fn every_field_reads_what_it_writes() {
        for node in ["n", "urn:xmpp:omemo:2:bundles"] {
            let config = Config::of_new(Face::Personal, node);
            let fields: Vec<(&str, Vec<String>)> = FIELDS
                .iter()
                .map(|field| (field.var, (field.get)(&config)))
                .collect();
            let fields = fields.iter().map(|(var, values)| (*var, values.as_slice()));
            assert_eq!(
                config.with(Face::Personal, fields).as_ref(),
                Ok(&config),
                "{node}"
            );
        }
    }

    #[test]
    fn a_service_cannot_look_into_rosters() {
        let roster = [("pubsub#access_model", vec!["presence".to_owned()])];
        let config = Config::of_new(Face::Service, "n");
        let fields = || roster.iter().map(|(var, values)| (*var, values.as_slice()));
        assert!(config.with(Face::Service, fields()).is_err());
        assert!(config.with(Face::Personal, fields()).is_ok());
    }

    #[test]
    fn a_huge_number_of_items_is_as_many_as_there_may_be() {
        for (word, max) in [
            ("1", Some(1)),
            ("9999", Some(9_999)),
            ("10000", None),
            ("99999999999", None),
            ("99999999999999999999999999", None),
        ] {
            let config = with(&[("pubsub#max_items", &[word])]).unwrap();
            assert_eq!(config.max_items, max, "{word}");
        }
        for word in ["0", "+1", "", "1.0"] {
            assert!(with(&[("pubsub#max_items", &[word])]).is_err(), "{word}");
        }
    }

    #[test]
    fn items_go_after_a_second_at_the_earliest_and_after_a_century_never() {
        for (word, seconds) in [
            ("1", Some(1)),
            ("86400", Some(86_400)),
            ("3155760000", Some(3_155_760_000)),
            ("3155760001", None),
            ("99999999999999999999999999", None),
            ("max", None),
        ] {
            let config = with(&[("pubsub#item_expire", &[word])]).unwrap();
            assert_eq!(config.item_expire, seconds, "{word}");
            let field = FIELDS
                .iter()
                .find(|field| field.var == "pubsub#item_expire");
            let shown = seconds.map_or_else(|| "max".to_owned(), |s: u32| s.to_string());
            assert_eq!((field.unwrap().get)(&config), [shown], "{word}");
        }
        for word in ["0", "-1", "", "1.5", "never"] {
            assert!(with(&[("pubsub#item_expire", &[word])]).is_err(), "{word}");
        }
    }

    #[test]
    fn what_a_node_is_for_decides_who_may_read_it() {
        for (node, access) in [
            ("eu.siacs.conversations.axolotl.devicelist", Access::Open),
            ("eu.siacs.conversations.axolotl.bundles:17", Access::Open),
            ("eu.siacs.conversations.axolotl.bundles", Access::Presence),
            ("urn:xmpp:omemo:2:devices", Access::Open),
            ("urn:xmpp:omemo:2:bundles", Access::Open),
            ("urn:xmpp:bookmarks:1", Access::Whitelist),
            ("http://jabber.org/protocol/tune", Access::Presence),
        ] {
            assert_eq!(
                Config::of_new(Face::Personal, node).access,
                access,
                "{node}"
            );
        }
    }
}
