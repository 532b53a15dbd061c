//! Limits of the web listeners, with the reason for each number (house rule 8).

use std::time::Duration;

/// Connections to all web listeners together. A browser opens six; forty of them at once is no household.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections from one IPv4 address or one IPv6 /64: a whole family behind one router.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 64;
/// From the first byte to the end of the TLS handshake. A phone on a bad line needs three seconds.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// From the first byte of a request to the end of its headers, and between two requests.
pub const HEADERS_WAIT_MAX: Duration = Duration::from_secs(15);
/// Bytes of a request's line and headers: four times what browsers send with full cookies.
pub const HEADERS_BYTES_MAX: usize = 16_384;
/// Number of headers in a request; browsers send twenty.
pub const HEADERS_MAX: usize = 64;
/// Life of a connection, whatever it does: a page is read in far less, and a reader of one byte a minute
/// must go.
pub const CONNECTION_LIFE_MAX: Duration = Duration::from_mins(5);
/// Rest after the system refused to accept a connection, usually for want of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a WebSocket message: the largest stanza and the namespaces that it has to declare (RFC 7395 §3.3.3).
/// Larger ones end the connection.
pub const FRAME_BYTES_MAX: usize = xmpp::limits::STANZA_BYTES_MAX + 1_024;
/// Bytes that a WebSocket reads at a time. Each session has a buffer of this size as long as it lives, and most of
/// what a client says is shorter.
pub const WEBSOCKET_READ_BYTES: usize = 1_024;
