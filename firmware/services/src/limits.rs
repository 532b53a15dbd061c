//! Limits of what is asked outside, each with its reason. Those of the relay are in `turn/limits.rs`.

/// Milliseconds that a request and its whole answer may take: some providers take ten seconds to write a
/// record.
pub const HTTP_MS_MAX: u64 = 30_000;
/// Milliseconds that one address of a server has to take a connection before the next is tried.
pub const HTTP_CONNECT_MS_MAX: u64 = 5_000;
/// Bytes of an answer's body: 200 records of a zone with their links are a hundred kilobytes.
pub const HTTP_BODY_BYTES_MAX: usize = 1_000_000;
/// Bytes of an answer's head.
pub const HTTP_HEAD_BYTES_MAX: usize = 65_536;
