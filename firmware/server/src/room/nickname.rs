//! Nicknames in a room (XEP-0045 §14.6, §17.1): one form of each, and which two are one to a reader.
//!
//! An address is in the form of Resourceprep already (RFC 7622 §3.4), which leaves case and spaces alone.
//! What is done with those follows the profile for nicknames (RFC 8266 §2): spaces at the ends go, several in
//! a row are one, and case makes no difference between two. Besides, a letter of another alphabet that looks
//! like a Latin one is that letter.

use std::borrow::Cow;

/// The form in which a nickname is taken (RFC 8266 §2.1). Empty where nothing can be seen of it.
pub(crate) fn normal(nick: &str) -> Cow<'_, str> {
    let is_normal = !nick.starts_with(' ') && !nick.ends_with(' ') && !nick.contains("  ");
    if is_normal {
        return nick.into();
    }
    let words: Vec<&str> = nick.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").into()
}

/// Whether people would take one for the other. Both are in their normal form.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other); // as nearly always
    }
    looks(one).eq(looks(other))
}

fn looks(nick: &str) -> impl Iterator<Item = char> {
    nick.chars().flat_map(char::to_lowercase).map(look)
}

/// The Latin letter that a small Cyrillic or Greek one looks like (Unicode TR 39, `confusables.txt`).
fn look(c: char) -> char {
    match c {
        'а' | 'α' => 'a',
        'ԁ' => 'd',
        'е' => 'e',
        'һ' => 'h',
        'і' | 'ι' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' => 'l',
        'м' => 'm',
        'ν' => 'v',
        'о' | 'ο' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'с' => 'c',
        'в' => 'b',
        'н' => 'h',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_in_which_a_nickname_is_taken() {
        for (nick, expected) in [
            ("Juliet", "Juliet"),
            ("Juliet ", "Juliet"),
            ("  The   Nurse ", "The Nurse"),
            ("   ", ""),
            ("👩‍👧 ", "👩‍👧"),
        ] {
            assert_eq!(normal(nick), expected, "{nick:?}");
        }
    }

    #[test]
    fn what_people_would_take_for_one() {
        for (one, other, expected) in [
            ("Juliet", "Juliet", true),
            ("Juliet", "juliet", true),
            ("Juliet", "Julie", false),
            ("ÄNNE", "änne", true),
            ("Romeo", "Rоmеo", true), // with Cyrillic о and е
            ("Romeo", "Rομeo", false),
            ("Анна", "анна", true),
            ("🦊", "🦊", true),
            ("🦊", "🐻", false),
            ("Zoe", "Zoë", false),
        ] {
            assert_eq!(is_same(one, other), expected, "{one:?} {other:?}");
            assert_eq!(is_same(other, one), expected, "{other:?} {one:?}");
        }
    }
}
