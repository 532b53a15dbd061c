//! One question to one name server and its answer: over UDP, and over TCP where that does not fit.

use super::limits::{ANSWER_ATTEMPTS, ANSWER_WAIT, DATAGRAM_BYTES};
use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, Query},
    rr::{Name, RecordType},
};
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// Asks for the records of one name and kind, which the server is to have itself.
pub(super) async fn ask(server: SocketAddr, name: Name, kind: RecordType) -> io::Result<Message> {
    let question = question(name, kind);
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let answer = over_udp(server, &question, &bytes).await?;
    if !answer.truncation {
        return Ok(answer);
    }
    let mut line = Line::open(server).await?;
    line.send(&bytes).await?;
    match read(&line.receive().await?, &question) {
        Some(answer) => Ok(answer),
        None => Err(ErrorKind::InvalidData.into()),
    }
}

/// A question that is not to be passed on to others.
pub(super) fn question(name: Name, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(name, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_BYTES);
    message.set_edns(edns);
    message
}

async fn over_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    for _ in 0..ANSWER_ATTEMPTS {
        socket.send(bytes).await?;
        if let Ok(answer) = timeout(ANSWER_WAIT, heard(&socket, question)).await {
            return answer;
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// The answer to the question. What is none is somebody else's, and the right one may still come.
async fn heard(socket: &UdpSocket, question: &Message) -> io::Result<Message> {
    let mut buffer = [0; 4_096];
    loop {
        let size = socket.recv(&mut buffer).await?;
        if let Some(answer) = read(&buffer[..size], question) {
            return Ok(answer);
        }
    }
}

/// An answer to this question.
pub(super) fn read(bytes: &[u8], question: &Message) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let is_one = answer.id == question.id
        && answer.message_type == MessageType::Response
        && answer.queries == question.queries;
    is_one.then_some(answer)
}

/// A connection to a name server (RFC 1035 §4.2.2).
pub(super) struct Line(TcpStream);

impl Line {
    pub(super) async fn open(server: SocketAddr) -> io::Result<Line> {
        let stream = timeout(ANSWER_WAIT, TcpStream::connect(server)).await;
        Ok(Line(stream.map_err(|_| ErrorKind::TimedOut)??))
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = u16::try_from(bytes.len()).map_err(|_| ErrorKind::InvalidInput)?;
        let mut message = size.to_be_bytes().to_vec();
        message.extend_from_slice(bytes);
        self.0.write_all(&message).await
    }

    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let whole = async {
            let size = self.0.read_u16().await?;
            let mut bytes = vec![0; usize::from(size)];
            self.0.read_exact(&mut bytes).await?;
            Ok(bytes)
        };
        timeout(ANSWER_WAIT, whole)
            .await
            .map_err(|_| ErrorKind::TimedOut)?
    }
}
