//! `hearth status`: how the server is doing, as the LED and `/healthz` have it.

use super::{Caller, UNEXPECTED, print_line};
use crate::cli::Cli;
use crate::control::protocol::{Answer, Request, Status};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Exit status 1 where no server runs.
pub(crate) fn run(cli: &Cli) -> Result<ExitCode> {
    let caller = Caller::read(cli)?;
    let Answer::Status(mut status) = caller.ask(&Request::Status)? else {
        bail!(UNEXPECTED)
    };
    if caller.json {
        status.servers.clear();
        print_line(&serde_json::to_string(&status)?)?;
    } else {
        print(&status)?;
    }
    if status.since.is_none() {
        bail!("the server is not running: start it with `hearth serve`");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(status: &Status) -> Result<()> {
    if let Some(since) = &status.since {
        print_line(&format!("hearth {}, running since {since}", status.version))?;
    }
    for part in &status.health {
        print_line(&format!(
            "{:<5} {}: {}",
            part.level.word(),
            part.part,
            part.text
        ))?;
    }
    for (name, addresses) in &status.listeners {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        print_line(&format!("listening {name}: {}", addresses.join(", ")))?;
    }
    let numbers = &status.numbers;
    print_line(&format!(
        "accounts: {}, sessions: {}, rooms: {}",
        numbers.accounts, numbers.sessions, numbers.rooms
    ))?;
    for server in &status.servers {
        print_line(&format!("server {server}"))?;
    }
    Ok(())
}
