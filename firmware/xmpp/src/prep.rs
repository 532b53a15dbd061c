//! The three stringprep profiles (RFC 3454) that deployed servers use for names and passwords.
//!
//! RFC 7622 and RFC 8265 moved to PRECIS; the network did not: the servers we federate with and the accounts
//! people bring along were prepared with these tables. Where the two differ, being able to talk wins; the
//! tests of [`crate::jid`] list each difference.

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

/// Nodeprep (RFC 3920 appendix A), for localparts. `None` where a character is not allowed.
pub(crate) fn nodeprep(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        if text
            .bytes()
            .any(|byte| !byte.is_ascii_graphic() || excluded_from_localparts(byte.into()))
        {
            return None;
        }
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        return Some(if upper {
            text.to_ascii_lowercase().into()
        } else {
            text.into()
        });
    }
    // RFC 3454 §7: the tables cannot fold the case of characters newer than they are, so that two spellings
    // of one name would be two accounts. Judged before normalising, which might turn a newer character into
    // an old capital.
    if text.contains(tables::unassigned_code_point) {
        return None;
    }
    let mapped = text
        .chars()
        .filter(|&c| !tables::commonly_mapped_to_nothing(c))
        .flat_map(tables::case_fold_for_nfkc);
    let normal: String = mapped.nfkc().collect();
    let forbidden = |c| {
        c == ' ' || excluded_from_localparts(c) || prohibited(c) || tables::unassigned_code_point(c)
    };
    (!normal.contains(forbidden) && one_direction(&normal)).then_some(normal.into())
}

/// Resourceprep (RFC 3920 appendix B), for resourceparts. `None` where a character is not allowed.
///
/// Characters younger than the tables (Unicode 3.2) pass: resourceparts are nicknames, and nicknames have
/// emoji.
pub(crate) fn resourceprep(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return (!text.contains(|c: char| c.is_ascii_control())).then_some(text.into());
    }
    let mapped = text
        .chars()
        .filter(|&c| !tables::commonly_mapped_to_nothing(c));
    let normal: String = mapped.nfkc().collect();
    (!normal.contains(prohibited) && one_direction(&normal)).then_some(normal.into())
}

/// SASLprep (RFC 4013) of a query: user names and passwords that a client sends. `None` where a character is
/// not allowed. Characters younger than the tables pass (§2.5).
pub(crate) fn saslprep_query(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return (!text.contains(|c: char| c.is_ascii_control())).then_some(text.into());
    }
    let mapped = text
        .chars()
        .map(|c| {
            if tables::non_ascii_space_character(c) {
                ' '
            } else {
                c
            }
        })
        .filter(|&c| !tables::commonly_mapped_to_nothing(c));
    let normal: String = mapped.nfkc().collect();
    (!normal.contains(prohibited) && one_direction(&normal)).then_some(normal.into())
}

/// SASLprep of a stored string: a new password. Younger characters are refused (§2.5), because a client that
/// goes by the book could never log in with them.
pub(crate) fn saslprep_stored(text: &str) -> Option<Cow<'_, str>> {
    if text.contains(tables::unassigned_code_point) {
        None
    } else {
        saslprep_query(text)
    }
}

/// RFC 7622 §3.3.1 (and RFC 3920 §A.5).
fn excluded_from_localparts(c: char) -> bool {
    matches!(c, '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@')
}

/// Tables C.1.2 to C.9 of RFC 3454, which the three profiles prohibit alike.
fn prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::surrogate_code(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// RFC 3454 §6: text with a right-to-left letter begins and ends with one and holds no left-to-right letter.
fn one_direction(text: &str) -> bool {
    !text.contains(tables::bidi_r_or_al)
        || text.starts_with(tables::bidi_r_or_al)
            && text.ends_with(tables::bidi_r_or_al)
            && !text.contains(tables::bidi_l)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saslprep_examples() {
        let rows = [
            // RFC 4013 §3.
            ("I\u{AD}X", Some("IX")),
            ("user", Some("user")),
            ("USER", Some("USER")),
            ("\u{AA}", Some("a")),
            ("\u{2168}", Some("IX")),
            ("\u{7}", None),
            ("\u{627}1", None),
            // §2.1: a space of any width is a space.
            (
                "correct\u{A0}horse\u{3000}battery",
                Some("correct horse battery"),
            ),
            // §2.3, a character of each table.
            ("a\u{7F}", None),
            ("a\u{80}ä", None),
            ("\u{E000}", None),
            ("\u{FFFE}", None),
            ("\u{FFFD}", None),
            ("\u{2FF0}", None),
            ("\u{200E}ä", None),
            ("\u{E0041}", None),
            ("\u{627}1\u{628}", Some("\u{627}1\u{628}")),
            ("", Some("")),
        ];
        for (text, expected) in rows {
            assert_eq!(saslprep_query(text).as_deref(), expected, "{text:?}");
            assert_eq!(saslprep_stored(text).as_deref(), expected, "{text:?}");
        }
        // §2.5: a question may hold what an answer may not.
        assert_eq!(saslprep_query("🦔").as_deref(), Some("🦔"));
        assert_eq!(saslprep_stored("🦔"), None);
    }

    #[test]
    fn preparing_twice_changes_nothing() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            for profile in [nodeprep, resourceprep, saslprep_query, saslprep_stored] {
                if let Some(once) = profile(&text) {
                    assert_eq!(profile(&once).as_deref(), Some(&*once), "{c:?}");
                }
            }
        }
    }

    #[test]
    fn the_short_way_for_ascii_agrees_with_the_tables() {
        for c in '\0'..='\x7f' {
            let text = c.to_string();
            assert_eq!(
                nodeprep(&text).as_deref(),
                stringprep::nodeprep(&text).ok().as_deref(),
                "{c:?}"
            );
            assert_eq!(
                resourceprep(&text).as_deref(),
                stringprep::resourceprep(&text).ok().as_deref(),
                "{c:?}"
            );
            assert_eq!(
                saslprep_query(&text).as_deref(),
                stringprep::saslprep(&text).ok().as_deref(),
                "{c:?}"
            );
        }
    }
}
