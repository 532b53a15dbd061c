//! How a file is shown: pictures, films and sounds in place, everything else is saved, so that no uploaded
//! page or program does anything here.

use std::fmt::Write;

/// Types that browsers show without running anything in them. SVG is a page, and not among them.
const SHOWN: [&str; 24] = [
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/opus",
    "audio/wav",
    "audio/webm",
    "audio/x-m4a",
    "audio/x-wav",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jpeg",
    "image/jxl",
    "image/png",
    "image/webp",
    "video/3gpp",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// The `Content-Disposition` of a file (RFC 6266): its name in UTF-8 (RFC 8187), and in ASCII for programs
/// that know no better.
pub(super) fn of(name: &str, media_type: &str) -> String {
    let essence = media_type.split(';').next().unwrap_or_default();
    let shown = SHOWN.contains(&essence);
    let mut header = String::from(if shown { "inline" } else { "attachment" });
    let plain: String = name.chars().map(plain).collect();
    let _ = write!(header, "; filename=\"{plain}\"");
    if plain != name {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                header.push(char::from(byte));
            } else {
                let _ = write!(header, "%{byte:02X}");
            }
        }
    }
    header
}

/// RFC 6266 Appendix D: nothing that some program reads as an escape.
fn plain(c: char) -> char {
    match c {
        '"' | '\\' | '%' | '/' => '_',
        ' '..='~' => c,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let rows = [
            ("a.jpg", "image/jpeg", "inline; filename=\"a.jpg\""),
            (
                "a b.mp4",
                "video/mp4; codecs=avc1",
                "inline; filename=\"a b.mp4\"",
            ),
            ("a.svg", "image/svg+xml", "attachment; filename=\"a.svg\""),
            ("a.html", "text/html", "attachment; filename=\"a.html\""),
            ("a.pdf", "application/pdf", "attachment; filename=\"a.pdf\""),
            ("a", "", "attachment; filename=\"a\""),
            (
                "très \"cool\".jpg",
                "image/jpeg",
                "inline; filename=\"tr_s _cool_.jpg\"; \
                 filename*=UTF-8''tr%C3%A8s%20%22cool%22.jpg",
            ),
            (
                "100%.txt",
                "text/plain",
                "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt",
            ),
        ];
        for (name, media_type, expected) in rows {
            assert_eq!(of(name, media_type), expected);
        }
    }
}
