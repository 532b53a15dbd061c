//! Names of files: what is kept of the one a client says, and how it is written in a URL.

use super::limits::{NAME_BYTES_MAX, NAME_ENDING_BYTES_MAX};

/// Stands for a name of which nothing can be kept, and for characters that would hide something.
const NOTHING: &str = "file";

/// The name as it is kept (XEP-0363 §4: "intact", above all its end): no folders, nothing that cannot be seen
/// or turns the direction of reading, no name that means a place, and not too long. `None` where no name was
/// said.
pub(super) fn clean(said: &str) -> Option<String> {
    if said.is_empty() {
        return None;
    }
    let base = said.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = base.chars().filter(|c| is_harmless(*c)).collect();
    let name = shortened(visible.trim());
    // What begins with a dot is hidden on many machines, and `.` and `..` are places.
    let name = match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    };
    Some(if name.is_empty() {
        NOTHING.to_owned()
    } else {
        name
    })
}

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{200b}' | '\u{200e}'..='\u{200f}' // marks without width; joiners belong to emoji and scripts
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' // separators, directions
            | '\u{feff}' | '\u{fff9}'..='\u{ffff}')
}

fn shortened(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |dot| &name[dot..]);
    let ending = if ending.len() <= NAME_ENDING_BYTES_MAX {
        ending
    } else {
        ""
    };
    let room = NAME_BYTES_MAX - ending.len();
    format!("{}{ending}", &name[..name.floor_char_boundary(room)])
}

/// A segment of a path (RFC 3986 §3.3): everything but unreserved characters escaped.
pub(super) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_names() {
        let rows = [
            ("très cool.jpg", "très cool.jpg"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("..", "_."),
            (".", "_"),
            (".bashrc", "_bashrc"),
            ("a/", "file"),
            ("\u{0}\n", "file"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("a\"b\r\nc.txt", "a\"bc.txt"),
            (" x ", "x"),
            ("👩‍👧.png", "👩‍👧.png"),
        ];
        for (said, expected) in rows {
            assert_eq!(clean(said).as_deref(), Some(expected), "{said:?}");
        }
        assert_eq!(clean(""), None);
    }

    #[test]
    fn long_names_keep_their_ending() {
        let rows = [
            ("ű".repeat(100) + ".jpeg", ".jpeg"),
            ("x".repeat(300), "x"),
            ("x".repeat(300) + "." + &"y".repeat(300), "x"),
        ];
        for (said, ending) in rows {
            let name = clean(&said).unwrap();
            assert!(
                name.len() <= NAME_BYTES_MAX && name.len() > NAME_BYTES_MAX - 4,
                "{name}"
            );
            assert!(name.ends_with(ending), "{name}");
        }
    }

    #[test]
    fn names_in_urls() {
        let rows = [
            ("très cool.jpg", "tr%C3%A8s%20cool.jpg"),
            ("a?b#c%d", "a%3Fb%23c%25d"),
            ("x-._~y", "x-._~y"),
        ];
        for (name, expected) in rows {
            assert_eq!(escaped(name), expected);
        }
    }
}
