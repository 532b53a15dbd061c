//! Hearth, by its command line alone (RUNNING.md).

use crate::{
    client::Account,
    converse::converse,
    server::{DOMAIN, Kind, Place},
    turn::{RELAY_PORTS, SECRET},
};
use anyhow::{Context, Result, ensure};
use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Accounts in one file; an import is all or nothing, and the command takes no larger ones.
const IMPORTED_AT_ONCE: usize = 500;

/// The binary at this path.
pub(crate) struct Hearth(pub(crate) PathBuf);

impl Kind for Hearth {
    fn name(&self) -> &'static str {
        "hearth"
    }

    fn prepare(&self, place: &Place, accounts: &[Account]) -> Result<()> {
        let (certificate, key) = (place.certificate_file(), place.key_file());
        let (certificate, key) = (certificate.display(), key.display());
        let tls = format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n");
        fs::write(
            place.path("hearth.toml"),
            format!("domain = {DOMAIN:?}\n{CONFIGURATION}{tls}"),
        )?;
        for part in accounts.chunks(IMPORTED_AT_ONCE) {
            let mut lines = String::new();
            for Account {
                localpart,
                password,
            } in part
            {
                writeln!(lines, "{localpart}@{DOMAIN},{password}")?;
            }
            let file = place.path("accounts.csv");
            fs::write(&file, lines)?;
            let output = self
                .command(place)
                .args(["user", "import"])
                .arg(&file)
                .output()?;
            ensure!(
                output.status.success(),
                "user import: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn converse(&self, place: &Place, pairs: &[[Account; 2]], messages: usize) -> Result<()> {
        converse(&place.path("data"), DOMAIN, pairs, messages)
    }

    fn take_files(&self, place: &Place) -> Result<bool> {
        let file = place.path("hearth.toml");
        let configuration = fs::read_to_string(&file)?;
        let https = configuration.replace("https = []", "https = [\"127.0.0.1:0\"]");
        fs::write(file, https)?;
        Ok(true)
    }

    fn relay_calls(&self, place: &Place, address: SocketAddr) -> Result<()> {
        let (file, secret) = (place.path("hearth.toml"), place.path("secret"));
        fs::write(&secret, SECRET)?;
        let [first, last] = RELAY_PORTS;
        let configuration = fs::read_to_string(&file)?;
        let stun = configuration.replace("stun = []", &format!("stun = [\"{address}\"]"));
        let turn = format!(
            "[turn]\nsecret_file = \"{}\"\nrelay_ports = \"{first}-{last}\"\n\
             allow_peers = [\"127.0.0.0/8\"]\n",
            secret.display()
        );
        fs::write(file, stun + &turn)?;
        Ok(())
    }

    fn launch(&self, place: &Place) -> Result<(Child, SocketAddr)> {
        let mut serve = self.command(place);
        let mut child = serve
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(place.log()?)
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        // Open for as long as the server runs.
        child.stdout = Some(stdout.into_inner());
        match ready(&line) {
            Ok(address) => Ok((child, address)),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }
}

impl Hearth {
    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.0);
        command
            .arg("--config")
            .arg(place.path("hearth.toml"))
            .stdin(Stdio::null());
        command
    }
}

/// The address of the port for direct TLS in `ready {"c2s_tls": ["127.0.0.1:40000"], …}`.
fn ready(line: &str) -> Result<SocketAddr> {
    let listeners = line
        .strip_prefix("ready ")
        .with_context(|| format!("not ready: {line:?}"))?;
    let listeners: serde_json::Value = serde_json::from_str(listeners)?;
    Ok(listeners["c2s_tls"][0]
        .as_str()
        .context("c2s_tls is not bound")?
        .parse()?)
}

/// Behind the domain. Rates are off, as in the other server: clients of a load test send more than people
/// do.
const CONFIGURATION: &str = r#"data_dir = "data"
[listen]
c2s = []
c2s_tls = ["127.0.0.1:0"]
s2s = []
s2s_tls = []
https = []
http = []
component = []
stun = []
turn_tls = []
proxy65 = []
[limits]
c2s_rate = "0B/s"
[tls]
mode = "files"
"#;
