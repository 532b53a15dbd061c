//! A client of the relay over real sockets of this machine, which writes and reads with somebody else's
//! library.

#![allow(dead_code, reason = "each test uses some of it")]

use household::Config;
use server::{
    listen::Relay,
    world::{Clock, Dice, Timestamp},
};
use services::turn::{External, Turn};
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use stun_types::{
    attribute::{ErrorCode, Nonce, Realm, Username},
    message::{
        BINDING, IntegrityAlgorithm, LongTermCredentials, Message, MessageIntegrityCredentials,
        MessageWriteVec, Method,
    },
    prelude::*,
};
use tokio::{net::UdpSocket, sync::watch, task::JoinHandle, time::timeout};
use turn_types::{
    attribute::{
        ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
    },
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND},
};

pub(crate) const CHANNEL: u16 = 0x4000;
const REALM: &str = "home.example";
/// Good for as long as anybody tests.
pub(crate) const NAME: &str = "4102444800:juliet";
/// `printf 4102444800:juliet | openssl dgst -binary -sha1 -hmac secret | base64`
pub(crate) const PASSWORD: &str = "t4kNZbb4wrngaIunVB71opBds+s=";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The relay, with a socket for datagrams.
pub(crate) struct House {
    pub(crate) turn: Turn,
    pub(crate) external: watch::Sender<External>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) port: u16,
}

struct Time(Instant);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        1_700_000_000_000
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

struct Chance;

impl Dice for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("randomness");
    }
}

impl House {
    /// Listens at a port that the system chooses.
    #[allow(clippy::disallowed_methods, reason = "this is the machine")]
    pub(crate) async fn open(address: &str, toml: &str) -> House {
        let text = format!("domain = '{REALM}'\n{toml}");
        let config =
            Config::from_texts([(Path::new("hearth.toml"), &*text)]).expect("a configuration");
        let external = watch::Sender::new(External::of(&config));
        let machine = (Arc::new(Time(Instant::now())) as _, Arc::new(Chance) as _);
        let secret = (&b"secret"[..], Arc::new(|_: &str| true) as _);
        let turn = Turn::new(&config, secret, machine, external.subscribe());
        let (stop, stopped) = watch::channel(false);
        let socket = UdpSocket::bind((address, 0)).await.expect("loopback");
        let port = socket.local_addr().expect("loopback").port();
        let serving = tokio::spawn(turn.serve_datagrams(socket, stopped.clone()));
        tokio::spawn(turn.clone().keep(stopped));
        House {
            turn,
            external,
            stop,
            serving,
            port,
        }
    }
}

/// Peers on this machine, which nobody could reach otherwise.
pub(crate) const NEIGHBOURS: &str =
    "[turn]\nallow_peers = ['127.0.0.0/8', '::1/128']\nrelay_ports = '30000-32000'\n";

/// What a client says to be let in.
#[derive(Default)]
pub(crate) struct Words {
    nonce: String,
}

impl Words {
    /// Takes the nonce out of an answer; `false` where there is none to take.
    pub(crate) fn learn(&mut self, answer: &[u8]) -> bool {
        let message = Message::from_bytes(answer).expect("a message");
        match message.attribute::<Nonce>() {
            Ok(nonce) if self.nonce.is_empty() => {
                nonce.nonce().clone_into(&mut self.nonce);
                true
            }
            _ => false,
        }
    }

    /// A request as it goes onto the wire, signed once there is a nonce.
    pub(crate) fn request(&self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        for attribute in attributes {
            request.add_attribute(*attribute).expect("room");
        }
        self.sign(request)
    }

    pub(crate) fn permit(&self, peer: SocketAddr) -> Vec<u8> {
        let mut request = Message::builder_request(CREATE_PERMISSION, MessageWriteVec::new());
        // An address is turned with the transaction.
        let peer = XorPeerAddress::new(peer, request.transaction_id());
        request.add_attribute(&peer).expect("room");
        self.sign(request)
    }

    pub(crate) fn bind(&self, peer: SocketAddr) -> Vec<u8> {
        let mut request = Message::builder_request(CHANNEL_BIND, MessageWriteVec::new());
        let peer = XorPeerAddress::new(peer, request.transaction_id());
        request.add_attribute(&peer).expect("room");
        request
            .add_attribute(&ChannelNumber::new(CHANNEL))
            .expect("room");
        self.sign(request)
    }

    fn sign(&self, mut request: MessageWriteVec) -> Vec<u8> {
        if !self.nonce.is_empty() {
            request
                .add_attribute(&Username::new(NAME).expect("room"))
                .expect("room");
            request
                .add_attribute(&Realm::new(REALM).expect("room"))
                .expect("room");
            request
                .add_attribute(&Nonce::new(&self.nonce).expect("room"))
                .expect("room");
            let credentials = LongTermCredentials::new(NAME.into(), PASSWORD.into());
            let credentials = MessageIntegrityCredentials::from(credentials.to_key(REALM.into()));
            request
                .add_message_integrity(&credentials, IntegrityAlgorithm::Sha1)
                .expect("room");
        }
        request.finish()
    }
}

/// Somebody at one socket.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    words: Words,
}

impl Client {
    /// Towards this address of the house.
    pub(crate) async fn new(to: SocketAddr) -> Client {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.expect("loopback");
        socket.connect(to).await.expect("loopback");
        Client {
            socket,
            words: Words::default(),
        }
    }

    pub(crate) async fn hear(&self) -> Vec<u8> {
        hear(&self.socket).await.0
    }

    async fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.socket.send(request).await.expect("loopback");
        self.hear().await
    }

    /// Allocates; where peers find it.
    pub(crate) async fn allocate(&mut self) -> SocketAddr {
        let udp = RequestedTransport::new(RequestedTransport::UDP);
        let challenge = self.ask(&self.words.request(ALLOCATE, &[&udp])).await;
        assert!(self.words.learn(&challenge));
        let answer = self.ask(&self.words.request(ALLOCATE, &[&udp])).await;
        relayed(&answer).expect("an allocation")
    }

    /// The code with which it was refused, if it was; so do the others.
    pub(crate) async fn permit(&self, peer: SocketAddr) -> Option<u16> {
        code(&self.ask(&self.words.permit(peer)).await)
    }

    pub(crate) async fn bind(&self, peer: SocketAddr) -> Option<u16> {
        code(&self.ask(&self.words.bind(peer)).await)
    }

    pub(crate) async fn refresh(&self, seconds: u32) -> Option<u16> {
        code(
            &self
                .ask(&self.words.request(REFRESH, &[&Lifetime::new(seconds)]))
                .await,
        )
    }

    /// Data for a peer without a channel.
    pub(crate) fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let peer = XorPeerAddress::new(peer, message.transaction_id());
        message.add_attribute(&peer).expect("room");
        message.add_attribute(&Data::new(data)).expect("room");
        message.finish()
    }

    pub(crate) async fn is_answered(&self) -> bool {
        let request = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
        Message::from_bytes(&self.ask(&request).await).is_ok()
    }
}

/// The next datagram, and whose it is.
pub(crate) async fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 2_000];
    let heard = timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (length, from) = heard.expect("something comes").expect("loopback");
    buffer.truncate(length);
    (buffer, from)
}

/// The relayed address in an answer.
pub(crate) fn relayed(answer: &[u8]) -> Option<SocketAddr> {
    let message = Message::from_bytes(answer).expect("a message");
    let address = message.attribute::<XorRelayedAddress>().ok()?;
    Some(address.addr(message.transaction_id()))
}

/// The code in an answer that is an error.
pub(crate) fn code(answer: &[u8]) -> Option<u16> {
    let message = Message::from_bytes(answer).expect("a message");
    Some(message.attribute::<ErrorCode>().ok()?.code())
}

/// Data in a channel.
pub(crate) fn in_channel(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [&CHANNEL.to_be_bytes()[..], &length, data].concat()
}
