//! The rules of a session, as the sections of XEP-0124 give them: requests in, answers out, time by hand.

mod houses;
mod rules;
mod window;

use super::{
    body::{Answer, Request},
    replies::Reply,
    session::Session,
    terms::Terms,
};
use std::collections::BTreeMap;
use tokio::sync::oneshot::{self, Receiver};
use xmpp::framing;

const NS: &str = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'";

/// A session and its client, and what the stream heard.
struct Talk {
    session: Session,
    now: u64,
    /// By the id of the request.
    open: BTreeMap<u64, Receiver<Answer>>,
    heard: String,
}

impl Talk {
    /// Opens a session with request 10. The stream has not answered yet.
    fn open(attributes: &str) -> Talk {
        let text = format!("<body rid='10' to='localhost' {NS} {attributes}/>");
        let request = Request::parse(text.as_bytes()).unwrap();
        let (reply, answer) = oneshot::channel();
        let terms = Terms::new("localhost".into(), &request);
        let session = Session::open("SomeSID".into(), terms, &request, Reply(reply), 0);
        Talk {
            session,
            now: 0,
            open: [(10, answer)].into(),
            heard: String::new(),
        }
    }

    /// The usual session, open, its first answer taken.
    fn usual(attributes: &str) -> Talk {
        let mut talk = Talk::open(&format!("ver='1.6' wait='50' hold='1' {attributes}"));
        talk.stream("<features/>");
        talk.answer(10).unwrap();
        talk
    }

    /// A request; what was on its way under that id is forgotten.
    fn send(&mut self, rid: u64, attributes: &str, inside: &str) {
        let text = format!("<body rid='{rid}' sid='SomeSID' {NS} {attributes}>{inside}</body>");
        let request = Request::parse(text.as_bytes()).unwrap();
        let (reply, answer) = oneshot::channel();
        self.session.request(request, Reply(reply), self.now);
        self.open.insert(rid, answer);
    }

    /// The stream takes what there is.
    fn settle(&mut self) {
        if let Some(input) = self.session.input.take() {
            self.heard += &input;
        }
        self.session.is_settled = true;
        self.session.respond(self.now);
    }

    /// Sends, and lets the stream take it.
    fn say(&mut self, rid: u64, attributes: &str, inside: &str) {
        self.send(rid, attributes, inside);
        self.settle();
    }

    /// The stream says something, after it took what there is.
    fn stream(&mut self, said: &str) {
        self.settle();
        let pieces = framing::cut(said.as_bytes()).unwrap();
        self.session.say(pieces, self.now);
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.session.tick(self.now);
    }

    /// The answer to a request, without its declarations, if there is one by now; with its status if that is
    /// unusual.
    fn answer(&mut self, rid: u64) -> Option<String> {
        let answer = self.open.get_mut(&rid)?.try_recv().ok()?;
        self.open.remove(&rid);
        let mut body = answer.body.replace(" xmlns='jabber:client'", "");
        for declaration in [
            " xmlns='http://jabber.org/protocol/httpbind'",
            " xmlns:xmpp='urn:xmpp:xbosh'",
        ] {
            body = body.replace(declaration, "");
        }
        Some(match answer.status {
            200 => body,
            status => format!("{status} {body}"),
        })
    }

    fn expect(&mut self, rid: u64, expected: &str) {
        let found = self.answer(rid);
        let found = found.as_deref().unwrap_or("nothing");
        assert_eq!(found, expected, "request {rid}");
    }

    /// The connection of a request breaks.
    fn lose(&mut self, rid: u64) {
        self.open.remove(&rid);
        self.session.broken(self.now);
    }
}
