//! Limits of talking to a router, each with its reason: nobody says that it is an honest one.

/// Seconds that a port is asked to stay open: an hour after this machine is gone, so is the hole.
pub const LEASE_S: u32 = 3_600;
/// The shortest lease that is kept up; who gives less is asked no more often.
pub const LEASE_S_MIN: u32 = 120;
/// Milliseconds after which leases are renewed in any case, at half their time or sooner: routers forget them
/// when they start again, not all say so, and it is one small packet for each.
pub const RENEW_MS_MAX: u64 = 180_000;
/// Milliseconds between two looks at a router that opened ports: whether it started again and forgot them, or
/// has another address outside.
pub const LOOK_MS: u64 = 60_000;
/// Milliseconds until a router that refused or was silent is asked again; doubles with each time.
pub const AGAIN_MS_MIN: u64 = 60_000;
/// The longest of these.
pub const AGAIN_MS_MAX: u64 = 30 * 60_000;
/// Milliseconds until a datagram is sent again (RFC 6886 §3.1); doubles.
pub const RETRY_MS: u64 = 250;
/// Times that it is sent: a router in the same house has answered the second one.
pub const TRIES: u32 = 4;
/// Bytes of an answer of PCP (RFC 6887 §7) or NAT-PMP.
pub const ANSWER_BYTES_MAX: usize = 1_100;
/// Milliseconds that routers have to answer a search.
pub const SEARCH_MS_MAX: u64 = 3_000;
/// Datagrams that are read in answer to a search: a house has some devices that answer to everything.
pub const SEARCH_ANSWERS_MAX: usize = 64;
/// Milliseconds for one request to a router and its answer.
pub const REQUEST_MS_MAX: u64 = 5_000;
/// Bytes of a description or an answer: those of honest routers have twenty thousand.
pub const BODY_BYTES_MAX: usize = 131_072;
/// Bytes of the head of an answer.
pub const HEAD_BYTES_MAX: usize = 16_384;
/// Things in a description that are read: elements, texts and the like.
pub const DESCRIPTION_PARTS_MAX: usize = 20_000;
/// Bytes of a text in a description or an answer that is kept.
pub const TEXT_BYTES_MAX: usize = 512;
/// Milliseconds to close all ports when this house stops: what is left ends by itself.
pub const CLOSE_MS_MAX: u64 = 3_000;
