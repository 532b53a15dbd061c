//! Limits of finding our address, each with its reason.

/// Milliseconds that an address stays after somebody contradicts it. A router that starts again needs three
/// minutes, and its line some more.
pub const KEPT_MS: u64 = 10 * 60_000;
/// Milliseconds between two questions to one server, where nothing nearer would tell of a change: as many as
/// the five minutes within which it is noticed allow, with an answer's time.
pub const PROBE_MS: u64 = 299_000;
/// The same where this machine or its router tells of a change: only to notice that both are wrong.
pub const PROBE_TOLD_MS: u64 = 6 * 3_600_000;
/// Milliseconds until everybody is asked again after a round without a result; doubles with each.
pub const AGAIN_MS_MIN: u64 = 60_000;
/// The longest of these while nobody answers at all: they cost nobody anything.
pub const AGAIN_SILENT_MS_MAX: u64 = 5 * 60_000;
/// The longest of these while there are answers.
pub const AGAIN_MS_MAX: u64 = 3_600_000;
/// Milliseconds between the beginnings of two rounds, whatever happens: a link that flaps is no reason to
/// trouble anybody.
pub const ROUND_MS_MIN: u64 = 5_000;
/// Milliseconds until a question to a STUN server is asked again; doubles (RFC 8489 §6.2.1).
pub const STUN_RTO_MS: u64 = 500;
/// Times that it is asked.
pub const STUN_TRIES: u32 = 4;
/// Bytes of an answer of STUN: what fits into one packet.
pub const STUN_BYTES_MAX: usize = 1_500;
/// Bytes of an answer of an echo that are looked at: the longest address and some blanks.
pub const ECHO_BYTES_MAX: usize = 64;
/// Servers of each sort that are asked: two operators agree, a third one says no more.
pub const SERVERS_MAX: usize = 4;
