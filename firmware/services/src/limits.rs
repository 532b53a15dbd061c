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
/// Milliseconds that the kernel may take to tell its addresses. It takes none; a socket without an end would
/// hold a thread for ever.
pub const LINK_MS_MAX: u64 = 2_000;
/// Bytes of a piece of the kernel's answer, which writes up to 32 kB at once.
pub const LINK_BYTES_MAX: usize = 65_536;
/// Addresses of this machine and ways out of it that are looked at: more is no house.
pub const LINK_ROWS_MAX: usize = 256;
/// Milliseconds between two looks at the links where the kernel does not tell of changes by itself.
pub const LINK_LOOK_MS: u64 = 10_000;
/// Milliseconds of quiet after a change of the links before they are read: an interface that comes up changes
/// ten times within a second.
pub const LINK_SETTLE_MS: u64 = 500;
