//! How a component shows its secret (XEP-0114 §3).

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use std::fmt::Write;

/// Whether it is the lower-case hexadecimal SHA-1 of the stream's id and the secret. Takes the same time
/// whatever is wrong with it.
pub(super) fn is_right(id: &str, secret: &str, shown: &str) -> bool {
    let expected = digest_of(id, secret);
    verify_slices_are_equal(expected.as_bytes(), shown.trim().as_bytes()).is_ok()
}

/// What a component with that secret shows.
pub(super) fn digest_of(id: &str, secret: &str) -> String {
    let hash = digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{id}{secret}").as_bytes(),
    );
    hash.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_hexadecimal_of_id_and_secret() {
        // The example of §3, whose secret must have been this one.
        let right = "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e";
        for (shown, expected) in [
            (right, true),
            (" aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e\n", true),
            ("AAEE83C26AEEAFCBABEABFCBCD50DF997E0A2A1E", false),
            ("aaee83c26aeeafcbabeabfcbcd50df997e0a2a1f", false),
            ("aaee", false),
            ("", false),
        ] {
            assert_eq!(is_right("3BF96D32", "test", shown), expected, "{shown}");
        }
        assert!(!is_right("3BF96D33", "test", right));
        assert!(!is_right("3BF96D32", "tests", right));
    }
}
