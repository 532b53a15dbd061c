//! Whoever keeps the records of a zone, and what may go wrong there. Owns nothing.

use super::{
    limits::SAID_BYTES_MAX,
    record::{Kept, Record},
};
use std::{fmt, pin::Pin, time::Duration};

/// An answer that is on its way.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A provider of DNS. No method can remove a zone.
pub trait Provider: Send + Sync {
    /// The zone in which the names of this domain are.
    fn zone<'a>(&'a self, domain: &'a str) -> Asked<'a, String>;

    /// The records of a zone: all of them, or at least those of these names.
    fn records<'a>(&'a self, zone: &'a str, names: &'a [String]) -> Asked<'a, Vec<Kept>>;

    /// Adds one, beside whatever there is.
    fn create<'a>(&'a self, zone: &'a str, record: &'a Record) -> Asked<'a, Kept>;

    /// Makes one say something else without a moment in which the name says nothing. Name and kind stay.
    fn change<'a>(&'a self, zone: &'a str, kept: &'a Kept, to: &'a Record) -> Asked<'a, Kept>;

    /// Removes one record; nothing where it is gone already.
    fn remove<'a>(&'a self, zone: &'a str, kept: &'a Kept) -> Asked<'a, ()>;
}

/// The sorts of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The configuration lacks something, or a file cannot be read.
    Setup,
    /// The token is not taken.
    Token,
    /// The token may not do this.
    Scope,
    /// The provider has no such zone.
    Zone,
    /// The record is not there any more.
    Gone,
    /// The provider does not take the record.
    Refused,
    /// Too many requests.
    Busy,
    /// It cannot be reached, or is broken.
    Down,
    /// Its answer makes no sense.
    Nonsense,
    /// Our own disk.
    Store,
}

/// Why something was not done, and what to do about it: two plain sentences without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub text: String,
    /// Empty where it mends itself.
    pub next: String,
    /// When asking again makes sense, where that was said.
    pub again: Option<Duration>,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, text: impl Into<String>, next: &str) -> Failure {
        Failure {
            kind,
            text: text.into(),
            next: next.to_owned(),
            again: None,
        }
    }

    pub(super) fn nonsense(text: impl Into<String>) -> Failure {
        let next = "it is asked again; if this stays, see whether dns.api_base is right";
        Failure::new(FailureKind::Nonsense, text, next)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if !self.next.is_empty() {
            write!(f, "; {}", self.next)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Somebody else's words, for a line of ours.
pub(super) fn shortened(text: &str) -> String {
    let mut short = String::new();
    for sign in text.chars().filter(|sign| !sign.is_control()) {
        if short.len() + sign.len_utf8() > SAID_BYTES_MAX {
            break;
        }
        short.push(sign);
    }
    short
}
