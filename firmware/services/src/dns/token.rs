//! The secret that a provider knows us by. It is never shown.

use super::{
    limits::TOKEN_BYTES_MAX,
    provider::{Failure, FailureKind},
};
use server::tls::Files;
use std::{fmt, path::Path};

/// A token of an API, or the text of a key of TSIG.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Reads `dns.token_file`: one line of visible ASCII characters.
    pub fn read(files: &dyn Files, path: &Path) -> Result<Token, Failure> {
        if path.as_os_str().is_empty() {
            return Err(fault(
                "dns.token_file is empty: it must name the file with the provider's token",
            ));
        }
        let shown = path.display();
        let bytes = files
            .read(path)
            .map_err(|error| fault(format!("dns.token_file {shown} cannot be read: {error}")))?;
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err(fault(format!(
                "dns.token_file {shown} is too long to be a token"
            )));
        }
        match std::str::from_utf8(&bytes).map(str::trim_ascii) {
            Ok("") => Err(fault(format!("dns.token_file {shown} is empty"))),
            Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Token(text.to_owned()))
            }
            _ => Err(fault(format!(
                "dns.token_file {shown} holds more than a token, which is one word of plain letters and signs"
            ))),
        }
    }

    /// The secret, for the one place that sends or signs with it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

fn fault(text: impl Into<String>) -> Failure {
    let next = "put the provider's token there, alone on one line, readable for the server's user";
    Failure::new(FailureKind::Setup, text, next)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    struct Disk(&'static [u8]);

    impl Files for Disk {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            match path.to_str() {
                Some("token") => Ok(self.0.to_vec()),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        }

        fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
            unreachable!("nothing is written")
        }

        fn write_secret(&self, _: &Path, _: &[u8]) -> io::Result<()> {
            unreachable!("nothing is written")
        }
    }

    #[test]
    fn one_line() {
        for (path, bytes, expected) in [
            ("token", &b"dop_v1_abc\n"[..], Ok("dop_v1_abc")),
            ("token", b"  k/+=  \r\n", Ok("k/+=")),
            ("token", b"\n", Err("dns.token_file token is empty")),
            (
                "token",
                b"a b",
                Err("dns.token_file token holds more than a token"),
            ),
            (
                "token",
                b"a\nb",
                Err("dns.token_file token holds more than a token"),
            ),
            (
                "token",
                b"\xff",
                Err("dns.token_file token holds more than a token"),
            ),
            (
                "token",
                &[b'a'; 5_000],
                Err("dns.token_file token is too long"),
            ),
            ("gone", b"", Err("dns.token_file gone cannot be read")),
            ("", b"", Err("dns.token_file is empty")),
        ] {
            match (Token::read(&Disk(bytes), Path::new(path)), expected) {
                (Ok(token), Ok(expected)) => assert_eq!(token.expose(), expected),
                (Err(failure), Err(expected)) => {
                    assert!(failure.text.starts_with(expected), "{failure}");
                }
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        }
        assert_eq!(format!("{:?}", Token("dop_v1_abc".to_owned())), "(secret)");
    }
}
