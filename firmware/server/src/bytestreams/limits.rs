//! Limits of bytestreams, with the reason for each number (house rule 8).

/// Milliseconds from accepting a connection until it has said where it wants to meet somebody: three short
/// packets each way, over a line that loses one.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// Milliseconds that a connection waits for the other one and for the stream to be activated. The other app
/// may first try addresses of its own that do not answer, half a minute each.
pub const WAITING_MS_MAX: u64 = 120_000;
/// Connections that wait, of everybody: anybody may come and wait, so there is an end to it. All streams that
/// there may be, twice.
pub const WAITING_MAX: usize = 2 * STREAMS_MAX;
/// Connections from one address that wait: as many as one household begins at a time.
pub const WAITING_PER_ADDRESS_MAX: usize = 16;
/// Bytes that one who waits may send before anybody listens. They are for nobody (XEP-0065 §10.1, item 4);
/// apps that are too early send a greeting.
pub const EARLY_BYTES_MAX: usize = 65_536;
/// Streams of one account: a folder of photographs, some at a time, from several devices.
pub const STREAMS_PER_ACCOUNT_MAX: usize = 8;
/// Streams of everybody: 2 MB of buffers.
pub const STREAMS_MAX: usize = 64;
/// Bytes that are on their way in one direction of a stream: what a socket gives at once at such rates.
pub const BUFFER_BYTES: usize = 16_384;
/// Bytes a second in one direction of a stream: more than most homes can send, and far from what it takes to
/// keep a small computer from anything else. A film of 1 GB takes two minutes.
pub const BYTES_PER_SECOND_MAX: u64 = 10_000_000;
/// Bytes above that at once.
pub const BURST_BYTES: u64 = 1_000_000;
/// Milliseconds without a byte in either direction after which a stream is over. Apps that somebody paused
/// begin anew.
pub const IDLE_MS_MAX: u32 = 300_000;

const _: () = assert!(STREAMS_PER_ACCOUNT_MAX < STREAMS_MAX, "others get in, too");
const _: () = assert!(WAITING_PER_ADDRESS_MAX >= 2, "two of one home may meet");
