//! `hearth user …`: accounts.

mod keep;
mod push;

use super::{Caller, UNEXPECTED, confirmed, print_all, print_one, yes_or_no};
use crate::{
    cli::{Cli, PasswordSource, User},
    configuration,
    control::protocol::{AccountLine, Answer, DeviceLine, NewAccount, ReportLine, Request},
    limits::{IMPORT_BYTES_MAX, IMPORTED_ACCOUNTS_MAX, PASSWORD_BYTES_MAX},
    password,
};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;
use std::{fs::File, io::Read, path::Path, process::ExitCode};

/// One of the verbs of `hearth user`.
pub(crate) fn run(user: &User, cli: &Cli) -> Result<ExitCode> {
    let caller = &Caller::read(cli)?;
    match user {
        User::Add {
            jid,
            admin,
            password,
        } => add(jid, *admin, password, caller),
        User::Passwd { jid, password } => passwd(jid, password, caller),
        User::Remove { jid, yes } => remove(jid, *yes, caller),
        User::Disable { jid } => act(jid, caller, |localpart| Request::Disable { localpart }),
        User::Enable { jid } => act(jid, caller, |localpart| Request::Enable { localpart }),
        User::Keep { jid, duration, yes } => {
            keep::shorten(Name::read(jid, caller)?, duration, *yes, caller)
        }
        User::List => list(caller),
        User::Show { jid } => show(jid, caller),
        User::Devices { jid } => devices(jid, caller),
        User::SignOut { jid, device } => sign_out(jid, device, caller),
        User::PushTest { jid } => push::test(&Name::read(jid, caller)?, caller),
        User::Reports => reports(caller),
        User::Import { file } => import(file, caller),
    }
}

fn add(jid: &str, admin: bool, source: &PasswordSource, caller: &Caller) -> Result<ExitCode> {
    let name = Name::read(jid, caller)?;
    let password = password::obtain(source)?;
    let account = NewAccount {
        localpart: name.localpart,
        password: password.text.clone(),
        display_name: String::new(),
        admin,
    };
    caller.act(&Request::Add(account))?;
    say_with_password(&name.jid, password, caller)
}

fn passwd(jid: &str, source: &PasswordSource, caller: &Caller) -> Result<ExitCode> {
    let Name { jid, localpart } = Name::read(jid, caller)?;
    let password = password::obtain(source)?;
    caller.act(&Request::Passwd {
        localpart,
        password: password.text.clone(),
    })?;
    say_with_password(&jid, password, caller)
}

/// A password that was made here is shown, once.
fn say_with_password(jid: &str, password: password::Password, caller: &Caller) -> Result<ExitCode> {
    if password.generated {
        caller.say_done(
            json!({ "jid": jid, "password": password.text }),
            &password.text,
        )
    } else {
        caller.say_done(json!({ "jid": jid }), "")
    }
}

fn remove(jid: &str, yes: bool, caller: &Caller) -> Result<ExitCode> {
    let Name { jid, localpart } = Name::read(jid, caller)?;
    let question = format!("Remove {jid} and everything kept for it, at once?");
    if !yes && !confirmed("removing cannot be undone", &question)? {
        bail!("{jid} was not removed");
    }
    caller.act(&Request::Remove { localpart })?;
    caller.say_done(json!({ "jid": jid }), "")
}

fn act(jid: &str, caller: &Caller, request: impl FnOnce(String) -> Request) -> Result<ExitCode> {
    let Name { jid, localpart } = Name::read(jid, caller)?;
    caller.act(&request(localpart))?;
    caller.say_done(json!({ "jid": jid }), "")
}

fn list(caller: &Caller) -> Result<ExitCode> {
    let Answer::Accounts(accounts) = caller.ask(&Request::List)? else {
        bail!(UNEXPECTED)
    };
    print_all(&accounts, caller, |account| account.jid.clone())
}

fn reports(caller: &Caller) -> Result<ExitCode> {
    let Answer::Reports(reports) = caller.ask(&Request::Reports)? else {
        bail!(UNEXPECTED)
    };
    if reports.is_empty() {
        caller.note("nobody has reported anything")?;
    }
    print_all(&reports, caller, sentence)
}

/// A report for a person. A client wrote parts of it: nothing in it moves the terminal's cursor.
fn sentence(report: &ReportLine) -> String {
    let ReportLine {
        at,
        by,
        jid,
        reason,
        text,
        ..
    } = report;
    let reason = reason.strip_prefix("urn:xmpp:reporting:").unwrap_or(reason);
    let sentence = format!("{at}  {by} reports {jid}: {reason}  {text}");
    sentence
        .replace(char::is_control, " ")
        .trim_end()
        .to_owned()
}

fn show(jid: &str, caller: &Caller) -> Result<ExitCode> {
    let localpart = Name::read(jid, caller)?.localpart;
    let Answer::Account(account) = caller.ask(&Request::Show { localpart })? else {
        bail!(UNEXPECTED)
    };
    print_one(account, caller, described)
}

fn described(account: AccountLine) -> Vec<(&'static str, String)> {
    let AccountLine {
        jid,
        admin,
        enabled,
        display_name,
        last_seen,
        bytes,
        keep,
        removal,
    } = account;
    vec![
        ("address", jid),
        ("name", display_name),
        ("administrator", yes_or_no(admin)),
        ("enabled", yes_or_no(enabled)),
        ("last seen", last_seen.unwrap_or_else(|| "never".to_owned())),
        ("kept", format!("{bytes} bytes")),
        ("messages for", keep.unwrap_or_default()),
        (
            "removed on",
            removal.map_or_else(String::new, |at| {
                format!("{at}, as its owner asked; `user enable` takes that back")
            }),
        ),
    ]
}

fn devices(jid: &str, caller: &Caller) -> Result<ExitCode> {
    let Name { jid, localpart } = Name::read(jid, caller)?;
    let devices = devices_of(&localpart, caller)?;
    if devices.is_empty() {
        let why = "no app told its device (older ones never do)";
        caller.note(&format!("{jid}: {why}; a new password signs out all"))?;
    }
    print_all(&devices, caller, in_words)
}

fn devices_of(localpart: &str, caller: &Caller) -> Result<Vec<DeviceLine>> {
    let localpart = localpart.to_owned();
    match caller.ask(&Request::Devices { localpart })? {
        Answer::Devices(devices) => Ok(devices),
        _ => bail!(UNEXPECTED),
    }
}

/// One line: what to sign it out by, when it was there, what it signs in with, and what it is.
fn in_words(device: &DeviceLine) -> String {
    let seen = if device.connected {
        "connected"
    } else {
        &device.last_seen
    };
    let key = match (device.password, device.token) {
        (true, true) => "password, token",
        (true, false) => "password",
        (false, true) => "token",
        (false, false) => "nothing",
    };
    let names = [&device.software, &device.device].map(String::as_str);
    let names = names.into_iter().filter(|name| !name.is_empty());
    let names = names.collect::<Vec<_>>().join(" on ");
    let line = format!("{}  {seen:<20}  {key:<15}  {names}", device.id);
    line.trim_end().to_owned()
}

fn sign_out(jid: &str, device: &str, caller: &Caller) -> Result<ExitCode> {
    let Name { jid, localpart } = Name::read(jid, caller)?;
    let known = devices_of(&localpart, caller)?;
    let knows_password = known
        .iter()
        .any(|known| known.id == device && known.password);
    let device = device.to_owned();
    caller.act(&Request::SignOut { localpart, device })?;
    let hint = if knows_password {
        format!("it knows the password: to keep it out, `hearth user passwd {jid}`")
    } else {
        String::new()
    };
    caller.say_done(
        json!({ "jid": jid, "knows_password": knows_password }),
        &hint,
    )
}

fn import(file: &Path, caller: &Caller) -> Result<ExitCode> {
    let name = file.display();
    let open = File::open(file).with_context(|| format!("cannot read {name}"))?;
    let mut text = String::new();
    open.take(IMPORT_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {name} as text"))?;
    if text.len() as u64 > IMPORT_BYTES_MAX {
        bail!(
            "{name} is larger than {} MB: split it",
            IMPORT_BYTES_MAX / 1_000_000
        );
    }
    let accounts = rows(&text, &caller.config.domain).with_context(|| name.to_string())?;
    if accounts.is_empty() {
        bail!("{name} has no accounts: each line is jid,password or jid,password,display name");
    }
    let count = accounts.len();
    caller
        .act(&Request::Import { accounts })
        .with_context(|| format!("nothing was imported from {name}"))?;
    caller.say_done(
        json!({ "accounts": count }),
        &format!("accounts made: {count}"),
    )
}

/// The accounts of a file, with the numbers of their lines.
fn rows(text: &str, domain: &str) -> Result<Vec<(u64, NewAccount)>> {
    // Spreadsheets write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut accounts = Vec::new();
    for record in reader.records() {
        let record = record
            .map_err(|error| anyhow!("line {}: {FORMAT}", line_of(text, error.position())))?;
        let line = line_of(text, record.position());
        accounts.push((
            line,
            row(&record, domain).with_context(|| format!("line {line}"))?,
        ));
        if accounts.len() > IMPORTED_ACCOUNTS_MAX {
            bail!("more than {IMPORTED_ACCOUNTS_MAX} accounts: split the file");
        }
    }
    Ok(accounts)
}

const FORMAT: &str =
    "write jid,password or jid,password,display name; quote what has a comma in it";

/// The line of a record, from 1; its position is before the empty lines that precede it.
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let start = position.map_or(0, csv::Position::byte) as usize;
    let rest = text.get(start..).unwrap_or_default();
    let begin = start + rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    text.get(..begin).unwrap_or_default().matches('\n').count() as u64 + 1
}

fn row(record: &csv::StringRecord, domain: &str) -> Result<NewAccount> {
    let fields: Vec<_> = record.iter().collect();
    let (jid, password, display_name) = match fields[..] {
        [jid, password] => (jid, password, ""),
        [jid, password, display_name] => (jid, password, display_name),
        _ => bail!(FORMAT),
    };
    let jid = configuration::account(jid.trim(), domain)?;
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        bail!("{jid} needs a password of at most {PASSWORD_BYTES_MAX} bytes");
    }
    Ok(NewAccount {
        localpart: jid.localpart().unwrap_or_default().to_owned(),
        password: password.to_owned(),
        display_name: display_name.trim().to_owned(),
        admin: false,
    })
}

/// An account that was named on the command line.
struct Name {
    jid: String,
    localpart: String,
}

impl Name {
    fn read(jid: &str, caller: &Caller) -> Result<Name> {
        let jid = configuration::account(jid, &caller.config.domain)?;
        let localpart = jid.localpart().unwrap_or_default().to_owned();
        Ok(Name {
            jid: jid.to_string(),
            localpart,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let answer = match rows(text, "home.example") {
            Ok(rows) => {
                let row = |(line, it): &(u64, NewAccount)| {
                    let NewAccount {
                        localpart,
                        password,
                        display_name,
                        ..
                    } = it;
                    format!("{line}: {localpart} {password} {display_name:?}\n")
                };
                rows.iter().map(row).collect::<Vec<_>>().concat()
            }
            Err(error) => format!("{error:#}"),
        };
        expected.assert_eq(&answer);
    }

    #[test]
    fn devices_in_words() {
        let device = |software: &str, device: &str, connected, password, token| {
            in_words(&DeviceLine {
                id: "abcdefghabcdefgh".to_owned(),
                software: software.to_owned(),
                device: device.to_owned(),
                first_seen: "2026-09-21T14:13:20Z".to_owned(),
                last_seen: "2026-09-22T14:13:20Z".to_owned(),
                connected,
                password,
                token,
            })
        };
        let lines = [
            device("Script", "Desk", true, true, true),
            device("", "Desk", false, true, false),
            device("Script", "", false, false, true),
            device("", "", false, false, false),
        ];
        expect![[r"
            abcdefghabcdefgh  connected             password, token  Script on Desk
            abcdefghabcdefgh  2026-09-22T14:13:20Z  password         Desk
            abcdefghabcdefgh  2026-09-22T14:13:20Z  token            Script
            abcdefghabcdefgh  2026-09-22T14:13:20Z  nothing"]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn files_of_accounts() {
        check(
            "a@home.example,pw\n\nB@home.example,\"p,w\",Aunt B\n",
            expect![[r#"
                1: a pw ""
                3: b p,w "Aunt B"
            "#]],
        );
        check(
            "\u{feff}a@home.example,pw\r\n",
            expect![[r#"
            1: a pw ""
        "#]],
        );
        check(
            "a@home.example\n",
            expect![
                "line 1: write jid,password or jid,password,display name; quote what has a comma in it"
            ],
        );
        check(
            "a@home.example,x,y,z\n",
            expect![
                "line 1: write jid,password or jid,password,display name; quote what has a comma in it"
            ],
        );
        check(
            "a@home.example,\n",
            expect!["line 1: a@home.example needs a password of at most 1023 bytes"],
        );
        check(
            "jid,password\n",
            expect!["line 1: jid is no account: write its whole address, like jid@home.example"],
        );
        check(
            "a@home.example,pw\na@elsewhere.example,pw\n",
            expect![
                "line 2: a@elsewhere.example is not of this server: accounts here end in @home.example"
            ],
        );
    }

    #[test]
    fn a_report_is_one_line_that_leaves_the_terminal_alone() {
        let report = |reason: &str, text: &str| ReportLine {
            at: "2026-11-01T08:00:00Z".into(),
            by: "juliet@localhost".into(),
            jid: "tybalt@far.example".into(),
            reason: reason.into(),
            text: text.into(),
            stanza_ids: Vec::new(),
            may_go_to_origin: false,
            may_go_to_third_parties: false,
        };
        for (reason, text, expected) in [
            ("urn:xmpp:reporting:spam", "", "spam"),
            ("urn:example:odd", "", "urn:example:odd"),
            (
                "urn:xmpp:reporting:abuse",
                "He\nbites\u{1b}[2J \u{9b}1m",
                "abuse  He bites [2J  1m",
            ),
        ] {
            let head = "2026-11-01T08:00:00Z  juliet@localhost reports tybalt@far.example: ";
            assert_eq!(sentence(&report(reason, text)), format!("{head}{expected}"));
        }
    }
}
