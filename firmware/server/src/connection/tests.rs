//! Streams: their headers, their ends, and time.

use super::{
    fixture::{BIND, HEADER, PING, World, block_on, plain},
    *,
};
use crate::{limits::NEGOTIATION_MS_MAX, world::Clock};

#[test]
fn a_whole_login_may_come_in_one_piece_or_byte_by_byte() {
    let world = World::new("");
    let all = format!(
        "{HEADER}{}{HEADER}{BIND}{PING}</stream:stream>",
        plain("", "juliet", "pencil")
    );
    let expected = "<header><features><success></success><header><features>\
        <iq type='result' id='b1'><bind><jid>juliet@localhost/balcony</jid></bind></iq>";
    let check = |heard: &str| {
        let rest = heard
            .strip_prefix(expected)
            .unwrap_or_else(|| panic!("{heard}"));
        assert!(
            rest.contains("id='p1'") && rest.contains("type='result'"),
            "{rest}"
        );
        assert!(rest.ends_with("</stream:stream>[closed]"), "{rest}");
    };
    let mut client = world.connect(Door::Secured);
    check(&client.say(&all));
    block_on(client.connection.leave());
    let mut client = world.connect(Door::Secured);
    let mut heard = String::new();
    for byte in all.as_bytes() {
        client.connection.push(&[*byte]);
        heard += &client.hear();
    }
    check(&heard);
}

#[test]
fn headers_are_judged() {
    let world = World::new("");
    let ns = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";
    for (attributes, expected) in [
        ("to='localhost' version='1.0'", "<header><features>"),
        ("to='LOCALHOST' version='1.7'", "<header><features>"),
        (
            "to='localhost' version='1.0' from='juliet@localhost/balcony'",
            "<header><features>",
        ),
        ("to='far.example' version='1.0'", "host-unknown"),
        ("to='' version='1.0'", "host-unknown"),
        ("to='juliet@localhost' version='1.0'", "host-unknown"),
        ("version='1.0'", "host-unknown"),
        ("to='localhost'", "unsupported-version"),
        ("to='localhost' version='0.9'", "unsupported-version"),
        ("to='localhost' version='11.0'", "unsupported-version"),
        (
            "to='localhost' version='1.0' from='juliet@far.example'",
            "invalid-from",
        ),
        ("to='localhost' version='1.0' from='@'", "invalid-from"),
    ] {
        let heard = world
            .connect(Door::Secured)
            .say(&format!("<stream:stream {attributes} {ns}>"));
        let expected = if expected.starts_with('<') {
            expected.to_owned()
        } else {
            format!("<header><stream:error><{expected}/></stream:error></stream:stream>[closed]")
        };
        assert_eq!(heard, expected, "{attributes}");
    }
}

#[test]
fn the_answer_to_a_header_says_what_it_must() {
    let world = World::new("");
    let ns = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";
    let mut ids = std::collections::BTreeSet::new();
    for (attributes, expected) in [
        (
            "to='localhost' version='1.0'",
            "from='localhost' id='*' version='1.0' xml:lang='en'",
        ),
        (
            "to='localhost' version='1.9' from='Juliet@localhost/x' xml:lang='hu'",
            "from='localhost' id='*' to='juliet@localhost' version='1.0' xml:lang='en'",
        ),
        ("to='localhost'", "from='localhost' id='*' xml:lang='en'"),
        (
            "to='far.example' version='0.9'",
            "from='localhost' id='*' version='0.9' xml:lang='en'",
        ),
    ] {
        let mut heard = world
            .connect(Door::StartTls)
            .say_raw(&format!("<stream:stream {attributes} {ns}>"));
        let id = heard.find("id='").unwrap() + 4;
        ids.insert(heard[id..id + 16].to_owned());
        heard.replace_range(id..id + 16, "*");
        let start = format!("<?xml version='1.0'?><stream:stream {expected} {ns}>");
        assert!(heard.starts_with(&start), "{heard}");
    }
    assert_eq!(ids.len(), 4, "ids do not repeat");
}

#[test]
fn a_bound_stream_has_one_resource_and_one_kind_of_elements() {
    let world = World::new("");
    let mut client = world.connect(Door::Secured);
    client.say(&format!(
        "{HEADER}{}{HEADER}{BIND}",
        plain("", "juliet", "pencil")
    ));
    let heard = client.say(BIND);
    assert!(
        heard.contains("id='b1' type='error'") && heard.contains("<not-allowed"),
        "{heard}"
    );
    let session =
        "<iq type='set' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>";
    let heard = client.say(session);
    assert!(heard.contains("s1") && heard.contains("result"), "{heard}");
    let heard = client.say("<r xmlns='urn:xmpp:sm:99'/>");
    assert!(
        heard.starts_with("<stream:error><unsupported-stanza-type"),
        "{heard}"
    );
}

#[test]
fn patience_ends() {
    let world = World::new("");
    let mut client = world.connect(Door::Secured);
    assert_eq!(client.connection.deadline(), Some(NEGOTIATION_MS_MAX));
    assert_eq!(
        client.tick(),
        "<header><stream:error><connection-timeout/></stream:error></stream:stream>[closed]"
    );
    let mut client = world.connect(Door::DirectTls);
    assert_eq!(
        client.tick(),
        "[closed]",
        "nothing is said in the clear where TLS is due"
    );
}

#[test]
fn a_silent_line_gets_a_space() {
    let world = World::new("");
    let mut client = world.connect(Door::Secured);
    client.say(&format!(
        "{HEADER}{}{HEADER}{BIND}",
        plain("", "juliet", "pencil")
    ));
    for _ in 0..3 {
        let before = world.clock.elapsed_ms();
        assert_eq!(client.tick(), " ");
        assert_eq!(world.clock.elapsed_ms() - before, IDLE_MS);
    }
    world.pass(IDLE_MS / 2);
    client.say(" ");
    assert_eq!(
        client.connection.deadline(),
        Some(world.clock.elapsed_ms() + IDLE_MS)
    );
}

#[test]
fn who_sends_faster_than_allowed_is_read_later() {
    let world = World::new("[limits]\nc2s_rate = '1kB/s'\nc2s_burst = '2kB'");
    let mut client = world.connect(Door::Secured);
    client.say(HEADER);
    let heard = client.say(&" ".repeat(3_000));
    assert_eq!(heard, "[waits]");
    assert!(client.connection.deadline().unwrap() > 1_000);
    assert_eq!(client.tick(), "", "and then it is read again");
}

#[test]
fn the_end_of_the_server_is_said_to_everybody() {
    let world = World::new("");
    let mut new = world.connect(Door::StartTls);
    new.connection.end(StreamError::SYSTEM_SHUTDOWN);
    assert_eq!(
        new.hear(),
        "<header><stream:error><system-shutdown/></stream:error></stream:stream>[closed]"
    );
    let mut bound = world.connect(Door::Secured);
    bound.say(&format!(
        "{HEADER}{}{HEADER}{BIND}",
        plain("", "juliet", "pencil")
    ));
    bound.connection.end(StreamError::SYSTEM_SHUTDOWN);
    assert_eq!(
        bound.hear(),
        "<stream:error><system-shutdown/></stream:error></stream:stream>[closed]"
    );
    bound.connection.end(StreamError::SYSTEM_SHUTDOWN);
    assert_eq!(bound.hear(), "[closed]", "once");
}
