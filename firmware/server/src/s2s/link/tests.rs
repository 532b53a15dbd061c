//! Two servers on one thread, and what goes over the line between them.

mod ends;

use super::*;
use crate::s2s::limits::{REMOTE_HOLD_MS_MAX, REMOTE_REFUSALS_MAX};
use crate::{
    connection::fixture::World,
    fixture::run_beside,
    s2s::{
        Call, Outside,
        dane::{Published, Tlsa},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{collections::VecDeque, sync::Mutex};
use store::disk::{Fault, FileName};
use xmpp::{Passing, Stanza};

/// Notes who is to be called, and believes the names that a test says: the "certificate" is the name itself.
#[derive(Default)]
struct Street {
    calls: Mutex<VecDeque<Call>>,
    /// Nobody's certificate is valid.
    distrusts: bool,
    /// Whether domains publish their certificates, where that can be asked.
    signs: Mutex<Option<bool>>,
}

impl Outside for Street {
    fn call(&self, call: Call) {
        self.calls.lock().unwrap().push_back(call);
    }

    fn publishes(&self, _: &str) -> Option<oneshot::Receiver<bool>> {
        let signs = (*self.signs.lock().unwrap())?;
        let (tell, answer) = oneshot::channel();
        tell.send(signs).unwrap();
        Some(answer)
    }

    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &str,
        published: &Published,
    ) -> Result<(), String> {
        if !published.tlsa.is_empty() {
            return Err("it is not the one that is published".to_owned());
        }
        let is_named = chain[0].as_ref() == domain.as_bytes();
        if is_named && !self.distrusts {
            Ok(())
        } else {
            Err("it is for another name".to_owned())
        }
    }
}

struct House {
    world: World,
    street: Arc<Street>,
    name: &'static str,
}

fn house(name: &'static str, config: &str, distrusts: bool) -> House {
    let world = World::new(&format!("domain = '{name}'\n{config}"));
    let street = Arc::new(Street {
        distrusts,
        ..Street::default()
    });
    world.server.connect_outside(street.clone());
    House {
        world,
        street,
        name,
    }
}

impl House {
    fn now<T>(&self, future: impl Future<Output = T>) -> T {
        run_beside(self.world.server.store(), future)
    }

    fn called(&self) -> Option<Call> {
        self.street.calls.lock().unwrap().pop_front()
    }

    /// Sends a stanza of ours away.
    fn send(&self, xml: &str) -> Result<(), StanzaError> {
        let stanza = Stanza::parse(xml).unwrap();
        let (from, to) = (
            stanza.from().unwrap().unwrap(),
            stanza.to().unwrap().unwrap(),
        );
        let passing = Passing::new(Arc::new(stanza), from, to);
        self.world.server.send_away(&passing, None)
    }

    fn dial(&self) -> Link {
        let why = match self.called() {
            Some(Call::Deliver(remote)) => Reached::Deliver(remote),
            Some(Call::Verify(verification)) => Reached::Verify(verification),
            None => panic!("nobody is to be called"),
        };
        Link::calling(
            self.world.server.clone(),
            "192.0.2.1".parse().unwrap(),
            false,
            why,
        )
    }

    fn answer(&self) -> Link {
        Link::called(
            self.world.server.clone(),
            "192.0.2.2".parse().unwrap(),
            false,
        )
    }
}

/// What the two said, without headers and namespaces.
fn talk(one: &House, caller: &mut Link, other: &House, called: &mut Link) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        let mut moved = false;
        for (mark, house, peer, is_first) in [(">", one, other, true), ("<", other, one, false)] {
            let (from, to) = if is_first {
                (&mut *caller, &mut *called)
            } else {
                (&mut *called, &mut *caller)
            };
            let todo = house.now(from.step());
            let bytes = std::mem::take(from.output());
            from.written();
            if !bytes.is_empty() {
                moved = true;
                said.push(format!(
                    "{mark} {}",
                    short(&String::from_utf8(bytes.clone()).unwrap())
                ));
                to.push(&bytes);
            }
            if matches!(todo, Todo::StartTls) {
                // The other side hears of it once it has read what came before.
                from.secured(vec![CertificateDer::from(peer.name.as_bytes().to_vec())]);
                moved = true;
            }
        }
        if !moved {
            return said;
        }
    }
}

fn short(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to, by) in [
        ("<?xml version='1.0'?>", "", ""),
        ("<stream:stream ", ">", "<header>"),
        ("<limits ", "</limits>", ""),
        (" xmlns='", "'", ""),
        (">AAAA", "<", "><"),
    ] {
        while let Some(start) = text.find(from) {
            let end = start + from.len();
            let end = if to.is_empty() {
                end
            } else {
                end + text[end..].find(to).unwrap() + to.len()
            };
            text.replace_range(start..end, by);
        }
    }
    text.replace("><", ">\n    <")
}

const MESSAGE: &str = "<message xmlns='jabber:client' from='juliet@home.example/balcony' \
    to='juliet@far.example' type='chat' id='m1'><body>hello</body></message>";

#[test]
fn by_certificate_in_both_directions() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    home.send(MESSAGE).unwrap();
    let (mut caller, mut called) = (home.dial(), far.answer());
    let said = talk(&home, &mut caller, &far, &mut called);
    expect_test::expect![[r"
        > <header>
        < <header>
            <stream:features>
            <starttls>
            <required/>
            </starttls>
            <bidi/>
            </stream:features>
        > <starttls/>
        < <proceed/>
        > <header>
        < <header>
            <stream:features>
            <mechanisms>
            <mechanism>EXTERNAL</mechanism>
            </mechanisms>
            <bidi/>
            <dialback>
            <errors/>
            </dialback>
            <sm/>
            </stream:features>
        > <bidi/>
            <auth mechanism='EXTERNAL'>aG9tZS5leGFtcGxl</auth>
        < <success/>
        > <header>
        < <header>
            <stream:features>
            <dialback>
            <errors/>
            </dialback>
            <sm/>
            </stream:features>
        > <enable/>
        < <enabled/>
        > <message from='juliet@home.example/balcony' id='m1' type='chat' to='juliet@far.example'>
            <body>hello</body>
            </message>
            <r/>"]]
    .assert_eq(&said.join("\n"));
    assert_eq!(caller.outcome(), Outcome::Reached);
    the_other_way(&home, &mut caller, &far, &mut called);
}

/// Over the same line (XEP-0288).
fn the_other_way(home: &House, caller: &mut Link, far: &House, called: &mut Link) {
    far.send(
        "<message xmlns='jabber:client' from='juliet@far.example' to='juliet@home.example' \
         type='chat' id='m2'><body>hello</body></message>",
    )
    .unwrap();
    assert!(far.called().is_none());
    let said = talk(home, caller, far, called);
    expect_test::expect![[r"
        < <message from='juliet@far.example' id='m2' type='chat' to='juliet@home.example'>
            <body>hello</body>
            </message>
            <r/>"]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn what_the_disk_refuses_is_not_acknowledged_and_the_stream_ends() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    home.send(MESSAGE).unwrap();
    let (mut caller, mut called) = (home.dial(), far.answer());
    talk(&home, &mut caller, &far, &mut called);
    far.world.disk.fail(FileName::Journal, Fault::Sync);
    home.send(&MESSAGE.replace("m1", "m2")).unwrap();
    let mut said = talk(&home, &mut caller, &far, &mut called);
    while far.world.server.store().turn() {}
    said.extend(talk(&home, &mut caller, &far, &mut called));
    expect_test::expect![[r"
        > <message from='juliet@home.example/balcony' id='m2' type='chat' to='juliet@far.example'>
            <body>hello</body>
            </message>
        < <a h='0'/>
            <stream:error>
            <internal-server-error/>
            </stream:error>
            </stream:stream>
        > <r/>
            <a h='0'/>
            </stream:stream>"]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn by_dialback_where_certificates_are_not_valid() {
    let lax = "s2s.require_valid_certificate = false";
    let (home, far) = (
        house("home.example", lax, true),
        house("far.example", lax, true),
    );
    home.send(MESSAGE).unwrap();
    let (mut caller, mut called) = (home.dial(), far.answer());
    let said = talk(&home, &mut caller, &far, &mut called);
    assert!(said.last().unwrap().contains("<db:result"), "{said:?}");
    // Far asks home whether the key is its own.
    let (mut asking, mut asked) = (far.dial(), home.answer());
    let said = talk(&far, &mut asking, &home, &mut asked);
    assert!(
        said.iter().any(|said| said.contains("type='valid'")),
        "{said:?}"
    );
    let said = talk(&home, &mut caller, &far, &mut called);
    assert!(said[0].contains("type='valid'"), "{said:?}");
    assert!(said.iter().any(|said| said.contains("id='m1'")), "{said:?}");
    assert_eq!(caller.outcome(), Outcome::Reached);
}

#[test]
fn what_a_domain_publishes_counts_where_certificates_do_not() {
    let lax = "s2s.require_valid_certificate = false";
    let (home, far) = (
        house("home.example", lax, false),
        house("far.example", lax, false),
    );
    home.send(MESSAGE).unwrap();
    let (mut caller, mut called) = (home.dial(), far.answer());
    let another = Tlsa {
        usage: 3,
        selector: 1,
        matching: 1,
        data: vec![7; 32],
    };
    caller.expect_published(Published::new("xmpp.far.example".to_owned(), vec![another]));
    let said = talk(&home, &mut caller, &far, &mut called);
    assert!(!said.iter().any(|said| said.contains("<auth")), "{said:?}");
    let Outcome::Failed(_, why) = caller.outcome() else {
        panic!("{said:?}");
    };
    assert!(why.contains("published"), "{why}");
}

#[test]
fn without_a_valid_certificate_nobody_is_believed_by_default() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", true),
    );
    home.send(MESSAGE).unwrap();
    let (mut caller, mut called) = (home.dial(), far.answer());
    let said = talk(&home, &mut caller, &far, &mut called);
    assert!(
        said.iter().any(|said| said.contains("<not-authorized")),
        "{said:?}"
    );
    assert!(matches!(caller.outcome(), Outcome::Failed(..)));
}

/// A stream over which home may send to far, and far to home if both directions were agreed.
fn connected(home: &House, far: &House) -> (Link, Link) {
    home.send(MESSAGE).unwrap();
    let (mut caller, mut called) = (home.dial(), far.answer());
    talk(home, &mut caller, far, &mut called);
    assert_eq!(caller.outcome(), Outcome::Reached);
    while far.world.server.store().turn() {}
    talk(home, &mut caller, far, &mut called);
    (caller, called)
}

/// A stream that somebody opens to home over TLS with a certificate of this name, and what home says.
fn stranger(home: &House, certificate: &str, said: &str) -> (Link, String) {
    let mut called = home.answer();
    called.secured(vec![CertificateDer::from(certificate.as_bytes().to_vec())]);
    let answer = hears(home, &mut called, said);
    (called, answer)
}

fn hears(home: &House, link: &mut Link, said: &str) -> String {
    link.push(said.as_bytes());
    home.now(link.step());
    let answer = std::mem::take(link.output());
    link.written();
    String::from_utf8(answer).unwrap()
}

fn header(from: &str) -> String {
    format!(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' to='home.example' from='{from}' version='1.0'>"
    )
}

const EXTERNAL: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";

#[test]
fn both_sides_have_something_waiting_when_they_meet() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    far.send(
        &MESSAGE
            .replace("home", "else")
            .replace("far", "home")
            .replace("else", "far"),
    )
    .unwrap();
    let (_, called) = connected(&home, &far);
    assert!(called.is_authenticated());
    let Some(Call::Deliver(remote)) = far.called() else {
        panic!("far wanted to call");
    };
    assert_eq!(
        remote.waiting(),
        0,
        "it went over the stream that home opened"
    );
}

#[test]
fn nobody_else_is_us_whatever_certificate_they_have() {
    let home = house("home.example", "", false);
    for name in ["home.example", "groupchat.home.example"] {
        let (_, answer) = stranger(&home, name, &header(name));
        assert!(answer.contains("<invalid-from"), "{answer}");
        // Without a name in the header it is the one in the word.
        let (mut link, _) = stranger(&home, name, &header("").replace(" from=''", ""));
        let claim = EXTERNAL.replace(">=<", &format!(">{}<", STANDARD.encode(name)));
        let answer = hears(&home, &mut link, &claim);
        assert!(answer.contains("<not-authorized"), "{answer}");
    }
}

#[test]
fn who_says_who_they_are_and_then_nothing_is_not_waited_for() {
    let home = house("home.example", "", false);
    let (mut link, _) = stranger(&home, "far.example", &header("far.example"));
    assert!(hears(&home, &mut link, EXTERNAL).contains("<success"));
    let now = home.world.server.clock().elapsed_ms();
    let due = link.deadline().unwrap();
    assert!(due > now && due <= now + REMOTE_NEGOTIATION_MS_MAX);
    home.world.pass(due - now);
    link.tick();
    assert!(matches!(home.now(link.step()), Todo::Close));
}

#[test]
fn wrong_names_one_after_the_other_end_the_stream() {
    let home = house("home.example", "", false);
    let (mut link, _) = stranger(&home, "far.example", &header("far.example"));
    let mut said = String::new();
    for number in 0..REMOTE_REFUSALS_MAX {
        assert!(!said.contains("policy-violation"), "{number}: {said}");
        let key = format!(
            "<db:result from='x{number}.example' to='home.example'>{}</db:result>",
            "ab".repeat(32)
        );
        said = hears(&home, &mut link, &key);
    }
    assert!(said.contains("policy-violation"), "{said}");
}

#[test]
fn what_crosses_our_goodbye_is_heard() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    let (mut caller, mut called) = connected(&home, &far);
    home.world.pass(REMOTE_IDLE_MS);
    caller.tick();
    far.send(
        "<message xmlns='jabber:client' from='juliet@far.example' to='nobody@home.example' \
         type='chat' id='m2'><body>hello</body></message>",
    )
    .unwrap();
    let crossing = hears(&far, &mut called, "");
    assert!(crossing.contains("id='m2'"), "{crossing}");
    caller.push(crossing.as_bytes());
    let said = talk(&home, &mut caller, &far, &mut called);
    let goodbyes = said.iter().filter(|said| said.contains("</stream:stream>"));
    assert_eq!(goodbyes.count(), 2, "{said:?}");
    assert!(
        home.called().is_some(),
        "the refusal has to go somewhere: {said:?}"
    );
}

#[test]
fn an_address_that_cannot_be_read_ends_no_stream() {
    let home = house("home.example", "", false);
    let (mut link, _) = stranger(&home, "far.example", &header("far.example"));
    hears(&home, &mut link, EXTERNAL);
    hears(&home, &mut link, &header("far.example"));
    for (from, to, expected) in [
        ("a b@far.example", "juliet@home.example", ""),
        ("romeo@far.example", "a b@home.example", ""),
        ("a b@other.example", "juliet@home.example", "invalid-from"),
    ] {
        let message = format!("<message from='{from}' to='{to}'><body>hello</body></message>");
        let said = hears(&home, &mut link, &message);
        assert!(
            said.contains(expected) && said.is_empty() == expected.is_empty(),
            "{said}"
        );
    }
    let call = home.called();
    assert!(
        matches!(call, Some(Call::Deliver(_))),
        "the one who can be told is"
    );
}

#[test]
fn requests_that_may_have_arrived_are_not_made_twice() {
    // What the socket did not take goes again; what it took may have been done.
    for (written, waits) in [(true, 0), (false, 1)] {
        let (home, far) = (
            house("home.example", "", false),
            house("far.example", "", false),
        );
        let (mut caller, _) = connected(&home, &far);
        caller.managed = Managed::default(); // of a server that does not count
        home.send(
            "<iq xmlns='jabber:client' from='juliet@home.example/balcony' to='far.example' \
             type='get' id='i1'><ping xmlns='urn:xmpp:ping'/></iq>",
        )
        .unwrap();
        home.now(caller.step());
        if written {
            caller.written();
        }
        let remote = caller.carries[0].clone();
        home.now(caller.leave());
        assert_eq!(remote.waiting(), waits);
        assert_eq!(home.called().is_some(), waits > 0);
    }
}

#[test]
fn what_nobody_would_hear_of_waits_and_is_tried_again() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    home.send(MESSAGE).unwrap(); // whose sender is not there any more
    let error = StanzaError::REMOTE_SERVER_TIMEOUT;
    for _ in 0..3 {
        let Some(Call::Deliver(remote)) = home.called() else {
            panic!("somebody is to call");
        };
        home.now(
            home.world
                .server
                .remote_failed(&remote, error, "nobody answers"),
        );
        assert_eq!(remote.waiting(), 1);
        home.world.server.call_for_the_held();
        assert!(home.called().is_none(), "not at once");
        home.world.pass(REMOTE_HOLD_MS_MAX);
        home.world.server.call_for_the_held();
    }
    let (mut caller, mut called) = (home.dial(), far.answer());
    let said = talk(&home, &mut caller, &far, &mut called);
    let message = said.iter().find(|said| said.contains("id='m1'")).unwrap();
    assert!(message.contains("<delay"), "{message}");
}
