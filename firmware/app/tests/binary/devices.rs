//! `hearth user devices`, `hearth user sign-out` and `hearth user keep`, with real clients on both doors.

use crate::common::{Home, Running, Tls};
use rustix::process::Signal;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

const CONFIG: &str = "[listen]\nproxy65 = []\nc2s = ['127.0.0.1:0']\nc2s_tls = ['127.0.0.1:0']\n\
    https = []\nhttp = []\ns2s = []\ns2s_tls = []\n";
const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

/// Everything up to this text, which ends what is expected.
fn hear(stream: &mut impl Read, end: &str) -> String {
    let mut heard = String::new();
    let mut buffer = [0; 4096];
    while !heard.contains(end) {
        let read = stream.read(&mut buffer).expect("open");
        assert_ne!(read, 0, "it was closed before {end}: {heard}");
        heard.push_str(std::str::from_utf8(&buffer[..read]).expect("text"));
    }
    heard
}

/// A connection under TLS on which nothing was said.
fn connect(home: &Home, running: &Running, door: &str) -> Tls {
    let mut socket = TcpStream::connect(running.address(door)).expect("listening");
    let patience = Some(Duration::from_mins(1));
    socket.set_read_timeout(patience).expect("a socket");
    if door == "c2s" {
        let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
        write!(socket, "{HEADER}{starttls}").expect("open");
        hear(&mut socket, "xmpp-tls'/>");
    }
    home.secure(socket)
}

/// Signs in as alice, whose password is "secret", in one packet with the header.
fn sign_in(stream: &mut Tls, device: &str) -> String {
    let login = format!(
        "{HEADER}<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
         <initial-response>AGFsaWNlAHNlY3JldA==</initial-response>\
         <user-agent id='d4565fa7-4d72-4749-b3d3-740edbf8777{}'><software>Script</software>\
         <device>{device}</device></user-agent><bind xmlns='urn:xmpp:bind:0'/>\
         <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/></authenticate>",
        device.len() % 10
    );
    stream.write_all(login.as_bytes()).expect("open");
    // Only who is in is told of idle seconds.
    hear(stream, "</idle-seconds></limits></stream:features>")
}

#[test]
fn devices_are_listed_and_signed_out() {
    let home = Home::new();
    home.write("hearth.toml", CONFIG);
    home.run(
        &["user", "add", "alice@localhost", "--password-stdin"],
        "secret\n",
    );
    let mut running = home.serve(&[]);
    let mut phone = connect(&home, &running, "c2s_tls");
    let mut laptop = connect(&home, &running, "c2s");
    for (stream, device) in [(&mut phone, "Phone"), (&mut laptop, "Laptop")] {
        let heard = sign_in(stream, device);
        assert!(heard.contains("<token xmlns='urn:xmpp:fast:0' "), "{heard}");
    }

    let listed = home.run(&["user", "devices", "alice@localhost"], "").out;
    let line = |device: &str| listed.lines().find(|line| line.ends_with(device)).unwrap();
    let phone_line = line("Script on Phone");
    assert!(
        phone_line.contains("  connected             password, token  "),
        "{listed}"
    );
    let (id, _) = phone_line.split_once(' ').unwrap();
    let sign_out = ["user", "sign-out", "alice@localhost", id];
    let said = home.run(&sign_out, "");
    assert_eq!(
        said.out,
        "it knows the password: to keep it out, `hearth user passwd alice@localhost`\n"
    );
    assert!(hear(&mut phone, "</stream:stream>").contains("<not-authorized"));
    let again = home.run(&sign_out, "");
    assert_eq!(again.status, 1);
    assert!(again.err.contains("it has no such device"), "{}", again.err);

    let as_json = || {
        home.run(&["user", "devices", "alice@localhost", "--json"], "")
            .out
    };
    let devices = as_json();
    assert!(
        devices.contains(r#""software":"Script","device":"Laptop""#),
        "{devices}"
    );
    assert!(
        devices.contains(r#""connected":true,"password":true,"token":true}]"#),
        "{devices}"
    );
    assert_eq!(running.end(Signal::TERM), Some(0));
    assert!(as_json().contains(r#""connected":false,"password":true,"token":true}]"#));
}

#[test]
fn a_new_password_ends_what_the_old_one_opened() {
    let home = Home::new();
    home.write("hearth.toml", CONFIG);
    let add = ["user", "add", "alice@localhost", "--password-stdin"];
    home.run(&add, "secret\n");
    let mut running = home.serve(&[]);
    let mut phone = connect(&home, &running, "c2s_tls");
    sign_in(&mut phone, "Phone");
    let passwd = ["user", "passwd", "alice@localhost", "--password-stdin"];
    assert_eq!(home.run(&passwd, "other\n").status, 0);
    assert!(hear(&mut phone, "</stream:stream>").contains("<reset"));
    let listed = home.run(&["user", "devices", "alice@localhost"], "").out;
    assert!(
        listed
            .trim_end()
            .ends_with("nothing          Script on Phone"),
        "{listed}"
    );
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn messages_do_not_go_without_a_question() {
    let home = Home::new();
    home.write("hearth.toml", CONFIG);
    for jid in ["alice@localhost", "bob@localhost"] {
        home.run(&["user", "add", jid, "--password-stdin"], "secret\n");
    }
    let mut running = home.serve(&[]);
    let mut phone = connect(&home, &running, "c2s_tls");
    sign_in(&mut phone, "Phone");
    let stanzas = "<message to='bob@localhost' type='chat' id='m1'><body>Hello</body></message>\
        <message to='bob@localhost' type='chat' id='m2'><body>Are you there?</body></message>\
        <iq type='get' id='ping1'><ping xmlns='urn:xmpp:ping'/></iq>";
    phone.write_all(stanzas.as_bytes()).expect("open");
    hear(&mut phone, "ping1");

    let keep = |time: &str, more: &[&str]| {
        let arguments = [&["user", "keep", "alice@localhost", time], more].concat();
        home.run(&arguments, "y\n")
    };
    let kept = || home.run(&["user", "show", "alice@localhost"], "").out;
    // Nothing is that old, and so nothing is asked.
    assert_eq!((keep("7d", &[]).status, kept().contains("7d")), (0, true));
    let said = keep("0s", &[]);
    assert_eq!(
        (said.err.as_str(), said.out.as_str(), said.status),
        (
            "hearth: 2 messages of alice@localhost would be removed, which cannot be undone: \
             say --yes where there is no terminal\n",
            "",
            2
        )
    );
    assert!(kept().contains("7d"), "{}", kept());
    let said = keep("0s", &["--yes"]);
    assert_eq!(
        (said.out.as_str(), said.status),
        ("2 messages are removed within a few minutes\n", 0)
    );
    let said = keep("0s", &["--yes", "--json"]);
    assert_eq!(
        said.out,
        "{\"done\":true,\"jid\":\"alice@localhost\",\"keep\":\"0d\",\"messages\":2}\n"
    );
    assert_eq!(running.end(Signal::TERM), Some(0));
}
