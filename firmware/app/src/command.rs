//! The commands besides `serve`: from the command line to an answer, and the answer to the terminal.

pub(crate) mod check;
pub(crate) mod dns;
pub(crate) mod family;
pub(crate) mod room;
pub(crate) mod status;
pub(crate) mod user;
pub(crate) mod version;

use crate::{
    Usage,
    cli::Cli,
    configuration,
    control::{
        ask::ask,
        protocol::{Answer, Request},
    },
};
use anyhow::{Result, bail};
use household::Config;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    process::ExitCode,
    sync::Arc,
};

/// The configuration, and how to print.
struct Caller {
    config: Arc<Config>,
    json: bool,
}

impl Caller {
    fn read(cli: &Cli) -> Result<Caller> {
        let config = configuration::read(&configuration::files(&cli.config))?;
        Ok(Caller {
            config: Arc::new(config),
            json: cli.json,
        })
    }

    /// Has something done; a refusal is an error.
    fn ask(&self, request: &Request) -> Result<Answer> {
        match ask(&self.config, request)? {
            Answer::Refused(sentence) => bail!(sentence),
            answer => Ok(answer),
        }
    }

    /// Has something done that has no result but its having been done.
    fn act(&self, request: &Request) -> Result<()> {
        match self.ask(request)? {
            Answer::Done => Ok(()),
            _ => bail!(UNEXPECTED),
        }
    }

    /// A sentence for a person who would look at nothing. It is no part of the result.
    fn note(&self, sentence: &str) -> Result<()> {
        if !self.json {
            writeln!(io::stderr(), "{sentence}")?;
        }
        Ok(())
    }

    /// Says that it was done: as JSON with the details, or as one line where there is one.
    fn say_done(&self, details: Value, line: &str) -> Result<ExitCode> {
        if self.json {
            let mut done = json!({ "done": true });
            if let (Value::Object(done), Value::Object(details)) = (&mut done, details) {
                done.extend(details);
            }
            print_line(&done.to_string())?;
        } else if !line.is_empty() {
            print_line(line)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The server answered a question that was not asked.
const UNEXPECTED: &str = "the server's answer makes no sense: is it of the same version?";

/// One line to standard output.
fn print_line(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Asks at the terminal. What would be lost is the reason to ask.
fn confirmed(what: &str, question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        let sentence = format!("{what}: say --yes where there is no terminal");
        return Err(Usage::new(sentence).into());
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut line = String::new();
    io::stdin().lock().take(64).read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// As one JSON value, or a line for each thing that there is to say of it.
fn print_one<T: Serialize>(
    one: T,
    caller: &Caller,
    rows: impl FnOnce(T) -> Vec<(&'static str, String)>,
) -> Result<ExitCode> {
    if caller.json {
        print_line(&serde_json::to_string(&one)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (what, value) in rows(one).iter().filter(|(_, value)| !value.is_empty()) {
        print_line(&format!("{what:<14} {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// As one JSON value, or a line for each.
fn print_all<T: Serialize>(
    all: &[T],
    caller: &Caller,
    line: impl Fn(&T) -> String,
) -> Result<ExitCode> {
    if caller.json {
        print_line(&serde_json::to_string(all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for one in all {
        print_line(&line(one))?;
    }
    Ok(ExitCode::SUCCESS)
}
