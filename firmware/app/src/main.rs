//! The binary `hearth`: reads the configuration, wires the parts together, waits, stops them in reverse.

mod around;
mod cli;
mod command;
mod configuration;
mod control;
mod desk;
mod doors;
mod house;
mod limits;
mod log;
mod machine;
mod panel;
mod password;
mod reach;
mod signals;

use anyhow::{Context, Result};
use clap::Parser;
use cli::{Cli, Command};
use control::listen::Control;
use desk::Desk;
use doors::Doors;
use house::House;
use household::Config;
use reach::acme::Certificates;
use reach::address::Reach;
use signals::{Signal, Signals};
use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match &cli.command {
        None | Some(Command::Serve) => serve(&cli.config),
        Some(Command::Check { what }) => command::check::run(*what, &cli),
        Some(Command::User(user)) => command::user::run(user, &cli),
        Some(Command::Room(room)) => command::room::run(room, &cli),
        Some(Command::Family(family)) => command::family::run(family, &cli),
        Some(Command::Dns(dns)) => command::dns::run(dns, &cli),
        Some(Command::Status) => command::status::run(&cli),
        Some(Command::Version) => command::version::run(cli.json),
    };
    ended.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS; // whoever reads us has read enough
        }
        let _ = writeln!(io::stderr(), "hearth: {error:#}");
        ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The command line makes no sense: exit status 2.
#[derive(Debug)]
struct Usage(Cow<'static, str>);

impl Usage {
    fn new(sentence: impl Into<Cow<'static, str>>) -> Usage {
        Usage(sentence.into())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn serve(files: &[PathBuf]) -> Result<ExitCode> {
    machine::share_heaps();
    log::start()?;
    let files = configuration::files(files);
    let config = Arc::new(configuration::read(&files)?);
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cpus.min(limits::WORKERS_MAX))
        .max_blocking_threads(limits::BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(run(&files, config))?;
    Ok(ExitCode::SUCCESS)
}

/// The whole server, from the store up and down again.
async fn run(files: &[PathBuf], config: Arc<Config>) -> Result<()> {
    machine::allow_many_files();
    let mut signals = Signals::listen()?;
    let (store, writer) = house::open_store(&config)?;
    let house = House::new(config.clone(), store.clone())?;
    let certificates = Certificates::restore(&house, &store)?;
    let desk = Arc::new(Desk::new(Box::new(house.clone()), store)?);
    let mut doors = Doors::open(&house, &desk).await?;
    let control = tokio::spawn(Control::bind(&config.data_dir)?.serve(desk.clone()));
    let keeping = tokio::spawn(house.clone().keep());
    let reach = Reach::start(&house, doors.network(), &doors.listeners());
    house.look_out(reach.outlook());
    let panel = panel::Running::start(house.clone());
    house.ready(&doors, &desk)?;
    let certificates = certificates.keep(&house);
    while signals.next().await == Signal::Reload {
        house.reload(files, &mut doors).await;
        certificates.follow(&house.server.config());
        reach.follow(house.server.config(), &doors.listeners());
    }
    tracing::info!("stopping");
    reach.end().await;
    control.abort();
    let _ = control.await;
    certificates.end().await;
    doors.close().await;
    keeping.abort();
    panel.stop().await;
    house.stopped().await;
    writer.stop();
    Ok(())
}
