//! Limits of the web listeners, with the reason for each number (house rule 8).

use std::time::Duration;

/// Connections to all web listeners together. A browser opens six; forty of them at once is no household.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections from one IPv4 address or one IPv6 /64: a whole family behind one router.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 64;
/// From the first byte of a request to the end of its headers, and between two requests.
pub const HEADERS_WAIT_MAX: Duration = Duration::from_secs(15);
/// Bytes of a request's line and headers: four times what browsers send with full cookies.
pub const HEADERS_BYTES_MAX: usize = 16_384;
/// Number of headers in a request; browsers send twenty.
pub const HEADERS_MAX: usize = 64;
/// Life of a connection, whatever it does: a page is read in far less, and a reader of one byte a minute
/// must go.
pub const CONNECTION_LIFE_MAX: Duration = Duration::from_mins(5);
/// How long the body of a request may stand still: a phone that changes from one network to another is back
/// before. What a whole body may take is for those who read it.
pub const BODY_STALL_MAX: Duration = Duration::from_mins(1);
/// How long a connection stays on which nothing is asked and answered. Over HTTP/1.1 [`HEADERS_WAIT_MAX`] is
/// over before; over HTTP/2 one connection is all that a browser has, and is kept between two clicks.
pub const IDLE_MAX: Duration = Duration::from_mins(1);
/// For requests that are being answered when the house closes, or nothing goes on any more.
pub const FINISH_MAX: Duration = Duration::from_secs(4);
/// Requests that are answered on one connection at a time over HTTP/2: as many as a page with pictures has.
pub const HTTP2_STREAMS_MAX: u32 = 64;
/// Requests that were taken back before anybody looked at them, above which a connection is closed
/// (CVE-2023-44487): who reloads a page takes back some.
pub const HTTP2_RESETS_MAX: usize = 20;
/// Streams that we had to end for errors of the peer, above which a connection is closed.
pub const HTTP2_ERRORS_MAX: usize = 64;
/// Bytes of one request's body that are on their way or wait for those who read it. With 50 ms to the server
/// and back this makes 5 MB a second.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 262_144;
/// Bytes of all bodies of a connection, likewise.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 524_288;
/// Bytes of one answer that wait for the peer to take them.
pub const HTTP2_SEND_BYTES_MAX: usize = 65_536;
/// Between two questions whether the peer is still there.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to say so.
pub const HTTP2_PING_WAIT_MAX: Duration = Duration::from_secs(20);

const _: () = assert!(
    FINISH_MAX.as_millis() < server::limits::SHUTDOWN_MS_MAX as u128,
    "it is over before the server stops waiting"
);
