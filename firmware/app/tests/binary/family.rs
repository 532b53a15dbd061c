//! The household's room and group of contacts on the command line.

use crate::rooms::check;
use expect_test::expect;

#[test]
fn the_family_is_switched_on_and_off() {
    check(
        "
        family|show
        family|show|--json
        family|contacts|on
        family|contacts|on|--group|House
        family|room|on|--name|Our house
        family|room|on|--json
        family|room|on|--address|other
        family|show
        family|show|--json
        room|list
        family|room|off|--json
        family|contacts|off
        ",
        &expect![[r#"
            $ family show
            room      off
            contacts  off
            $ family show --json
            {"contacts":{"group":"","on":false},
            "room":{"jid":null,"name":"","on":false}}
            $ family contacts on
            $ family contacts on --group House
            hearth: it is on already, as Family: switch it off first
            exit 1
            $ family room on --name Our house
            $ family room on --json
            {"done":true,"jid":"family@groupchat.localhost"}
            $ family room on --address other
            hearth: the household has a room at family: leave out --address, or destroy that room first
            exit 1
            $ family show
            room      on: everybody is in Our house (family@groupchat.localhost)
            contacts  on: everybody sees everybody, in the group Family
            $ family show --json
            {"contacts":{"group":"Family","on":true},
            "room":{"jid":"family@groupchat.localhost","name":"Our house","on":true}}
            $ room list
            family@groupchat.localhost  Our house  members only, nobody there
            $ family room off --json
            {"done":true}
            $ family contacts off
        "#]],
    );
}

#[test]
fn the_family_gets_another_room() {
    check(
        "
        family|room|on|--name|Our house
        family|room|off
        family|contacts|on|--group|House
        family|show
        room|destroy|family|--yes
        family|show
        room|create|family
        family|room|on
        family|room|on|--address|us@groupchat.localhost
        family|room|on|--address|a b
        family|contacts|on|--group|
        ",
        &expect![[r"
            $ family room on --name Our house
            $ family room off
            $ family contacts on --group House
            $ family show
            room      off; Our house (family@groupchat.localhost) is there still
            contacts  on: everybody sees everybody, in the group House
            $ room destroy family --yes
            $ family show
            room      off
            contacts  on: everybody sees everybody, in the group House
            $ room create family
            $ family room on
            hearth: there is such a room already: choose another --address, or destroy that room first
            exit 1
            $ family room on --address us@groupchat.localhost
            $ family room on --address a b
            hearth: a b is no address: write it like family@groupchat.localhost
            exit 1
            $ family contacts on --group 
            hearth: a group needs a name, of at most 1023 bytes in one line
            exit 1
        "]],
    );
}
