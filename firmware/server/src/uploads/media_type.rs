//! Media types (RFC 9110 §8.3.1) in one spelling, so that what a slot said and what an upload says can be
//! compared, and nothing odd gets into a header.

use super::limits::MEDIA_TYPE_BYTES_MAX;

/// The normal form, and for what is no media type the text as it is: what a slot was asked for is what
/// may come, whatever it means. `None` for what is far too long.
pub(super) fn spelling(text: &str) -> Option<String> {
    normal(text)
        .or_else(|| Some(text.trim().to_owned()).filter(|it| it.len() <= MEDIA_TYPE_BYTES_MAX))
}

/// Type and subtype in lower case, parameters behind `; `, without white space elsewhere. `None` for what is
/// no media type.
pub fn normal(text: &str) -> Option<String> {
    if text.len() > MEDIA_TYPE_BYTES_MAX {
        return None;
    }
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let (type_, subtype) = essence.split_once('/')?;
    if !is_token(type_) || !is_token(subtype) {
        return None;
    }
    let mut normal = essence;
    for parameter in parts.filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=')?;
        // A quoted value with a semicolon in it is rare, and was torn apart: it is refused with the rest.
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        if !is_token(name) || !is_token(bare) {
            return None;
        }
        normal.push_str("; ");
        normal.push_str(&name.to_ascii_lowercase());
        normal.push('=');
        if name.eq_ignore_ascii_case("charset") {
            normal.push_str(&bare.to_ascii_lowercase());
        } else {
            normal.push_str(bare);
        }
    }
    Some(normal)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        let rows = [
            ("image/jpeg", Some("image/jpeg")),
            ("Image/JPEG", Some("image/jpeg")),
            (
                " text/plain ;charset=UTF-8",
                Some("text/plain; charset=utf-8"),
            ),
            (
                "text/plain;charset=\"utf-8\"",
                Some("text/plain; charset=utf-8"),
            ),
            ("audio/ogg; codecs=Opus;", Some("audio/ogg; codecs=Opus")),
            ("application/vnd.ms-excel", Some("application/vnd.ms-excel")),
            ("", None),
            ("image", None),
            ("image/", None),
            ("image/png/x", None),
            ("image/png\r\nX-Evil: 1", None),
            ("text/html; x=\"a;b\"", None),
            ("text/html; x", None),
            ("tëxt/html", None),
        ];
        for (text, expected) in rows {
            assert_eq!(normal(text).as_deref(), expected, "{text}");
        }
        assert!(normal(&format!("text/{}", "x".repeat(MEDIA_TYPE_BYTES_MAX))).is_none());
    }
}
