//! The way in from outside: what the house says of it, and how it follows.

use crate::common::Home;
use rustix::process::Signal;

/// An address of this machine that it does not name as its own: to get there is to go around.
const AROUND: &str = "127.0.0.9";

fn listening(more: &str) -> String {
    format!(
        "domain = 'home.example'\n[listen]\nc2s = []\nc2s_tls = []\ns2s = []\ns2s_tls = []\nhttp = []\n\
         component = []\nturn_tls = []\nproxy65 = []\nhttps = ['0.0.0.0:0']\nstun = ['0.0.0.0:0']\n{more}"
    )
}

#[test]
fn without_a_server_there_are_no_doors() {
    let home = Home::new();
    for what in ["ports", "turn"] {
        let said = home.run(&["check", what], "");
        assert_eq!(said.status, 1, "{}", said.out);
        assert!(
            said.out.contains("the server is not running"),
            "{}",
            said.out
        );
    }
    // Who asks for everything before the first start is not told that something failed.
    let said = home.run(&["check"], "");
    assert_eq!(said.status, 0, "{}", said.out);
    assert!(!home.path("hearth-data").exists());
}

#[test]
fn doors_are_tried_here_and_around() {
    let home = Home::new();
    home.write(
        "hearth.toml",
        &listening(&format!("[public]\nipv4 = '{AROUND}'\n")),
    );
    let mut running = home.serve(&[]);
    let said = home.run(&["check", "ports"], "");
    assert_eq!(said.status, 0, "{}", said.out);
    let around = said.out.matches("answers here and at our address outside");
    // Of the web and of calls, over UDP and TCP.
    assert_eq!(around.count(), 3, "{}", said.out);
    let given = format!("IPv4: {AROUND}, as [public] in the configuration says");
    assert!(said.out.contains(&given), "{}", said.out);
    let said = home.run(&["check", "turn"], "");
    assert_eq!(said.status, 0, "{}", said.out);
    assert!(
        said.out.contains("the relay answers at 0.0.0.0:"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("no public address is known"),
        "{}",
        said.out
    );
    // The configuration is read again.
    home.write("hearth.toml", &listening("[public]\nipv4 = '9.9.9.9'\n"));
    running.signal(Signal::HUP);
    running.wait_for("ipv4=Some(9.9.9.9)");
    let said = home.run(&["check", "turn"], "");
    assert!(
        said.out.contains("calls are relayed at 9.9.9.9"),
        "{}",
        said.out
    );
}
