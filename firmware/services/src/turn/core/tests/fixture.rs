//! A machine that exists on paper, and a client that signs its requests.

use crate::turn::{
    core::{Core, Fate},
    wire::{Class, Family, Key, Message, Method, Writer, attribute},
    world::{Id, Line, OpenError, World},
};
use household::{Config, config::Network};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
};

pub(super) const DOMAIN: &str = "home.example";
pub(super) const SECRET: &[u8] = b"secret";
/// When the tests happen, in seconds since 1970.
pub(super) const NOW_S: u64 = 1_700_000_000;
pub(super) const JULIET: &str = "1700000100:juliet";
pub(super) const ROMEO: &str = "1700000100:romeo";

/// The machine.
#[derive(Default)]
pub(super) struct Paper {
    pub(super) now_s: Cell<u64>,
    pub(super) external: RefCell<Vec<IpAddr>>,
    /// Names of those who were somebody here.
    pub(super) removed: RefCell<Vec<String>>,
    /// Our addresses on links, besides loopback.
    pub(super) interfaces: RefCell<Vec<IpAddr>>,
    /// Ports of other programs.
    pub(super) busy: RefCell<BTreeSet<u16>>,
    dice: Cell<u8>,
    opened: RefCell<Vec<(SocketAddr, std::rc::Weak<()>)>>,
}

/// A socket on paper: its address, and whether it is still open.
pub(super) type Socket = (SocketAddr, std::rc::Rc<()>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PaperLine {
    pub(super) client: SocketAddr,
    pub(super) came_to: IpAddr,
    pub(super) is_stream: bool,
}

impl Line for PaperLine {
    fn client(&self) -> SocketAddr {
        self.client
    }

    fn came_to(&self) -> Option<IpAddr> {
        Some(self.came_to)
    }

    fn is_stream(&self) -> bool {
        self.is_stream
    }
}

impl Paper {
    /// Addresses of the sockets that are open, in order.
    pub(super) fn open_sockets(&self) -> Vec<SocketAddr> {
        let mut opened = self.opened.borrow_mut();
        opened.retain(|(_, life)| life.strong_count() > 0);
        let mut addresses: Vec<_> = opened.iter().map(|(address, _)| *address).collect();
        addresses.sort();
        addresses
    }
}

impl World for Paper {
    type Line = PaperLine;
    type Relay = Socket;

    fn now_s(&self) -> u64 {
        self.now_s.get()
    }

    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.dice.set(self.dice.get().wrapping_add(1));
            *byte = self.dice.get();
        }
    }

    fn may_relay(&self, username: &str) -> bool {
        !self.removed.borrow().iter().any(|it| it == username)
    }

    fn external(&self, family: Family) -> Option<IpAddr> {
        let external = self.external.borrow();
        external
            .iter()
            .copied()
            .find(|it| Family::of(*it) == family)
    }

    fn source_towards(&self, address: IpAddr) -> Option<IpAddr> {
        let interfaces = self.interfaces.borrow();
        let family = Family::of(address);
        interfaces
            .iter()
            .copied()
            .find(|it| Family::of(*it) == family)
    }

    fn open(&self, address: SocketAddr) -> Result<Socket, OpenError> {
        let ip = address.ip();
        if !(ip.is_unspecified() || ip.is_loopback() || self.interfaces.borrow().contains(&ip)) {
            return Err(OpenError::NotOurs);
        }
        if self.busy.borrow().contains(&address.port()) || self.open_sockets().contains(&address) {
            return Err(OpenError::Taken);
        }
        let life = std::rc::Rc::new(());
        let watched = std::rc::Rc::downgrade(&life);
        self.opened.borrow_mut().push((address, watched));
        Ok((address, life))
    }

    fn attend(&self, _: &Socket, _: Id, _: Family) {}
}

/// The relay, its machine and the time.
pub(super) struct House {
    pub(super) core: Core<Paper>,
    pub(super) paper: Paper,
    pub(super) now: u64,
}

/// Somebody at one place.
pub(super) struct Client {
    pub(super) line: PaperLine,
    pub(super) username: String,
    pub(super) key: Key,
    pub(super) nonce: Vec<u8>,
    transactions: u8,
}

/// What a packet led to, in words.
pub(super) enum Said {
    Answer(Vec<u8>),
    ToClient(PaperLine, Vec<u8>),
    ToPeer(SocketAddr, SocketAddr, Vec<u8>),
    Nothing,
}

impl House {
    /// At 9.9.9.1 and 2620:fe::1, with relayed addresses there.
    pub(super) fn new(toml: &str) -> House {
        let text = format!("domain = '{DOMAIN}'\n{toml}");
        let config = Config::from_texts([(Path::new("hearth.toml"), &*text)]).unwrap();
        let paper = Paper::default();
        paper.now_s.set(NOW_S);
        let ours: [IpAddr; 2] = ["9.9.9.1", "2620:fe::1"].map(|it| it.parse().unwrap());
        paper.interfaces.borrow_mut().extend(ours);
        let mut core = Core::new(&config, SECRET, &paper, 1_000_000);
        let beside_us = Network {
            address: ours[0],
            prefix: 24,
        };
        core.follow(&paper, &config, vec![beside_us]);
        House {
            core,
            paper,
            now: 1_000_000,
        }
    }

    pub(super) fn packet(&mut self, line: &PaperLine, bytes: &[u8]) -> Said {
        let mut out = Vec::new();
        let fate = self
            .core
            .hear_client(&self.paper, self.now, line, bytes, &mut out);
        said(fate, out)
    }

    /// A datagram of a peer to the socket of an allocation.
    pub(super) fn hear_peer(&mut self, id: Id, from: &str, data: &[u8]) -> Said {
        let mut out = Vec::new();
        let from = from.parse().unwrap();
        let fate = self.core.hear_peer(self.now, id, from, data, &mut out);
        said(fate, out)
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.core.tick(&self.paper, self.now);
    }

    /// Asks with the name and nonce of the client, and says what the answer says.
    pub(super) fn ask(
        &mut self,
        client: &mut Client,
        method: Method,
        attributes: Attributes<'_>,
    ) -> String {
        let request = client.request(method, attributes);
        let answer = self.packet(&client.line, &request);
        let Said::Answer(answer) = answer else {
            return "nothing".to_owned();
        };
        let message = Message::read(&answer).unwrap();
        assert!(answer_belongs(&message, &Message::read(&request).unwrap()));
        assert!(!message.has_integrity() || message.is_signed_with(&client.key));
        describe(&message)
    }

    /// Somebody with credentials of ours and a nonce.
    pub(super) fn client(&mut self, username: &str, from: &str) -> Client {
        let line = PaperLine {
            client: from.parse().unwrap(),
            came_to: "9.9.9.1".parse().unwrap(),
            is_stream: false,
        };
        self.client_over(username, line)
    }

    pub(super) fn client_over(&mut self, username: &str, line: PaperLine) -> Client {
        let key = self.core.credentials.key(username);
        Client {
            nonce: self.core.nonces.make(line.client, self.now).to_vec(),
            line,
            username: username.to_owned(),
            key: key.unwrap_or_else(|| Key::new(username, DOMAIN, "guessed")),
            transactions: 0,
        }
    }

    /// Somebody who has an allocation, and its number.
    pub(super) fn relayed(&mut self, username: &str, from: &str) -> (Client, Id) {
        let mut client = self.client(username, from);
        let said = self.ask(&mut client, Method::Allocate, UDP);
        assert!(said.starts_with("allocated"), "{said}");
        let id = self.core.by_line[&client.line];
        (client, id)
    }
}

fn said(fate: Fate<'_, Paper>, out: Vec<u8>) -> Said {
    match fate {
        Fate::Nothing => Said::Nothing,
        Fate::Answer => Said::Answer(out),
        Fate::ToClient(line) => Said::ToClient(line, out),
        Fate::ToPeer { relay, peer, data } => Said::ToPeer(relay.0, peer, data.to_vec()),
    }
}

pub(super) type Attributes<'a> = &'a [(u16, &'a [u8])];
/// What every Allocate request has.
pub(super) const UDP: Attributes<'static> = &[(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0])];
/// Stands for an address that the request is to have turned.
pub(super) const PEER: u16 = attribute::XOR_PEER_ADDRESS;

impl Client {
    /// A signed request. The value of [`PEER`] is written as text.
    pub(super) fn request(&mut self, method: Method, attributes: Attributes<'_>) -> Vec<u8> {
        self.transactions += 1;
        self.again(method, attributes)
    }

    /// The same transaction once more.
    pub(super) fn again(&self, method: Method, attributes: Attributes<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let transaction = [self.transactions; 12];
        let mut writer = Writer::begin(&mut out, Class::Request, method, transaction);
        put_all(&mut writer, attributes);
        writer
            .put(attribute::USERNAME, self.username.as_bytes())
            .put(attribute::REALM, DOMAIN.as_bytes())
            .put(attribute::NONCE, &self.nonce)
            .sign(&self.key);
        out
    }
}

/// The same with a second HMAC, and the first one behind which it stands made wrong: it does not count.
pub(super) fn signed_with_sha256(signed: &[u8], key: &Key, is_right: bool) -> Vec<u8> {
    let mut out = signed.to_vec();
    *out.last_mut().unwrap() ^= 1;
    Writer::go_on(&mut out).sign_sha256(key);
    *out.last_mut().unwrap() ^= u8::from(!is_right);
    out
}

/// A message that nobody signed.
pub(super) fn unsigned(class: Class, method: Method, attributes: Attributes<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out, class, method, [9; 12]);
    put_all(&mut writer, attributes);
    out
}

fn put_all(writer: &mut Writer<'_>, attributes: Attributes<'_>) {
    for (kind, value) in attributes {
        let peer = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok());
        match (*kind, peer) {
            (PEER, Some(peer)) => writer.put_address(PEER, peer),
            (kind, _) => writer.put(kind, value),
        };
    }
}

fn answer_belongs(answer: &Message<'_>, request: &Message<'_>) -> bool {
    answer.transaction == request.transaction
        && answer.method == request.method
        && answer.has_fingerprint == request.has_fingerprint
}

/// What an answer says, in words.
pub(super) fn describe(message: &Message<'_>) -> String {
    let mut words = vec![match (message.class, message.method) {
        (Class::Error, _) => "refused".to_owned(),
        (Class::Success, Method::Allocate) => "allocated".to_owned(),
        (Class::Success, Method::Refresh) => "refreshed".to_owned(),
        (Class::Success, _) => "done".to_owned(),
        (class, method) => format!("{class:?} {method:?}"),
    }];
    for (kind, value) in message.attributes() {
        let address = || message.address(value).unwrap();
        words.push(match kind {
            attribute::ERROR_CODE => format!("{}", 100 * u32::from(value[2]) + u32::from(value[3])),
            attribute::UNKNOWN_ATTRIBUTES => format!("unknown {value:02x?}"),
            attribute::XOR_RELAYED_ADDRESS => format!("at {}", address()),
            attribute::XOR_MAPPED_ADDRESS => format!("seen as {}", address()),
            PEER => format!("from {}", address()),
            attribute::DATA => format!("data {}", String::from_utf8_lossy(value)),
            attribute::LIFETIME => format!("for {}", u32::from_be_bytes(value.try_into().unwrap())),
            attribute::RESERVATION_TOKEN => "with a token".to_owned(),
            attribute::ADDRESS_ERROR_CODE => {
                let code = 100 * u32::from(value[2]) + u32::from(value[3]);
                format!("family {} refused {code}", value[0])
            }
            attribute::REALM => format!("realm {}", String::from_utf8_lossy(value)),
            attribute::NONCE => "with a nonce".to_owned(),
            // On every answer of some kinds: see `who_we_are`.
            attribute::SOFTWARE => continue,
            other => format!("{other:#06x}"),
        });
    }
    if message.has_integrity() {
        words.push("signed".to_owned());
    }
    words.join(", ")
}
