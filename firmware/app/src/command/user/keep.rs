//! `hearth user keep`: how long an account's messages are kept. A person may want less than the household
//! keeps, never more: what others wrote is in it, too.

use super::{Name, confirmed};
use crate::{
    Usage,
    command::{Caller, UNEXPECTED},
    control::protocol::{Answer, Request},
};
use anyhow::{Result, bail};
use household::config;
use serde_json::json;
use std::{process::ExitCode, time::Duration};

const FORMAT: &str = "write a whole number and s, m, h or d, like 30d, or default";

/// Asks before messages go that are too old already.
pub(super) fn shorten(name: Name, duration: &str, yes: bool, caller: &Caller) -> Result<ExitCode> {
    let Name { jid, localpart } = name;
    let own = match duration {
        "default" => None,
        _ => Some(config::duration_of(duration).ok_or(Usage::new(FORMAT))?),
    };
    let lost = own.map_or(Ok(0), |own| would_go(&localpart, own, caller))?;
    if lost > 0 && !yes {
        let lost = messages(lost);
        let what = format!("{lost} of {jid} would be removed, which cannot be undone");
        if !confirmed(&what, &format!("Remove {lost} of {jid}, for good?"))? {
            bail!("the messages of {jid} are kept as long as before");
        }
    }
    let seconds = own.map(|own| own.as_secs());
    caller.act(&Request::Keep { localpart, seconds })?;
    let hint = hint(own, caller.config.archive.keep, lost);
    let own = own.map(config::duration_text);
    let mut details = json!({ "jid": jid, "keep": own });
    if lost > 0 {
        details["messages"] = json!(lost);
    }
    caller.say_done(details, &hint)
}

fn would_go(localpart: &str, own: Duration, caller: &Caller) -> Result<u64> {
    let request = Request::WouldGo {
        localpart: localpart.to_owned(),
        seconds: own.as_secs(),
    };
    match caller.ask(&request)? {
        Answer::Messages(messages) => Ok(messages),
        _ => bail!(UNEXPECTED),
    }
}

fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        _ => format!("{count} messages"),
    }
}

/// What is worth knowing about it.
fn hint(own: Option<Duration>, all: Option<Duration>, lost: u64) -> String {
    match (own, all) {
        (Some(own), Some(all)) if own > all => format!(
            "archive.keep is shorter: what is older than {} goes all the same",
            config::duration_text(all)
        ),
        _ if lost > 0 => format!("{} removed within a few minutes", will_be(lost)),
        _ => String::new(),
    }
}

fn will_be(lost: u64) -> String {
    let verb = if lost == 1 { "is" } else { "are" };
    format!("{} {verb}", messages(lost))
}
