//! How it stands, in words for people.

use super::trouble::{Trouble, date};
use household::{Finding, Level};
use server::{tls::Certificate, world::Timestamp};

/// What there is to say.
pub(super) enum Standing {
    /// Certificates come from elsewhere.
    NotWanted,
    Impossible(String, &'static str),
    NoClock,
    /// For the first time.
    Asking,
    /// The certificate, and when it is renewed.
    Good(Certificate, Timestamp),
    /// What is in use, why it is no other, and when that is tried again.
    Failing(Option<Certificate>, Trouble, Timestamp),
}

/// Before anything is known.
pub(super) fn beginning() -> Finding {
    Standing::NotWanted.finding()
}

impl Standing {
    pub(super) fn finding(self) -> Finding {
        let (level, text, next) = match self {
            Standing::NotWanted => {
                let text = "no authority is asked for certificates".to_owned();
                (Level::Ok, text, String::new())
            }
            Standing::Impossible(text, next) => (Level::Warn, text, next.to_owned()),
            Standing::NoClock => (
                Level::Warn,
                "no certificate is asked for before the clock of this machine is right".to_owned(),
                "see `hearth check clock`".to_owned(),
            ),
            Standing::Asking => (
                Level::Warn,
                "a certificate is being asked for; until it is there, a self-signed one is shown"
                    .to_owned(),
                String::new(),
            ),
            Standing::Good(certificate, due) => {
                let text = format!(
                    "{} until {}, to be renewed around {}",
                    of(&certificate),
                    date(certificate.expires),
                    date(due)
                );
                (Level::Ok, text, String::new())
            }
            Standing::Failing(held, trouble, again) => failing(held.as_ref(), &trouble, again),
        };
        Finding {
            part: "certificate".to_owned(),
            level,
            text,
            next,
        }
    }
}

fn failing(
    held: Option<&Certificate>,
    trouble: &Trouble,
    again: Timestamp,
) -> (Level, String, String) {
    let why = &trouble.text;
    let (level, text) = match held {
        None => (
            Level::Fail,
            format!("a self-signed certificate is shown, because {why}"),
        ),
        Some(held) if held.expires <= again => (
            Level::Fail,
            format!(
                "there is no new certificate, and the one in use ends {}: {why}",
                date(held.expires)
            ),
        ),
        Some(held) => (
            Level::Warn,
            format!(
                "there is no new certificate yet ({why}); the one in use is good until {}",
                date(held.expires)
            ),
        ),
    };
    let mut next = trouble.next.clone();
    if trouble.again.is_none() {
        if !next.is_empty() {
            next.push_str("; ");
        }
        next.push_str(&format!("it is tried again around {}", date(again)));
    }
    (level, text, next)
}

/// Who vouches for what.
fn of(certificate: &Certificate) -> String {
    let issuer = &certificate.issuer;
    let names: Vec<_> = certificate.names.iter().map(String::as_str).collect();
    format!("{issuer} vouches for {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const DAY: u64 = 86_400_000;
    const NOW: Timestamp = 20_000 * DAY;

    fn held() -> Certificate {
        Certificate {
            names: ["home.example".to_owned()].into(),
            issuer: "Encryption for All E7".to_owned(),
            is_self_issued: false,
            begins: NOW,
            expires: NOW + 45 * DAY,
            authority_key: None,
            serial: vec![1],
        }
    }

    fn check(standing: Standing, expected: Expect) {
        let Finding {
            level, text, next, ..
        } = standing.finding();
        let text = [" (", " because", " needs", "; the", " until ", ": the"]
            .iter()
            .fold(text, |text, part| {
                text.replace(part, &format!("\n{}", part.trim_start()))
            });
        let next = next.replace("; it", "\nit");
        expected.assert_eq(&format!("{}: {text}\n{next}", level.word()));
    }

    #[test]
    fn what_people_read() {
        check(
            Standing::Good(held(), NOW + 30 * DAY),
            expect![[r"
            ok: Encryption for All E7 vouches for home.example
            until 2024-11-18 00:00 UTC, to be renewed around 2024-11-03 00:00 UTC
        "]],
        );
        check(
            Standing::Failing(Some(held()), Trouble::slow("answer"), NOW + DAY),
            expect![[r"
                warn: there is no new certificate yet
                (the authority takes too long to answer)
                ; the one in use is good
                until 2024-11-18 00:00 UTC
                it is tried again around 2024-10-05 00:00 UTC"]],
        );
        check(
            Standing::Failing(None, Trouble::no_dns(), NOW + DAY),
            expect![[r#"
                fail: a self-signed certificate is shown,
                because acme.challenge = "dns-01"
                needs somebody who writes records of the DNS
                fill in [dns], or choose another challenge
                it is tried again around 2024-10-05 00:00 UTC"#]],
        );
        check(
            Standing::Failing(Some(held()), Trouble::slow("answer"), NOW + 50 * DAY),
            expect![[r"
                fail: there is no new certificate, and the one in use ends 2024-11-18 00:00 UTC
                : the authority takes too long to answer
                it is tried again around 2024-11-23 00:00 UTC"]],
        );
    }
}
