//! The records of the house on the command line, as far as no provider is needed for it.

use crate::common::Home;
use serde_json::Value;

const PORTS: &str = "[listen]\nc2s = ['127.0.0.1:0']\nc2s_tls = []\ns2s = []\ns2s_tls = []\nhttps = []\n\
                     http = []\nstun = []\nturn_tls = []\nproxy65 = []\n";

fn json(home: &Home, arguments: &[&str]) -> Value {
    let said = home.run(arguments, "");
    assert_eq!(said.status, 0, "{}", said.err);
    serde_json::from_str(&said.out).expect("JSON")
}

#[test]
fn a_local_domain_has_nothing_to_publish() {
    let home = Home::new();
    let said = home.run(&["dns", "plan"], "");
    assert_eq!((said.status, said.out.as_str()), (0, ""));
    assert!(said.err.contains("for this network alone"), "{}", said.err);
    assert_eq!(
        json(&home, &["dns", "plan", "--json"]),
        Value::Array(vec![])
    );
    for verb in ["apply", "status"] {
        let said = home.run(&["dns", verb], "");
        assert_eq!(said.status, 1);
        assert!(
            said.err.contains("nobody keeps the records of this house"),
            "{}",
            said.err
        );
    }
}

#[test]
fn without_a_provider_the_records_are_listed_for_people() {
    let home = Home::new();
    home.write(
        "hearth.toml",
        "domain = 'home.example'\n[public]\nipv4 = '192.0.2.7'\n",
    );
    let said = home.run(&["dns", "plan"], "");
    assert_eq!(said.status, 0);
    for line in [
        "enter    home.example 60 A 192.0.2.7\n",
        "enter    _xmpp-client._tcp.home.example 1800 SRV 20 1 5222 home.example.\n",
    ] {
        assert!(said.out.contains(line), "{}", said.out);
    }
    assert!(said.err.contains("enter these"), "{}", said.err);
    let first = &json(&home, &["dns", "plan", "--json"])[0];
    let expected =
        r#"{"action":"enter","data":"192.0.2.7","name":"home.example","ttl":60,"type":"A"}"#;
    assert_eq!(first.to_string(), expected);
}

#[test]
fn a_provider_that_cannot_be_asked_is_said_and_the_house_runs() {
    let home = Home::new();
    // Nobody listens there.
    let nobody = "127.0.0.1:1";
    let config = format!(
        "domain = 'home.example'\n{PORTS}[dns]\nprovider = 'digitalocean'\ntoken_file = 'token'\n\
         api_base = 'http://{nobody}'\n[resolver]\nnameservers = ['{nobody}']\n"
    );
    home.write("hearth.toml", &config);
    let missing = home.run(&["dns", "plan"], "");
    assert_eq!(missing.status, 1);
    assert!(missing.err.contains("dns.token_file") && missing.err.contains("cannot be read"));
    assert_eq!(home.run(&["check", "config"], "").status, 1);
    home.write("token", "dop_v1_secret\n");
    assert_eq!(home.run(&["check", "config"], "").status, 0);
    let mut running = home.serve(&[]);
    let said = home.run(&["dns", "apply"], "");
    assert_eq!(said.status, 1);
    assert!(
        said.err.contains("DigitalOcean does not answer"),
        "{}",
        said.err
    );
    running.wait_for("dns: DigitalOcean does not answer");
    let status = json(&home, &["status", "--json"]);
    let parts = status["health"].as_array().expect("parts");
    let dns = parts
        .iter()
        .find(|part| part["part"] == "dns")
        .expect("it is a part");
    assert_eq!(dns["level"], "warn");
    running.end(rustix::process::Signal::TERM);
    let log = running.rest_of_the_log();
    assert!(!log.contains("dop_v1"), "no secret is told");
}
