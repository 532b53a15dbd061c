//! `[components]` and `[privileges]` as people write them.

use expect_test::{Expect, expect};
use household::{Config, config::Privileges};
use std::path::Path;

fn check(text: &str, expected: Expect) {
    let answer = match Config::from_texts([(Path::new("hearth.toml"), text)]) {
        Ok(config) => config.privileges.values().map(shown).collect::<String>(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&wrapped(&answer));
}

fn shown(it: &Privileges) -> String {
    let iq: Vec<_> = it
        .iq
        .iter()
        .map(|r| (&*r.namespace, r.get, r.set))
        .collect();
    let (roster, message) = ((it.roster_get, it.roster_set), it.message);
    format!(
        "roster {roster:?} message {message} presence {:?} iq {iq:?}",
        it.presence
    )
}

/// In lines that fit this file.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < 80 => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn check_words(words: &str, expected: Expect) {
    check(
        &format!("[components]\n'a.example' = 's'\n[privileges]\n'a.example' = {words}"),
        expected,
    );
}

#[test]
fn what_words_mean() {
    check_words(
        "[]",
        expect!["roster (false, false) message false presence None iq []"],
    );
    check_words(
        "['roster']",
        expect!["roster (true, true) message false presence None iq []"],
    );
    check_words(
        "['roster get', 'message']",
        expect!["roster (true, false) message true presence None iq []"],
    );
    check_words(
        "['roster set', 'presence']",
        expect!["roster (false, true) message false presence Accounts iq []"],
    );
    check_words(
        "['presence roster', 'presence', 'roster']",
        expect!["roster (true, true) message false presence Contacts iq []"],
    );
    check_words(
        "['gateway']",
        expect![[r#"
            roster (true, true) message true presence None iq
            [("http://jabber.org/protocol/pubsub", true, true),
            ("http://jabber.org/protocol/pubsub#owner", true, true)]"#]],
    );
    check_words(
        "['iq get a:b', 'iq set c', 'iq set a:b', 'iq d:e']",
        expect![[r#"
            roster (false, false) message false presence None iq [("a:b", true, true), ("c",
            false, true), ("d:e", true, true)]"#]],
    );
}

#[test]
fn what_is_wrong_is_said() {
    check_words(
        "['rooster']",
        expect![[r#"
            hearth.toml: privileges.a.example = ["rooster"] is wrong: use these words:
            gateway, roster, roster get, roster set, message, presence, presence roster, iq,
            iq NAMESPACE, iq get NAMESPACE, iq set NAMESPACE"#]],
    );
    check_words(
        "['iq get']",
        expect![[r#"
            hearth.toml: privileges.a.example = ["iq get"] is wrong: use these words:
            gateway, roster, roster get, roster set, message, presence, presence roster, iq,
            iq NAMESPACE, iq get NAMESPACE, iq set NAMESPACE"#]],
    );
    check_words(
        "'roster'",
        expect![[r#"
            hearth.toml: privileges.a.example = "roster" is wrong: write a list of words in
            quotation marks, like ["gateway"]"#]],
    );
    check_words(
        "['presence roster', 'roster set']",
        expect![[r#"
            hearth.toml: privileges.a.example = ["presence roster", "roster set"] is wrong:
            "presence roster" needs "roster get" or "roster" beside it"#]],
    );
    check(
        "[privileges]\n'b.example' = ['roster']",
        expect![[r#"
            hearth.toml: privileges."b.example" is of no component: [components] needs a
            line for it with its secret"#]],
    );
    check(
        "[components]\n'b.example' = ''",
        expect![[r#"
            hearth.toml: components."b.example" is empty: write the secret that the
            component knows, too"#]],
    );
}
