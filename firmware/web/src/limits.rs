//! Limits of the web listeners, with the reason for each number (house rule 8).

use std::time::Duration;

/// Connections to all web listeners together. A browser opens six, an app with BOSH two; each costs some 20
/// KB.
pub const CONNECTIONS_MAX: u64 = 1_024;
/// Connections of one household: a whole family behind one router.
pub const CONNECTIONS_PER_HOUSEHOLD_MAX: u64 = 64;
/// Bytes of BOSH requests that are on their way in, of all and of one household: they are in memory before it
/// is known who sends them. A request counts with the length that it announces, else with the largest.
pub const REQUEST_BYTES_ALL_MAX: u64 = 8 << 20;
/// Of one household: a page that sends much, twice.
pub const REQUEST_BYTES_PER_HOUSEHOLD_MAX: u64 = 2 << 20;
/// How long a BOSH request may take to come in: the largest over a line of 7 kbit/s.
pub const REQUEST_WAIT_MAX: Duration = Duration::from_mins(5);
/// Files that are read at a time, of all and of one household. Each needs twice [`GET_BUFFER_BYTES`].
pub const GETS_ALL_MAX: u64 = 96;
/// Of one household: two browsers, each with as many as it asks for at a time.
pub const GETS_PER_HOUSEHOLD_MAX: u64 = 32;
/// Seconds after which somebody may ask again for whom there is no room now.
pub const COME_BACK_S: u64 = 5;
/// From the first byte of a request to the end of its headers, and between two requests.
pub const HEADERS_WAIT_MAX: Duration = Duration::from_secs(15);
/// Bytes of a request's line and headers: four times what browsers send with full cookies.
pub const HEADERS_BYTES_MAX: usize = 16_384;
/// Number of headers in a request; browsers send twenty.
pub const HEADERS_MAX: usize = 64;
/// How long a connection stays on which less than [`PACE_BYTES_MIN`] pass: a page is read in far less, a film
/// over a bad line goes on as long as it needs, and a reader of one byte a minute must go.
pub const PACE_PERIOD: Duration = Duration::from_mins(5);
/// Bytes that pass in a [`PACE_PERIOD`], both ways together: a line of 7 kbit/s carries them.
pub const PACE_BYTES_MIN: u64 = 262_144;
/// Seconds after which a client may come again to whom there was no room to make a WebSocket: strangers are
/// soon known, or gone.
pub const WEBSOCKET_RETRY_S: u16 = 10;
/// Files that are put at a time: a family that comes home from a wedding. Each needs [`PUT_BUFFER_BYTES`].
pub const PUTS_MAX: usize = 16;
/// Files that one account puts at a time: more make none of them faster.
pub const PUTS_PER_ACCOUNT_MAX: usize = 4;
/// How long a request waits for the one before it with the same file to let go: for the card to take what
/// is in hand.
pub const TAKE_OVER_WAIT: Duration = Duration::from_secs(10);
/// Jobs on uploaded files that wait for the card at a time, of the threads that keys are derived on, too.
pub const DISK_JOBS_MAX: usize = 3;
/// Likewise of files that go. With those that come, two threads are left for keys.
pub const DISK_READS_MAX: usize = 3;
/// Bytes of a file that are gathered before they are written: few trips to another thread for each MB, and
/// hardly any memory.
pub const PUT_BUFFER_BYTES: usize = 262_144;
/// Bytes of a file that are read at a time, likewise: two of them are in memory for each reader.
pub const GET_BUFFER_BYTES: usize = 131_072;
/// Bytes of a file that are written before the card is waited for: some seconds on a slow one, so that a
/// client does not give up while the last of them are.
pub const SYNC_BYTES: u64 = 8 << 20;
/// How long a file may stand still on its way here: a phone that changes from one network to another tries
/// again before.
pub const BODY_IDLE_MAX: Duration = Duration::from_secs(30);
/// Bytes a second that a file must come with, over each [`BODY_PERIOD`]: the slowest mobile line that anybody
/// sends pictures over.
pub const BODY_RATE_MIN: u64 = 2_048;
/// For how long a file may come more slowly than that.
pub const BODY_PERIOD: Duration = Duration::from_mins(1);
/// Bytes of a refused file that are read so that its sender listens to the reason.
pub const DRAINED_BYTES_MAX: usize = 16 << 20;
/// For how long that is read at most.
pub const DRAINED_WAIT: Duration = Duration::from_secs(10);
/// Between two looks at what is to be removed: whoever deletes an account sees the room it gives.
pub const UPLOADS_KEEPING: Duration = Duration::from_mins(1);
/// Between two searches for files whose time is over. Nobody can read them any more from then on.
pub const EXPIRY_LOOK: Duration = Duration::from_hours(1);
/// Between two searches for files that are nobody's: only a power cut leaves any.
pub const STRAYS_LOOK: Duration = Duration::from_hours(24);
/// Files that are looked up at a time.
pub const STRAYS_STEP: usize = 200;
/// How long an answer that was begun may take to its end when a connection is given up.
pub const LINGER_MAX: Duration = Duration::from_mins(2);
/// How long the body of a request may stand still: a phone that changes from one network to another is back
/// before. What a whole body may take is for those who read it.
pub const BODY_STALL_MAX: Duration = Duration::from_mins(1);
/// How long a connection stays on which nothing is asked and answered. Over HTTP/1.1 [`HEADERS_WAIT_MAX`] is
/// over before; over HTTP/2 one connection is all that a browser has, and is kept between two clicks.
pub const IDLE_MAX: Duration = Duration::from_mins(1);
/// For requests that are being answered when the house closes, or nothing goes on any more.
pub const FINISH_MAX: Duration = Duration::from_secs(4);
/// Requests that are answered on one connection at a time over HTTP/2: more than a browser makes on all its
/// connections of HTTP/1.1.
pub const HTTP2_STREAMS_MAX: u32 = 16;
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
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_mins(1);
/// How long it may take to say so: the question waits behind what the system has taken of a download, and
/// that takes a minute and more on a bad line.
pub const HTTP2_PING_WAIT_MAX: Duration = Duration::from_mins(3);

const _: () = assert!(
    FINISH_MAX.as_millis() < server::limits::SHUTDOWN_MS_MAX as u128,
    "it is over before the server stops waiting"
);

const _: () = assert!(PUTS_PER_ACCOUNT_MAX < PUTS_MAX);
