//! Another server, as scripts see it: it proves who it is, hands its users what comes for them, and sends
//! what they say. Streams are the server's own, from the first byte behind TLS to the last.

use crate::wire::{Item, Wire};
use rustls_pki_types::CertificateDer;
use server::{
    Server,
    connection::Todo,
    s2s::{Call, Link, Outside, Reached, dane::Published},
};
use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
};
use xmpp::{Element, element::Node, ns};

/// Whom the server under test wants to call. Certificates are what they say: here they are the name itself.
#[derive(Default)]
pub(super) struct Street {
    calls: Mutex<VecDeque<Call>>,
}

impl Street {
    pub(super) fn next(&self) -> Option<Call> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.pop_front()
    }
}

impl Outside for Street {
    fn call(&self, call: Call) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push_back(call);
    }

    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &str,
        _: &Published,
    ) -> Result<(), String> {
        let is_for_it = chain
            .first()
            .is_some_and(|leaf| **leaf == *domain.as_bytes());
        is_for_it
            .then_some(())
            .ok_or_else(|| "it is for another name".to_owned())
    }
}

/// A server with that domain.
pub(super) struct Far {
    pub(super) domain: String,
    /// Bare JIDs of its users, and the lines of those who speak for them.
    pub(super) users: Vec<(String, usize)>,
    streams: Vec<Stream>,
    /// What waits until its own stream is open.
    unsaid: Vec<String>,
}

/// One stream with the server under test.
struct Stream {
    link: Link,
    wire: Wire,
    /// Whether the far server opened it.
    is_ours: bool,
    /// Headers that came on it.
    headers: u8,
    is_open: bool,
}

/// What a round with the far server came to.
#[derive(Default)]
pub(super) struct Round {
    pub(super) moved: bool,
    /// By line: what its user got, or that the stream over which it spoke was closed.
    pub(super) got: Vec<(usize, Vec<u8>)>,
    /// Links that have ended and are to be left.
    pub(super) over: Vec<Link>,
    pub(super) is_refused: bool,
}

impl Far {
    pub(super) fn new(domain: &str) -> Far {
        Far {
            domain: domain.into(),
            users: Vec::new(),
            streams: Vec::new(),
            unsaid: Vec::new(),
        }
    }

    /// The server under test calls.
    pub(super) fn is_called(&mut self, server: &Arc<Server>, why: Reached) {
        let mut link = Link::calling(server.clone(), address(), true, why);
        link.secured(vec![self.certificate()]);
        self.streams.push(Stream::new(link, false));
    }

    /// One of its users says something.
    pub(super) fn says(&mut self, user: &str, bytes: &[u8]) {
        let mut wire = Wire::default();
        wire.push(bytes);
        while let Ok(Some(item)) = wire.take_item() {
            if let Item::Element(mut element) = item {
                if element.attr("from").is_none() {
                    element.attributes.push(("from".into(), user.into()));
                }
                rename(&mut element, ns::CLIENT, ns::SERVER);
                let mut text = String::new();
                element.write(&mut text, ns::SERVER);
                self.unsaid.push(text);
            }
        }
    }

    /// The links, for a server that ends.
    pub(super) fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.streams.iter_mut().map(|stream| &mut stream.link)
    }

    /// Everything between the two is gone.
    pub(super) fn forget(&mut self) -> Vec<Link> {
        let streams = self.streams.drain(..);
        streams.map(|stream| stream.link).collect()
    }

    /// Does what can be done now. `step` drives a link until it waits.
    pub(super) fn drive(
        &mut self,
        server: &Arc<Server>,
        mut step: impl FnMut(&mut Link) -> Todo,
    ) -> Round {
        let mut round = Round::default();
        let has_own = self.streams.iter().any(|stream| stream.is_ours);
        if !self.unsaid.is_empty() && !has_own {
            let mut link = Link::called(server.clone(), address(), true);
            link.secured(vec![self.certificate()]);
            link.push(self.header("").as_bytes());
            self.streams.push(Stream::new(link, true));
        }
        let mut at = 0;
        while at < self.streams.len() {
            let mut stream = self.streams.remove(at);
            let todo = step(&mut stream.link);
            let output = std::mem::take(stream.link.output());
            stream.link.written();
            round.moved |= !output.is_empty();
            stream.wire.push(&output);
            while let Ok(Some(item)) = stream.wire.take_item() {
                self.take(&mut stream, item, &mut round);
            }
            if stream.is_ours && stream.is_open && !self.unsaid.is_empty() {
                for text in self.unsaid.drain(..) {
                    stream.link.push(text.as_bytes());
                }
                round.moved = true;
            }
            if matches!(todo, Todo::Close) {
                round.is_refused |= stream.is_ours;
                round.over.push(stream.link);
                round.moved = true;
            } else {
                self.streams.insert(at, stream);
                at += 1;
            }
        }
        round
    }

    fn take(&self, stream: &mut Stream, item: Item, round: &mut Round) {
        match item {
            Item::Declaration => {}
            Item::Open(header) => {
                stream.headers += 1;
                if !stream.is_ours {
                    let features = if stream.headers == 1 {
                        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                         <mechanism>EXTERNAL</mechanism></mechanisms>"
                    } else {
                        stream.is_open = true;
                        ""
                    };
                    let header = self.header(header.attr("from").unwrap_or_default());
                    let features = format!("<stream:features>{features}</stream:features>");
                    stream.link.push(format!("{header}{features}").as_bytes());
                }
            }
            Item::Element(element) => self.element(stream, element, round),
            Item::Close => stream.link.push(b"</stream:stream>"),
        }
    }

    fn element(&self, stream: &mut Stream, mut element: Element, round: &mut Round) {
        match (element.ns.as_str(), element.name.as_str()) {
            (ns::SASL, "auth") => {
                let success = format!("<success xmlns='{}'/>", ns::SASL);
                stream.link.push(success.as_bytes());
            }
            (ns::SASL, "success") => stream.link.push(self.header("").as_bytes()),
            (ns::STREAMS, "features") if stream.headers == 1 => {
                let auth = format!("<auth xmlns='{}' mechanism='EXTERNAL'>=</auth>", ns::SASL);
                stream.link.push(auth.as_bytes());
            }
            (ns::STREAMS, "features") => stream.is_open = true,
            _ => {
                rename(&mut element, ns::SERVER, ns::CLIENT);
                let line = self.line_of(&element);
                let mut text = String::new();
                element.write(&mut text, ns::CLIENT);
                round.got.push((line, text.into_bytes()));
            }
        }
        round.moved = true;
    }

    /// Of the user whom it is for; of the first one, where it is for nobody else.
    fn line_of(&self, element: &Element) -> usize {
        let to = element.attr("to").unwrap_or_default();
        let bare = to.split('/').next().unwrap_or_default();
        let user = self.users.iter().find(|(user, _)| user == bare);
        user.or(self.users.first()).map_or(0, |(_, line)| *line)
    }

    fn header(&self, to: &str) -> String {
        let to = if to.is_empty() {
            crate::addresses::HOME
        } else {
            to
        };
        format!(
            "<?xml version='1.0'?><stream:stream from='{}' to='{to}' id='far' version='1.0' \
             xmlns='{}' xmlns:db='jabber:server:dialback' xmlns:stream='{}'>",
            self.domain,
            ns::SERVER,
            ns::STREAMS
        )
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.domain.as_bytes().to_vec())
    }
}

impl Stream {
    fn new(link: Link, is_ours: bool) -> Stream {
        Stream {
            link,
            wire: Wire::default(),
            is_ours,
            headers: 0,
            is_open: false,
        }
    }
}

/// A documentation address (RFC 5737): nobody's.
fn address() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))
}

/// Whatever is in one content namespace is in another one from now on (RFC 6120 §4.8.3).
fn rename(element: &mut Element, from: &str, to: &str) {
    if element.ns == from {
        element.ns = to.into();
    }
    for node in &mut element.children {
        if let Node::Element(child) = node {
            rename(child, from, to);
        }
    }
}
