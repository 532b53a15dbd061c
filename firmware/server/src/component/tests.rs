//! What scripts cannot see: lines that are tried, configurations that change, deadlines.

use super::*;
use crate::{
    connection::fixture::{World, block_on},
    fixture::run_beside,
    s2s::{Call, Outside, Remote, dane::Published, limits::REMOTES_MAX},
};
use household::Config;
use rustls_pki_types::CertificateDer;
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};
use xmpp::{Passing, Stanza};

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
    let answer = shake_hands(&mut component);
    assert_eq!(answer, "<handshake/>");
    assert!(component.is_authenticated());
    component
}

/// Header and secret; what is answered to that.
fn shake_hands(component: &mut Component) -> String {
    let (header, _) = say(component, HEADER);
    let id = header
        .split("id='")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let hex = handshake::digest_of(id, "secret");
    say(component, &format!("<handshake>{hex}</handshake>")).0
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn queue(world: &World) -> Arc<Remote> {
    let queue = world.server.component_queue(&jid("irc.localhost"));
    queue.unwrap()
}

/// Juliet writes to somebody behind the component.
fn write(world: &World, id: &str) {
    let xml = format!("<message type='chat' id='{id}'><body>Peace</body></message>");
    let stanza = Arc::new(Stanza::parse(&xml).unwrap());
    let passing = Passing::new(
        stanza,
        jid("juliet@localhost/x"),
        jid("tybalt@irc.localhost"),
    );
    world.server.send_away(&passing, None).unwrap();
}

fn configure(world: &World, text: &str) {
    let config = Config::from_texts([(Path::new("x.toml"), text)]).unwrap();
    world.server.configure(Arc::new(config));
}

/// Counts who is to be called.
#[derive(Default)]
struct Street(AtomicUsize);

impl Outside for Street {
    fn call(&self, _: Call) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn judge(&self, _: &[CertificateDer<'_>], _: &str, _: &Published) -> Result<(), String> {
        Err("nobody is judged here".to_owned())
    }
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
            .is_err_and(|error| error == StreamError::CONFLICT)
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

/// XEP-0114 §3, RFC 6120 §4.9.3.17: it is no conflict that too much is going on.
#[test]
fn without_room_for_its_queue_it_hears_so() {
    let world = World::new(CONFIG);
    let mut busy = Vec::new();
    for number in 0..REMOTES_MAX {
        let queue = world
            .server
            .component_queue(&jid(&format!("c{number}.example")));
        busy.extend(queue);
    }
    let mut component = component(&world);
    let answer = shake_hands(&mut component);
    assert!(answer.contains("<resource-constraint "), "{answer}");
    assert!(world.server.components().is_empty());
    busy.clear();
    connected(&world);
}

/// A bridge that was a server of its own, and has become a component: what that link was not told to have
/// arrived goes over the component's line, before the rest.
#[test]
fn a_queue_that_another_server_has_is_taken_over() {
    let world = World::new(CONFIG);
    let queue = queue(&world);
    assert!(queue.attach(1_000_000));
    let mut component = connected(&world);
    write(&world, "first");
    assert!(polls(&mut component));
    assert!(queue.take(1_000_000, usize::MAX).is_empty());
    let taken = queue.take(component.line.as_ref().unwrap().number, usize::MAX);
    assert_eq!(taken.len(), 1);
    assert!(!polls(&mut component));
    assert!(!queue.detach(1_000_000, taken));
    write(&world, "second");
    assert!(polls(&mut component));
    let (heard, _) = say(&mut component, "");
    let places = [heard.find("first"), heard.find("second")];
    assert!(places[0].is_some() && places[0] < places[1], "{heard}");
}

/// Senders are told, and the domain is one like any other from then on.
#[test]
fn nothing_waits_for_a_component_that_is_configured_no_more() {
    for is_away in [true, false] {
        let world = World::new(CONFIG);
        let street = Arc::new(Street::default());
        world.server.connect_outside(street.clone());
        let mut component = connected(&world);
        let queue = queue(&world);
        if is_away {
            block_on(component.leave());
            write(&world, "first");
            configure(&world, "");
        } else {
            write(&world, "first");
            say(&mut component, "");
            configure(&world, "");
            block_on(component.leave());
        }
        assert_eq!(queue.waiting(), 1, "{is_away}");
        write(&world, "second");
        assert_eq!(
            street.0.load(Ordering::Relaxed),
            1,
            "the other server is called"
        );
        run_beside(world.server.store(), world.server.tick());
        assert_eq!(queue.waiting(), 0, "{is_away}");
        assert_eq!(self::queue(&world).waiting(), 1);
    }
}

#[test]
fn a_new_configuration_is_followed_at_once() {
    let same = "[components]\n'irc.localhost' = 'secret'\n";
    for (text, expected) in [
        (same.to_owned(), ""),
        (format!("{same}'sms.localhost' = 'x'"), ""),
        (String::new(), "host-gone"),
        (
            "[components]\n'irc.localhost' = 'another'".to_owned(),
            "reset",
        ),
        // XEP-0356 §4.2: what it may do is said at the beginning of a stream.
        (
            format!("{same}[privileges]\n'irc.localhost' = ['message']"),
            "reset",
        ),
        (
            format!("{same}'sms.localhost' = 'x'\n[privileges]\n'sms.localhost' = ['message']"),
            "",
        ),
    ] {
        let world = World::new(CONFIG);
        let mut component = connected(&world);
        configure(&world, &text);
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

/// What crossed its goodbye it may not have read; what it had read before has arrived.
#[test]
fn what_crosses_a_goodbye_comes_again() {
    let ping = "<iq to='localhost' from='irc.localhost' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    for (written, ms, said, waits) in [
        (true, limits::COMPONENT_CROSSING_MS, "", 0),
        (true, limits::COMPONENT_CROSSING_MS - 1, "", 1),
        (true, 0, ping, 0),
        (false, 0, ping, 1),
    ] {
        let world = World::new(CONFIG);
        let mut component = connected(&world);
        write(&world, "m1");
        if written {
            assert!(say(&mut component, "").0.contains("m1"));
        }
        world.pass(ms);
        let goodbye = format!("{said}</stream:stream>");
        let (heard, _) = say(&mut component, &goodbye);
        assert!(!heard.contains("m1"), "nothing is said twice");
        block_on(component.leave());
        assert_eq!(queue(&world).waiting(), waits, "{written} {ms} {said}");
    }
}

/// Whoever asked hears that there will be no answer, and is not asked to wait for one.
#[test]
fn requests_end_with_the_line_of_a_component() {
    let world = World::new(CONFIG);
    let mut component = connected(&world);
    let xml = "<iq type='get' id='i1'><ping xmlns='urn:xmpp:ping'/></iq>";
    let stanza = Arc::new(Stanza::parse(xml).unwrap());
    let passing = Passing::new(stanza, jid("juliet@localhost/x"), jid("irc.localhost"));
    world.server.send_away(&passing, None).unwrap();
    say(&mut component, "");
    assert_eq!(component.sent.len(), 1);
    let line = component.line.clone().unwrap();
    let over = std::mem::take(&mut component.sent).back_to(&line.queue, line.number);
    assert_eq!(over.len(), 1);
    assert_eq!(line.queue.waiting(), 0, "it is not made twice");
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
