//! The log: everything for people, on stderr.
//!
//! `HEARTH_LOG` filters it (`info` if not set; `server=debug,info` and the like). Where stderr goes to
//! journald, lines begin with their level in the journal's way (`sd-daemon(3)`) instead of the time, which
//! the journal knows better.

use anyhow::{Result, anyhow};
use rustix::fs::fstat;
use std::{
    env,
    io::{self, IsTerminal},
};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Starts logging.
pub(crate) fn start() -> Result<()> {
    let filter = env::var("HEARTH_LOG").unwrap_or_default();
    let filter = match &*filter {
        // What a name server answers is said in our own words.
        "" => "info,hickory_proto=error,hickory_net=error,hickory_resolver=error",
        filter => filter,
    };
    let targets = parse(filter).ok_or_else(|| {
        anyhow!(
            "HEARTH_LOG = \"{filter}\" is no filter: write a level, like info or server=debug,info"
        )
    })?;
    let lines = fmt::layer().with_writer(io::stderr);
    let log = tracing_subscriber::registry().with(targets);
    if goes_to_journal() {
        log.with(lines.with_ansi(false).event_format(ForJournal))
            .init();
    } else {
        log.with(
            lines
                .with_ansi(io::stderr().is_terminal())
                .with_target(false),
        )
        .init();
    }
    Ok(())
}

/// Levels for everything or for a part, with commas between. A word that is no level would be taken for a
/// part that nothing is called by, and the log would be silent.
fn parse(filter: &str) -> Option<Targets> {
    let is_clear = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    filter
        .split(',')
        .all(is_clear)
        .then(|| filter.parse().ok())?
}

/// Whether stderr is the journal's socket: `systemd.exec(5)`, `$JOURNAL_STREAM`.
fn goes_to_journal() -> bool {
    let Ok(journal) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    fstat(io::stderr()).is_ok_and(|stat| format!("{}:{}", stat.st_dev, stat.st_ino) == journal)
}

/// `<6>text`: the level as in syslog.
struct ForJournal;

impl<S, N> FormatEvent<S, N> for ForJournal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        write!(to, "<{}>", syslog_level(*event.metadata().level()))?;
        Format::default()
            .without_time()
            .with_level(false)
            .with_target(false)
            .format_event(cx, to, event)
    }
}

fn syslog_level(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
