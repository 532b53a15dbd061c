//! The configuration (`hearth.toml`): one struct per section, one field per key.
//!
//! The defaults, and with them the list of known keys, are `defaults.toml`; reading and merging files is
//! `read.rs`; what a value may look like is `value.rs`. Holding a [`Config`] is the proof that every value
//! has its type. That a domain is one (RFC 7622) is for the caller to check, who knows addresses.

mod privileges;
mod read;
mod value;

pub use privileges::{Presences, Privileges, Requests};
pub use read::ConfigError;
pub use value::{Network, Secret, duration_of, duration_text};

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// Everything that `hearth.toml` can say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The domain served. Never changes after the first account exists.
    pub domain: String,
    /// Where everything is kept; made at the first start.
    #[serde(deserialize_with = "value::path")]
    pub data_dir: PathBuf,
    /// Bare JIDs of administrators, besides those made elsewhere.
    pub admins: Vec<String>,
    pub language: Language,
    pub listen: Listen,
    pub public: Public,
    pub address: Address,
    pub router: HomeRouter,
    pub lan: Lan,
    pub tls: Tls,
    pub acme: Acme,
    pub dns: Dns,
    pub resolver: Resolver,
    pub s2s: S2s,
    pub registration: Registration,
    pub contact: Contact,
    /// External components (XEP-0114): domain and shared secret.
    pub components: BTreeMap<String, Secret>,
    /// What they may do in the accounts of this house (XEP-0356), by domain.
    pub privileges: BTreeMap<String, Privileges>,
    pub names: Names,
    pub upload: Upload,
    pub archive: Archive,
    pub turn: Turn,
    pub proxy_protocol: ProxyProtocol,
    pub limits: Limits,
    pub update: Update,
    pub board: Board,
}

value::words! {
    /// The language of pages and of texts the server writes.
    Language { En = "en", Hu = "hu" }
    /// Where the certificate comes from.
    TlsMode { SelfSigned = "self-signed", Files = "files", Acme = "acme" }
    /// How ACME is shown that the domain is ours.
    Challenge { Auto = "auto", Dns01 = "dns-01", Http01 = "http-01", TlsAlpn01 = "tls-alpn-01" }
    /// Who is asked for the outside address.
    AddressSource { Interface = "interface", Router = "router", Stun = "stun", Echo = "echo" }
    /// Which LEDs there are.
    Leds { Auto = "auto", Terminal = "terminal", Off = "off" }
    /// How pins are driven.
    Gpio { Auto = "auto", Chip = "chip", Registers = "registers" }
    /// How updates of records are signed (RFC 8945 §6).
    TsigAlgorithm { Sha256 = "hmac-sha256", Sha384 = "hmac-sha384", Sha512 = "hmac-sha512" }
}

/// Where to listen; an empty list switches a listener off. Port 0 takes any free one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Clients, STARTTLS.
    #[serde(deserialize_with = "value::addresses")]
    pub c2s: Vec<SocketAddr>,
    /// Clients, TLS from the start, ALPN `xmpp-client` (XEP-0368).
    #[serde(deserialize_with = "value::addresses")]
    pub c2s_tls: Vec<SocketAddr>,
    /// Servers, STARTTLS.
    #[serde(deserialize_with = "value::addresses")]
    pub s2s: Vec<SocketAddr>,
    /// Servers, TLS from the start, ALPN `xmpp-server` (XEP-0368).
    #[serde(deserialize_with = "value::addresses")]
    pub s2s_tls: Vec<SocketAddr>,
    /// The web: pages, BOSH, WebSocket, uploads.
    #[serde(deserialize_with = "value::addresses")]
    pub https: Vec<SocketAddr>,
    /// What must do without TLS: ACME HTTP-01, the way to https, first-boot pages on the LAN.
    #[serde(deserialize_with = "value::addresses")]
    pub http: Vec<SocketAddr>,
    /// External components (XEP-0114).
    #[serde(deserialize_with = "value::addresses")]
    pub component: Vec<SocketAddr>,
    /// STUN and TURN, over UDP and TCP.
    #[serde(deserialize_with = "value::addresses")]
    pub stun: Vec<SocketAddr>,
    /// TURN over TLS.
    #[serde(deserialize_with = "value::addresses")]
    pub turn_tls: Vec<SocketAddr>,
    /// SOCKS5 bytestreams (XEP-0065).
    #[serde(deserialize_with = "value::addresses")]
    pub proxy65: Vec<SocketAddr>,
}

/// What the outside sees, where it differs from [`Listen`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// The port in every URL handed out; 0 = that of the first https listener.
    #[serde(deserialize_with = "value::port")]
    pub https_port: u16,
    /// `None` = found automatically.
    #[serde(deserialize_with = "value::ipv4")]
    pub ipv4: Option<Ipv4Addr>,
    /// `None` = found automatically.
    #[serde(deserialize_with = "value::ipv6")]
    pub ipv6: Option<Ipv6Addr>,
}

/// How the outside address is found; without sources nothing is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Who is asked; empty = nobody.
    pub sources: Vec<AddressSource>,
    /// `host:port` of STUN servers.
    pub stun: Vec<String>,
    /// URLs that answer with the caller's address.
    pub echo: Vec<String>,
}

/// The router at home.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeRouter {
    /// Whether to ask it for open ports (PCP, NAT-PMP, UPnP-IGD).
    pub enabled: bool,
}

/// The network at home.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lan {
    /// Whether to announce `NAME.local`.
    pub mdns: bool,
    /// The `NAME` of `NAME.local`.
    #[serde(deserialize_with = "value::label")]
    pub name: String,
}

/// Certificates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub mode: TlsMode,
    /// PEM chain; set where `mode` is `files`, empty otherwise.
    pub certificate: PathBuf,
    /// PEM key; set where `mode` is `files`, empty otherwise.
    pub key: PathBuf,
    /// PEM file of CAs trusted in addition; empty = none.
    pub extra_ca: PathBuf,
}

/// Whom to ask for certificates (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// URL of the authority's directory.
    pub directory: String,
    /// Tried first; empty = not.
    pub staging_directory: String,
    /// Mail address for the authority; empty = none.
    pub contact: String,
    pub challenge: Challenge,
}

/// Whose API keeps the records.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Empty = nobody's.
    pub provider: String,
    /// File with the secret of the API or of TSIG; empty = none.
    pub token_file: PathBuf,
    /// For tests and proxies; empty = the provider's own.
    pub api_base: String,
    /// For RFC 2136.
    #[serde(deserialize_with = "value::address")]
    pub server: Option<SocketAddr>,
    /// For RFC 2136: the name of the key.
    pub tsig_name: String,
    pub tsig_algorithm: TsigAlgorithm,
}

/// Who resolves names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// Empty = the system's.
    #[serde(deserialize_with = "value::addresses")]
    pub nameservers: Vec<SocketAddr>,
}

/// Other servers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S2s {
    pub enabled: bool,
    /// `false`: dialback alone is enough for everyone.
    pub require_valid_certificate: bool,
    /// Domains for which dialback alone is enough.
    pub insecure: Vec<String>,
    /// Domains; empty = everyone.
    pub allow: Vec<String>,
    /// Domains.
    pub deny: Vec<String>,
}

/// New accounts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Whether anybody may register without an invitation.
    pub open: bool,
    /// Sent once to a new account.
    pub welcome: String,
    /// Message of the day, once per account and text.
    pub motd: String,
}

/// Contact addresses (XEP-0157); empty = the first administrator.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub abuse: String,
    pub admin: String,
    pub security: String,
    pub support: String,
    /// Where a file with the state of this server is kept, elsewhere (XEP-0455); empty = nowhere.
    pub outage: String,
}

/// First labels of the components' domains, below the domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    #[serde(deserialize_with = "value::label")]
    pub rooms: String,
    #[serde(deserialize_with = "value::label")]
    pub upload: String,
    #[serde(deserialize_with = "value::label")]
    pub proxy: String,
    #[serde(deserialize_with = "value::label")]
    pub pubsub: String,
}

/// Uploaded files (XEP-0363).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Bytes.
    #[serde(deserialize_with = "value::size")]
    pub max_file_size: u64,
    /// Age at which a file is removed.
    #[serde(deserialize_with = "value::duration")]
    pub expire_after: Duration,
    /// Bytes per account.
    #[serde(deserialize_with = "value::size")]
    pub user_quota: u64,
    /// Bytes of the card that stay free.
    #[serde(deserialize_with = "value::size")]
    pub keep_free: u64,
}

/// The archives of accounts and rooms (XEP-0313).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// How long messages are kept; `None` = for ever.
    #[serde(deserialize_with = "value::keep")]
    pub keep: Option<Duration>,
}

/// Calls behind routers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    #[serde(deserialize_with = "value::ports")]
    pub relay_ports: RangeInclusive<u16>,
    /// Empty = made at first start, kept in the store.
    pub secret_file: PathBuf,
    /// Name or address handed out by XEP-0215; empty = the domain.
    #[serde(deserialize_with = "value::host")]
    pub host: String,
    /// Exempt from the table of denied peers.
    #[serde(deserialize_with = "value::networks")]
    pub allow_peers: Vec<Network>,
}

/// Proxies in front of us.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Connections from there must begin with a PROXY v2 header.
    #[serde(deserialize_with = "value::networks")]
    pub from: Vec<Network>,
}

/// The limits that an administrator may change; 0 = off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes per second that a client may send.
    #[serde(deserialize_with = "value::rate")]
    pub c2s_rate: u64,
    /// Bytes that a client may send at once.
    #[serde(deserialize_with = "value::size")]
    pub c2s_burst: u64,
    /// Bytes per second that another server may send.
    #[serde(deserialize_with = "value::rate")]
    pub s2s_rate: u64,
    /// Bytes that another server may send at once.
    #[serde(deserialize_with = "value::size")]
    pub s2s_burst: u64,
    /// Failures per (address, account) before answers slow down.
    #[serde(deserialize_with = "value::count")]
    pub login_failures_per_minute: u32,
}

/// Updates of the image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Where updates come from; empty = nowhere.
    pub channel: String,
}

/// LEDs, button and watchdog of a Raspberry Pi. Pins have BCM numbers; 0 = there is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    pub leds: Leds,
    pub gpio: Gpio,
    #[serde(deserialize_with = "value::pin")]
    pub health_pin: u8,
    #[serde(deserialize_with = "value::pin")]
    pub internet_pin: u8,
    #[serde(deserialize_with = "value::pin")]
    pub chat_pin: u8,
    #[serde(deserialize_with = "value::pin")]
    pub button_pin: u8,
    /// Names of LEDs that a low level lights: `ACT`, `PWR`, `health` …
    pub inverted: Vec<String>,
    /// Whether to feed `/dev/watchdog`.
    pub watchdog: bool,
}
