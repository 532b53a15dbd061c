//! Limits and times of the records in the DNS, with the reason for each number (house rule 8).

use std::time::Duration;

/// Seconds that an address may be remembered: a new one is seen by everybody within a minute.
pub const ADDRESS_TTL_S: u32 = 60;
/// Seconds of what changes with the configuration alone.
pub const RECORD_TTL_S: u32 = 1_800;
/// Seconds of an answer to an authority's challenge, the least that DigitalOcean takes.
pub const CHALLENGE_TTL_S: u32 = 30;
/// Records of a zone that are looked at. A household has dozens; more than this is an answer that never ends.
pub const RECORDS_MAX: usize = 10_000;
/// Records on a page, the most that DigitalOcean gives.
pub const PAGE_RECORDS: usize = 200;
/// Pages of a zone.
pub const PAGES_MAX: usize = RECORDS_MAX / PAGE_RECORDS;
/// Bytes of what another says that is shown to people.
pub const SAID_BYTES_MAX: usize = 200;
/// Bytes of a token file. Tokens have dozens, keys of TSIG a hundred.
pub const TOKEN_BYTES_MAX: usize = 4_096;
/// Labels that are taken off a domain to find its zone: more than a household's domain has.
pub const ZONE_LABELS_MAX: usize = 8;
/// Name servers of a zone that are asked. Most have two to four.
pub const NAME_SERVERS_MAX: usize = 8;
/// Addresses of one name server that are tried.
pub const SERVER_ADDRESSES_MAX: usize = 4;
/// How long one name server has for one answer before it is asked again.
pub const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// How often one address is asked before it counts as silent.
pub const ANSWER_ATTEMPTS: usize = 2;
/// Bytes of an answer over UDP that fit through everywhere.
pub const DATAGRAM_BYTES: u16 = 1_232;
/// Messages of one transfer of a zone: 16 000 records at least.
pub const TRANSFER_MESSAGES_MAX: usize = 1_000;
/// Questions to name servers at a time, of one look at all records.
pub const QUESTIONS_AT_ONCE: usize = 8;
/// After the first failure.
pub const AGAIN_FIRST: Duration = Duration::from_secs(5);
/// The longest time until the next attempt: a provider that is back is noticed within a quarter of an hour,
/// and one that is down for a day gets a hundred requests.
pub const AGAIN_MAX: Duration = Duration::from_mins(15);
/// The longest time that a provider can have us wait; more is not believed.
pub const AGAIN_SAID_MAX: Duration = Duration::from_hours(2);
/// Between two looks at the provider's records while nothing changes: a record that somebody removed by hand
/// is back within hours.
pub const LOOK: Duration = Duration::from_hours(6);
/// The same while others' records stand in the way: whoever removes them waits for that.
pub const HELD_LOOK: Duration = Duration::from_hours(1);
/// Between two looks at what the authoritative name servers answer while all is well: some sixty questions.
pub const LOOK_OUTSIDE: Duration = Duration::from_hours(24);
/// After a write, between the first looks at that; then it doubles up to [`AGAIN_MAX`].
pub const SEEN_FIRST: Duration = Duration::from_secs(5);
/// How long name servers may take to answer what was written before somebody is told.
pub const SEEN_MAX: Duration = Duration::from_mins(10);
/// Age at which a challenge is removed that nobody withdrew: an order takes minutes.
pub const CHALLENGE_AGE_MAX: Duration = Duration::from_hours(2);
/// Challenges at a time: two for each name of the certificate.
pub const CHALLENGES_MAX: usize = 32;
/// Records that this house keeps a list of. It makes some thirty.
pub const OWN_RECORDS_MAX: usize = 200;
