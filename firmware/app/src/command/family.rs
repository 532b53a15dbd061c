//! `hearth family …`: a room and a group of contacts for the whole household.

use super::{Caller, UNEXPECTED, print_line};
use crate::{
    cli::{Cli, Family, FamilyContacts, FamilyRoom},
    configuration,
    control::protocol::{Answer, FamilyShown, Request},
};
use anyhow::{Result, bail};
use serde_json::json;
use server::rooms;
use std::process::ExitCode;

/// One of the verbs of `hearth family`.
pub(crate) fn run(family: &Family, cli: &Cli) -> Result<ExitCode> {
    let caller = &Caller::read(cli)?;
    match family {
        Family::Show => show(caller),
        Family::Room(FamilyRoom::On { address, name }) => room_on(address.as_deref(), name, caller),
        Family::Room(FamilyRoom::Off) => act(&Request::FamilyRoomOff, caller),
        Family::Contacts(FamilyContacts::On { group }) => {
            let group = group.clone();
            act(&Request::FamilyContactsOn { group }, caller)
        }
        Family::Contacts(FamilyContacts::Off) => act(&Request::FamilyContactsOff, caller),
    }
}

fn ask(caller: &Caller) -> Result<FamilyShown> {
    match caller.ask(&Request::ShowFamily)? {
        Answer::Family(family) => Ok(family),
        _ => bail!(UNEXPECTED),
    }
}

fn show(caller: &Caller) -> Result<ExitCode> {
    let FamilyShown { room, contacts } = ask(caller)?;
    if caller.json {
        print_line(&json!({ "room": room, "contacts": contacts }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = room.name.replace(char::is_control, " ");
    let room = match (room.on, room.jid) {
        (true, Some(jid)) => format!("on: everybody is in {name} ({jid})"),
        (false, Some(jid)) => format!("off; {name} ({jid}) is there still"),
        (_, None) => "off".to_owned(),
    };
    let contacts = match contacts.group.as_str() {
        "" => "off".to_owned(),
        group => format!("on: everybody sees everybody, in the group {group}"),
    };
    print_line(&format!("room      {room}"))?;
    print_line(&format!("contacts  {contacts}"))?;
    Ok(ExitCode::SUCCESS)
}

fn room_on(address: Option<&str>, name: &str, caller: &Caller) -> Result<ExitCode> {
    let service = rooms::service(&caller.config);
    let address = address.map(|address| configuration::room(address, &service));
    let address = address.transpose()?;
    let localpart = address.and_then(|jid| jid.localpart().map(str::to_owned));
    caller.act(&Request::FamilyRoomOn {
        localpart,
        name: name.to_owned(),
    })?;
    let jid = ask(caller)?.room.jid;
    caller.say_done(json!({ "jid": jid }), "")
}

fn act(request: &Request, caller: &Caller) -> Result<ExitCode> {
    caller.act(request)?;
    caller.say_done(json!({}), "")
}
