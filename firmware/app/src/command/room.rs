//! `hearth room …`: rooms.

use super::{Caller, UNEXPECTED, confirmed, print_all, print_one, yes_or_no};
use crate::{
    cli::{Cli, Room},
    configuration,
    control::protocol::{Answer, Request, RoomLine, RoomShown},
};
use anyhow::{Result, bail};
use serde_json::json;
use server::rooms;
use std::process::ExitCode;

/// One of the verbs of `hearth room`.
pub(crate) fn run(room: &Room, cli: &Cli) -> Result<ExitCode> {
    let caller = &Caller::read(cli)?;
    match room {
        Room::List => list(caller),
        Room::Show { jid } => show(jid, caller),
        Room::Create {
            jid,
            name,
            members_only,
        } => create(jid, name, *members_only, caller),
        Room::Destroy { jid, yes } => destroy(jid, *yes, caller),
    }
}

fn list(caller: &Caller) -> Result<ExitCode> {
    let Answer::Rooms(rooms) = caller.ask(&Request::ListRooms)? else {
        bail!(UNEXPECTED)
    };
    if rooms.is_empty() {
        caller.note("there are no rooms yet")?;
    }
    print_all(&rooms, caller, sentence)
}

/// A room in one line. People wrote its name: nothing in it moves the terminal's cursor.
fn sentence(room: &RoomLine) -> String {
    let kind = match (room.members_only, room.persistent) {
        (true, true) => "members only",
        (true, false) => "members only, until everybody has left",
        (false, true) => "open",
        (false, false) => "open, until everybody has left",
    };
    let there = match room.occupants {
        0 => "nobody there".to_owned(),
        count => format!("{count} there"),
    };
    let name = plain(&room.name);
    let name = if name.is_empty() { name } else { name + "  " };
    format!("{}  {name}{kind}, {there}", room.jid)
}

fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn show(jid: &str, caller: &Caller) -> Result<ExitCode> {
    let localpart = Name::read(jid, caller)?.localpart;
    let Answer::Room(room) = caller.ask(&Request::ShowRoom { localpart })? else {
        bail!(UNEXPECTED)
    };
    print_one(room, caller, described)
}

fn described(room: RoomShown) -> Vec<(&'static str, String)> {
    let RoomShown {
        line,
        description,
        public,
        archive,
        created,
        people,
        outcasts,
    } = room;
    let mut rows = vec![
        ("address", line.jid),
        ("name", plain(&line.name)),
        ("description", plain(&description)),
        ("members only", yes_or_no(line.members_only)),
        ("listed", yes_or_no(public)),
        ("stays", yes_or_no(line.persistent)),
        ("messages kept", yes_or_no(archive)),
        ("made", created),
        ("there now", line.occupants.to_string()),
    ];
    for affiliation in ["owner", "admin", "member"] {
        let of_them = people.iter().filter(|one| one.affiliation == affiliation);
        rows.extend(of_them.map(|one| (affiliation, one.jid.clone())));
    }
    rows.extend(outcasts.into_iter().map(|jid| ("kept out", jid)));
    rows
}

fn create(jid: &str, name: &str, members_only: bool, caller: &Caller) -> Result<ExitCode> {
    let Name { jid, localpart } = Name::read(jid, caller)?;
    caller.act(&Request::CreateRoom {
        localpart,
        name: name.to_owned(),
        members_only,
    })?;
    caller.say_done(json!({ "jid": jid }), "")
}

fn destroy(jid: &str, yes: bool, caller: &Caller) -> Result<ExitCode> {
    let Name { jid, localpart } = Name::read(jid, caller)?;
    let question = format!("Destroy {jid} and everything said there, at once?");
    if !yes && !confirmed("destroying cannot be undone", &question)? {
        bail!("{jid} was not destroyed");
    }
    caller.act(&Request::DestroyRoom { localpart })?;
    caller.say_done(json!({ "jid": jid }), "")
}

/// A room that was named on the command line.
struct Name {
    jid: String,
    localpart: String,
}

impl Name {
    fn read(jid: &str, caller: &Caller) -> Result<Name> {
        let jid = configuration::room(jid, &rooms::service(&caller.config))?;
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

    #[test]
    fn a_room_is_one_line_that_leaves_the_terminal_alone() {
        let line = |name: &str, occupants, members_only, persistent| {
            sentence(&RoomLine {
                jid: "den@groupchat.localhost".to_owned(),
                name: name.to_owned(),
                occupants,
                members_only,
                persistent,
            })
        };
        for (said, expected) in [
            (line("", 0, false, true), "open, nobody there"),
            (line("Den", 2, true, true), "Den  members only, 2 there"),
            (
                line("D\u{1b}[2Jn", 1, false, false),
                "D [2Jn  open, until everybody has left, 1 there",
            ),
        ] {
            assert_eq!(said, format!("den@groupchat.localhost  {expected}"));
        }
    }
}
