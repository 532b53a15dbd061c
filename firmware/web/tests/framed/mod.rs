//! A client that speaks in frames of its own making, right ones and wrong ones.

#![allow(dead_code, reason = "each test file uses what it needs")]

use crate::house::House;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) const NS: &str = "urn:ietf:params:xml:ns:xmpp-framing";
pub(crate) const OPEN: &str =
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='home.example' version='1.0'/>";
pub(crate) const CLOSE: &str = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
/// PLAIN for juliet, password secret.
pub(crate) const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>\
    AGp1bGlldABzZWNyZXQ=</auth>";
pub(crate) const BIND: &str = "<iq xmlns='jabber:client' type='set' id='b1'>\
    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
pub(crate) const PING: &str = "<iq xmlns='jabber:client' type='get' id='p1' to='home.example'>\
    <ping xmlns='urn:xmpp:ping'/></iq>";

/// A handshake as a browser makes it, with these lines in place of the usual ones.
pub(crate) fn handshake(instead: &[(&str, &str)]) -> String {
    let usual = [
        ("Host", "home.example"),
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "xmpp"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut head = String::from("GET /xmpp-websocket HTTP/1.1\r\n");
    for (name, value) in usual {
        let other = instead.iter().find(|(other, _)| *other == name);
        let value = other.map_or(value, |(_, value)| value);
        if !value.is_empty() {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head + "\r\n"
}

/// A frame under a mask, with this first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_under([1, 2, 3, 4], first, payload)
}

pub(crate) fn frame_under(mask: [u8; 4], first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 + length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 + 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 + 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    bytes.extend(masked.map(|(byte, key)| byte ^ key));
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Ping,
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// Nothing more: TCP is closed.
    End,
}

pub(crate) struct Client {
    socket: TcpStream,
    heard: Vec<u8>,
}

impl Client {
    /// Makes the handshake, and sends `first` together with it.
    pub(crate) async fn enter(house: &House, first: &[u8]) -> Client {
        let mut socket = house.line().await;
        let head = [handshake(&[]).as_bytes(), first].concat();
        socket.write_all(&head).await.expect("open");
        let mut client = Client {
            socket,
            heard: Vec::new(),
        };
        let end = loop {
            if let Some(end) = client.heard.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(client.read().await, "no answer to the handshake");
        };
        let head: Vec<_> = client.heard.drain(..end).collect();
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        for line in [
            "connection: upgrade\r\n",
            "upgrade: websocket\r\n",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "sec-websocket-protocol: xmpp\r\n",
        ] {
            assert!(head.contains(line), "{line}: {head}");
        }
        client
    }

    /// With a session.
    pub(crate) async fn log_in(house: &House) -> Client {
        let login = [text(OPEN), text(AUTH), text(OPEN), text(BIND)].concat();
        let mut client = Client::enter(house, &login).await;
        client.until("<jid>").await;
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("open");
    }

    pub(crate) async fn say(&mut self, said: &str) {
        self.send(&text(said)).await;
    }

    /// The next frame, whole and without a mask.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            if let Some((first, payload)) = self.next_frame() {
                return match first {
                    0x81 => Heard::Text(String::from_utf8(payload).expect("text")),
                    0x88 if payload.is_empty() => Heard::Close(None),
                    0x88 => Heard::Close(Some(u16::from_be_bytes([payload[0], payload[1]]))),
                    0x89 => Heard::Ping,
                    0x8A => Heard::Pong(payload),
                    _ => panic!("a frame that begins with {first:x}"),
                };
            }
            if !self.read().await {
                assert!(self.heard.is_empty(), "half a frame");
                return Heard::End;
            }
        }
    }

    /// Hears texts up to one that contains this, and gives that.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        loop {
            match self.hear().await {
                Heard::Text(text) if text.contains(wanted) => return text,
                Heard::Text(_) => {}
                other => panic!("{other:?} instead of {wanted}"),
            }
        }
    }

    /// Everything to the end.
    pub(crate) async fn rest(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let heard = self.hear().await;
            let is_end = heard == Heard::End;
            all.push(heard);
            if is_end {
                return all;
            }
        }
    }

    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&first, &short) = (self.heard.first()?, self.heard.get(1)?);
        let (head, length) = match short {
            0..=125 => (2, usize::from(short)),
            126 => {
                let long = self.heard.get(2..4)?;
                (4, usize::from(u16::from_be_bytes([long[0], long[1]])))
            }
            127 => {
                let long: [u8; 8] = self.heard.get(2..10)?.try_into().ok()?;
                (10, u64::from_be_bytes(long) as usize)
            }
            _ => panic!("under a mask"),
        };
        let payload = self.heard.get(head..head + length)?.to_vec();
        self.heard.drain(..head + length);
        Some((first, payload))
    }

    async fn read(&mut self) -> bool {
        let read = self.socket.read_buf(&mut self.heard);
        let read = timeout(Duration::from_secs(20), read).await;
        read.expect("an answer in time").expect("no reset") > 0
    }
}
