//! What frames become, how a batch goes out, and for how long a slow reader is waited for.

use super::*;
use crate::{
    limits::WRITE_STALL_MS_MAX,
    tls::{Files, Source, Tls},
    transport::tests::Disk,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{path::Path, pin::Pin, sync::Mutex};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use xmpp::limits::{STANZA_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX};

/// A frame under a mask of zeros, with this first byte.
fn frame(first: u8, payload: &str) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut frame = vec![first];
    if length < 126 {
        frame.push(0x80 + length as u8);
    } else {
        frame.push(0x80 + 126);
        frame.extend(length.to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(payload.as_bytes());
    frame
}

/// What an inbox hands on of one read after the other, and what else there is to say about each.
fn said(inbox: &mut Inbox, reads: &[Vec<u8>]) -> Vec<String> {
    let mut all = Vec::new();
    for read in reads {
        let mut taken = String::new();
        let take = |bytes: &[u8]| taken += std::str::from_utf8(bytes).unwrap();
        let mut goes_on = inbox.arrived(&mut read.clone(), take);
        loop {
            if let Some(ping) = inbox.ping.take() {
                taken += &format!(" ping {}", ping.len());
            }
            if let Some(fault) = inbox.fault.take() {
                taken += &format!(" {}", fault.condition);
                break;
            }
            if !goes_on {
                taken += " gone";
                break;
            }
            let take = |bytes: &[u8]| taken += std::str::from_utf8(bytes).unwrap();
            match inbox.go_on(take) {
                Some(more) => goes_on = more,
                None => break,
            }
            taken.push('|');
        }
        all.push(taken);
    }
    all
}

#[test]
fn frames_become_what_a_stream_says() {
    let a = || frame(0x81, "<a/>");
    type Row<'a> = (&'a str, &'a [Vec<u8>], &'a [&'a str]);
    let rows: &[Row] = &[
        ("whole messages", &[[a(), a()].concat()], &["<a/><a/>"]),
        ("the end", &[vec![]], &[" gone"]),
        (
            "fragments",
            &[frame(1, "<a"), frame(0, "/"), frame(0x80, ">")],
            &["", "", "<a/>"],
        ),
        ("a question", &[frame(0x89, "1234")], &[" ping 4"]),
        ("an answer", &[frame(0x8A, "1234")], &[""]),
        ("a goodbye", &[frame(0x88, "")], &[" gone"]),
        (
            "a goodbye behind something",
            &[[a(), frame(0x88, ""), a()].concat()],
            &["<a/>| gone"],
        ),
        ("a fault", &[frame(0x82, "<a/>")], &[" bad-format"]),
        (
            "a fault behind something",
            &[[a(), frame(0x81, "<a>"), a()].concat()],
            &["<a/>| not-well-formed"],
        ),
        (
            "a goodbye of TCP in a frame",
            &[frame(0x81, "</stream:stream>")],
            &[" not-well-formed"],
        ),
    ];
    for (what, reads, expected) in rows {
        let mut inbox = Inbox::new(Vec::new());
        assert_eq!(said(&mut inbox, reads), *expected, "{what}");
    }
}

#[test]
fn what_is_too_large_for_a_stranger_waits_for_what_is_before_it() {
    let large = "x".repeat(UNAUTHENTICATED_BYTES_MAX + 1 - "<a></a>".len());
    let large = format!("<a>{large}</a>");
    let both = [
        frame(0x81, "<b/>"),
        frame(0x81, &large),
        frame(0x81, "<c/>"),
    ]
    .concat();
    let mut inbox = Inbox::new(Vec::new());
    let expected = ["<b/>| policy-violation"];
    assert_eq!(said(&mut inbox, std::slice::from_ref(&both)), expected);

    let mut inbox = Inbox::new(both);
    let mut taken = String::new();
    let mut take = |bytes: &[u8]| taken += std::str::from_utf8(bytes).unwrap();
    assert_eq!(
        inbox.go_on(&mut take),
        Some(true),
        "what came with the handshake"
    );
    inbox.message_bytes_max = FRAME_BYTES_MAX;
    assert_eq!(inbox.go_on(&mut take), Some(true));
    assert_eq!(inbox.go_on(&mut take), None);
    assert_eq!(taken, format!("<b/>{large}<c/>"));
}

/// A line to a peer, with small buffers between.
async fn line() -> (Framed, TcpStream) {
    let ends = [TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap()];
    for end in &ends {
        end.set_send_buffer_size(16_384).unwrap();
        end.set_recv_buffer_size(16_384).unwrap();
    }
    let [listening, calling] = ends;
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listening.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let (called, calling) = tokio::join!(listener.accept(), calling.connect(address));
    let framed = Framed {
        socket: Socket::Clear(called.unwrap().0),
        inbox: Inbox::new(Vec::new()),
    };
    (framed, calling.unwrap())
}

/// Some stanzas of so many bytes together.
fn batch(stanzas: usize, bytes: usize) -> String {
    format!("<a>{}</a>", "x".repeat(bytes)).repeat(stanzas)
}

/// Time is the test's own.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_a_large_batch() {
    let (mut line, mut peer) = line().await;
    let batch = batch(4, STANZA_BYTES_MAX / 2);
    let begin = Instant::now();
    let reading = async {
        let mut count = 0;
        let mut buffer = vec![0; 1 << 20];
        while count < batch.len() {
            sleep(Duration::from_millis(WRITE_STALL_MS_MAX / 10 * 9)).await;
            // All that there is.
            count += peer.read(&mut buffer).await.unwrap();
            while let Ok(more) = peer.try_read(&mut buffer) {
                count += more;
            }
        }
    };
    let (written, ()) = tokio::join!(line.write(batch.as_bytes(), Deaf), reading);
    written.unwrap();
    let elapsed = begin.elapsed().as_millis() as u64;
    assert!(elapsed > 3 * WRITE_STALL_MS_MAX, "{elapsed} ms");
}

/// Everything that came over the line counts, once, and in time.
#[tokio::test]
async fn pings_and_parts_of_messages_are_counted() {
    let (mut line, mut peer) = line().await;
    let pieces = [
        frame(0x89, "there?"),
        frame(0x01, "<a>"),
        frame(0x00, "b"),
        frame(0x80, "</a>"),
        frame(0x81, "<c/>"),
    ];
    for piece in pieces {
        peer.write_all(&piece).await.unwrap();
        let mut count = 0;
        while count < piece.len() {
            let read = poll_fn(|cx| line.poll_read(cx, |_, more| count += more)).await;
            assert!(read.unwrap());
        }
        assert_eq!(count, piece.len());
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_not_waited_for() {
    let (mut line, _peer) = line().await;
    let batch = batch(4, STANZA_BYTES_MAX / 2);
    let begin = Instant::now();
    let error = line.write(batch.as_bytes(), Deaf).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let elapsed = begin.elapsed().as_millis() as u64;
    assert_eq!(elapsed, WRITE_STALL_MS_MAX);
    // Nor for its goodbye.
    line.close().await;
    let elapsed = begin.elapsed().as_millis() as u64;
    assert!(elapsed <= WRITE_STALL_MS_MAX + CLOSE_MS_MAX, "{elapsed}");
}

/// Keeps what the server sends, as it is on the wire.
struct Recorded {
    tcp: TcpStream,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        let mut bytes = self.bytes.lock().unwrap();
        bytes.extend(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// Lengths of TLS records (RFC 8446 §5.1).
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        bytes = &rest[length..];
    }
    lengths
}

#[tokio::test]
async fn a_batch_fills_as_few_records_as_it_can() {
    let (line, peer) = line().await;
    let Socket::Clear(tcp) = line.socket else {
        panic!("it is in the clear");
    };
    let disk = Arc::new(Disk::default());
    let source = Source::SelfSigned {
        directory: "tls".into(),
        names: vec!["localhost".into()],
    };
    let tls = Tls::open(disk.clone(), &source, Path::new(""), 0).unwrap();
    let mut roots = RootCertStore::empty();
    let pem = disk.read(Path::new("tls/self-signed.pem")).unwrap();
    roots
        .add(CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let peer = Recorded {
        tcp: peer,
        bytes: bytes.clone(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let acceptor = TlsAcceptor::from(tls.identity().for_strangers());
    let (accepted, connected) = tokio::join!(
        acceptor.accept(tcp),
        TlsConnector::from(Arc::new(config)).connect(name, peer)
    );
    let mut peer = connected.unwrap();
    let mut line = Framed {
        socket: Socket::Secured(Box::new(TlsStream::Server(accepted.unwrap()))),
        inbox: Inbox::new(Vec::new()),
    };
    // The first one comes behind what TLS itself has to say.
    for (stanzas, expected) in [(1, None), (1, Some(1)), (20, Some(1)), (200, Some(2))] {
        let batch = batch(stanzas, 90);
        bytes.lock().unwrap().clear();
        line.inbox.ping = Some(b"there?".to_vec());
        let frames = stanzas * (batch.len() / stanzas + " xmlns='jabber:client'".len() + 2) + 8;
        let mut heard = vec![0; frames];
        let (written, read) = tokio::join!(
            line.write(batch.as_bytes(), Deaf),
            peer.read_exact(&mut heard)
        );
        written.unwrap();
        read.unwrap();
        assert!(heard.starts_with(b"\x8a\x06there?\x81"), "{heard:?}");
        let records = records(&bytes.lock().unwrap());
        if let Some(expected) = expected {
            assert_eq!(records.len(), expected, "{stanzas}: {records:?}");
        }
    }
}
