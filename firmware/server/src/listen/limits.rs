//! Limits of what comes before a connection is somebody's, with the reason for each number (house rule 8).

/// Milliseconds for a PROXY header: a proxy sends it with the first packet, and a lost one comes again within
/// three seconds.
pub const PROXY_HEADER_MS_MAX: u64 = 5_000;
/// Bytes of a PROXY header: addresses have 36, and what proxies say besides of the TLS that they ended some
/// hundreds.
pub const PROXY_HEADER_BYTES_MAX: usize = 2_048;
/// Milliseconds from the end of a TLS handshake in which a peer that did not say what it speaks shows it.
/// Whoever connects has something to say at once; a bad line needs three.
pub const FIRST_BYTES_MS_MAX: u64 = 10_000;
/// Bytes of a stream header that are looked at to tell servers from clients. Real ones have less than 300.
pub const FIRST_BYTES_MAX: usize = 4_096;
/// Bytes that a first read may bring: a stream header, or a request.
pub const FIRST_READ_BYTES: usize = 1_024;
/// Bytes of the name of an HTTP method. The longest registered one has 17.
pub const METHOD_BYTES_MAX: usize = 20;
/// Ports that are tried where one must be free for two protocols and the configuration leaves the choice to
/// the system: a second one is hardly ever needed.
pub const PORTS_TRIED: usize = 16;

const _: () = assert!(
    FIRST_BYTES_MAX <= xmpp::limits::UNAUTHENTICATED_BYTES_MAX,
    "a stream takes what was read before"
);
