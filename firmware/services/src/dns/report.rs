//! How it goes with the records, in words.

use super::{
    authoritative::{Answered, Mute},
    plan::Conflict,
    provider::{Failure, FailureKind, shortened},
    record::Record,
    round::Done,
};
use household::{Finding, Level};

/// What the authoritative name servers answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeing {
    pub wanted: Vec<Record>,
    pub answers: Vec<Answered>,
}

impl Seeing {
    /// Whether each of them answers with everything.
    pub fn is_right(&self) -> bool {
        let is_all = |answer: &Answered| {
            answer
                .says
                .as_ref()
                .is_ok_and(|says| says.iter().all(|is_there| *is_there))
        };
        !self.answers.is_empty() && self.answers.iter().all(is_all)
    }

    /// What is not right yet.
    pub(super) fn finding(&self) -> Finding {
        if self.is_right() {
            let (records, servers) = (self.wanted.len(), self.answers.len());
            let text = format!(
                "all {records} records are published, and each of {servers} name servers has them"
            );
            return finding(Level::Ok, text, "");
        }
        let is_foreign = |answer: &Answered| match &answer.says {
            Err(why) => *why == Mute::Foreign,
            Ok(says) => !says.contains(&true),
        };
        if !self.answers.is_empty() && self.answers.iter().all(is_foreign) {
            let hosts: Vec<&str> = self
                .answers
                .iter()
                .map(|answer| answer.host.as_str())
                .collect();
            return finding(
                Level::Fail,
                format!(
                    "the records are written, but the domain is served by {}, who have none of them",
                    hosts.join(", ")
                ),
                "where the domain was bought, enter the name servers of the DNS provider",
            );
        }
        for answer in &self.answers {
            match &answer.says {
                Err(why) => {
                    let text = format!("the name server {} does not help: {why}", answer.host);
                    return finding(Level::Warn, text, "the others answer; it is asked again");
                }
                Ok(says) => {
                    let mut records = self.wanted.iter().zip(says);
                    if let Some((record, _)) = records.find(|(_, is_there)| !**is_there) {
                        let text = format!(
                            "the name server {} does not have \"{record}\" yet",
                            answer.host
                        );
                        return finding(Level::Warn, text, "it is asked again");
                    }
                }
            }
        }
        finding(
            Level::Warn,
            "no name server of the domain was found",
            "it is asked again",
        )
    }
}

pub(super) fn finding(level: Level, text: impl Into<String>, next: &str) -> Finding {
    Finding {
        part: "dns".to_owned(),
        level,
        text: text.into(),
        next: next.to_owned(),
    }
}

/// A failure. What is published stays as it is.
pub(super) fn failed(failure: &Failure) -> Finding {
    let level = match failure.kind {
        FailureKind::Busy | FailureKind::Down | FailureKind::Gone | FailureKind::Nonsense => {
            Level::Warn
        }
        _ => Level::Fail,
    };
    finding(level, failure.text.clone(), &failure.next)
}

/// What a round leaves to be said; `None` where all of it is as it should be.
pub(super) fn left(done: &Done) -> Option<Finding> {
    if let Some(failure) = &done.failure {
        return Some(failed(failure));
    }
    let conflict = done
        .plan
        .conflicts
        .iter()
        .max_by_key(|conflict| conflict.is_in_the_way)?;
    Some(conflicting(conflict, done.plan.is_held))
}

fn conflicting(conflict: &Conflict, is_held: bool) -> Finding {
    // Others wrote it.
    let there = conflict.there.first();
    let there = there.map_or_else(String::new, |kept| shortened(&kept.record.to_string()));
    let next = "see `hearth dns plan`; `hearth dns apply --adopt` writes over it";
    if !conflict.is_in_the_way {
        let text = format!("\"{there}\" stands beside ours, so some are led elsewhere");
        return finding(
            Level::Warn,
            text,
            "remove it at the provider if it is not meant",
        );
    }
    let what = if is_held {
        "nothing is written"
    } else {
        "one record is missing"
    };
    let text = format!(
        "{what}: \"{there}\" is somebody else's, where this house needs \"{}\"",
        conflict.wanted
    );
    finding(Level::Fail, text, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::record::Data;

    fn seeing(answers: &[(&str, Result<&[bool], &str>)]) -> String {
        let record = |name: &str| Record::new(name, 60, Data::A([192, 0, 2, 1].into()));
        let answered = |(host, says): &(&str, Result<&[bool], &str>)| Answered {
            host: (*host).to_owned(),
            says: says.map(<[bool]>::to_vec).map_err(|why| match why {
                "foreign" => Mute::Foreign,
                why => Mute::Lost(why.to_owned()),
            }),
        };
        let seeing = Seeing {
            wanted: vec![record("a.example"), record("b.example")],
            answers: answers.iter().map(answered).collect(),
        };
        let finding = seeing.finding();
        format!("{} {}", finding.level.word(), finding.text)
    }

    #[test]
    fn what_the_world_sees() {
        let none = "foreign";
        for (answers, expected) in [
            (
                &[("ns1", Ok(&[true, true][..]))][..],
                "ok all 2 records are published",
            ),
            (
                &[("ns1", Ok(&[true, false][..]))],
                "warn the name server ns1 does not have \"b.example 60 A",
            ),
            (
                &[
                    ("ns1", Ok(&[true, true][..])),
                    ("ns2", Err("it does not answer")),
                ],
                "warn the name server ns2 does not help: it does not answer",
            ),
            (
                &[("ns1", Err(none)), ("ns2", Ok(&[false, false][..]))],
                "fail the records are written, but the domain is served by ns1, ns2",
            ),
            (&[], "warn no name server"),
        ] {
            let found = seeing(answers);
            assert!(found.starts_with(expected), "{found}, not {expected}");
        }
    }

    #[test]
    fn what_others_wrote_moves_no_cursor() {
        let text = format!("a\n\u{1b}[2J{}", "b".repeat(9_999));
        let there = Record::new("a.example", 60, Data::Other("MX".to_owned(), text));
        let conflict = Conflict {
            wanted: Record::new("a.example", 60, Data::A([192, 0, 2, 1].into())),
            there: vec![crate::dns::record::Kept {
                id: "1".to_owned(),
                record: there,
            }],
            is_in_the_way: true,
        };
        let finding = conflicting(&conflict, true);
        assert!(
            finding
                .text
                .starts_with("nothing is written: \"a.example 60 MX a[2Jbbb")
        );
        assert!(!finding.text.contains(char::is_control) && finding.text.len() < 400);
    }
}
