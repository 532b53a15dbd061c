//! `hearth dns …`: the records of the house, as they should be and as the world sees them.

use super::{Caller, UNEXPECTED, print_all, print_line};
use crate::{
    cli::{Cli, Dns},
    control::protocol::{
        Answer, RecordLine, RecordsPlanned, RecordsQuestion, RecordsSeen, Request,
    },
};
use anyhow::{Result, bail};
use serde_json::json;
use std::process::ExitCode;

/// One of the verbs of `hearth dns`.
pub(crate) fn run(dns: &Dns, cli: &Cli) -> Result<ExitCode> {
    let caller = &Caller::read(cli)?;
    match dns {
        Dns::Plan { adopt } => plan(*adopt, caller),
        Dns::Apply { adopt } => apply(*adopt, caller),
        Dns::Status => status(caller),
    }
}

fn ask(question: RecordsQuestion, caller: &Caller) -> Result<Answer> {
    caller.ask(&Request::Records { question })
}

fn planned(question: RecordsQuestion, caller: &Caller) -> Result<RecordsPlanned> {
    match ask(question, caller)? {
        Answer::RecordsPlanned(planned) => Ok(planned),
        _ => bail!(UNEXPECTED),
    }
}

fn plan(adopts: bool, caller: &Caller) -> Result<ExitCode> {
    let planned = planned(RecordsQuestion::Plan { adopts }, caller)?;
    let note = match &planned.zone {
        Some(zone) => format!("the zone is {zone}"),
        None if planned.lines.is_empty() => {
            "the domain is for this network alone: nothing is to be published".to_owned()
        }
        None => {
            "nobody keeps the records for us: enter these where the domain's records are kept, \
                 with A and AAAA records for the house's own addresses"
                .to_owned()
        }
    };
    caller.note(&note)?;
    if planned.is_held {
        caller.note(
            "nothing is written while others' records stand in the way; `--adopt` writes over them",
        )?;
    }
    print_all(&planned.lines, caller, sentence)
}

/// As in a zone file, behind the word for what is done.
fn sentence(line: &RecordLine) -> String {
    let RecordLine {
        action,
        name,
        kind,
        data,
        ttl,
        there,
    } = line;
    let there = match there {
        Some(there) if action == "change" => format!("  (now {there})"),
        Some(there) => format!("  (there is {there})"),
        None => String::new(),
    };
    format!("{action:<8} {name} {ttl} {kind} {data}{there}").replace(char::is_control, " ")
}

fn apply(adopts: bool, caller: &Caller) -> Result<ExitCode> {
    let planned = planned(RecordsQuestion::Apply { adopts }, caller)?;
    let is_done = |line: &&RecordLine| !["keep", "conflict"].contains(&line.action.as_str());
    let done: Vec<&RecordLine> = planned.lines.iter().filter(is_done).collect();
    if !caller.json {
        for line in &done {
            print_line(&sentence(line))?;
        }
        for line in planned
            .lines
            .iter()
            .filter(|line| line.action == "conflict")
        {
            caller.note(&sentence(line))?;
        }
    }
    let summary = match done.len() {
        0 => "everything is as it should be".to_owned(),
        count => format!("{count} changes were made"),
    };
    caller.say_done(json!({ "zone": planned.zone, "changes": done }), &summary)
}

/// Exit status 1 where a name server answers something else.
fn status(caller: &Caller) -> Result<ExitCode> {
    let Answer::RecordsSeen(seen) = ask(RecordsQuestion::Status, caller)? else {
        bail!(UNEXPECTED)
    };
    let is_right = seen.iter().all(|line| line.answer == "ok");
    let printed = print_all(&seen, caller, |line: &RecordsSeen| {
        let RecordsSeen {
            server,
            name,
            kind,
            data,
            answer,
        } = line;
        format!("{server}  {answer:<9} {name} {kind} {data}").replace(char::is_control, " ")
    })?;
    Ok(if is_right { printed } else { ExitCode::FAILURE })
}
