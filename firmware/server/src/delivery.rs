//! RFC 6121 §8.5: which resources of an account get a message. The table of §8.5.4, decided once for
//! everybody.

use crate::account::Resource;
use xmpp::{Jid, Passing, StanzaError};

/// What becomes of a message that reached an account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// These resources get it (full JIDs, at least one).
    To(Vec<Jid>),
    /// Nobody is there to take it: it may wait ("O" in the table), or its sender is told.
    Nobody,
    Refuse(StanzaError),
    Ignore,
}

/// Chooses the receivers of a message.
pub(crate) fn choose(resources: &[Resource], passing: &Passing) -> Choice {
    let candidates = resources.iter().map(|resource| {
        (
            &resource.session.jid,
            resource.presence.as_ref().map(|presence| presence.priority),
        )
    });
    table(candidates, &passing.to, passing.stanza.type_())
}

/// The table: candidates are connected resources, with a priority where they are available.
fn table<'a>(
    candidates: impl Iterator<Item = (&'a Jid, Option<i8>)> + Clone,
    to: &Jid,
    type_: &str,
) -> Choice {
    if !to.is_bare() && candidates.clone().any(|(jid, _)| jid == to) {
        return Choice::To(vec![to.clone()]); // D
    }
    // An unknown type is "normal" (§5.2.2).
    match (type_, to.is_bare()) {
        ("error", _) | ("headline", false) => Choice::Ignore,
        ("groupchat", _) => Choice::Refuse(StanzaError::SERVICE_UNAVAILABLE),
        ("headline", true) => match all(candidates) {
            receivers if receivers.is_empty() => Choice::Ignore,
            receivers => Choice::To(receivers),
        },
        ("chat", _) | (_, true) => match most_available(candidates) {
            receivers if receivers.is_empty() => Choice::Nobody,
            receivers => Choice::To(receivers),
        },
        // §8.5.3.2.1: a normal message to a resource that is not there is not for the others.
        (_, false) => Choice::Refuse(StanzaError::SERVICE_UNAVAILABLE),
    }
}

/// "A": all resources with non-negative priority.
fn all<'a>(candidates: impl Iterator<Item = (&'a Jid, Option<i8>)>) -> Vec<Jid> {
    candidates
        .filter(|(_, priority)| priority.is_some_and(|p| p >= 0))
        .map(|(jid, _)| jid.clone())
        .collect()
}

/// "M": all that share the highest priority, if it is not negative. Those who want every message turn
/// carbons on.
fn most_available<'a>(candidates: impl Iterator<Item = (&'a Jid, Option<i8>)> + Clone) -> Vec<Jid> {
    let highest = candidates
        .clone()
        .filter_map(|(_, priority)| priority)
        .max();
    let highest = highest.filter(|priority| *priority >= 0);
    candidates
        .filter(|(_, priority)| highest.is_some() && *priority == highest)
        .map(|(jid, _)| jid.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resources as `name` (connected) or `name:priority` (available); the answer in the letters of §8.5.4.
    fn choice(resources: &str, to: &str, type_: &str) -> String {
        let jid = |resource: &str| Jid::parse(&format!("j@h/{resource}")).unwrap();
        let resources: Vec<(Jid, Option<i8>)> = resources
            .split_whitespace()
            .map(|resource| match resource.split_once(':') {
                Some((name, priority)) => (jid(name), Some(priority.parse().unwrap())),
                None => (jid(resource), None),
            })
            .collect();
        let to = Jid::parse(to).unwrap();
        match table(
            resources.iter().map(|(jid, priority)| (jid, *priority)),
            &to,
            type_,
        ) {
            Choice::To(jids) => jids
                .iter()
                .map(|jid| jid.resourcepart().unwrap())
                .collect::<Vec<_>>()
                .join(" "),
            Choice::Nobody => "O".into(),
            Choice::Refuse(error) => format!("E {}", error.condition),
            Choice::Ignore => "S".into(),
        }
    }

    #[test]
    fn table_1_of_section_8_5_4() {
        let error = "E service-unavailable";
        // resources, to, then normal, chat, groupchat, headline
        let rows: [(&str, &str, [&str; 4]); 14] = [
            ("", "j@h", ["O", "O", error, "S"]),
            ("", "j@h/x", [error, "O", error, "S"]),
            ("a", "j@h", ["O", "O", error, "S"]),
            ("a", "j@h/a", ["a", "a", "a", "a"]),
            ("a:-1", "j@h", ["O", "O", error, "S"]),
            ("a:-1", "j@h/a", ["a", "a", "a", "a"]),
            ("a:-1", "j@h/x", [error, "O", error, "S"]),
            ("a:0", "j@h", ["a", "a", error, "a"]),
            ("a:0", "j@h/a", ["a", "a", "a", "a"]),
            ("a:0", "j@h/x", [error, "a", error, "S"]),
            ("a:0 b:5 c:5 d:-1", "j@h", ["b c", "b c", error, "a b c"]),
            ("a:0 b:5 c:5 d:-1", "j@h/d", ["d", "d", "d", "d"]),
            ("a:0 b:5 c:5 d:-1", "j@h/x", [error, "b c", error, "S"]),
            ("a:127 b:-128 c", "j@h", ["a", "a", error, "a"]),
        ];
        for (resources, to, answers) in rows {
            for (type_, answer) in ["normal", "chat", "groupchat", "headline"]
                .into_iter()
                .zip(answers)
            {
                assert_eq!(
                    choice(resources, to, type_),
                    answer,
                    "{type_} to {to} with [{resources}]"
                );
            }
            assert_eq!(
                choice(resources, to, "of tomorrow"),
                answers[0],
                "an unknown type is normal"
            );
        }
    }

    #[test]
    fn an_error_is_delivered_to_its_resource_or_nobody() {
        assert_eq!(choice("a:0", "j@h/a", "error"), "a");
        assert_eq!(choice("a:0", "j@h", "error"), "S");
        assert_eq!(choice("a:0", "j@h/x", "error"), "S");
    }
}
