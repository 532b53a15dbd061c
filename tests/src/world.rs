//! Where a script is played.

use crate::script::{Action, Port};
use std::{fmt, time::Duration};

/// A connection of a world.
pub type Link = usize;

/// Why a script did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// This world cannot do what the script needs; the reason.
    NotApplicable(String),
    /// Something is not as the script says; what.
    Failed(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotApplicable(why) => write!(f, "not applicable: {why}"),
            Problem::Failed(why) => f.write_str(why),
        }
    }
}

/// A server and the network around it. Everything above bytes is the same in all worlds.
pub trait World {
    /// The domain the server serves.
    fn domain(&self) -> &str;

    /// What is appended to the localparts of a script, so that its accounts are its own.
    fn suffix(&self) -> &str;

    /// Whether ids and times are the same whenever a script is played.
    fn repeats(&self) -> bool;

    /// What a step needs that this world has not. Asked of all steps before the first is played: half a
    /// script judges nothing.
    fn lacks(&self, _action: &Action) -> Option<String> {
        None
    }

    /// Makes an account. The localpart is as it shall be there.
    fn make_account(&mut self, localpart: &str, password: &str) -> Result<(), Problem>;

    /// Changes the configuration before the server starts; keys as in `hearth.toml`.
    fn configure(&mut self, _key: &str, _value: &str) -> Result<(), Problem> {
        Err(unannounced())
    }

    /// Opens a connection, TLS included where the port has it.
    fn connect(&mut self, port: Port) -> Result<Link, Problem>;

    /// Makes somebody on another server: what is written there goes out in that name, and what comes for it
    /// is read there.
    fn make_remote(&mut self, _jid: &str) -> Result<Link, Problem> {
        Err(unannounced())
    }

    /// Sends bytes. A connection that is closed swallows them.
    fn write(&mut self, link: Link, bytes: &[u8]);

    /// What has arrived since it was last asked.
    fn read(&mut self, link: Link) -> Vec<u8>;

    /// Whether the server has ended the connection.
    fn is_closed(&self, link: Link) -> bool;

    /// Breaks the connection without a word to the other side.
    fn cut(&mut self, link: Link);

    /// Lets things happen until more has arrived, or until it is clear that nothing will: then `false`.
    fn wait_for_more(&mut self) -> bool;

    /// Lets everything happen that is going to; whether anything did.
    fn settle(&mut self) -> bool;

    /// Lets time pass.
    fn pass(&mut self, _time: Duration) -> Result<(), Problem> {
        Err(unannounced())
    }

    /// Leaves no room on the server's disk.
    fn disk_fills(&mut self) -> Result<(), Problem> {
        Err(unannounced())
    }

    /// Leaves room again.
    fn disk_empties(&mut self) -> Result<(), Problem> {
        Err(unannounced())
    }

    /// Stops the server in order and starts it again, as an update does. All connections are gone.
    fn restarts(&mut self) -> Result<(), Problem> {
        Err(unannounced())
    }

    /// Takes the power away, and starts the server again on what its disk kept. All connections are gone.
    fn power_fails(&mut self) -> Result<(), Problem> {
        Err(unannounced())
    }
}

/// A world is asked only for what it does not lack.
fn unannounced() -> Problem {
    Problem::Failed("this world cannot do that, and did not say so".into())
}
