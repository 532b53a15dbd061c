//! Limits of what is asked of a certificate authority, with the reason for each number (house rule 8).

use std::time::Duration;

/// Names in one certificate: authorities take up to 100.
pub const NAMES_MAX: usize = 100;
/// Between two looks at what is due, at most: the clock of the machine may be put right meanwhile.
pub(super) const LOOK: Duration = Duration::from_hours(1);
/// How often a request is sent anew with the nonce that the authority gave with its refusal (RFC 8555 §6.5).
pub(super) const NONCES_MAX: u32 = 6;
/// Between two questions how an order is, at first: most are done by then.
pub(super) const POLL_MIN: Duration = Duration::from_secs(1);
/// The same at most, whatever the authority wishes: somebody may be waiting.
pub(super) const POLL_MAX: Duration = Duration::from_secs(15);
/// How long an authority may take to check proofs, or to make a certificate.
pub(super) const ORDER_MAX: Duration = Duration::from_mins(5);
/// From writing records to the first question whether they are there: who asks too early is told for a while
/// that there are none.
pub(super) const DNS_REST: Duration = Duration::from_secs(10);
/// Between two such questions.
pub(super) const DNS_POLL: Duration = Duration::from_secs(5);
/// How long the servers of a zone may take to have a record. The slow providers need some minutes.
pub(super) const DNS_MAX: Duration = Duration::from_mins(15);

/// Milliseconds from the first failure to the next attempt where the authority cannot be reached; doubled for
/// each, up to the second number.
pub(super) const OFFLINE_MS: (u64, u64) = (60_000, HOUR_MS);
/// The same where it refused: five failed proofs of a name in an hour are what the large ones bear.
pub(super) const REFUSED_MS: (u64, u64) = (30 * 60_000, 12 * HOUR_MS);
/// Milliseconds until the next attempt where the authority has had too many and does not say until when.
pub(super) const LIMITED_MS: u64 = 6 * HOUR_MS;
/// Milliseconds for which the word of an authority that it wants to be left alone is taken: the longest of
/// the known limits is counted over a week.
pub(super) const LIMITED_MS_MAX: u64 = 7 * DAY_MS;

/// Milliseconds between two questions when to renew (RFC 9773 §4.3.2), at least and at most.
pub(super) const ADVICE_MS: (u64, u64) = (HOUR_MS, DAY_MS);
/// The same where the answer was none (RFC 9773 §4.3.3).
pub(super) const NO_ADVICE_MS: u64 = 6 * HOUR_MS;
/// Milliseconds that a certificate is kept at least, whatever its authority advises: one whose advice is
/// always "now" is asked for one each day.
pub(super) const AGE_MS_MIN: u64 = DAY_MS;

/// Characters of an authority's own words that are passed on: they say in one sentence what was wrong.
pub(super) const WORDS_CHARS_MAX: usize = 300;
/// Bytes of a chain: three certificates have 6 000.
pub(super) const CHAIN_BYTES_MAX: usize = 100_000;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
