//! What the log says of a client at its most talkative: nothing that is a secret. In a program of its own,
//! because there is one log.

mod framed;
mod house;

use framed::{AUTH, BIND, Client, Heard, OPEN, frame_under};
use house::House;
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing::{level_filters::LevelFilter, subscriber::set_global_default, trace};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_passwords_nor_messages_are_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let everything = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    set_global_default(everything).expect("the first");
    trace!("the log is open");

    let house = House::new("").await;
    let body = "between you and me";
    let message = format!(
        "<message xmlns='jabber:client' to='juliet@home.example'><body>{body}</body></message>"
    );
    // Nothing is hidden by a mask.
    let open = |opcode: u8, said: &str| frame_under([0; 4], opcode, said.as_bytes());
    let login = [OPEN, AUTH, OPEN, BIND, &message].map(|said| open(0x81, said));
    let mut client = Client::enter(&house, &login.concat()).await;
    client.until("<jid>").await;
    let (begin, end) = message.split_at(30);
    let pieces = [open(0x01, begin), open(0x89, body), open(0x80, end)];
    client.send(&pieces.concat()).await;
    assert_eq!(client.hear().await, Heard::Pong(body.into()));
    // And then something that is no text.
    client.send(&open(0x82, &message)).await;
    client.rest().await;
    let mut guess = Client::enter(&house, &open(0x81, OPEN)).await;
    let wrong = AUTH.replace("AGp1bGlldABzZWNyZXQ=", "AGp1bGlldABzZWNyZXRz");
    guess.send(&open(0x81, &wrong)).await;
    guess.until("<failure").await;

    let log = String::from_utf8(log.0.lock().expect("nobody panicked").clone()).expect("text");
    for said in ["the log is open", "route=\"/xmpp-websocket\""] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    for secret in ["AGp1bGlldABzZWNyZXQ", "juliet\\0", "=secret", body] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
