//! What scripts cannot see: lines that are tried, configurations that change, deadlines.

use super::*;
use crate::connection::fixture::{World, block_on};
use household::Config;
use std::path::Path;

const CONFIG: &str = "[components]\n'irc.localhost' = 'secret'";
const HEADER: &str = "<stream:stream to='irc.localhost' xmlns='jabber:component:accept' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

fn component(world: &World) -> Component {
    Component::new(world.server.clone(), "127.0.0.1".parse().unwrap())
}

fn say(component: &mut Component, text: &str) -> (String, Todo) {
    component.push(text.as_bytes());
    let mut heard = Vec::new();
    loop {
        let todo = block_on(component.step());
        heard.append(component.output());
        component.written();
        if !matches!(todo, Todo::Write) {
            return (String::from_utf8(heard).unwrap(), todo);
        }
    }
}

/// One that has shown its secret.
fn connected(world: &World) -> Component {
    let mut component = component(world);
    let (header, _) = say(&mut component, HEADER);
    let id = header
        .split("id='")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let hex = handshake::digest_of(id, "secret");
    let (answer, _) = say(&mut component, &format!("<handshake>{hex}</handshake>"));
    assert_eq!(answer, "<handshake/>");
    assert!(component.is_authenticated());
    component
}

fn polls(component: &mut Component) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    component.poll_wake(&mut cx).is_ready()
}

#[test]
fn the_line_of_the_first_is_tried_when_a_second_one_comes() {
    let world = World::new(CONFIG);
    let mut first = connected(&world);
    assert!(!polls(&mut first));
    assert!(
        world
            .server
            .attach_component(&Jid::parse("irc.localhost").unwrap())
            .is_none()
    );
    assert!(polls(&mut first));
    assert_eq!(say(&mut first, "").0, " ");
    assert!(!polls(&mut first));
}

#[test]
fn its_place_is_free_when_it_is_gone() {
    let world = World::new(CONFIG);
    let mut first = connected(&world);
    assert_eq!(world.server.components().len(), 1);
    block_on(first.leave());
    assert!(world.server.components().is_empty());
    let mut second = connected(&world);
    block_on(first.leave());
    assert_eq!(
        world.server.components().len(),
        1,
        "the first one has left already"
    );
    assert_eq!(say(&mut second, "</stream:stream>").0, "</stream:stream>");
    block_on(second.leave());
    assert!(world.server.components().is_empty());
}

#[test]
fn a_new_configuration_is_followed_at_once() {
    for (text, expected) in [
        (CONFIG, ""),
        (
            "[components]\n'irc.localhost' = 'secret'\n'sms.localhost' = 'x'",
            "",
        ),
        ("", "host-gone"),
        ("[components]\n'irc.localhost' = 'another'", "reset"),
    ] {
        let world = World::new(CONFIG);
        let mut component = connected(&world);
        let config = Config::from_texts([(Path::new("x.toml"), text)]).unwrap();
        world.server.configure(Arc::new(config));
        assert_eq!(polls(&mut component), !expected.is_empty(), "{text}");
        let (heard, _) = say(&mut component, "");
        assert!(heard.contains(expected), "{heard}");
        assert_eq!(component.is_authenticated(), expected.is_empty());
    }
}

#[test]
fn a_quiet_line_gets_a_space_and_a_slow_newcomer_an_end() {
    let world = World::new(CONFIG);
    let mut there = connected(&world);
    let mut slow = component(&world);
    assert_eq!(slow.deadline(), Some(NEGOTIATION_MS_MAX));
    say(&mut slow, HEADER);
    world.pass(NEGOTIATION_MS_MAX);
    slow.tick();
    let (heard, todo) = say(&mut slow, "");
    assert!(heard.contains("connection-timeout"), "{heard}");
    assert!(matches!(todo, Todo::Close));
    assert_eq!(there.deadline(), Some(IDLE_MS));
    world.pass(IDLE_MS - NEGOTIATION_MS_MAX);
    there.tick();
    assert_eq!(say(&mut there, "").0, " ");
}

#[test]
fn it_sends_no_faster_than_another_server_may() {
    let world = World::new(
        "limits.s2s_rate = '100B/s'\nlimits.s2s_burst = '1kB'\n[components]\n'irc.localhost' = 'secret'",
    );
    let mut component = connected(&world);
    let (_, todo) = say(&mut component, &" ".repeat(2_000));
    assert!(matches!(todo, Todo::Wait));
    assert!(component.deadline().is_some_and(|at| at >= 10_000));
}
