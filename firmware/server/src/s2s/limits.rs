//! Limits of what goes to and comes from other servers, with the reason for each number (house rule 8).

/// Stanzas that may wait for one other server. What a family sends to one place while a link is made stays
/// far below.
pub const REMOTE_STANZAS_MAX: usize = 2_048;
/// Bytes that may wait for one other server: several of the largest stanzas.
pub const REMOTE_BYTES_MAX: usize = 2_097_152;
const _: () = assert!(xmpp::limits::STANZA_BYTES_MAX * 4 < REMOTE_BYTES_MAX);
/// Milliseconds in which nobody calls another server after the first failure; twice as long after each
/// further one. Somebody who restarts a server and writes again gets through.
pub const REMOTE_REST_MS_FIRST: u64 = 2_000;
/// Milliseconds in which nobody calls it at most. What can wait on disk waits no longer than that before its
/// sender is told.
pub const REMOTE_REST_MS_MAX: u64 = 60_000;
/// Pairs of a domain of ours and one of theirs of which something is known. A family with friends on a
/// hundred servers stays far below; a client that writes to made-up domains ends here.
pub const REMOTES_MAX: usize = 1_024;
/// Milliseconds from a connection to a stream over which stanzas may go: DNS, TLS and dialback of a slow
/// server on the other side of the world. Senders wait for it.
pub const REMOTE_NEGOTIATION_MS_MAX: u64 = 30_000;
/// Milliseconds that a server may take to say whether a key is its own (XEP-0220 §2.1.2).
pub const VERIFICATION_MS_MAX: u64 = 20_000;
/// Keys that are being asked about at a time. Each costs a connection, and anybody can cause one.
pub const VERIFICATIONS_MAX: usize = 32;
/// Keys of one stream that are being asked about at a time.
pub const VERIFICATIONS_PER_LINK_MAX: usize = 4;
/// Domains of theirs that one stream may speak for: a server with its rooms, its files and its gateways.
pub const DOMAINS_PER_LINK_MAX: usize = 32;
/// Milliseconds after which what was written to a server that acknowledges nothing counts as there (DESIGN
/// §6).
pub const REMOTE_SETTLE_MS: u64 = 30_000;
/// Links that may break under one stanza before its sender is told: it may be what breaks them.
pub const REMOTE_BROKEN_MAX: u8 = 2;
/// Milliseconds after which a link that carries nothing is closed.
pub const REMOTE_IDLE_MS: u64 = 900_000;
/// Stanzas that one link has sent without being told that they arrived, above which no more are sent.
pub const REMOTE_SENT_MAX: usize = 1_024;
/// Attempts of one stream to say who it is.
pub const REMOTE_ATTEMPTS_MAX: u8 = 4;
/// Milliseconds from asking another server for an acknowledgement to taking the line for dead. Servers have
/// better lines than phones, and whoever writes meanwhile waits.
pub const REMOTE_ACK_TIMEOUT_MS: u64 = 30_000;
