//! The load tool: the same scenarios against Hearth and against Debian's Prosody and ejabberd, in one run, in
//! turn, and a table of what they cost each server. Figures, never a verdict (DESIGN §13.4): machines differ,
//! ratios less so. The exceptions are `loss` and `restart`: Hearth may lose nothing.
//!
//! Processor time and memory are the server's, read from /proc; what the clients cost is nobody's business.

mod archive;
mod chat;
mod client;
mod converse;
mod disk;
mod ejabberd;
mod hearth;
mod households;
mod idle;
mod in_memory;
mod killed;
mod login;
mod lone;
mod loss;
mod meter;
mod pep;
mod power;
mod presence;
mod process;
mod prosody;
mod quick;
mod restart;
mod room;
mod route;
mod router;
mod scram;
mod scripted;
mod server;
mod session;
mod sizes;
mod start;
mod table;
mod turn;
mod upload;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use client::Account;
use ejabberd::Ejabberd;
use hearth::Hearth;
use prosody::Prosody;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Kind, Place, Running};
use sizes::{Sizes, Wanted};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{
    alloc::System,
    io::{Write, stderr, stdout},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Instant,
};
use table::{Figure, Table};

/// Counts, for `route`; the servers have their own.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Measures what sessions, logins, messages, presence and archives cost Hearth, Prosody and ejabberd.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything if nothing is said
    scenarios: Vec<Scenario>,
    /// The same
    #[arg(long = "scenario", value_name = "SCENARIO")]
    also: Vec<Scenario>,
    /// These servers alone
    #[arg(long, value_name = "SERVER", value_delimiter = ',')]
    only: Vec<Server>,
    /// The binary of Hearth [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    hearth: Option<PathBuf>,
    /// Where the servers keep their data while they are measured: a directory on the disk in question
    /// [default: beside this program]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Print the figures as one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Resident size of an empty server and of a session
    Idle,
    /// Processor time of a login
    Login,
    /// Processor time, latency and bytes on the disk of a message
    Chat,
    /// The same of messages that come one at a time
    Lone,
    /// Processor time of a presence that is delivered
    Presence,
    /// Processor time, waiting time and bytes on the disk of a publication that 40 devices hear of
    Pep,
    /// Processor time and latency of a message in rooms of 50 and 200, and of entering one
    Room,
    /// Processor time and waiting time of a page of the archive
    Archive,
    /// Processor time of a file of 10 MB that comes or goes over HTTPS, and what the server grows by
    Upload,
    /// Processor time of a packet that is relayed for a call, and what allocations take, beside coturn
    Turn,
    /// Processor time until everybody is back after the router's restart
    Router,
    /// Time from the start to the first login
    Start,
    /// Acknowledged messages that are gone after a SIGKILL and after a power cut
    Loss,
    /// Sessions that wait for their clients while the server is stopped or killed: an error if one of them is
    /// not there again, whole
    Restart,
    /// Time and allocations of a message in memory: Hearth alone, in this process
    Route,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Hearth,
    Prosody,
    Ejabberd,
}

/// What is said of a run without a disk of its own.
const SHARED_DISK: &str = "No bytes and no power cuts: those need a file system of the server's own, which \
     root can mount where the kernel has loop devices.";

/// A run: what was asked for, and what there is to say about the figures.
struct Bench {
    arguments: Arguments,
    remarks: Mutex<Vec<String>>,
}

impl Bench {
    fn sizes(&self) -> Sizes {
        self.arguments.wanted.sizes()
    }

    /// Where the servers' data are.
    fn parent(&self) -> Result<PathBuf> {
        let parent = self.arguments.data.clone();
        let parent = parent.map_or_else(|| beside("."), Ok)?;
        let found = parent.canonicalize();
        found.with_context(|| format!("{}", parent.display()))
    }

    /// A new directory for a server.
    fn place(&self) -> Result<Place> {
        if !disk::may_mount() {
            self.remark(SHARED_DISK.to_owned());
        }
        Place::new(&self.parent()?)
    }

    /// Starts a server that was prepared, and finds out what it offers.
    async fn start(&self, kind: &dyn Kind, place: &Place, account: &Account) -> Result<Running> {
        let mut server = Running::start(kind, place)?;
        server.door.look(account).await?;
        self.remark(format!(
            "{} offers, and its clients use: {}.",
            kind.name(),
            server.door.offer.in_words()
        ));
        Ok(server)
    }

    fn remark(&self, text: String) {
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.push(text);
    }

    fn servers(&self) -> Result<Vec<Box<dyn Kind>>> {
        let only = &self.arguments.only;
        let wanted = |server| only.is_empty() || only.contains(&server);
        let mut servers: Vec<Box<dyn Kind>> = Vec::new();
        if wanted(Server::Hearth) {
            let binary = self.arguments.hearth.clone();
            let binary = binary.map_or_else(|| beside("hearth"), Ok)?;
            let found = binary.canonicalize();
            let found =
                found.with_context(|| format!("{} (say --hearth FILE)", binary.display()))?;
            servers.push(Box::new(Hearth(found)));
        }
        if wanted(Server::Prosody) {
            Prosody::check()?;
            servers.push(Box::new(Prosody));
        }
        if wanted(Server::Ejabberd) {
            Ejabberd::check()?;
            servers.push(Box::new(Ejabberd));
        }
        Ok(servers)
    }

    async fn run(&self, scenarios: &[Scenario]) -> Result<Table> {
        let alone = scenarios
            .iter()
            .all(|scenario| *scenario == Scenario::Route);
        let servers = if alone { Vec::new() } else { self.servers()? };
        let mut table = Table::default();
        for scenario in scenarios {
            if *scenario == Scenario::Route {
                table.add("hearth", route::run(self.sizes().messages));
                continue;
            }
            if *scenario == Scenario::Turn {
                self.beside_coturn(&servers, &mut table).await?;
                continue;
            }
            for server in &servers {
                let (name, begin) = (server.name(), Instant::now());
                write!(stderr(), "{name}: {} …", scenario.name())?;
                let figures = scenario.run(self, server.as_ref()).await;
                writeln!(stderr(), " {:.1} s", begin.elapsed().as_secs_f64())?;
                let figures = figures.with_context(|| format!("{name}: {}", scenario.name()))?;
                table.add(name, figures);
            }
        }
        let remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.iter().for_each(|text| table.remark(text.clone()));
        Ok(table)
    }
}

impl Bench {
    /// Relaying, of those that do it; coturn is asked where not one server alone is.
    async fn beside_coturn(&self, servers: &[Box<dyn Kind>], table: &mut Table) -> Result<()> {
        turn::check()?;
        let hearth = servers.iter().filter(|server| server.name() == "hearth");
        for server in hearth {
            write!(stderr(), "hearth: turn …")?;
            let figures = Scenario::Turn.run(self, server.as_ref()).await;
            table.add("hearth", figures.context("hearth: turn")?);
            writeln!(stderr(), " done")?;
        }
        write!(stderr(), "coturn: turn …")?;
        table.add(
            "coturn",
            turn::run_coturn(self).await.context("coturn: turn")?,
        );
        Ok(writeln!(stderr(), " done")?)
    }
}

/// A neighbour of this program: cargo builds both into one directory.
fn beside(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

impl Scenario {
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    async fn run(self, bench: &Bench, server: &dyn Kind) -> Result<Vec<Figure>> {
        match self {
            Scenario::Idle => idle::run(bench, server).await,
            Scenario::Login => login::run(bench, server).await,
            Scenario::Chat => chat::run(bench, server).await,
            Scenario::Lone => lone::run(bench, server).await,
            Scenario::Presence => presence::run(bench, server).await,
            Scenario::Pep => pep::run(bench, server).await,
            Scenario::Room => room::run(bench, server).await,
            Scenario::Archive => archive::run(bench, server).await,
            Scenario::Upload => upload::run(bench, server).await,
            Scenario::Router => router::run(bench, server).await,
            Scenario::Start => start::run(bench, server).await,
            Scenario::Loss => loss::run(bench, server).await,
            Scenario::Restart => restart::run(bench, server).await,
            Scenario::Turn => turn::run(bench, server).await,
            Scenario::Route => Ok(route::run(bench.sizes().messages)),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // A connection is a file, here and in the servers, which inherit this.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    let asked = [&arguments.scenarios[..], &arguments.also].concat();
    let scenarios = if asked.is_empty() {
        Scenario::value_variants()
    } else {
        &asked
    };
    let bench = Bench {
        arguments,
        remarks: Mutex::default(),
    };
    // Servers end, and file systems are unmounted, when the run is dropped.
    let table = tokio::select! {
        table = bench.run(scenarios) => table?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    if bench.arguments.json {
        writeln!(stdout(), "{}", table.to_json())?;
    } else {
        write!(stdout(), "{table}")?;
    }
    loss::judge(&table, "hearth", asked.contains(&Scenario::Loss))
}
