//! Limits of finding and dialling other servers, with the reason for each number (house rule 8).

use crate::s2s::limits::REMOTE_SETTLE_MS;

/// SRV records of a domain that are looked at. Large services publish four of each kind.
pub const SRV_RECORDS_MAX: usize = 16;
/// Aliases that are followed from the name of a service: one to a provider, and one of the provider's own.
pub const ALIASES_MAX: usize = 3;
/// Addresses of a host that are tried, of each family. Whoever has more has them all in one place.
pub const ADDRESSES_MAX: usize = 4;
/// TLSA records of a host that are looked at: two keys, the present and the next, in every form.
pub const TLSA_RECORDS_MAX: usize = 16;
/// Answers of name servers that are kept, each for its own time: a household's friends have some dozens of
/// servers, and each needs about six. Some 500 bytes each.
pub const ANSWERS_KEPT_MAX: u64 = 512;
/// Milliseconds for which an answer is kept at the longest, whatever it says: what moves is found on the next
/// day.
pub const ANSWER_KEPT_MS_MAX: u64 = 86_400_000;
/// Milliseconds for which it is kept that there is nothing, at the longest: a friend who just repaired his
/// domain is reached soon.
pub const NOTHING_KEPT_MS_MAX: u64 = 300_000;
/// Milliseconds that a name server has for an answer, before it or another one is asked again.
pub const QUESTION_MS_MAX: u64 = 2_000;
/// Times that a question is asked again.
pub const QUESTIONS_AGAIN: usize = 1;
/// Milliseconds for all of one lookup, with aliases and proofs.
pub const LOOKUP_MS_MAX: u64 = 6_000;
/// Milliseconds for which it is kept that the name servers pass no proofs: they are asked for one now and
/// then, since a laptop comes to other networks.
pub const PROOFLESS_KEPT_MS: u64 = 600_000;
/// Milliseconds between two times that name servers which say nothing are looked for anew, and what they said
/// is forgotten.
pub const DOUBT_MS_MIN: u64 = 60_000;
/// Milliseconds for which it is kept that they pass proofs: one dialling after the other need not ask.
pub const PROOFS_KEPT_MS: u64 = 60_000;
/// Milliseconds after the first address until the one that should have come before it is no longer waited for
/// (RFC 8305 §3, "Resolution Delay").
pub const RESOLUTION_DELAY_MS: u64 = 50;
/// Milliseconds between two attempts (RFC 8305 §5, "Connection Attempt Delay").
pub const ATTEMPT_DELAY_MS: u64 = 250;
/// Milliseconds for one attempt: three SYN packets on a bad line.
pub const ATTEMPT_MS_MAX: u64 = 8_000;
/// Attempts of one dialling at a time: all addresses of two dead hosts, so that they leave time for the one
/// that was published for this case. RFC 8305 §5 knows no limit; file descriptors have one.
pub const ATTEMPTS_MAX: usize = 16;
/// Milliseconds for all attempts of one dialling: the person who wrote wants to know.
pub const DIAL_MS_MAX: u64 = 25_000;
/// Diallings at a time; others wait for their turn. A house that returns from a power cut has fewer friends,
/// and a thousand dead servers must not take all file descriptors.
pub const DIALS_MAX: usize = 64;
/// Diallings at a time to servers that only get an answer. Anybody can ask from any domain, and must not keep
/// our own people from theirs.
pub const ANSWERING_DIALS_MAX: usize = 16;
/// Milliseconds for which a dialling waits for its turn: whoever wrote is told afterwards, and may try again.
pub const TURN_MS_MAX: u64 = 30_000;
/// Milliseconds after which no further address of a domain is tried, whatever became of those before: each
/// may take a whole negotiation, and a domain can have a hundred.
pub const REACH_MS_MAX: u64 = 60_000;
/// Milliseconds that bytes may stay unacknowledged by another server's kernel. What was written counts as
/// there after [`REMOTE_SETTLE_MS`], which a line that broke must not outlive.
pub const SERVER_DEAD_LINE_MS: u32 = 20_000;

const _: () = assert!(
    QUESTION_MS_MAX * (QUESTIONS_AGAIN as u64 + 1) < LOOKUP_MS_MAX && LOOKUP_MS_MAX < DIAL_MS_MAX,
    "a slow name server leaves time for another one, and for dialling"
);
const _: () = assert!(
    SERVER_DEAD_LINE_MS as u64 + 5_000 < REMOTE_SETTLE_MS,
    "a dead line is found, with the kernel's last attempt, before what went into it counts as there"
);
const _: () = assert!(
    DIAL_MS_MAX < REACH_MS_MAX && ANSWERING_DIALS_MAX < DIALS_MAX,
    "more than one address is negotiated with, and our own people come first"
);
const _: () = assert!(
    ADDRESSES_MAX * 2 * 2 <= ATTEMPTS_MAX,
    "two hosts that are dead in both families are tried at once"
);
const _: () = assert!(
    ATTEMPT_MS_MAX < DIAL_MS_MAX,
    "more than one address is tried"
);
