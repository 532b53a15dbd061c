//! Sessions of a whole server, through its door.

use super::super::limits::SESSIONS_MAX;
use crate::{
    connection::fixture::{World, plain},
    limits::UNAUTHENTICATED_PER_ADDRESS_MAX,
    listen::ClientDoor,
    tls::{Source, Tls},
    transport::{Visitor, tests::Disk},
};
use std::{path::Path, sync::Arc};
use tokio::task::{JoinHandle, yield_now};
use xmpp::sasl::ChannelBindings;

const NS: &str = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'";
const OPEN: &str = "to='localhost' ver='1.6' wait='55' hold='1' xmpp:version='1.0'";
const NOT_FOUND: &str = "condition='item-not-found'";

struct House {
    door: ClientDoor,
    sid: String,
    rid: u64,
}

impl House {
    fn open() -> House {
        let world = World::new("");
        let source = Source::SelfSigned {
            directory: "tls".into(),
            names: vec!["localhost".into()],
        };
        let disk = Arc::new(Disk::default());
        let tls = Tls::open(disk, &source, Path::new(""), 0).unwrap();
        let door = ClientDoor::new(world.server.clone(), Arc::new(tls));
        let server = world.server;
        tokio::spawn(async move {
            loop {
                while server.store().turn() {}
                yield_now().await;
            }
        });
        House {
            door,
            sid: String::new(),
            rid: 100,
        }
    }

    /// Sends a request that may wait.
    fn begin(&mut self, attributes: &str, inside: &str) -> JoinHandle<String> {
        self.rid += 1;
        let (sid, rid) = (&self.sid, self.rid);
        let sid = if sid.is_empty() {
            String::new()
        } else {
            format!("sid='{sid}'")
        };
        let text = format!("<body rid='{rid}' {sid} {NS} {attributes}>{inside}</body>");
        let door = self.door.clone();
        tokio::spawn(async move { door.answer_bosh(&text, visitor("203.0.113.7")).await.body })
    }

    async fn say(&mut self, attributes: &str, inside: &str, expected: &str) -> String {
        let heard = self.begin(attributes, inside).await.unwrap();
        assert!(heard.contains(expected), "{inside}: {heard}");
        heard
    }

    async fn connect(&mut self) {
        self.sid.clear();
        let heard = self.say(OPEN, "", "<mechanism>PLAIN</mechanism>").await;
        assert!(heard.contains("xmpp:restartlogic='true'"), "{heard}");
        assert!(heard.contains("authid='"), "{heard}");
        let (_, sid) = heard.split_once(" sid='").unwrap();
        self.sid = sid.split_once('\'').unwrap().0.to_owned();
        assert!(self.sid.len() >= 32);
        self.say("", &plain("", "juliet", "pencil"), "<success")
            .await;
        self.say("to='localhost' xmpp:restart='true'", "", "<bind ")
            .await;
    }

    async fn log_in(&mut self) {
        self.connect().await;
        let bind = "<iq type='set' id='b1' xmlns='jabber:client'>\
            <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>web</resource></bind></iq>";
        self.say("", bind, "<jid>juliet@localhost/web</jid>").await;
    }
}

fn visitor(address: &str) -> Visitor {
    Visitor {
        address: address.parse().unwrap(),
        bindings: ChannelBindings {
            exporter: Some(vec![1; 32]),
            end_point: Some(vec![2; 32]),
        },
    }
}

#[tokio::test]
async fn a_login_a_chat_and_a_goodbye() {
    let mut house = House::open();
    house.log_in().await;
    let waiting = house.begin("", "");
    let ping = "<iq type='get' id='p1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    let more = house.begin("", ping);
    let heard = waiting.await.unwrap();
    assert!(
        heard.contains("id='p1'") && heard.contains("type='result'"),
        "{heard}"
    );
    let bye = house.begin("type='terminate'", "<presence type='unavailable'/>");
    // §13: the oldest one is told, the others are answered.
    let (more, bye) = (more.await.unwrap(), bye.await.unwrap());
    assert!(
        more.contains("type='terminate'") && !more.contains("condition"),
        "{more}"
    );
    assert_eq!(bye, "<body xmlns='http://jabber.org/protocol/httpbind'/>");
    while house.door.bosh().count() > 0 {
        yield_now().await;
    }
    house.say("", "", NOT_FOUND).await;
}

/// XEP-0198 holds over it: a session outlives a line of requests like any other.
#[tokio::test]
async fn a_session_waits_for_a_client_that_lost_its_rid() {
    let mut house = House::open();
    house.log_in().await;
    let heard = house
        .say(
            "",
            "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
            "<enabled",
        )
        .await;
    let (_, id) = heard.split_once(" id='").unwrap();
    let id = id.split_once('\'').unwrap().0.to_owned();
    house.rid += 50;
    house.say("", "<presence/>", NOT_FOUND).await;
    house.connect().await;
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' h='0' previd='{id}'/>");
    house.say("", &resume, "<resumed").await;
}

#[tokio::test]
async fn the_house_closes() {
    let mut house = House::open();
    house.log_in().await;
    let waiting = house.begin("", "");
    yield_now().await;
    house.door.close().await;
    let heard = waiting.await.unwrap();
    assert!(
        heard.contains("type='terminate' condition='system-shutdown'"),
        "{heard}"
    );
    assert_eq!(house.door.bosh().count(), 0);
    house.sid.clear();
    house.say(OPEN, "", "system-shutdown").await;
}

/// §7, §17.2: what opens no session.
#[tokio::test]
async fn what_opens_no_session_is_told_why() {
    let mut house = House::open();
    for (attributes, status, condition) in [
        ("rid='1' ver='1.6'", 200, "improper-addressing"),
        ("rid='1' ver='1.6' to=''", 200, "improper-addressing"),
        ("rid='1' ver='1.6' to='far.example'", 200, "host-unknown"),
        ("ver='1.6' to='localhost'", 200, "bad-request"),
        ("to='localhost'", 400, "bad-request"),
        ("rid='1' ver='x' to='localhost'", 200, "bad-request"),
        ("rid='1' ver='1.6' sid='unknown'", 200, "item-not-found"),
        (
            "rid='1' to='localhost' ver='1.6' xmpp:version='0.9'",
            200,
            "remote-stream-error",
        ),
        (
            "rid='1' to='localhost' ver='1.6' from='@'",
            200,
            "remote-stream-error",
        ),
        ("><!-- --></body", 200, "bad-request"),
    ] {
        let text = format!("<body {NS} {attributes}/>");
        let answer = house.door.answer_bosh(&text, visitor("203.0.113.7")).await;
        let expected = format!("type='terminate' condition='{condition}'");
        assert!(
            answer.body.contains(&expected),
            "{attributes}: {}",
            answer.body
        );
        assert_eq!(answer.status, status, "{attributes}");
    }
    for text in ["", "hello", "\0", "<body/>"] {
        let answer = house.door.answer_bosh(text, visitor("203.0.113.7")).await;
        assert!(answer.body.contains("bad-request"), "{text}");
    }
    // What cannot be read ends the session that it names.
    house.connect().await;
    let text = format!("<body sid='{}' {NS}/>", house.sid);
    let answer = house.door.answer_bosh(&text, visitor("203.0.113.7")).await;
    assert!(answer.body.contains("bad-request"));
    while house.door.bosh().count() > 0 {
        yield_now().await;
    }
}

/// Before they have said who they are, no more than at every other door.
#[tokio::test]
async fn strangers_are_counted() {
    let mut house = House::open();
    for _ in 0..UNAUTHENTICATED_PER_ADDRESS_MAX {
        house.say(OPEN, "", "<mechanism>").await;
    }
    house.say(OPEN, "", "remote-connection-failed").await;
    assert_eq!(house.door.bosh().count(), UNAUTHENTICATED_PER_ADDRESS_MAX);
    const { assert!(UNAUTHENTICATED_PER_ADDRESS_MAX < SESSIONS_MAX) };
}
