//! `hearth check`: one line per finding.

use super::{UNEXPECTED, print_line};
use crate::{
    cli::{Checked, Cli},
    configuration,
    control::{
        ask::ask,
        protocol::{Answer, Request},
    },
    machine,
};
use anyhow::Result;
use household::{Config, Finding, Level, config::TlsMode};
use std::{fs, path::PathBuf, process::ExitCode, sync::Arc};

/// Exit status 1 where anything failed.
pub(crate) fn run(what: Option<Checked>, cli: &Cli) -> Result<ExitCode> {
    let files = configuration::files(&cli.config);
    let mut findings = Vec::new();
    let config = configuration::read(&files);
    if what.is_none_or(|what| what == Checked::Config) || config.is_err() {
        findings.extend(check_config(&files, &config));
    }
    if let Ok(config) = config.map(Arc::new) {
        let is_asked = |part| what.is_none_or(|what| what == part);
        if is_asked(Checked::Storage) {
            findings.extend(check_storage(&config));
        }
        if is_asked(Checked::Tls) {
            findings.extend(check_data(&config, "tls", &Request::CheckTls));
        }
        if is_asked(Checked::Clock) {
            findings.extend(check_data(&config, "clock", &Request::CheckClock));
        }
        let doors = [
            (Checked::Ports, "ports", Request::CheckPorts),
            (Checked::Turn, "turn", Request::CheckTurn),
        ];
        for (part, name, request) in doors {
            if is_asked(part) {
                findings.extend(check_doors(&config, name, &request, what.is_some()));
            }
        }
    }
    if cli.json {
        print_line(&serde_json::to_string(&findings)?)?;
    } else {
        for Finding {
            part,
            level,
            text,
            next,
        } in &findings
        {
            let next = if next.is_empty() {
                String::new()
            } else {
                format!("; {next}")
            };
            print_line(&format!("{:<5} {part}: {text}{next}", level.word()))?;
        }
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn finding(part: &str, level: Level, text: impl Into<String>, next: &str) -> Finding {
    Finding {
        part: part.to_owned(),
        level,
        text: text.into(),
        next: next.to_owned(),
    }
}

fn check_config(files: &[PathBuf], config: &Result<Config>) -> Vec<Finding> {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            return vec![finding(
                "config",
                Level::Fail,
                format!("{error:#}"),
                "correct it and check again",
            )];
        }
    };
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let read = if names.is_empty() {
        "no file; the defaults".to_owned()
    } else {
        names.join(", ")
    };
    let mut findings = vec![finding(
        "config",
        Level::Ok,
        format!("{read}: this is {}", config.domain),
        "",
    )];
    if config.tls.mode == TlsMode::Files {
        findings.extend(
            [
                ("tls.certificate", &config.tls.certificate),
                ("tls.key", &config.tls.key),
            ]
            .map(readable),
        );
    }
    if !config.tls.extra_ca.as_os_str().is_empty() {
        findings.push(readable(("tls.extra_ca", &config.tls.extra_ca)));
    }
    if !config.dns.provider.is_empty() && !config.dns.token_file.as_os_str().is_empty() {
        findings.push(readable(("dns.token_file", &config.dns.token_file)));
    }
    if !config.turn.secret_file.as_os_str().is_empty() {
        findings.push(readable(("turn.secret_file", &config.turn.secret_file)));
    }
    findings.extend(without_effect(config));
    findings
}

fn readable((key, file): (&str, &PathBuf)) -> Finding {
    match fs::File::open(file) {
        Ok(_) => finding(
            "config",
            Level::Ok,
            format!("{key}: {} can be read", file.display()),
            "",
        ),
        Err(error) => {
            let text = format!("{key}: {} cannot be read ({error})", file.display());
            finding(
                "config",
                Level::Fail,
                text,
                "correct the path, or let the server's user read it",
            )
        }
    }
}

fn check_storage(config: &Arc<Config>) -> Vec<Finding> {
    if !config.data_dir.exists() {
        return vec![machine::check_place(&config.data_dir)];
    }
    check_data(config, "storage", &Request::CheckStorage)
}

/// What a running server finds, or the command itself in what it has kept.
fn check_data(config: &Arc<Config>, part: &str, request: &Request) -> Vec<Finding> {
    if !config.data_dir.exists() {
        // Asking makes no data directory.
        let text = "nothing is known before the first start";
        return vec![finding(part, Level::Ok, text, "")];
    }
    match ask(config, request) {
        Ok(Answer::Findings(findings)) => findings,
        Ok(Answer::Refused(text)) => {
            vec![finding(
                part,
                Level::Fail,
                text,
                "see the log of the server",
            )]
        }
        Ok(_) => vec![finding(part, Level::Fail, UNEXPECTED, "restart the server")],
        Err(error) => vec![finding(
            part,
            Level::Fail,
            format!("{error:#}"),
            "then check again",
        )],
    }
}

/// What only a running server can tell. Who asks for everything before the start is not told that it failed.
fn check_doors(
    config: &Arc<Config>,
    part: &str,
    request: &Request,
    is_asked: bool,
) -> Vec<Finding> {
    let (level, text, next) = match ask(config, request) {
        Ok(Answer::Findings(findings)) => return findings,
        Ok(Answer::Refused(text)) => {
            let level = if is_asked { Level::Fail } else { Level::Ok };
            (level, text, "start it with `hearth serve`, and check again")
        }
        Ok(_) => (Level::Fail, UNEXPECTED.to_owned(), "restart the server"),
        Err(error) => (Level::Fail, format!("{error:#}"), "then check again"),
    };
    vec![finding(part, level, text, next)]
}

/// What this version reads and does not act upon yet, where it says something else than the default:
/// sections, and keys of sections that do something otherwise.
fn without_effect(config: &Config) -> Vec<Finding> {
    let standard = Config::default();
    macro_rules! set {
        ($($($key:ident).+),+ $(,)?) => {
            [$((stringify!($($key).+), config.$($key).+ != standard.$($key).+)),+]
        };
    }
    let sections = set![lan, update,];
    let sections = sections.map(|(section, set)| (format!("[{section}]"), set));
    let keys = set![
        language,
        registration.motd,
        names.upload,
        upload.max_file_size,
        upload.expire_after,
        upload.user_quota,
    ];
    let keys = keys.map(|(key, set)| (key.replace(' ', ""), set));
    let set = sections.into_iter().chain(keys).filter(|(_, set)| *set);
    set.map(|(what, _)| {
        finding(
            "config",
            Level::Warn,
            format!("{what} has no effect in this version"),
            "leave it out until a version that knows what to do with it",
        )
    })
    .collect()
}
