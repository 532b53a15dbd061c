//! What went wrong, in plain words: what it means, what to do, and when it is tried again.
//!
//! What an authority writes is passed on (RFC 8555 §6.7: clients should show it), shortened and on one line.

use super::{
    challenge::Refused,
    limits::{LIMITED_MS, LIMITED_MS_MAX, WORDS_CHARS_MAX},
    line::Line,
    record::AttemptRecord,
    when::Pace,
    wish::Way,
};
use crate::http::Error as HttpError;
use http::Uri;
use instant_acme::{Error, Problem};
use jiff::Timestamp as Moment;
use server::world::Timestamp;

/// Why there is no certificate yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// A sentence without its full stop.
    pub(super) text: String,
    /// What to do; empty: nothing but to wait.
    pub(super) next: String,
    pub(super) pace: Pace,
    /// Not before, because the authority says so. Milliseconds since 1970.
    pub(super) again: Option<Timestamp>,
    /// Another way of proving may do better.
    pub(super) is_about_proof: bool,
    /// The account is none any more.
    pub(super) is_about_account: bool,
}

impl Trouble {
    fn new(text: impl Into<String>, next: impl Into<String>) -> Trouble {
        Trouble {
            text: text.into(),
            next: next.into(),
            pace: Pace::Refused,
            again: None,
            is_about_proof: false,
            is_about_account: false,
        }
    }

    fn offline(text: String, next: &str) -> Trouble {
        Trouble {
            pace: Pace::Offline,
            ..Trouble::new(text, next)
        }
    }

    fn of_proof(text: String, next: &str) -> Trouble {
        Trouble {
            is_about_proof: true,
            ..Trouble::new(text, next)
        }
    }

    /// Something of ours, which nobody outside can help.
    pub(super) fn inside(text: &str) -> Trouble {
        Trouble::offline(text.to_owned(), "see the log")
    }

    pub(super) fn no_dns() -> Trouble {
        let text = "acme.challenge = \"dns-01\" needs somebody who writes records of the DNS";
        let next = "fill in [dns], or choose another challenge";
        Trouble::of_proof(text.to_owned(), next)
    }

    pub(super) fn dns(name: &str, error: &Refused) -> Trouble {
        let text = format!("the record {name} cannot be shown: {}", plain(&error.0));
        Trouble::of_proof(text, "see what is said of the DNS")
    }

    /// The authority does not check names like that.
    pub(super) fn not_offered(name: &str, way: Way) -> Trouble {
        let text = format!("the authority does not offer {} for {name}", way.word());
        Trouble::of_proof(text, "choose another acme.challenge")
    }

    pub(super) fn slow(what: &str) -> Trouble {
        Trouble::offline(format!("the authority takes too long to {what}"), "")
    }

    /// The certificate is not what was ordered.
    pub(super) fn unusable(reason: &str) -> Trouble {
        Trouble::new(plain(reason), "")
    }

    /// Of an attempt that was made before the last start.
    pub(super) fn of_before(last: &AttemptRecord) -> Trouble {
        Trouble {
            again: last.is_limited.then_some(last.again),
            ..Trouble::new(last.text.clone(), last.next.clone())
        }
    }

    /// No way of proving went.
    pub(super) fn of_all(troubles: Vec<Trouble>) -> Trouble {
        let texts: Vec<_> = troubles.iter().map(|it| it.text.as_str()).collect();
        let text = texts.join("; and ");
        let first = troubles.into_iter().next();
        Trouble {
            text,
            ..first.unwrap_or_else(Trouble::no_dns)
        }
    }

    /// What an authority says of a proof that it looked for.
    pub(super) fn unproven(name: &str, way: Way, problem: Option<&Problem>) -> Trouble {
        let said = problem.map_or_else(|| "it does not say why".to_owned(), words);
        let text = format!("{name} could not be proven by {}: {said}", way.word());
        let next = match (problem.map_or("", kind), way) {
            ("caa", _) => FORBIDDEN.to_owned(),
            (_, Way::Dns) => "see that the servers of the domain are those of [dns]".to_owned(),
            (_, Way::Http) => leads_here(80, "http"),
            (_, Way::Tls) => leads_here(443, "https"),
        };
        Trouble::of_proof(text, &next)
    }

    /// What a request came to.
    pub(super) fn of(error: &Error, directory: &str, line: &Line, now: Timestamp) -> Trouble {
        let who = host(directory);
        match error {
            Error::Api(problem) => refused(&who, problem, line, now),
            Error::Other(inner) => match inner.downcast_ref::<HttpError>() {
                Some(error) => {
                    let text = format!("{who} cannot be asked: {}", plain(&error.to_string()));
                    let next = if error.is_temporary() {
                        "see that this machine reaches the internet"
                    } else {
                        "correct acme.directory"
                    };
                    Trouble::offline(text, next)
                }
                None => nonsense(&who, error),
            },
            Error::Timeout(_) => Trouble::slow("answer"),
            _ => nonsense(&who, error),
        }
    }
}

const FORBIDDEN: &str = "allow the authority in the CAA records of the domain, or remove them";

fn leads_here(port: u16, key: &str) -> String {
    format!(
        "see that the name leads to this house, and that the router passes port {port} on to listen.{key}"
    )
}

fn nonsense(who: &str, error: &Error) -> Trouble {
    let text = format!(
        "{who} does not answer as an authority does ({})",
        plain(&error.to_string())
    );
    Trouble::offline(text, "see that acme.directory is right")
}

fn refused(who: &str, problem: &Problem, line: &Line, now: Timestamp) -> Trouble {
    let said = words(problem);
    let no = |next: &str| Trouble::new(format!("{who} refuses: {said}"), next);
    match kind(problem) {
        "rateLimited" => {
            let again = line.again().unwrap_or(now + LIMITED_MS);
            let again = again.clamp(now, now + LIMITED_MS_MAX);
            let text = format!("{who} has been asked too often: {said}");
            let next = format!("it may be asked again after {}", date(again));
            Trouble {
                again: Some(again),
                ..Trouble::new(text, next)
            }
        }
        "caa" => no(FORBIDDEN),
        "externalAccountRequired" => {
            no("choose another acme.directory: this one wants an account that was made elsewhere")
        }
        "invalidContact" | "unsupportedContact" => no("correct acme.contact, or leave it empty"),
        "userActionRequired" => no("do what it asks for"),
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            no("use names that this authority gives certificates for, or another acme.directory")
        }
        "accountDoesNotExist" => Trouble {
            is_about_account: true,
            ..no("")
        },
        "badNonce" | "serverInternal" => Trouble::offline(format!("{who} has trouble: {said}"), ""),
        _ if problem.status.is_some_and(|status| status >= 500) => Trouble {
            again: line.again().map(|again| again.min(now + LIMITED_MS_MAX)),
            ..Trouble::offline(format!("{who} has trouble: {said}"), "")
        },
        _ => no(""),
    }
}

/// The last word of its type (RFC 8555 §6.7).
fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.strip_prefix("urn:ietf:params:acme:error:")
        .unwrap_or_default()
}

/// Whether the same request goes with another nonce.
pub(super) fn wants_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "badNonce")
}

/// What it says of the whole, and of single names (RFC 8555 §6.7.1).
fn words(problem: &Problem) -> String {
    let mut said = problem.detail.clone().unwrap_or_default();
    for sub in &problem.subproblems {
        if let Some(instant_acme::Identifier::Dns(name)) = &sub.identifier {
            let detail = sub.detail.as_deref().unwrap_or_default();
            said.push_str(&format!("; {name}: {detail}"));
        }
    }
    if said.is_empty() {
        said = problem
            .r#type
            .clone()
            .unwrap_or_else(|| "no reason".to_owned());
    }
    plain(&said)
}

/// On one line, and not too long.
fn plain(text: &str) -> String {
    let calm = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = calm.take(WORDS_CHARS_MAX).collect();
    short.trim().trim_end_matches('.').to_owned()
}

/// Who is behind a directory.
pub(super) fn host(directory: &str) -> String {
    let uri = directory.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host);
    host.unwrap_or("the authority").to_owned()
}

/// A moment for people: to the minute, in UTC.
pub(super) fn date(ms: Timestamp) -> String {
    let moment = i64::try_from(ms)
        .ok()
        .and_then(|ms| Moment::from_millisecond(ms).ok());
    moment.map_or_else(
        || "a long time".to_owned(),
        |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
