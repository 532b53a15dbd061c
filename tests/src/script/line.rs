//! One line of a script, read as a sentence.

use super::{Action, IT, Port};
use std::time::Duration;

/// Reads a line. What stands beneath it comes later.
pub(super) fn read(line: &str) -> Result<Action, String> {
    if let Some(event) = event(line) {
        return event;
    }
    let unreadable = || format!("cannot read: {line}");
    let (subject, predicate) = line.split_once(' ').ok_or_else(unreadable)?;
    match preparation(subject, predicate) {
        Some(preparation) => preparation,
        None => deed(subject, predicate).unwrap_or_else(|| Err(unreadable())),
    }
}

/// What happens to everybody.
fn event(line: &str) -> Option<Result<Action, String>> {
    match line {
        "the power fails" => return Some(Ok(Action::PowerFails)),
        "the server restarts" => return Some(Ok(Action::Restarts)),
        "the disk is full" => return Some(Ok(Action::DiskIsFull)),
        "the disk has room" => return Some(Ok(Action::DiskHasRoom)),
        _ => {}
    }
    if let Some(time) = line.strip_prefix("after ") {
        return Some(duration(time).map(Action::After));
    }
    if let Some(key_and_value) = line.strip_prefix("with ") {
        return Some(setting(key_and_value));
    }
    if let Some(account) = line.strip_prefix("a raw connection of ") {
        return Some(bare_jid(account).map(|account| Action::RawOf { account }));
    }
    let port = line.strip_prefix("a raw connection to ")?;
    Some(match port {
        "c2s" => Ok(Action::Raw(Port::C2s)),
        "c2s_tls" => Ok(Action::Raw(Port::C2sTls)),
        "component" => Ok(Action::Raw(Port::Component)),
        _ => Err(format!(
            "no such port: {port}; there are c2s, c2s_tls and component"
        )),
    })
}

/// What is said of an account before anything happens.
fn preparation(subject: &str, predicate: &str) -> Option<Result<Action, String>> {
    let account = bare_jid(subject);
    if predicate == "is a component" {
        return Some(domain(subject).map(|name| Action::Component { name }));
    }
    if predicate == "is remote" {
        return Some(account.map(|jid| Action::Remote { jid }));
    }
    if predicate == "has nobody online" {
        return Some(account.map(|account| Action::Has {
            account,
            resources: Vec::new(),
        }));
    }
    if let Some(names) = predicate.strip_prefix("has ") {
        let resources = names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        return Some(account.map(|account| Action::Has { account, resources }));
    }
    let other = predicate
        .strip_prefix("and ")?
        .strip_suffix(" are contacts")?;
    Some(account.and_then(|one| {
        Ok(Action::Contacts {
            one,
            other: bare_jid(other)?,
        })
    }))
}

/// What somebody does, or what becomes of them.
fn deed(subject: &str, predicate: &str) -> Option<Result<Action, String>> {
    let text = String::new();
    let (who, make): (_, fn(String, String) -> Action) = match predicate {
        "sends" => (anybody(subject), |who, text| Action::Sends { who, text }),
        "gets" => (anybody(subject), |who, text| Action::Gets {
            who,
            text,
            ordered: true,
        }),
        "gets in any order" => (anybody(subject), |who, text| Action::Gets {
            who,
            text,
            ordered: false,
        }),
        "may get" => (anybody(subject), |who, text| Action::MayGet { who, text }),
        "gets nothing" => (anybody(subject), |who, _| Action::GetsNothing { who }),
        "is closed" => (anybody(subject), |who, _| Action::Closed { who }),
        "loses its connection" => (anybody(subject), |who, _| Action::LosesConnection { who }),
        "connects" => (domain(subject).or_else(|_| full_jid(subject)), |who, _| {
            Action::Connects {
                who,
                available: true,
            }
        }),
        "connects without presence" => (full_jid(subject), |who, _| Action::Connects {
            who,
            available: false,
        }),
        "reconnects" => (full_jid(subject), |who, _| Action::Reconnects { who }),
        "resumes" => (full_jid(subject), |who, _| Action::Resumes { who }),
        _ => return None,
    };
    Some(who.map(|who| make(who, text)))
}

/// The raw connection, a resource, a component, or a remote account.
fn anybody(text: &str) -> Result<String, String> {
    if text == IT {
        return Ok(IT.into());
    }
    let known = full_jid(text);
    known.or_else(|why| bare_jid(text).or_else(|_| domain(text)).map_err(|_| why))
}

fn domain(text: &str) -> Result<String, String> {
    if text.contains('.') && !text.contains(['@', '/']) {
        Ok(text.into())
    } else {
        Err(format!("{text} is no domain: name.domain"))
    }
}

fn full_jid(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((bare, resource)) if !resource.is_empty() && bare.contains('@') => Ok(text.into()),
        _ => Err(format!("{text} is no full JID: name@domain/resource")),
    }
}

fn bare_jid(text: &str) -> Result<String, String> {
    match text.split_once('@') {
        Some((_, domain)) if !text.contains('/') && !domain.is_empty() => Ok(text.into()),
        _ => Err(format!("{text} is no bare JID: name@domain")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("no time: {text}; a number and seconds, minutes, hours or days");
    let (number, unit) = text.split_once(' ').ok_or_else(error)?;
    let number: u64 = number.parse().map_err(|_| error())?;
    let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(error()),
    };
    Ok(Duration::from_secs(number * seconds))
}

fn setting(text: &str) -> Result<Action, String> {
    let error =
        || format!("cannot read the setting {text}: a key, `=`, and a value in single quotes");
    let (key, value) = text.split_once('=').ok_or_else(error)?;
    let value = value
        .trim()
        .strip_prefix('\'')
        .and_then(|value| value.strip_suffix('\''))
        .ok_or_else(error)?;
    Ok(Action::With {
        key: key.trim().into(),
        value: value.into(),
    })
}
