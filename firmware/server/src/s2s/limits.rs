//! Limits of what goes to and comes from other servers, with the reason for each number (house rule 8).

/// Stanzas that may wait for one other server. What a family sends to one place while a link is made stays
/// far below.
pub const REMOTE_STANZAS_MAX: usize = 2_048;
/// Bytes that may wait for one other server: several of the largest stanzas.
pub const REMOTE_BYTES_MAX: usize = 2_097_152;
const _: () = assert!(xmpp::limits::STANZA_BYTES_MAX * 4 < REMOTE_BYTES_MAX);
/// Bytes that may wait for all other servers and components together, and be on the line to them.
pub const REMOTES_BYTES_MAX: usize = 33_554_432;
/// Bytes of these that may be from one account or room: what may wait for one server and be on the line to
/// it, twice over.
pub const REMOTES_BYTES_PER_SENDER_MAX: usize = 8_388_608;
/// Refusals that wait for their senders to be there: each is small, and every one a message somebody misses.
pub const FAILED_MAX: usize = 1_024;
/// Milliseconds that they wait at most: somebody who is away for longer looks at what they sent.
pub const FAILED_MS_MAX: u64 = 5_184_000_000;
/// Rows that a restart reads at a time.
pub const RESUMED_AT_ONCE_MAX: usize = 256;
/// Characters of the reason why nobody gets through to a server that are kept for people: a line.
pub const REMOTE_FAULT_CHARS_MAX: usize = 200;
/// Requests of one stream that only read and are not answered yet, above which nothing more is read from it.
pub const READS_BESIDE_MAX: usize = 16;
/// Milliseconds in which nobody calls another server after the first failure; twice as long after each
/// further one. Somebody who restarts a server and writes again gets through.
pub const REMOTE_REST_MS_FIRST: u64 = 2_000;
/// Milliseconds in which nobody calls it at most. What can wait on disk waits no longer than that before its
/// sender is told.
pub const REMOTE_REST_MS_MAX: u64 = 60_000;
/// Milliseconds until a server is called again for what waits on disk because nobody hears that it cannot be
/// sent; twice as long after each further failure. Somebody who looks after their server waits about as long.
pub const REMOTE_HOLD_MS_FIRST: u64 = 30_000;
/// Milliseconds until it is called again at most: a dead server costs four calls in an hour.
pub const REMOTE_HOLD_MS_MAX: u64 = 900_000;
/// Milliseconds that a stanza may wait in that way: a weekend without power at a friend's.
pub const REMOTE_HELD_MS_MAX: u64 = 172_800_000;
/// Pairs of a domain of ours and one of theirs of which something is known. A family with friends on a
/// hundred servers stays far below; a client that writes to made-up domains ends here.
pub const REMOTES_MAX: usize = 1_024;
/// How many of them may be there for what other servers asked for: strangers leave room for the family.
pub const REMOTES_ASKED_MAX: usize = REMOTES_MAX / 2;
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
/// Bytes of these, likewise: as many as may wait.
pub const REMOTE_SENT_BYTES_MAX: usize = REMOTE_BYTES_MAX;
/// Attempts of one stream to say who it is.
pub const REMOTE_ATTEMPTS_MAX: u8 = 4;
/// Milliseconds from asking another server for an acknowledgement to taking the line for dead. Servers have
/// better lines than phones, and whoever writes meanwhile waits.
pub const REMOTE_ACK_TIMEOUT_MS: u64 = 30_000;
/// Bytes in a millisecond that a peer reads at the least: what is on the line goes before its answer, and
/// some servers take no more than 30 kB in a second from each other.
pub const REMOTE_BYTES_PER_MS_MIN: u64 = 10;
/// Milliseconds in which a peer has to acknowledge something, whatever else it says meanwhile.
pub const REMOTE_ACK_MS_MAX: u64 = 300_000;
/// Milliseconds after which what was written before a peer closed the stream in order counts as read. What
/// crossed its goodbye is sent again.
pub const REMOTE_CROSSING_MS: u64 = 5_000;
/// Keys and names of one stream that are refused before it ends: each may cost a check of certificates.
pub const REMOTE_REFUSALS_MAX: u8 = 8;
/// Milliseconds after which a link that another server opened, and on which nobody says anything, is closed:
/// longer than they keep one themselves, for they know better what they will say.
pub const CALLED_IDLE_MS: u64 = 3_600_000;
/// Milliseconds that a link has to have said nothing before it makes room for another one.
pub const CROWDED_IDLE_MS: u64 = 60_000;
/// Streams from one network that have said who they are: a company that serves many friends' domains from one
/// machine stays below.
pub const LINKS_PER_NETWORK_MAX: usize = LINKS_MAX / 8;
/// Streams of the domains that end in the same two labels: with one certificate somebody may be all of those.
pub const LINKS_PER_PARENT_MAX: usize = LINKS_MAX / 8;
/// Streams on which one domain may speak at a time: one for each pair of its and our domains, and those that
/// broke without a word.
pub const LINKS_PER_DOMAIN_MAX: usize = 16;
/// Streams of other servers, in all, that have said who they are.
pub const LINKS_MAX: usize = 512;
