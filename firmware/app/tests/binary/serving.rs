//! The running server as an administrator sees it: ready line, control socket, signals, files.

use crate::common::{Home, Running, Said};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
};

const CONFIG: &str = "[listen]\nproxy65 = []\n\
    c2s = ['127.0.0.1:0']\nc2s_tls = ['127.0.0.1:0']\nhttps = ['127.0.0.1:0']\nhttp = ['127.0.0.1:0']\n\
    s2s = []\ns2s_tls = []\nstun = []\nturn_tls = []\n";

fn home() -> Home {
    let home = Home::new();
    home.write("hearth.toml", CONFIG);
    home
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The answer to a GET in the clear.
fn http(running: &Running, path: &str) -> String {
    let mut socket = TcpStream::connect(running.address("http")).expect("listening");
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("open");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("text");
    answer
}

/// The answer to a GET over TLS that is verified against the certificate which the server made.
fn https(home: &Home, running: &Running, path: &str) -> String {
    let socket = TcpStream::connect(running.address("https")).expect("listening");
    let mut stream = home.secure(socket);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn the_ready_line_and_status_name_the_same_listeners() {
    let home = home();
    let mut running = home.serve(&["serve"]);
    for name in ["c2s", "c2s_tls", "http", "https"] {
        assert_ne!(running.address(name).port(), 0, "{name}");
    }
    let status = json(&home.run(&["status", "--json"], "").out);
    assert_eq!(status["listeners"], running.listeners);
    assert_eq!(status["accounts"], 0);
    assert_eq!(status["health"][0]["level"], "ok");
    assert!(
        status["since"]
            .as_str()
            .is_some_and(|since| since.ends_with('Z')),
        "{status}"
    );
    assert!(http(&running, "/healthz").ends_with("\r\n\r\nok\n"));
    let home_page = format!(
        "location: https://localhost:{}/",
        running.address("https").port()
    );
    assert!(http(&running, "/").contains(&home_page));
    assert!(https(&home, &running, "/").contains("<h1>localhost</h1>"));
    assert!(https(&home, &running, "/healthz").ends_with("\r\n\r\nok\n"));
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn commands_reach_the_running_server() {
    let home = home();
    let mut running = home.serve(&[]);
    let rows = [
        ("user add alice@localhost --password-stdin", "", 0),
        (
            "user add alice@localhost --password-stdin",
            "there is such an account already",
            1,
        ),
        (
            "user passwd alice@localhost --password-stdin --json",
            r#"{"done":true,"jid":"alice@localhost"}"#,
            0,
        ),
        ("user add bob@localhost --password-stdin", "", 0),
        ("user list", "alice@localhost\nbob@localhost\n", 0),
        ("user disable bob@localhost", "", 0),
        ("user remove bob@localhost --yes", "", 0),
        ("user list", "alice@localhost\n", 0),
        ("user keep alice@localhost 14d", "", 0),
        ("user keep alice@localhost 14", "", 2),
        ("check", "ok    storage", 0),
        ("serve", "another Hearth is using", 1),
    ];
    for (command, expected, status) in rows {
        let arguments: Vec<_> = command.split(' ').collect();
        let said = home.run(&arguments, "secret\n");
        assert_eq!(said.status, status, "{command}: {}", said.err);
        assert!(
            [said.out, said.err].concat().contains(expected),
            "{command}"
        );
    }
    assert!(http(&running, "/metrics").contains("hearth_accounts 1\n"));
    assert_eq!(running.end(Signal::INT), Some(0));
    assert_eq!(
        home.run(&["user", "list"], "").out,
        "alice@localhost\n",
        "and the store knows"
    );
}

#[test]
fn the_control_socket_is_private_and_takes_no_nonsense() {
    let home = home();
    let mut running = home.serve(&["serve"]);
    let path = home.path("hearth-data/control.sock");
    assert_eq!(
        fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let long = vec![b'x'; 100_000];
    let rows: [&[u8]; 5] = [
        b"",
        b"\n",
        b"{\"do\":\"frobnicate\"}\n",
        b"{\"do\":\"list\"",
        &long,
    ];
    for row in rows {
        let mut socket = UnixStream::connect(&path).expect("listening");
        socket
            .write_all(row)
            .and_then(|()| socket.shutdown(Shutdown::Write))
            .expect("open");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("text");
        assert!(answer.starts_with("{\"refused\":"), "{answer}");
    }
    assert_eq!(running.end(Signal::TERM), Some(0));
    assert!(!path.exists(), "it goes with the server");
}

#[test]
fn a_killed_server_leaves_nothing_in_the_way() {
    let home = home();
    let mut running = home.serve(&["serve"]);
    assert_eq!(
        home.run(&["user", "add", "alice@localhost", "--generate"], "")
            .status,
        0
    );
    assert_eq!(running.end(Signal::KILL), None);
    assert!(
        home.path("hearth-data/control.sock").exists(),
        "a stale socket"
    );
    let said = home.run(&["user", "list"], "");
    assert_eq!(
        (said.out.as_str(), said.status),
        ("alice@localhost\n", 0),
        "{}",
        said.err
    );
    let certificate =
        fs::read(home.path("hearth-data/tls/self-signed.pem")).expect("made at the first start");
    let mut running = home.serve(&["serve"]);
    assert_eq!(home.run(&["user", "list"], "").out, "alice@localhost\n");
    assert_eq!(running.end(Signal::TERM), Some(0));
    let again = fs::read(home.path("hearth-data/tls/self-signed.pem")).expect("still there");
    assert_eq!(
        certificate, again,
        "a second start finds everything as it was"
    );
}

#[test]
fn sighup_reads_the_configuration_again() {
    let home = home();
    let mut running = home.serve(&["serve"]);
    let http_port = running.address("http");
    let mut client = TcpStream::connect(running.address("c2s")).expect("listening");
    write!(
        client,
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    .expect("open");
    home.write(
        "hearth.toml",
        &CONFIG.replace("https = ['127.0.0.1:0']", "https = []"),
    );
    running.signal(Signal::HUP);
    running.wait_for("the configuration was reloaded");
    let status = json(&home.run(&["status", "--json"], "").out);
    assert_eq!(status["listeners"].get("https"), None, "{status}");
    assert_eq!(
        status["listeners"]["http"][0],
        http_port.to_string(),
        "it was not touched"
    );
    assert!(
        http(&running, "/").starts_with("HTTP/1.1 404"),
        "nowhere to lead to"
    );

    home.write("hearth.toml", "domian = 'x'");
    running.signal(Signal::HUP);
    running.wait_for("the configuration was not reloaded: hearth.toml: unknown key domian");
    home.write(
        "hearth.toml",
        &format!("domain = 'other.example'\n{CONFIG}"),
    );
    running.signal(Signal::HUP);
    running.wait_for("domain and data_dir change with a restart only");
    running.wait_for("the configuration was reloaded");
    assert!(http(&running, "/").contains("location: https://localhost:"));
    write!(client, "</stream:stream>").expect("it stayed connected");
    let mut last = String::new();
    client.read_to_string(&mut last).expect("text");
    assert!(last.ends_with("</stream:stream>"), "{last}");
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn a_reload_that_fails_locks_nobody_out() {
    let home = home();
    let mut running = home.serve(&["serve"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound").to_string();
    let wrong = CONFIG.replace(
        "c2s_tls = ['127.0.0.1:0']",
        &format!("c2s_tls = ['{taken}']"),
    );
    home.write("hearth.toml", &wrong);
    running.signal(Signal::HUP);
    running.wait_for(&format!(
        "listen.c2s_tls = \"{taken}\": another program is there"
    ));
    running.wait_for("the configuration was reloaded");
    let status = json(&home.run(&["status", "--json"], "").out);
    for name in ["c2s", "c2s_tls"] {
        let address = status["listeners"][name][0].as_str().expect("still bound");
        TcpStream::connect(address).expect("listening");
    }
    assert!(http(&running, "/healthz").contains("listeners: listen.c2s_tls"));
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn another_domain_is_refused_before_anything_is_made_for_it() {
    let home = home();
    let mut running = home.serve(&["serve"]);
    home.run(&["user", "add", "alice@localhost", "--generate"], "");
    assert_eq!(running.end(Signal::TERM), Some(0));
    let certificate = || fs::read(home.path("hearth-data/tls/self-signed.pem")).expect("there");
    let before = certificate();
    home.write("hearth.toml", &format!("domain = 'typo.example'\n{CONFIG}"));
    let said = home.run(&["serve"], "");
    assert_eq!(said.status, 1);
    assert!(
        said.err.contains("put domain = \"localhost\" back"),
        "{}",
        said.err
    );
    assert_eq!(before, certificate(), "the one that clients trust");
}

#[test]
fn what_cannot_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let datagrams = datagrams.local_addr().expect("bound");
    let rows = [
        (
            "hearth.toml",
            "domain = 'a b'".to_owned(),
            "domain = \"a b\" is wrong",
        ),
        (
            "hearth.toml",
            format!(
                "[s2s]\nenabled = false\n[listen]\nhttp = ['{taken}']\nc2s = []\n\
                 c2s_tls = []\nhttps = []\nproxy65 = []\nstun = []\nturn_tls = []"
            ),
            "listen.http",
        ),
        (
            "hearth.toml",
            format!(
                "[s2s]\nenabled = false\n[listen]\nc2s = ['{taken}']\nhttp = []\n\
                 c2s_tls = []\nhttps = []\nproxy65 = []\nstun = []\nturn_tls = []"
            ),
            "listen.c2s",
        ),
        (
            "hearth.toml",
            format!(
                "[s2s]\nenabled = false\n[listen]\nstun = ['{datagrams}']\nc2s = []\nhttp = []\n\
                 c2s_tls = []\nhttps = []\nproxy65 = []\nturn_tls = []"
            ),
            "listen.stun",
        ),
        (
            "hearth.toml",
            "[tls]\nmode = 'files'\ncertificate = 'c.pem'\nkey = 'k.pem'".to_owned(),
            "c.pem",
        ),
        (
            "hearth.toml",
            "data_dir = '/proc/nowhere'".to_owned(),
            "data_dir = \"/proc/nowhere\"",
        ),
    ];
    for (file, text, expected) in rows {
        let home = Home::new();
        home.write(file, &text);
        let Said { out, err, status } = home.run(&["serve"], "");
        assert_eq!(status, 1, "{text}: {err}");
        assert!(err.contains(expected) && out.is_empty(), "{text}: {err}");
    }
    let home = Home::new();
    let said = home.run_with(&["serve"], "", &[("HEARTH_LOG", "server=loud")]);
    assert_eq!(said.status, 1);
    assert!(said.err.contains("HEARTH_LOG"), "{}", said.err);
}

#[test]
fn a_long_path_to_the_data_is_no_obstacle() {
    let home = Home::new();
    home.write(
        "hearth.toml",
        &format!("data_dir = '{}'\n{CONFIG}", "long/".repeat(40)),
    );
    let mut running = home.serve(&["serve"]);
    let said = home.run(&["status"], "");
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(running.end(Signal::TERM), Some(0));
}
