//! What a connection says first: the part of SOCKS 5 (RFC 1928) that XEP-0065 §5.3.2 and §10.2 use. Nobody
//! shows who they are, the command is CONNECT, and the name of the host is a hash.

use super::Rendezvous;
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const VERSION: u8 = 5;
/// §3.
const NO_AUTHENTICATION: u8 = 0;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
/// §4.
const CONNECT: u8 = 1;
const DOMAIN_NAME: u8 = 3;

/// §6: what is said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reply {
    Succeeded = 0,
    /// There are too many.
    GeneralFailure = 1,
    /// That is no place to meet.
    NotAllowed = 2,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

/// A request that is to be answered.
pub(super) struct Request {
    pub(super) at: Rendezvous,
    /// Length, name and port, as they came: they are said back (XEP-0065 §5.3.2).
    address: Vec<u8>,
}

/// Reads the request, not a byte more, and refuses what is none of ours.
///
/// # Errors
/// The connection's own; `InvalidData` for whoever was refused, or speaks something else.
pub(super) async fn request<S>(socket: &mut S) -> io::Result<Request>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [version, count] = read(socket).await?;
    if version != VERSION {
        return Err(refused("not SOCKS 5"));
    }
    let mut methods = vec![0; usize::from(count)];
    socket.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        socket.write_all(&[VERSION, NO_ACCEPTABLE_METHOD]).await?;
        return Err(refused("wants to authenticate"));
    }
    socket.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let [version, command, _, type_] = read(socket).await?;
    let fault = match (version, command, type_) {
        (VERSION, CONNECT, DOMAIN_NAME) => None,
        (VERSION, CONNECT, _) => Some(Reply::AddressTypeNotSupported),
        (VERSION, ..) => Some(Reply::CommandNotSupported),
        _ => return Err(refused("not SOCKS 5")),
    };
    if let Some(fault) = fault {
        // Of the address there may be more on the way, and what it says is nothing to us.
        socket
            .write_all(&reply(fault, &[1, 0, 0, 0, 0, 0, 0]))
            .await?;
        return Err(refused("asks for something else"));
    }
    let [length] = read(socket).await?;
    let mut address = vec![length; 1 + usize::from(length) + 2];
    socket.read_exact(&mut address[1..]).await?;
    let name = &address[1..=usize::from(length)];
    match Rendezvous::parse(name) {
        Some(at) => Ok(Request { at, address }),
        None => {
            let said = named(Reply::NotAllowed, &address);
            socket.write_all(&said).await?;
            Err(refused("names no hash"))
        }
    }
}

impl Request {
    /// What is said to it.
    pub(super) fn reply(&self, reply: Reply) -> Vec<u8> {
        named(reply, &self.address)
    }
}

async fn read<const N: usize>(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// With the address that was asked for.
fn named(reply_: Reply, address: &[u8]) -> Vec<u8> {
    reply(reply_, &[&[DOMAIN_NAME], address].concat())
}

fn reply(reply: Reply, address: &[u8]) -> Vec<u8> {
    [&[VERSION, reply as u8, 0], address].concat()
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    const HASH: &[u8; 40] = b"416781edf1ae50bad01cb8509ba35b43952bc345";

    fn connect(command: u8, type_: u8, name: &[u8], port: u8) -> Vec<u8> {
        let length = u8::try_from(name.len()).unwrap();
        [&[5, command, 0, type_, length][..], name, &[0, port]].concat()
    }

    /// What is answered to these bytes, as a whole, and how it ends.
    async fn check(said: &[&[u8]], answered: &[&[u8]], expected: &str) {
        let (mut ours, mut theirs) = duplex(1_024);
        theirs.write_all(&said.concat()).await.unwrap();
        theirs.shutdown().await.unwrap();
        let outcome = match request(&mut ours).await {
            Ok(request) => {
                let said = request.reply(Reply::Succeeded);
                ours.write_all(&said).await.unwrap();
                "a place".to_owned()
            }
            Err(error) => error.to_string(),
        };
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        drop(ours);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        assert_eq!(format!("{outcome}; {} left", rest.len()), expected);
        assert_eq!(heard, answered.concat(), "{expected}");
    }

    #[tokio::test]
    async fn a_place_to_meet() {
        let asked = connect(1, 3, HASH, 0);
        let said = [&[5, 0, 0, 3, 40][..], HASH, &[0, 0]].concat();
        let none = [5, 0];
        check(&[&[5, 1, 0], &asked], &[&none, &said], "a place; 0 left").await;
        check(
            &[&[5, 2, 2, 0], &asked, b"more"],
            &[&none, &said],
            "a place; 4 left",
        )
        .await;
        let upper = HASH.to_ascii_uppercase();
        let said = [&[5, 0, 0, 3, 40][..], &upper, &[0, 7]].concat();
        let asked = connect(1, 3, &upper, 7);
        check(&[&[5, 1, 0], &asked], &[&none, &said], "a place; 0 left").await;
    }

    #[tokio::test]
    async fn what_is_refused() {
        let none: &[u8] = &[5, 0];
        let greeting: &[u8] = &[5, 1, 0];
        check(
            &[&[5, 1, 2]],
            &[&[5, 0xff]],
            "wants to authenticate; 0 left",
        )
        .await;
        check(&[&[5, 0]], &[&[5, 0xff]], "wants to authenticate; 0 left").await;
        check(&[b"GET / HTTP/1.1"], &[], "not SOCKS 5; 12 left").await;
        check(&[&[4, 1, 0, 80]], &[], "not SOCKS 5; 2 left").await;
        let other = "asks for something else; 43 left";
        let nowhere = [1, 0, 0, 0, 0, 0, 0];
        for (command, type_, code) in [(2, 3, 7), (3, 3, 7), (1, 1, 8), (1, 4, 8), (9, 9, 7)] {
            let said = [&[5, code, 0][..], &nowhere].concat();
            let asked = connect(command, type_, HASH, 0);
            check(&[greeting, &asked], &[none, &said], other).await;
        }
        for name in [&b"home.example"[..], &HASH[1..], &[b'g'; 40], b""] {
            let asked = connect(1, 3, name, 0);
            let length = u8::try_from(name.len()).unwrap();
            let said = [&[5, 2, 0, 3, length][..], name, &[0, 0]].concat();
            check(&[greeting, &asked], &[none, &said], "names no hash; 0 left").await;
        }
        check(&[greeting, &[4, 1, 0, 3]], &[none], "not SOCKS 5; 0 left").await;
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            begin in proptest::sample::select(vec![&b""[..], &[5], &[5, 1, 0], &[5, 1, 0, 5, 1, 0, 3]]),
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut ours, mut theirs) = duplex(2_048);
                theirs.write_all(&[begin, &bytes].concat()).await.unwrap();
                theirs.shutdown().await.unwrap();
                let _ = request(&mut ours).await;
            });
        }
    }

    #[tokio::test]
    async fn what_breaks_off() {
        let whole = [&[5, 1, 0][..], &connect(1, 3, HASH, 0)].concat();
        for end in 0..whole.len() {
            let answered: &[u8] = if end < 3 { &[] } else { &[5, 0] };
            check(&[&whole[..end]], &[answered], "early eof; 0 left").await;
        }
    }
}
