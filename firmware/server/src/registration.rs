//! What XEP-0077 asks for, before a login and behind it: names and passwords that a person chose, and how
//! many accounts strangers may make.
//!
//! State: when accounts were asked for lately, in memory.

use crate::{
    limits::{
        PASSWORD_CHARS_MIN, REGISTERED_NAME_CHARS_MAX, REGISTRATION_MS, REGISTRATIONS_MAX,
        REGISTRATIONS_PER_ADDRESS_MAX,
    },
    throttle::network,
};
use household::Config;
use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};
use xmpp::{
    Element, Jid, StanzaError,
    form::{self, Form},
};

pub(crate) const NS: &str = "jabber:iq:register";

/// §3.1: what is needed and was not given.
pub(crate) const INCOMPLETE: StanzaError =
    StanzaError::NOT_ACCEPTABLE.with_text("both a name and a password are needed");
const BAD_NAME: StanzaError = StanzaError::NOT_ACCEPTABLE
    .with_text("this cannot be a name: use letters, digits and simple signs, and no spaces");
const SHORT: StanzaError =
    StanzaError::NOT_ACCEPTABLE.with_text("the password is too short: it needs ten characters");
const _: () = assert!(PASSWORD_CHARS_MIN == 10, "what people are told");
/// No password may be like this (RFC 8265 §4.2).
pub(crate) const BAD_PASSWORD: StanzaError =
    StanzaError::NOT_ACCEPTABLE.with_text("this cannot be a password: choose another");
/// Whoever has the name, or may never have it.
pub(crate) const TAKEN: StanzaError =
    StanzaError::CONFLICT.with_text("this name cannot be had: choose another");

/// §9: with the number of XEP-0086 §3, which apps may look for that know no conditions.
pub(crate) fn numbered(error: StanzaError) -> StanzaError {
    error.with_code(match error.condition {
        "bad-request" | "unexpected-request" => 400,
        "not-allowed" => 405,
        "not-acceptable" => 406,
        "conflict" => 409,
        "service-unavailable" => 503,
        _ => 500,
    })
}

/// Names that speak for the server, or for those who run it (RFC 2142), or for nobody.
const RESERVED: [&str; 25] = [
    "abuse",
    "admin",
    "administrator",
    "daemon",
    "hearth",
    "help",
    "hostmaster",
    "info",
    "mailer-daemon",
    "moderator",
    "nobody",
    "noc",
    "noreply",
    "null",
    "operator",
    "owner",
    "postmaster",
    "root",
    "security",
    "server",
    "service",
    "support",
    "system",
    "webmaster",
    "xmpp",
];

/// A name and a password as somebody wrote them. Neither is empty, and neither is ever shown.
pub(crate) struct Wish {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl Wish {
    /// Reads the form of a request, which takes precedence (§6), or its fields. `None` where name or password
    /// is missing or empty.
    ///
    /// # Errors
    /// `bad-request` for a form that is none, or another one.
    pub(crate) fn read(query: &Element, form_types: &[&str]) -> Result<Option<Wish>, StanzaError> {
        let (username, password) = match query.child(form::NS, "x") {
            Some(x) => {
                let form = Form::submitted(x)?;
                if form
                    .form_type()
                    .is_none_or(|kind| !form_types.contains(&kind))
                {
                    return Err(StanzaError::BAD_REQUEST);
                }
                let single = |var| match form.values(var) {
                    Some([value]) => value.clone(),
                    _ => String::new(),
                };
                (single("username"), single("password"))
            }
            None => {
                let field = |name| query.child(NS, name).map(Element::text).unwrap_or_default();
                (field("username"), field("password"))
            }
        };
        let is_whole = !username.is_empty() && !password.is_empty();
        Ok(is_whole.then_some(Wish { username, password }))
    }

    /// Refuses a password that is too short for people who choose their own.
    ///
    /// # Errors
    /// `not-acceptable`.
    pub(crate) fn check_password(&self) -> Result<(), StanzaError> {
        let is_short = self.password.chars().count() < PASSWORD_CHARS_MIN;
        if is_short { Err(SHORT) } else { Ok(()) }
    }
}

/// The localpart that a stranger asks for (RFC 7622 §3.3).
///
/// # Errors
/// `not-acceptable` where it cannot be one; `conflict` where it is not for strangers.
pub(crate) fn localpart(
    config: &Config,
    domain: &Jid,
    username: &str,
) -> Result<String, StanzaError> {
    let jid = Jid::from_parts(Some(username), domain.as_str(), None).map_err(|_| BAD_NAME)?;
    let name = jid.localpart().ok_or(BAD_NAME)?;
    if name.chars().count() > REGISTERED_NAME_CHARS_MAX {
        return Err(BAD_NAME);
    }
    if is_reserved(config, &jid, name) {
        return Err(TAKEN);
    }
    Ok(name.to_owned())
}

/// What a configuration names is its people's, whether they have an account yet or not: whoever had the name
/// of an administrator would be one.
fn is_reserved(config: &Config, jid: &Jid, name: &str) -> bool {
    let contact = &config.contact;
    let contacts = [
        &contact.abuse,
        &contact.admin,
        &contact.security,
        &contact.support,
    ];
    let is_this = |address: &&String| {
        let address = address.strip_prefix("xmpp:").unwrap_or(address);
        Jid::parse(address).is_ok_and(|address| address == *jid)
    };
    RESERVED.contains(&name)
        || config.admins.iter().any(|admin| is_this(&admin))
        || contacts.iter().any(is_this)
}

/// When strangers asked for accounts, the oldest first; no more than [`REGISTRATIONS_MAX`].
#[derive(Default)]
pub(crate) struct Registrations(Mutex<VecDeque<(u64, IpAddr)>>);

impl Registrations {
    /// Counts a request from this address, `now` in milliseconds of a clock that never jumps; whether it may
    /// be followed.
    pub(crate) fn may_follow(&self, address: IpAddr, now: u64) -> bool {
        let from = network(address);
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while recent
            .front()
            .is_some_and(|(at, _)| at + REGISTRATION_MS <= now)
        {
            recent.pop_front();
        }
        let here = recent.iter().filter(|(_, other)| *other == from).count();
        // Behind loopback there is a proxy, and behind that everybody.
        let is_full = here >= REGISTRATIONS_PER_ADDRESS_MAX && !address.is_loopback();
        if is_full || recent.len() >= REGISTRATIONS_MAX {
            return false;
        }
        recent.push_back((now, from));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers() {
        let mut config = Config {
            admins: vec!["alice@localhost".into(), "dora@elsewhere.example".into()],
            ..Config::default()
        };
        config.contact.support = "xmpp:carol@localhost".into();
        let domain = Jid::parse("localhost").unwrap();
        let long = "x".repeat(REGISTERED_NAME_CHARS_MAX + 1);
        let rows = [
            ("bob", "bob"),
            ("Bob", "bob"),
            ("dora", "dora"),
            ("zoë", "zoë"),
            (&long[1..], &long[1..]),
            (&long, "not-acceptable"),
            ("bob@localhost", "not-acceptable"),
            ("b ob", "not-acceptable"),
            ("b/ob", "not-acceptable"),
            ("\u{202e}bob", "not-acceptable"),
            ("admin", "conflict"),
            ("Postmaster", "conflict"),
            ("alice", "conflict"),
            ("CAROL", "conflict"),
        ];
        for (username, expected) in rows {
            let name = localpart(&config, &domain, username);
            let name = name.unwrap_or_else(|error| error.condition.to_owned());
            assert_eq!(name, expected, "{username}");
        }
    }

    #[test]
    fn one_address_gets_some_and_all_together_get_more() {
        let registrations = Registrations::default();
        let address = |last: usize| -> IpAddr { format!("203.0.113.{last}").parse().unwrap() };
        let mut followed = 0;
        for _ in 0..100 {
            followed += usize::from(registrations.may_follow(address(1), 0));
        }
        assert_eq!(followed, REGISTRATIONS_PER_ADDRESS_MAX);
        for last in 2..200 {
            followed += usize::from(registrations.may_follow(address(last), 1));
        }
        assert_eq!(followed, REGISTRATIONS_MAX);
        assert!(!registrations.may_follow(address(1), REGISTRATION_MS - 1));
        // An hour after the first, those of the first address make room.
        let later =
            (1..200).filter(|last| registrations.may_follow(address(*last), REGISTRATION_MS));
        assert_eq!(later.count(), REGISTRATIONS_PER_ADDRESS_MAX);
    }

    #[test]
    fn a_wish_is_read_from_a_form_or_from_fields() {
        let rows = [
            ("<username>a</username><password>b</password>", "a b"),
            ("<username>a</username><password/>", "-"),
            ("<password>b</password>", "-"),
            ("", "-"),
            (
                "<x xmlns='jabber:x:data' type='submit'>\
                 <field var='FORM_TYPE'><value>jabber:iq:register</value></field>\
                 <field var='username'><value>c</value></field>\
                 <field var='password'><value>d</value></field></x>\
                 <username>a</username><password>b</password>",
                "c d",
            ),
            (
                "<x xmlns='jabber:x:data' type='submit'>\
                 <field var='FORM_TYPE'><value>jabber:iq:register</value></field>\
                 <field var='username'><value>c</value></field></x>",
                "-",
            ),
            (
                "<x xmlns='jabber:x:data' type='submit'>\
                 <field var='FORM_TYPE'><value>other</value></field></x>",
                "bad-request",
            ),
        ];
        for (content, expected) in rows {
            let query = Element::parse(&format!("<query xmlns='{NS}'>{content}</query>"), "");
            let read = match Wish::read(&query.unwrap(), &[NS]) {
                Ok(Some(wish)) => format!("{} {}", wish.username, wish.password),
                Ok(None) => "-".to_owned(),
                Err(error) => error.condition.to_owned(),
            };
            assert_eq!(read, expected, "{content}");
        }
    }
}
