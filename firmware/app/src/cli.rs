//! The command line (RUNNING.md): what may be typed. What it does is in `command.rs` and `main.rs`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Hearth: a private messenger for a household.
#[derive(Parser)]
#[command(name = "hearth", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Configuration file; may be given more than once, later files win key by key
    /// [default: $HEARTH_CONFIG, else ./hearth.toml if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Vec<PathBuf>,
    /// Print the result as one JSON value
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the server in the foreground (as without a command)
    Serve,
    /// Diagnose: one line per finding, exit status 1 when anything failed
    Check {
        /// What to check [default: everything]
        what: Option<Checked>,
    },
    /// Accounts
    #[command(subcommand)]
    User(User),
    /// Rooms
    #[command(subcommand)]
    Room(Room),
    /// A room and a group of contacts for the whole household
    #[command(subcommand)]
    Family(Family),
    /// The records that lead others to this house
    #[command(subcommand)]
    Dns(Dns),
    /// How the server is doing
    Status,
    /// Version, commit, target and TLS library
    Version,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Checked {
    Config,
    Ports,
    Turn,
    Storage,
    Tls,
    Clock,
}

#[derive(Subcommand)]
pub(crate) enum User {
    /// Make an account
    Add {
        /// Address of the account, like alice@localhost
        jid: String,
        /// Make it an administrator
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Change a password
    Passwd {
        /// Address of the account
        jid: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Remove an account and everything kept for it, at once
    Remove {
        /// Address of the account
        jid: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Keep an account from signing in; everything it has stays
    Disable {
        /// Address of the account
        jid: String,
    },
    /// Let a disabled account sign in again
    Enable {
        /// Address of the account
        jid: String,
    },
    /// Keep an account's messages for a shorter time than `archive.keep`
    Keep {
        /// Address of the account
        jid: String,
        /// How long, like 30d (s, m, h or d), or `default` for as long as everybody's
        duration: String,
        /// Do not ask, although messages go that are older than that
        #[arg(long)]
        yes: bool,
    },
    /// Print all accounts, one a line
    List,
    /// Print what is known of an account
    Show {
        /// Address of the account
        jid: String,
    },
    /// Print the devices that have access to an account, one a line
    Devices {
        /// Address of the account
        jid: String,
    },
    /// End a device's session, and forget the token it signs in with
    SignOut {
        /// Address of the account
        jid: String,
        /// The device, as `user devices` prints it first
        device: String,
    },
    /// Send each device of an account a push that says that it is a test, and print what became of it
    PushTest {
        /// Address of the account
        jid: String,
    },
    /// Print what users reported to the administrator when they blocked somebody
    Reports,
    /// Make accounts from lines of `jid,password[,display name]`: all or none
    Import {
        /// The file, UTF-8
        file: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum Room {
    /// Print all rooms, one a line
    List,
    /// Print what is known of a room
    Show {
        /// Address of the room, like family@groupchat.localhost, or what stands before the @
        jid: String,
    },
    /// Make a room that stays; the administrators own it
    Create {
        /// Address of the room, or what stands before the @
        jid: String,
        /// What people call it
        #[arg(long, default_value = "")]
        name: String,
        /// For its members alone; otherwise everybody finds and enters it
        #[arg(long)]
        members_only: bool,
    },
    /// Remove a room and everything said there, at once
    Destroy {
        /// Address of the room, or what stands before the @
        jid: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum Dns {
    /// Print the records that should be there, and what would be done about them
    Plan {
        /// As if what others wrote in their place may be written over
        #[arg(long)]
        adopt: bool,
    },
    /// Do it
    Apply {
        /// Write over what others wrote in their place
        #[arg(long)]
        adopt: bool,
    },
    /// Print what the authoritative name servers answer; exit status 1 where something is missing
    Status,
}

#[derive(Subcommand)]
pub(crate) enum Family {
    /// Print what is switched on
    Show,
    /// A room that everybody is a member of
    #[command(subcommand)]
    Room(FamilyRoom),
    /// A group of contacts in which everybody sees everybody
    #[command(subcommand)]
    Contacts(FamilyContacts),
}

#[derive(Subcommand)]
pub(crate) enum FamilyRoom {
    /// Make it, and let everybody in, now and whoever comes later
    On {
        /// Address of the room, or what stands before the @ [default: family]
        #[arg(long)]
        address: Option<String>,
        /// What people call it, where it is made
        #[arg(long, default_value = server::family::NAME)]
        name: String,
    },
    /// Take it out of everybody's list; it stays for who wants it, with all that was said
    Off,
}

#[derive(Subcommand)]
pub(crate) enum FamilyContacts {
    /// Make everybody a contact of everybody, now and whoever comes later
    On {
        /// What apps call the group
        #[arg(long, default_value = server::family::NAME)]
        group: String,
    },
    /// Take that back, where nobody has renamed or moved the contact
    Off,
}

/// Where a password comes from; without either option, from the terminal.
#[derive(Args)]
pub(crate) struct PasswordSource {
    /// Read the password from one line of standard input
    #[arg(long, conflicts_with = "generate")]
    pub(crate) password_stdin: bool,
    /// Make a password and print it
    #[arg(long)]
    pub(crate) generate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
