//! Rooms on the command line: the same with a server and without one.

use crate::common::{Home, Running};
use expect_test::{Expect, expect};
use rustix::process::Signal;

const CONFIG: &str = "admins = ['eve@localhost']\n[listen]\nproxy65 = []\n\
    c2s = ['127.0.0.1:0']\nc2s_tls = []\nhttps = []\nhttp = ['127.0.0.1:0']\n\
    s2s = []\ns2s_tls = []\n";

/// Runs commands, each an argument list with `|` between the arguments, and gives what they say.
fn transcript(home: &Home, script: &str) -> String {
    let mut transcript = String::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let arguments: Vec<_> = line.split('|').collect();
        let said = home.run(&arguments, "secret\n");
        let out = said.out.replace("},{", "},\n{");
        let out = out.replace("},\"", "},\n\"");
        let out = out.replace(",\"persistent\"", ",\n\"persistent\"");
        let exit = match said.status {
            0 => String::new(),
            status => format!("exit {status}\n"),
        };
        let shown = line.replace('|', " ");
        transcript = [transcript, format!("$ {shown}\n"), out, said.err, exit].concat();
    }
    transcript
}

/// Once alone and once with a server, which then stops: people and scripts see no difference.
pub(crate) fn check(script: &str, expected: &Expect) {
    let serve = |home: &Home| home.serve(&["serve"]);
    for start in [None, Some(serve as fn(&Home) -> Running)] {
        let home = Home::new();
        home.write("hearth.toml", CONFIG);
        home.run(
            &[
                "user",
                "add",
                "amy@localhost",
                "--admin",
                "--password-stdin",
            ],
            "secret\n",
        );
        let running = start.map(|serve| serve(&home));
        let said = transcript(&home, script);
        expected.assert_eq(&said);
        let listed = home.run(&["room", "list"], "").out;
        if let Some(mut running) = running {
            assert_eq!(running.end(Signal::TERM), Some(0));
            assert_eq!(home.run(&["room", "list"], "").out, listed, "on disk");
        }
    }
}

#[test]
fn rooms_come_and_go() {
    check(
        "
        room|list
        room|create|Den@groupchat.localhost|--name|The Den|--members-only
        room|create|board|--json
        room|create|board@groupchat.localhost
        room|list
        room|list|--json
        room|destroy|board
        room|destroy|board|--yes
        room|destroy|board|--yes|--json
        room|create|board|--name|Board
        room|list
        ",
        &expect![[r#"
            $ room list
            there are no rooms yet
            $ room create Den@groupchat.localhost --name The Den --members-only
            $ room create board --json
            {"done":true,"jid":"board@groupchat.localhost"}
            $ room create board@groupchat.localhost
            hearth: board@groupchat.localhost: there is such a room already
            exit 1
            $ room list
            board@groupchat.localhost  open, nobody there
            den@groupchat.localhost  The Den  members only, nobody there
            $ room list --json
            [{"jid":"board@groupchat.localhost","name":"","occupants":0,"members_only":false,
            "persistent":true},
            {"jid":"den@groupchat.localhost","name":"The Den","occupants":0,"members_only":true,
            "persistent":true}]
            $ room destroy board
            hearth: destroying cannot be undone: say --yes where there is no terminal
            exit 2
            $ room destroy board --yes
            $ room destroy board --yes --json
            hearth: board@groupchat.localhost: there is no such room
            exit 1
            $ room create board --name Board
            $ room list
            board@groupchat.localhost  Board  open, nobody there
            den@groupchat.localhost  The Den  members only, nobody there
        "#]],
    );
}

#[test]
fn a_room_is_shown() {
    check(
        "
        room|create|den|--name|The Den|--members-only
        room|show|attic
        room|show|attic|--json
        ",
        &expect![[r"
            $ room create den --name The Den --members-only
            $ room show attic
            hearth: attic@groupchat.localhost: there is no such room
            exit 1
            $ room show attic --json
            hearth: attic@groupchat.localhost: there is no such room
            exit 1
        "]],
    );
    let home = Home::new();
    home.write("hearth.toml", CONFIG);
    home.run(&["room", "create", "den", "--members-only"], "");
    let show = || {
        let said = home.run(&["room", "show", "den"], "").out;
        [said, home.run(&["room", "show", "den", "--json"], "").out]
    };
    let shown = show();
    let _running = home.serve(&["serve"]);
    assert_eq!(show(), shown);
    let without_time = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("made "));
        lines.collect::<Vec<_>>().join("\n")
    };
    expect![[r"
        address        den@groupchat.localhost
        members only   yes
        listed         no
        stays          yes
        messages kept  yes
        there now      0
        owner          eve@localhost"]]
    .assert_eq(&without_time(&shown[0]));
    let json: serde_json::Value = serde_json::from_str(&shown[1]).expect("JSON");
    assert_eq!(json["people"][0]["jid"], "eve@localhost");
    assert_eq!(json["people"][0]["affiliation"], "owner");
    assert_eq!(json["public"], false);
}

#[test]
fn what_is_no_room_is_said() {
    check(
        "
        room|create|
        room|create|a b
        room|create|den@localhost
        room|create|d@groupchat.localhost/Amy
        room|create|den|--name|Two\tlines
        room|destroy|den|--yes
        room|create
        ",
        &expect![[r"
            $ room create 
            hearth: the address is empty: write one like family@groupchat.localhost
            exit 1
            $ room create a b
            hearth: a b is no address: write it like family@groupchat.localhost
            exit 1
            $ room create den@localhost
            hearth: den@localhost is not of this server: rooms here end in @groupchat.localhost
            exit 1
            $ room create d@groupchat.localhost/Amy
            hearth: d@groupchat.localhost/Amy is somebody in a room: write d@groupchat.localhost for the room
            exit 1
            $ room create den --name Two	lines
            hearth: den@groupchat.localhost: this cannot be its name: one has at most 128 bytes, in one line
            exit 1
            $ room destroy den --yes
            hearth: den@groupchat.localhost: there is no such room
            exit 1
            $ room create
            error: the following required arguments were not provided:
              <JID>

            Usage: hearth room create <JID>

            For more information, try '--help'.
            exit 2
        "]],
    );
}

#[test]
fn status_counts_rooms() {
    let home = Home::new();
    home.write("hearth.toml", CONFIG);
    home.run(&["room", "create", "den"], "");
    let rooms = || {
        let status = home.run(&["status", "--json"], "").out;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["rooms"].clone()
    };
    assert_eq!(rooms(), 1);
    let mut running = home.serve(&["serve"]);
    assert_eq!(rooms(), 1);
    home.run(&["room", "destroy", "den", "--yes"], "");
    assert_eq!(rooms(), 0);
    assert_eq!(running.end(Signal::TERM), Some(0));
}
