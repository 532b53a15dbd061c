//! What went wrong with a request to the outside, and whether it is worth asking again.

use std::fmt;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

/// The sorts of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The address is none, or may not be asked.
    Address,
    /// The name does not exist.
    NoName,
    /// Name servers or the server itself cannot be reached.
    Unreachable,
    /// It has no certificate that we trust.
    Certificate,
    /// It took the connection and did not answer in time.
    Silent,
    /// The connection ended before the answer did.
    Broken,
    /// The answer is none that could be meant.
    Nonsense,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Error {
        Error {
            kind,
            text: text.into(),
        }
    }

    /// Nobody could be asked; the text is a clause that says why.
    pub fn unreachable(text: &str) -> Error {
        Error::new(ErrorKind::Unreachable, text)
    }

    pub(crate) fn address(address: &str) -> Error {
        Error::new(
            ErrorKind::Address,
            format!("\"{address}\" is no https:// address"),
        )
    }

    /// Which sort it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same request may be answered later without anybody changing anything here.
    pub fn is_temporary(&self) -> bool {
        self.kind != ErrorKind::Address
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
