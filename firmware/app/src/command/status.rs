//! `hearth status`: how the server is doing, as the LED and `/healthz` have it.

use super::{Caller, UNEXPECTED, print_line};
use crate::cli::Cli;
use crate::control::protocol::{Answer, Request, Status};
use anyhow::{Result, bail};
use household::Relayed;
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
    if status.since.is_some() {
        print_line(&relay_line(&numbers.relay))?;
    }
    for server in &status.servers {
        print_line(&format!("server {server}"))?;
    }
    Ok(())
}

fn relay_line(relay: &Relayed) -> String {
    let dropped = relay
        .dropped
        .reasons()
        .into_iter()
        .filter(|(_, count)| *count > 0);
    let dropped: Vec<_> = dropped
        .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
        .collect();
    let mut line = format!(
        "relay for calls: {} allocations, {} packets with {} bytes",
        relay.allocations, relay.packets, relay.bytes
    );
    if !dropped.is_empty() {
        line += &format!("; dropped: {}", dropped.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use household::Dropped;

    #[test]
    fn what_is_said_of_the_relay() {
        let mut relay = Relayed {
            allocations: 2,
            packets: 3,
            bytes: 600,
            ..Relayed::default()
        };
        let said = "relay for calls: 2 allocations, 3 packets with 600 bytes";
        assert_eq!(relay_line(&relay), said);
        relay.dropped = Dropped {
            malformed: 4,
            over_rate: 1,
            ..Dropped::default()
        };
        let dropped = format!("{said}; dropped: 4 malformed, 1 over rate");
        assert_eq!(relay_line(&relay), dropped);
    }
}
