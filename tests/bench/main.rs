//! The load tool: the same scenarios against Hearth and against Debian's Prosody, in one run, in turn, and
//! a table of what they cost each server. Figures, never a verdict (DESIGN §13.4): machines differ, ratios
//! less so.
//!
//! Processor time and memory are the server's, read from /proc; what the clients cost is nobody's business.

mod chat;
mod client;
mod hearth;
mod idle;
mod in_memory;
mod login;
mod process;
mod prosody;
mod route;
mod scram;
mod server;
mod table;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use hearth::Hearth;
use prosody::Prosody;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Kind, Place};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{
    alloc::System,
    io::{Write, stderr, stdout},
    path::PathBuf,
};
use table::{Figure, Table};

/// Counts, for `route`; the servers have their own.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Measures what idle sessions, logins and chat cost Hearth and Prosody.
#[derive(Parser)]
struct Bench {
    /// What to measure; everything if nothing is said
    scenarios: Vec<Scenario>,
    /// One server alone
    #[arg(long, value_name = "SERVER")]
    only: Option<Server>,
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
    /// Sessions of `idle`, rounded up to whole households
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Logins of `login`
    #[arg(long, default_value_t = 300)]
    logins: usize,
    /// Messages of `chat` at saturation, and of `route`
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Seconds of `chat` at 200 messages a second
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Resident size of an empty server and of a session
    Idle,
    /// Processor time of a login
    Login,
    /// Processor time, latency and bytes on the disk of a message
    Chat,
    /// Time and allocations of a message in memory: Hearth alone, in this process
    Route,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Hearth,
    Prosody,
}

impl Bench {
    /// A new directory for a server.
    fn place(&self) -> Result<Place> {
        let parent = self.data.clone().map_or_else(|| beside("."), Ok)?;
        let parent = parent
            .canonicalize()
            .with_context(|| format!("{}", parent.display()))?;
        Place::new(&parent)
    }

    fn servers(&self) -> Result<Vec<Box<dyn Kind>>> {
        let mut servers: Vec<Box<dyn Kind>> = Vec::new();
        if self.only != Some(Server::Prosody) {
            let binary = self.hearth.clone().map_or_else(|| beside("hearth"), Ok)?;
            let found = binary.canonicalize();
            let found =
                found.with_context(|| format!("{} (say --hearth FILE)", binary.display()))?;
            servers.push(Box::new(Hearth(found)));
        }
        if self.only != Some(Server::Hearth) {
            Prosody::check()?;
            servers.push(Box::new(Prosody));
        }
        Ok(servers)
    }

    async fn run(mut self) -> Result<Table> {
        let asked = std::mem::take(&mut self.scenarios);
        let scenarios = if asked.is_empty() {
            Scenario::value_variants()
        } else {
            &asked
        };
        let alone = scenarios
            .iter()
            .all(|scenario| *scenario == Scenario::Route);
        let servers = if alone { Vec::new() } else { self.servers()? };
        let mut table = Table::default();
        for scenario in scenarios {
            if *scenario == Scenario::Route {
                table.add("hearth", route::run(self.messages));
                continue;
            }
            for server in &servers {
                let name = server.name();
                writeln!(stderr(), "{name}: {} …", scenario.name())?;
                let figures = scenario.run(&self, server.as_ref()).await;
                table.add(
                    name,
                    figures.with_context(|| format!("{name}: {}", scenario.name()))?,
                );
            }
        }
        Ok(table)
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
            Scenario::Route => Ok(route::run(bench.messages)),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let bench = Bench::parse();
    // A connection is a file, here and in the servers, which inherit this.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    let json = bench.json;
    let table = bench.run().await?;
    if json {
        return Ok(writeln!(stdout(), "{}", table.to_json())?);
    }
    Ok(write!(stdout(), "{table}")?)
}
