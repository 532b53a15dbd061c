//! Limits of the relay, with the reason for each number (house rule 8).

use std::time::Duration;

/// Allocations of everybody together. Each has a port, of which there are 100 unless the configuration says
/// more; this bounds the sockets of a house that gives away all of them.
pub const ALLOCATIONS_MAX: usize = 500;
/// Allocations of one account. A device in a call makes one for each of its own addresses and each way to us
/// (a dozen), more in a call of several people.
pub const ALLOCATIONS_PER_ACCOUNT_MAX: usize = 40;
/// Addresses of peers that may write to one allocation: each has as many as its machine has networks.
pub const PERMISSIONS_MAX: usize = 64;
/// Channels of one allocation: one for each pair that a call tries.
pub const CHANNELS_MAX: usize = 64;
/// Ports held for the second half of a pair (RFC 8656 §7.2). Nobody but old video phones asks for them.
pub const RESERVATIONS_MAX: usize = 16;
/// Milliseconds that such a port is held: the least that §7.2 allows.
pub const RESERVATION_MS: u64 = 30_000;
/// Seconds that an allocation lives unless it is refreshed (RFC 8656 §6).
pub const LIFETIME_S: u32 = 600;
/// Seconds that it may ask for (§7.2). What a lost phone leaves behind is gone after that.
pub const LIFETIME_S_MAX: u32 = 3_600;
/// Milliseconds of a permission (§9).
pub const PERMISSION_MS: u64 = 300_000;
/// Milliseconds of a channel (§12).
pub const CHANNEL_MS: u64 = 600_000;
/// Milliseconds in which a nonce can be used (§5: an hour at most).
pub const NONCE_MS: u64 = 3_600_000;
/// Bytes per second of one allocation, both directions together: a film in high definition both ways is less.
pub const ALLOCATION_RATE: u64 = 3_000_000;
/// Bytes of one allocation at once: what comes together behind a hiccup of a quarter of a second.
pub const ALLOCATION_BURST: u64 = 750_000;
/// Bytes per second of everybody, both directions together: what comes in at 100 Mbit/s goes out again.
pub const TOTAL_RATE: u64 = 25_000_000;
/// Bytes of everybody at once: a quarter of a second, too.
pub const TOTAL_BURST: u64 = 6_250_000;
/// Bytes of a user name (RFC 8489 §14.3).
pub const USERNAME_BYTES_MAX: usize = 508;
/// Sockets that are tried for one allocation where other programs have ports of our range.
pub const BINDS_MAX: usize = 16;
/// Networks that the bytes sent to strangers are counted for; those beyond share. 16 bytes each.
pub const STRANGERS: usize = 1_024;
/// Bytes that strangers of one network may get more than they sent: some forty beginnings of a conversation,
/// each of which is 30 to 70 bytes ahead.
pub const STRANGER_BURST: u64 = 2_048;
/// How many of these come back in a second: two beginnings.
pub const STRANGER_RATE: u64 = 100;
/// Bytes of a message in a stream: all that one datagram holds, with its header.
pub const FRAME_BYTES_MAX: usize = 65_535;
/// Bytes that wait for a client with a slow line. Old sound is worth nothing: beyond this it is dropped.
pub const WAITING_BYTES_MAX: usize = 262_144;
/// Connections that wait or relay at a time.
pub const CONNECTIONS_MAX: usize = 500;
/// How long a connection may be there without an allocation: who asks for one has done so by then.
pub const WITHOUT_ALLOCATION_MAX: Duration = Duration::from_secs(30);
/// Between two looks for what is over.
pub const TICK: Duration = Duration::from_secs(5);
/// Datagrams taken from a socket at once.
pub const DATAGRAMS_AT_ONCE: usize = 8;
/// Times that is done before others have their turn.
pub const TURNS_MAX: usize = 16;

const _: () = assert!(
    ALLOCATION_BURST > FRAME_BYTES_MAX as u64 && WAITING_BYTES_MAX > FRAME_BYTES_MAX,
    "one message must fit"
);
