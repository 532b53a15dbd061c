//! Debian's ejabberd 24.12, from bookworm-backports: what a household could have instead.
//!
//! It gets what Hearth promises: the same certificate, the same SASL mechanism and rounds, carbons, stream
//! management and an archive for every account, everything in SQLite with a write-ahead log that is synced
//! by every commit (its default, Mnesia, writes to the disk when it likes). The Erlang machine is started
//! without a name, so that it needs no other process.

use crate::{
    client::Account,
    prosody::keys,
    scripted,
    server::{DOMAIN, Kind, Place, check_packages, free_address, wait_for},
};
use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

/// What is measured, and the version that numbers are compared with.
const PACKAGES: [(&str, &str); 2] = [("ejabberd", "24.12"), ("erlang-p1-sqlite3", "")];
const PROGRAM: &str = "/usr/bin/erl";
/// As in Debian's `ejabberdctl`.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
const SCHEMA: &str = "/usr/share/ejabberd/sql/lite.new.sql";
const DATABASE: &str = "ejabberd.sqlite";

/// The packaged one.
pub(crate) struct Ejabberd;

impl Ejabberd {
    /// Whether it can be started here; an error says what to install.
    pub(crate) fn check() -> Result<()> {
        check_packages(&PACKAGES, "ejabberd")
    }
}

impl Kind for Ejabberd {
    fn name(&self) -> &'static str {
        "ejabberd"
    }

    fn prepare(&self, place: &Place, accounts: &[Account]) -> Result<()> {
        let mut users = Vec::with_capacity(accounts.len());
        for account in accounts {
            let keys = keys(account)?;
            // Its own way to say which hash it is.
            let stored = format!("sha256:{}", BASE64_STANDARD.encode(&keys.stored_key));
            users.push(json!([
                account.localpart,
                DOMAIN,
                stored,
                BASE64_STANDARD.encode(&keys.server_key),
                BASE64_STANDARD.encode(&keys.salt),
                keys.iterations,
            ]));
        }
        let insert = "INSERT INTO users \
             (username, server_host, password, serverkey, salt, iterationcount) VALUES (?,?,?,?,?,?)";
        scripted::execute(
            &place.path(DATABASE),
            &[
                (&fs::read_to_string(SCHEMA)?, Value::Null),
                (insert, Value::from(users)),
            ],
        )
    }

    fn befriend(&self, place: &Place, households: &[&[Account]]) -> Result<bool> {
        let mut contacts = Vec::new();
        for household in households {
            for account in *household {
                for other in *household {
                    if other.localpart != account.localpart {
                        let other = format!("{}@{DOMAIN}", other.localpart);
                        contacts.push(json!([account.localpart, DOMAIN, other]));
                    }
                }
            }
        }
        let insert = "INSERT INTO rosterusers \
             (username, server_host, jid, nick, subscription, ask, askmessage, server, subscribe, type) \
             VALUES (?,?,?,'','B','N','','N','','item')";
        scripted::execute(&place.path(DATABASE), &[(insert, Value::from(contacts))])?;
        Ok(true)
    }

    fn converse(&self, place: &Place, pairs: &[[Account; 2]], messages: usize) -> Result<()> {
        let names = |pair: &[Account; 2]| pair.each_ref().map(|account| account.localpart.clone());
        let pairs: Vec<[String; 2]> = pairs.iter().map(names).collect();
        let insert = format!(
            "INSERT INTO archive (username, server_host, peer, bare_peer, timestamp, origin_id, xml, \
             txt, kind, nick) \
             VALUES (?1, '{DOMAIN}', ?2, ?2, CAST(?3 * 1000000 AS INTEGER), ?4, ?5, '', 'chat', '')"
        );
        scripted::converse(&place.path(DATABASE), &insert, &pairs, DOMAIN, messages)
    }

    fn launch(&self, place: &Place) -> Result<(Child, SocketAddr)> {
        let address = free_address()?;
        let path = |name: &str| place.path(name).display().to_string();
        let configuration = CONFIGURATION
            .replace("PORT", &address.port().to_string())
            .replace("DOMAIN", DOMAIN)
            .replace("CERTIFICATE", &path("certificate.pem"))
            .replace("KEY", &path("key.pem"))
            .replace("DATABASE", &path(DATABASE));
        fs::write(place.path("ejabberd.yml"), configuration)?;
        let mut command = Command::new(PROGRAM);
        command
            .args(["-noinput", "+K", "true", "+P", "250000", "-mnesia", "dir"])
            .arg(format!("{:?}", path("mnesia")))
            .args(["-s", "ejabberd"])
            .env("ERL_LIBS", LIBRARIES)
            .env("EJABBERD_CONFIG_PATH", path("ejabberd.yml"))
            .env("EJABBERD_LOG_PATH", path("ejabberd.log"))
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("HOME", place.path(""))
            .current_dir(place.path(""))
            .stdin(Stdio::null())
            .stdout(place.log()?)
            .stderr(place.log()?);
        let mut child = command.spawn()?;
        wait_for(&mut child, address)?;
        Ok((child, address))
    }
}

const CONFIGURATION: &str = r#"
hosts: ["DOMAIN"]
loglevel: error
certfiles: ["CERTIFICATE", "KEY"]
listen:
  - port: PORT
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    access: all
    shaper: none
    backlog: 511
    max_stanza_size: 262144
default_db: sql
sql_type: sqlite
sql_database: "DATABASE"
new_sql_schema: true
update_sql_schema: false
auth_method: [sql]
auth_password_format: scram
auth_scram_hash: sha256
modules:
  mod_caps: {}
  mod_carboncopy: {}
  mod_disco: {}
  mod_last: {}
  mod_mam: {default: always}
  mod_muc:
    host: "groupchat.DOMAIN"
    max_users: 500
    default_room_options: {mam: true, max_users: 500}
  mod_offline: {}
  mod_ping: {}
  mod_pubsub: {plugins: [flat, pep], max_items_node: 1000}
  mod_roster: {}
  mod_stream_mgmt: {}
  mod_time: {}
  mod_version: {}
"#;
