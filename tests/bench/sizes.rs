//! How much of everything: enough for figures that repeat, or less for a quick look.

use clap::Args;

/// What the command line says of it; the rest is chosen by `--quick`.
#[derive(Args)]
pub(crate) struct Wanted {
    /// Less of everything: a look within minutes
    #[arg(long)]
    quick: bool,
    /// Sessions of `idle`, rounded up to whole households
    #[arg(long)]
    sessions: Option<usize>,
    /// Logins of `login`
    #[arg(long)]
    logins: Option<usize>,
    /// Messages of `chat` at saturation, and of `route`
    #[arg(long)]
    messages: Option<usize>,
    /// Seconds of `chat` at 200 messages a second
    #[arg(long)]
    seconds: Option<usize>,
    /// Pages of `archive`
    #[arg(long)]
    pages: Option<usize>,
    /// Messages in the archive of `start`
    #[arg(long)]
    archived: Option<usize>,
    /// How often `loss` kills the server, and how often it cuts the power, each way
    #[arg(long)]
    cuts: Option<usize>,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Sessions of `idle`.
    pub(crate) sessions: usize,
    pub(crate) logins: usize,
    /// Messages of `chat` at saturation.
    pub(crate) messages: usize,
    /// Seconds of `chat` at its rate.
    pub(crate) seconds: usize,
    /// Messages one at a time.
    pub(crate) lone: usize,
    /// Sessions whose presence changes, and how often.
    pub(crate) moody: usize,
    pub(crate) changes: usize,
    /// Publications, one at a time.
    pub(crate) publications: usize,
    /// Messages of each who talks in a room.
    pub(crate) spoken: usize,
    /// Messages in the archive that is paged, and pages.
    pub(crate) archived: usize,
    pub(crate) pages: usize,
    /// Files that are put, and got, one after the other.
    pub(crate) files: usize,
    /// Sessions that come back.
    pub(crate) returning: usize,
    /// Messages in all archives at the start.
    pub(crate) archived_at_start: usize,
    /// Of each kind.
    pub(crate) cuts: usize,
}

const WHOLE: Sizes = Sizes {
    sessions: 1000,
    logins: 300,
    messages: 20_000,
    seconds: 20,
    lone: 50,
    moody: 210,
    changes: 20,
    publications: 200,
    spoken: 100,
    archived: 100_000,
    pages: 1_000,
    files: 20,
    returning: 300,
    archived_at_start: 1_000_000,
    cuts: 5,
};

const QUICK: Sizes = Sizes {
    sessions: 210,
    logins: 60,
    messages: 1_500,
    seconds: 5,
    lone: 15,
    moody: 105,
    changes: 10,
    publications: 30,
    spoken: 20,
    archived: 100_000,
    pages: 50,
    files: 5,
    returning: 105,
    archived_at_start: 100_000,
    cuts: 1,
};

impl Wanted {
    pub(crate) fn sizes(&self) -> Sizes {
        let sizes = if self.quick { QUICK } else { WHOLE };
        Sizes {
            sessions: self.sessions.unwrap_or(sizes.sessions),
            logins: self.logins.unwrap_or(sizes.logins),
            messages: self.messages.unwrap_or(sizes.messages),
            seconds: self.seconds.unwrap_or(sizes.seconds),
            pages: self.pages.unwrap_or(sizes.pages),
            archived_at_start: self.archived.unwrap_or(sizes.archived_at_start),
            cuts: self.cuts.unwrap_or(sizes.cuts),
            ..sizes
        }
    }
}
