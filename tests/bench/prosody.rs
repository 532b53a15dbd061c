//! Debian's Prosody 13, from bookworm-backports: what a household could have instead.
//!
//! It gets what Hearth promises: the same certificate, the same SASL mechanism and rounds, an archive for
//! every account in a database that survives a power cut (SQLite with a write-ahead log, synced by every
//! commit; Prosody's default, plain files, is never synced). No feature that Hearth does not have.

use crate::{
    client::Account,
    server::{DOMAIN, GLANCE, Kind, Place},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use xmpp::sasl::scram::{Hash, ITERATIONS, Keys};

/// How long it may take to listen.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// The version that numbers are compared with.
const VERSION: &str = "13.";
/// How to get what is measured.
const INSTALL: &str = "tests/clients/install prosody && apt-get install lua-dbi-sqlite3";
const PROGRAM: &str = "/usr/bin/prosody";
/// The archive, beside everything else that Prosody keeps.
const DATABASE: &str = "archive.sqlite";

/// The packaged one.
pub(crate) struct Prosody;

impl Prosody {
    /// Whether it can be started here; an error says what to install.
    pub(crate) fn check() -> Result<()> {
        for (package, version) in [("prosody", VERSION), ("lua-dbi-sqlite3", "")] {
            let query = Command::new("dpkg-query")
                .args(["-W", "-f", "${Status} ${Version}", package])
                .output();
            let found = query
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default();
            let found = found
                .strip_prefix("install ok installed ")
                .unwrap_or("not here");
            let installed = found != "not here" && found.starts_with(version);
            ensure!(
                installed,
                "{package} {version} is not installed ({found}): {INSTALL}, or --only hearth"
            );
        }
        Ok(())
    }
}

impl Kind for Prosody {
    fn name(&self) -> &'static str {
        "prosody"
    }

    fn prepare(&self, place: &Place, accounts: &[Account]) -> Result<()> {
        // prosodyctl makes three accounts a second.
        let directory = place.path("data").join(DOMAIN).join("accounts");
        fs::create_dir_all(&directory)?;
        for account in accounts {
            fs::write(
                directory.join(format!("{}.dat", account.localpart)),
                stored(account)?,
            )?;
        }
        // Through LuaDBI, Prosody's own `sqlite_tune` cannot change this; the file remembers it.
        let script =
            "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode=WAL')";
        let mut make = Command::new("/usr/bin/python3");
        let output = make
            .args(["-c", script])
            .arg(place.path("data").join(DATABASE))
            .output()?;
        ensure!(
            output.status.success(),
            "no database: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn launch(&self, place: &Place) -> Result<(Child, SocketAddr)> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let data = place.path("data").display().to_string();
        let configuration = CONFIGURATION
            .replace("DATA", &data)
            .replace("PORT", &address.port().to_string())
            .replace(
                "CERTIFICATE",
                &place.certificate_file().display().to_string(),
            )
            .replace("KEY", &place.key_file().display().to_string())
            .replace(
                "AS_ROOT",
                if rustix::process::geteuid().is_root() {
                    "true"
                } else {
                    "false"
                },
            );
        let file = place.path("prosody.cfg.lua");
        fs::write(&file, format!("{configuration}\nVirtualHost {DOMAIN:?}\n"))?;
        let mut command = Command::new(PROGRAM);
        command
            .arg("-F")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null());
        let mut child = command.stdout(place.log()?).stderr(place.log()?).spawn()?;
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("{status}");
            }
            if since.elapsed() > START_TIME_MAX {
                let _ = child.kill();
                let _ = child.wait();
                bail!("nobody listens on {address}");
            }
            thread::sleep(GLANCE);
        }
        Ok((child, address))
    }
}

/// An account as `mod_auth_internal_hashed` keeps it in a file.
fn stored(account: &Account) -> Result<String> {
    // Any salt will do here; in Prosody it is text.
    let salt = account.localpart.as_bytes().to_vec();
    let keys =
        Keys::derive(Hash::Sha256, &account.password, salt, ITERATIONS).context("no password")?;
    let mut file = "return {\n".to_owned();
    writeln!(file, "\t[\"salt\"] = {:?};", account.localpart)?;
    writeln!(file, "\t[\"iteration_count\"] = {};", keys.iterations)?;
    writeln!(
        file,
        "\t[\"stored_key\"] = {:?};",
        hexadecimal(&keys.stored_key)?
    )?;
    writeln!(
        file,
        "\t[\"server_key\"] = {:?};",
        hexadecimal(&keys.server_key)?
    )?;
    file.push_str("};\n");
    Ok(file)
}

fn hexadecimal(bytes: &[u8]) -> Result<String> {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    Ok(out)
}

const CONFIGURATION: &str = r#"
run_as_root = AS_ROOT
data_path = "DATA"
pidfile = "DATA/prosody.pid"
log = { warn = "*stdout" }
interfaces = { "127.0.0.1" }
c2s_ports = { }
c2s_direct_tls_ports = { PORT }
s2s_ports = { }
s2s_direct_tls_ports = { }
http_ports = { }
https_ports = { }
authentication = "internal_hashed"
password_hash = "SHA-256"
default_storage = "internal"
storage = { archive = "sql" }
sql = { driver = "SQLite3", database = "archive.sqlite" }
archive_expires_after = "1y"
default_archive_policy = true
modules_enabled = {
    "roster", "saslauth", "tls", "disco", "lastactivity", "mam", "offline", "ping", "server_contact_info",
    "time", "uptime", "version",
}
modules_disabled = { "s2s", "s2s_auth_certs", "admin_shell", "invites", "invites_adhoc", "invites_register" }
ssl = { certificate = "CERTIFICATE", key = "KEY" }
c2s_direct_tls_ssl = { certificate = "CERTIFICATE", key = "KEY" }
"#;
