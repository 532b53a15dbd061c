//! Debian's Prosody 13, from bookworm-backports: what a household could have instead.
//!
//! It gets what Hearth promises: the same certificate, the same SASL mechanism and rounds, an archive for
//! every account in a database that survives a power cut (SQLite with a write-ahead log, synced by every
//! commit; Prosody's default, plain files, is never synced), carbons, stream management. No feature that
//! Hearth does not have.

use crate::{
    client::Account,
    scripted,
    server::{DOMAIN, Kind, Place, check_packages, free_address, wait_for},
};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};
use xmpp::sasl::scram::{Hash, ITERATIONS, Keys};

/// What is measured, and the version that numbers are compared with.
const PACKAGES: [(&str, &str); 2] = [("prosody", "13."), ("lua-dbi-sqlite3", "")];
const PROGRAM: &str = "/usr/bin/prosody";
/// The archive, beside everything else that Prosody keeps.
const DATABASE: &str = "archive.sqlite";

/// The packaged one.
pub(crate) struct Prosody;

impl Prosody {
    /// Whether it can be started here; an error says what to install.
    pub(crate) fn check() -> Result<()> {
        check_packages(&PACKAGES, "prosody")
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
        scripted::execute(&place.path("data").join(DATABASE), &[])
    }

    fn befriend(&self, place: &Place, households: &[&[Account]]) -> Result<bool> {
        let directory = place.path("data").join(DOMAIN).join("roster");
        fs::create_dir_all(&directory)?;
        for household in households {
            for account in *household {
                let file = directory.join(format!("{}.dat", account.localpart));
                fs::write(file, roster(account, household)?)?;
            }
        }
        Ok(true)
    }

    fn converse(&self, place: &Place, pairs: &[[Account; 2]], messages: usize) -> Result<()> {
        let names = |pair: &[Account; 2]| pair.each_ref().map(|account| account.localpart.clone());
        let pairs: Vec<[String; 2]> = pairs.iter().map(names).collect();
        let insert = format!(
            "INSERT INTO prosodyarchive (host, user, store, \"with\", \"when\", key, type, value) \
             VALUES ('{DOMAIN}', ?1, 'archive', ?2, CAST(?3 AS INTEGER), ?4, 'xml', ?5)"
        );
        let database = place.path("data").join(DATABASE);
        scripted::execute(&database, &[(TABLE, Value::Null)])?;
        scripted::converse(&database, &insert, &pairs, DOMAIN, messages)
    }

    fn take_files(&self, place: &Place) -> Result<bool> {
        let port = free_address()?.port();
        fs::write(place.path(HTTPS_PORT), port.to_string())?;
        Ok(true)
    }

    fn launch(&self, place: &Place) -> Result<(Child, SocketAddr)> {
        let address = free_address()?;
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
        let rooms = format!(
            "Component \"groupchat.{DOMAIN}\" \"muc\"\nmodules_enabled = {{ \"muc_mam\" }}\n"
        );
        fs::write(
            &file,
            format!("{configuration}\nVirtualHost {DOMAIN:?}\n{rooms}"),
        )?;
        add_files(place, &file)?;
        let mut command = Command::new(PROGRAM);
        command
            .arg("-F")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null());
        let mut child = command.stdout(place.log()?).stderr(place.log()?).spawn()?;
        wait_for(&mut child, address)?;
        Ok((child, address))
    }
}

/// Adds a service for files to the configuration, where one is wanted.
fn add_files(place: &Place, file: &Path) -> Result<()> {
    let Ok(port) = fs::read_to_string(place.path(HTTPS_PORT)) else {
        return Ok(());
    };
    let configuration = fs::read_to_string(file)?;
    let ports = format!("https_ports = {{ {port} }}");
    let configuration = configuration.replace("https_ports = { }", &ports);
    let component = FILES.replace("PORT", &port).replace("DOMAIN", DOMAIN);
    let component = component
        .replace(
            "CERTIFICATE",
            &place.certificate_file().display().to_string(),
        )
        .replace("KEY", &place.key_file().display().to_string());
    let (global, component) = component.split_once("---\n").context("two parts")?;
    let configuration = configuration.replace("\nVirtualHost", &format!("{global}\nVirtualHost"));
    Ok(fs::write(file, configuration + component)?)
}

/// What a server keeps of a password. Any salt will do here; in Prosody it is text.
pub(crate) fn keys(account: &Account) -> Result<Keys> {
    let salt = account.localpart.as_bytes().to_vec();
    Keys::derive(Hash::Sha256, &account.password, salt, ITERATIONS).context("no password")
}

/// A roster as Prosody keeps it in a file: everybody else of the household, both ways.
fn roster(account: &Account, household: &[Account]) -> Result<String> {
    let mut file = "return {\n\t[false] = { [\"version\"] = 1; };\n".to_owned();
    for other in household {
        if other.localpart != account.localpart {
            let jid = format!("{}@{DOMAIN}", other.localpart);
            writeln!(
                file,
                "\t[{jid:?}] = {{ [\"subscription\"] = \"both\"; [\"groups\"] = {{}}; }};"
            )?;
        }
    }
    file.push_str("};\n");
    Ok(file)
}

/// An account as `mod_auth_internal_hashed` keeps it in a file.
fn stored(account: &Account) -> Result<String> {
    let keys = keys(account)?;
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

/// The archive's table as Prosody makes it before it writes its first row.
const TABLE: &str = r#"
CREATE TABLE IF NOT EXISTS "prosodyarchive" ("sort_id" INTEGER PRIMARY KEY AUTOINCREMENT,
    "host" TEXT NOT NULL, "user" TEXT NOT NULL, "store" TEXT NOT NULL, "key" TEXT NOT NULL,
    "when" INTEGER NOT NULL, "with" TEXT NOT NULL, "type" TEXT NOT NULL, "value" MEDIUMTEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS "prosodyarchive_index"
    ON "prosodyarchive" ("host", "user", "store", "key");
CREATE INDEX IF NOT EXISTS "prosodyarchive_with_when"
    ON "prosodyarchive" ("host", "user", "store", "with", "when");
CREATE INDEX IF NOT EXISTS "prosodyarchive_when"
    ON "prosodyarchive" ("host", "user", "store", "when");
CREATE INDEX IF NOT EXISTS "prosodyarchive_sort"
    ON "prosodyarchive" ("host", "user", "store", "sort_id");
"#;

/// Where the port is written down, if it takes files.
const HTTPS_PORT: &str = "https-port";
/// Before the first host and behind the last. Quotas are out of the way.
const FILES: &str = r#"
https_ssl = { certificate = "CERTIFICATE", key = "KEY" }
http_default_host = "upload.DOMAIN"
---
Component "upload.DOMAIN" "http_file_share"
http_external_url = "https://localhost:PORT/"
http_file_share_daily_quota = 1000000000
"#;

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
storage = { archive = "sql", pep_data = "sql", muc_log = "sql" }
muc_log_by_default = true
sql = { driver = "SQLite3", database = "archive.sqlite" }
archive_expires_after = "1y"
default_archive_policy = true
modules_enabled = {
    "roster", "saslauth", "tls", "carbons", "disco", "lastactivity", "mam", "offline", "pep", "ping",
    "server_contact_info", "smacks", "time", "uptime", "version",
}
modules_disabled = { "s2s", "s2s_auth_certs", "admin_shell", "invites", "invites_adhoc", "invites_register" }
ssl = { certificate = "CERTIFICATE", key = "KEY" }
c2s_direct_tls_ssl = { certificate = "CERTIFICATE", key = "KEY" }
"#;
