//! Sessions of a whole server, through its door.

use super::{
    super::limits::{PAYLOADS_MAX, SESSIONS_MAX},
    Answer,
};
use crate::{
    connection::fixture::{World, plain},
    limits::{CLOSE_MS_MAX, UNAUTHENTICATED_PER_ADDRESS_MAX},
    listen::ClientDoor,
    tls::{Source, Tls},
    transport::{Visitor, tests::Disk},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::task::{JoinHandle, yield_now};
use xmpp::sasl::ChannelBindings;

const NS: &str = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'";
const OPEN: &str = "to='localhost' ver='1.6' wait='55' hold='1' xmpp:version='1.0'";
const NOT_FOUND: &str = "condition='item-not-found'";

struct House {
    world: World,
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
        let server = world.server.clone();
        tokio::spawn(async move {
            loop {
                while server.store().turn() {}
                yield_now().await;
            }
        });
        House {
            world,
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
        tokio::spawn(async move {
            door.answer_bosh(text.as_bytes(), visitor("203.0.113.7"))
                .await
                .body
        })
    }

    async fn say(&mut self, attributes: &str, inside: &str, expected: &str) -> String {
        let heard = self.begin(attributes, inside).await.unwrap();
        assert!(heard.contains(expected), "{inside}: {heard}");
        heard
    }

    async fn answer(&self, text: &str) -> Answer {
        let answer = self
            .door
            .answer_bosh(text.as_bytes(), visitor("203.0.113.7"));
        answer.await
    }

    /// All sessions are over.
    async fn closed(&self) {
        while self.door.bosh().count() > 0 {
            yield_now().await;
        }
    }

    async fn enter(&mut self) {
        self.sid.clear();
        let heard = self.say(OPEN, "", "<mechanism>PLAIN</mechanism>").await;
        assert!(heard.contains("xmpp:restartlogic='true'"), "{heard}");
        assert!(heard.contains("authid='"), "{heard}");
        let (_, sid) = heard.split_once(" sid='").unwrap();
        self.sid = sid.split_once('\'').unwrap().0.to_owned();
        assert!(self.sid.len() >= 32);
    }

    async fn connect(&mut self) {
        self.enter().await;
        self.say("", &plain("", "juliet", "pencil"), "<success")
            .await;
        self.say("to='localhost' xmpp:restart='true'", "", "<bind ")
            .await;
    }

    async fn log_in(&mut self) {
        self.log_in_as("web").await;
    }

    async fn log_in_as(&mut self, resource: &str) {
        self.connect().await;
        let bind = format!(
            "<iq type='set' id='b1' xmlns='jabber:client'><bind \
             xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        );
        let jid = format!("<jid>juliet@localhost/{resource}</jid>");
        self.say("", &bind, &jid).await;
    }

    /// Somebody with two devices: the first can be spoken to, and has no request here; the second speaks.
    async fn two_devices(&mut self) -> (String, u64) {
        self.log_in_as("desk").await;
        self.say("", "<presence/>", "<presence").await;
        let first = (self.sid.clone(), self.rid);
        self.log_in_as("hand").await;
        first
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
    let more = house.begin("", PING);
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
    house.closed().await;
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

const PING: &str = "<iq type='get' id='p1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";

fn message(to: &str, text: &str) -> String {
    format!("<message to='{to}' type='chat'><body>{text}</body></message>")
}

/// A laptop whose lid was closed: nobody came for a message, so nobody has it, and it waits for the next
/// login.
#[tokio::test(start_paused = true)]
async fn what_nobody_fetched_is_there_for_the_next_login() {
    let mut house = House::open();
    house.two_devices().await;
    let hello = message("juliet@localhost/desk", "are you there") + PING;
    house.say("", &hello, "id='p1'").await;
    house.world.pass(60_001);
    tokio::time::advance(Duration::from_millis(60_001)).await;
    house.closed().await;
    house.log_in_as("desk").await;
    house.say("", "<presence/>", "are you there").await;
}

/// §13: what comes with a goodbye is done, also where the client leaves much that it did not fetch.
#[tokio::test]
async fn a_goodbye_is_heard_behind_what_nobody_fetched() {
    let mut house = House::open();
    let first = house.two_devices().await;
    for _ in 0..3 {
        let long = message("juliet@localhost/desk", &"x".repeat(30_000)) + PING;
        house.say("", &long, "id='p1'").await;
    }
    let hand = std::mem::replace(&mut house.sid, first.0);
    let rid = std::mem::replace(&mut house.rid, first.1);
    let bye = message("juliet@localhost/hand", "good night");
    let heard = house
        .say("type='terminate'", &bye, "type='terminate'")
        .await;
    assert_eq!(heard.matches("xxx</body>").count(), 3);
    (house.sid, house.rid) = (hand, rid);
    house.say("", "", "good night").await;
}

/// §7, §17.2: what opens no session.
#[tokio::test]
async fn what_opens_no_session_is_told_why() {
    let house = House::open();
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
        let answer = house.answer(&format!("<body {NS} {attributes}/>")).await;
        let expected = format!("type='terminate' condition='{condition}'");
        assert!(
            answer.body.contains(&expected),
            "{attributes}: {}",
            answer.body
        );
        assert_eq!(answer.status, status, "{attributes}");
    }
    for text in ["", "hello", "\0", "<body/>"] {
        let answer = house.answer(text).await;
        assert!(answer.body.contains("bad-request"), "{text}");
    }
}

/// §17.2: what cannot be read ends the session that it names, for its author was told that it ended.
#[tokio::test]
async fn what_cannot_be_read_ends_its_session() {
    let mut house = House::open();
    let many = "><a/>".to_owned() + &"<a/>".repeat(PAYLOADS_MAX) + "</body>";
    for (rest, condition) in [
        ("/>", "bad-request"),
        (" rid='x'/>", "bad-request"),
        (">", "bad-request"),
        ("><a></b></body>", "bad-request"),
        (">text</body>", "bad-request"),
        ("><!-- --></body>", "bad-request"),
        (&*many, "policy-violation"),
    ] {
        house.connect().await;
        let text = format!("<body sid='{}' {NS}{rest}", house.sid);
        let answer = house.answer(&text).await;
        let expected = format!("type='terminate' condition='{condition}'");
        assert!(answer.body.contains(&expected), "{rest}: {}", answer.body);
        house.closed().await;
    }
    house.connect().await;
    let mut bytes = format!("<body rid='1' sid='{}' {NS}/>", house.sid).into_bytes();
    bytes.push(0xff);
    let answer = house.door.answer_bosh(&bytes, visitor("203.0.113.7")).await;
    assert!(answer.body.contains("bad-request"), "no UTF-8");
    house.closed().await;
    // As much as was read of what is longer than any request.
    house.connect().await;
    let text = format!("<body rid='1' sid='{}' {NS}><message to='", house.sid);
    let answer = house.door.refuse_bosh(text.as_bytes());
    assert!(
        answer
            .body
            .contains("type='terminate' condition='policy-violation'")
    );
    house.closed().await;
}

/// §17.2: why a stream ended is told to whoever comes later, but nothing is kept for strangers.
#[tokio::test(start_paused = true)]
async fn why_a_stream_ended_waits_for_the_next_request() {
    let mut house = House::open();
    for (is_known, expected) in [(true, "<unsupported-stanza-type"), (false, NOT_FOUND)] {
        if is_known {
            house.log_in().await;
        } else {
            house.enter().await;
        }
        // Its answer comes at once, and nobody waits for another.
        house.say("pause='60'", "<x:y xmlns:x='z'/>", "").await;
        for _ in 0..8 {
            tokio::time::advance(Duration::from_millis(CLOSE_MS_MAX / 4)).await;
            for _ in 0..20 {
                yield_now().await;
            }
        }
        assert_eq!(house.door.bosh().count(), usize::from(is_known));
        house.say("", "", expected).await;
        house.closed().await;
        house.say("", "", NOT_FOUND).await;
    }
    // Nor for ever.
    house.log_in().await;
    house.say("pause='60'", "<x:y xmlns:x='z'/>", "").await;
    while house.door.bosh().count() > 0 {
        tokio::time::advance(Duration::from_secs(1)).await;
        yield_now().await;
    }
    house.say("", "", NOT_FOUND).await;
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
