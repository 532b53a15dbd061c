//! One part of a file (RFC 9110 §14), and what a client has of it already (§13.1).

/// What of a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// These bytes: the first, and how many, at least one.
    Part {
        first: u64,
        bytes: u64,
    },
    /// There are no such bytes.
    None,
}

/// Reads a `Range` for a file of that length. What is no single range of bytes is ignored, as §14.2 allows:
/// nobody who asks for several at once shows pictures or plays music.
pub(super) fn wanted(range: &str, length: u64) -> Wanted {
    let Some((unit, set)) = range.split_once('=') else {
        return Wanted::All;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::All;
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Wanted::All;
    };
    match (number(first), number(last)) {
        (Some(first), _) if first >= length && (last.is_empty() || number(last).is_some()) => {
            Wanted::None
        }
        (Some(first), None) if last.is_empty() => part(first, length - first),
        (Some(first), Some(last)) if first <= last => part(first, last.min(length - 1) - first + 1),
        (None, Some(0)) if first.is_empty() => Wanted::None,
        (None, Some(last)) if first.is_empty() => {
            let bytes = last.min(length);
            part(length - bytes, bytes)
        }
        _ => Wanted::All,
    }
}

fn part(first: u64, bytes: u64) -> Wanted {
    Wanted::Part { first, bytes }
}

/// Digits alone, and as many as make sense.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Whether one of the tags of an `If-None-Match` is this one (§13.1.2, weak comparison).
pub(super) fn has_tag(tags: &str, tag: &str) -> bool {
    tags.trim() == "*"
        || tags.split(',').any(|one| {
            let one = one.trim();
            one.strip_prefix("W/").unwrap_or(one) == tag
        })
}

/// Whether one of the tags of an `If-Match` is this one (§13.1.1, strong comparison).
pub(super) fn has_same_tag(tags: &str, tag: &str) -> bool {
    tags.trim() == "*" || tags.split(',').any(|one| one.trim() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let rows = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 10)),
            ("bytes=3-5", part(3, 3)),
            ("bytes=3-99", part(3, 7)),
            ("bytes=9-9", part(9, 1)),
            ("bytes=-4", part(6, 4)),
            ("bytes=-40", part(0, 10)),
            ("Bytes = 2-3", part(2, 2)),
            ("bytes=0-99999999999999999999999", part(0, 10)),
            ("bytes=10-", Wanted::None),
            ("bytes=10-12", Wanted::None),
            ("bytes=99999999999999999999999-", Wanted::None),
            ("bytes=-0", Wanted::None),
            ("bytes=5-3", Wanted::All),
            ("bytes=", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("bytes", Wanted::All),
        ];
        for (range, expected) in rows {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
    }

    #[test]
    fn tags() {
        let rows = [
            ("\"a\"", true, true),
            ("W/\"a\"", true, false),
            ("\"b\", \"a\"", true, true),
            ("*", true, true),
            ("\"b\"", false, false),
            ("a", false, false),
            ("", false, false),
        ];
        for (tags, is_weak, is_strong) in rows {
            assert_eq!(has_tag(tags, "\"a\""), is_weak, "{tags}");
            assert_eq!(has_same_tag(tags, "\"a\""), is_strong, "{tags}");
        }
    }
}
