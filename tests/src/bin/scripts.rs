//! Plays scripts against a server over sockets: `scripts --target localhost:5222 --starttls
//! --tls-ca ca.pem …`.

use clap::Parser;
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use system_tests::{
    library, play,
    sockets::{Sockets, Target, trust},
    world::Problem,
};

/// Plays scripts against any XMPP server and explains where it differs.
#[derive(Parser)]
struct Arguments {
    /// Where the server listens: HOST:PORT, with direct TLS unless --starttls is given.
    #[arg(long)]
    target: String,
    /// PEM file of the certificates to trust.
    #[arg(long, value_name = "FILE")]
    tls_ca: PathBuf,
    /// The port begins without TLS (RFC 6120 §5).
    #[arg(long)]
    starttls: bool,
    /// The domain the server serves.
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// Shell command that makes an account, with {local}, {domain} and {password}.
    #[arg(long, value_name = "COMMAND")]
    register: Option<String>,
    /// File of known differences: a script, a colon, the reason on each line.
    #[arg(long, value_name = "FILE")]
    differences: Option<PathBuf>,
    /// Scripts played at the same time.
    #[arg(long, default_value_t = 8)]
    jobs: usize,
    /// Scripts to play; without any, all there are.
    scripts: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

/// Plays what was asked for; whether nothing failed.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let target = Target {
        address: arguments.target.clone(),
        domain: arguments.domain.clone(),
        starttls: arguments.starttls,
        tls: trust(&arguments.tls_ca)?,
        register: arguments.register.clone(),
    };
    let known = match &arguments.differences {
        Some(file) => read_differences(file)?,
        None => BTreeMap::new(),
    };
    let scripts = if arguments.scripts.is_empty() {
        library::all()?
    } else {
        arguments.scripts.clone()
    };
    let report = Mutex::new(Report {
        known,
        ..Report::default()
    });
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(path) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = play_one(path, &target);
                    if let Ok(mut report) = report.lock() {
                        report.add(&library::name_of(path), outcome);
                    }
                }
            });
        }
    });
    let report = report.into_inner().map_err(|_| "a script panicked")?;
    let _ = writeln!(
        io::stdout(),
        "{} passed, {} failed, {} differ for a known reason, {} not applicable",
        report.passed,
        report.failed,
        report.differing,
        report.not_applicable
    );
    Ok(report.failed == 0)
}

fn play_one(path: &Path, target: &Target) -> Option<(usize, Problem)> {
    match library::read(path) {
        Ok((script, _)) => play::play(&script, &mut Sockets::new(target)).problem,
        Err(why) => Some((0, Problem::Failed(why))),
    }
}

/// `NAME: reason` on each line; `#` begins a comment.
fn read_differences(file: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once(": ") {
            Some((name, reason)) => Ok((name.trim().to_owned(), reason.trim().to_owned())),
            None => Err(format!(
                "{}: a script, a colon and the reason, not: {line}",
                file.display()
            )),
        })
        .collect()
}

/// What came of it so far.
#[derive(Default)]
struct Report {
    known: BTreeMap<String, String>,
    passed: usize,
    failed: usize,
    differing: usize,
    not_applicable: usize,
}

impl Report {
    fn add(&mut self, name: &str, outcome: Option<(usize, Problem)>) {
        let known = self.known.get(name);
        let (count, line) = match (outcome, known) {
            (None, None) => (&mut self.passed, format!("passed          {name}")),
            (None, Some(reason)) => (
                &mut self.failed,
                format!("FAILED          {name}: passes, but is listed as different: {reason}"),
            ),
            (Some((_, Problem::NotApplicable(why))), _) => (
                &mut self.not_applicable,
                format!("not applicable  {name}: {why}"),
            ),
            (Some((_, Problem::Failed(_))), Some(reason)) => (
                &mut self.differing,
                format!("differs         {name}: {reason}"),
            ),
            (Some((line, Problem::Failed(why))), None) => (
                &mut self.failed,
                format!("FAILED          {name}.script:{line}: {why}"),
            ),
        };
        *count += 1;
        let _ = writeln!(io::stdout(), "{line}");
    }
}
