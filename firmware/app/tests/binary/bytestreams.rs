//! The proxy for files from app to app, and the secret for calls, as an administrator sets them up.

use crate::common::{Home, Running};
use rustix::process::Signal;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

const CONFIG: &str = "[listen]\nproxy65 = ['127.0.0.1:0']\n\
    c2s = []\nc2s_tls = []\nhttps = []\nhttp = []\ns2s = []\ns2s_tls = []\nstun = []\nturn_tls = []\n";
const HASH: &[u8; 40] = b"416781edf1ae50bad01cb8509ba35b43952bc345";

fn home(more: &str) -> Home {
    let home = Home::new();
    home.write("hearth.toml", &format!("{CONFIG}{more}"));
    home
}

/// What is heard from the proxy by somebody who says this before asking for a place to meet; nothing where
/// it closes.
fn heard(running: &Running, before: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(running.address("proxy65")).expect("listening");
    let asked = [&[5, 1, 0, 5, 1, 0, 3, 40][..], HASH, &[0, 0]].concat();
    // It may close before it has heard all of it.
    let _ = socket.write_all(&[before, &asked].concat());
    let mut heard = Vec::new();
    let mut byte = [0];
    while heard.len() < 2 + 7 + HASH.len()
        && let Ok(1) = socket.read(&mut byte)
    {
        heard.push(byte[0]);
    }
    heard
}

fn told_to_wait() -> Vec<u8> {
    [&[5, 0, 5, 0, 0, 3, 40][..], HASH, &[0, 0]].concat()
}

#[test]
fn who_says_where_to_meet_may_wait() {
    let home = home("");
    let mut running = home.serve(&["serve"]);
    assert_eq!(heard(&running, b""), told_to_wait());
    assert_eq!(heard(&running, b"GET / HTTP/1.1\r\n\r\n"), b"");
    // Switched off, nobody listens there any more.
    let off = CONFIG.replace("proxy65 = ['127.0.0.1:0']", "proxy65 = []");
    let address = running.address("proxy65");
    home.write("hearth.toml", &off);
    running.signal(Signal::HUP);
    running.wait_for("the configuration was reloaded");
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn a_proxy_in_front_says_whose_connection_it_is() {
    let home = home("[proxy_protocol]\nfrom = ['127.0.0.1']\n");
    let mut running = home.serve(&["serve"]);
    let header = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        &[192, 0, 2, 1, 127, 0, 0, 1, 0xc0, 0, 0x13, 0x88],
    ];
    assert_eq!(heard(&running, &header.concat()), told_to_wait());
    assert_eq!(heard(&running, b""), b"", "without a header");
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound").to_string();
    let home = home("");
    home.write("hearth.toml", &CONFIG.replace("127.0.0.1:0", &taken));
    let said = home.run(&["serve"], "");
    assert_eq!((said.status, said.out.as_str()), (1, ""));
    let expected = format!("listen.proxy65 = \"{taken}\": another program is there");
    assert!(said.err.contains(&expected), "{}", said.err);
}

#[test]
fn a_secret_of_calls_is_read_before_anything_listens_and_shown_nowhere() {
    let home = home("[turn]\nsecret_file = 'turn.secret'\n");
    let missing = home.run(&["serve"], "");
    assert_eq!((missing.status, missing.out.as_str()), (1, ""));
    let why = "turn.secret\" cannot be read (";
    assert!(missing.err.contains(why), "{}", missing.err);
    let checked = home.run(&["check", "config"], "");
    assert_eq!(checked.status, 1);
    let finding = "fail  config: turn.secret_file: ";
    assert!(checked.out.contains(finding), "{}", checked.out);

    home.write("turn.secret", "of-nobody\n");
    assert_eq!(home.run(&["check", "config"], "").status, 0);
    let mut running = home.serve_at_level("debug");
    // One that cannot be read any more leaves everything as it was.
    home.write("turn.secret", " \n");
    running.signal(Signal::HUP);
    running.wait_for("the configuration was not reloaded: turn.secret_file");
    assert_eq!(heard(&running, b""), told_to_wait());
    running.signal(Signal::TERM);
    let log = running.rest_of_the_log();
    assert!(!log.contains("of-nobody"), "{log}");
}
