//! Limits of the command line and of the control socket, with the reason for each number (house rule 8).

use std::time::Duration;

/// Bytes of a password: as many as a localpart may have (RFC 7622 §3.3.1), and more than any client's field
/// takes.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_023;
/// Accounts made by one import: one batch of writes, and some seconds of deriving keys on a Pi.
pub(crate) const IMPORTED_ACCOUNTS_MAX: usize = 500;
/// Bytes of a file of accounts: each line as long as it can get would fit.
pub(crate) const IMPORT_BYTES_MAX: u64 = 2_000_000;
/// Bytes of a request to the control socket: the largest import, as JSON with every character escaped, and
/// a bit.
pub(crate) const REQUEST_BYTES_MAX: u64 = 6 * IMPORT_BYTES_MAX + 1_000_000;
/// Bytes of an answer: a list of tens of thousands of accounts.
pub(crate) const ANSWER_BYTES_MAX: u64 = 32_000_000;
/// Requests at the control socket at a time; people type one.
pub(crate) const REQUESTS_MAX: usize = 4;
/// From connecting to the control socket to the end of the request.
pub(crate) const REQUEST_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a command waits for the server's answer: an import on a slow card takes a minute.
pub(crate) const ANSWER_WAIT_MAX: Duration = Duration::from_mins(5);
/// How long a command waits for another one, or a starting server, to let go of the store.
pub(crate) const STORE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two attempts at that.
pub(crate) const STORE_WAIT_STEP: Duration = Duration::from_millis(50);
/// Threads that route stanzas: a Pi has four cores, and more threads are more memory.
pub(crate) const WORKERS_MAX: usize = 4;
/// Threads that read the card: it serves one request at a time, and another one has something to work out
/// meanwhile.
pub(crate) const READERS: usize = 2;
/// Threads that derive keys and carry out commands.
pub(crate) const BLOCKING_THREADS_MAX: usize = 8;
/// Between two rounds of putting away what nobody uses: accounts that went offline leave memory.
pub(crate) const HOUSEKEEPING: Duration = Duration::from_mins(1);
/// How long a command waits for the push services of an account: the first notification to another server
/// needs a connection first, and somebody sits in front of it.
pub(crate) const PUSH_WAIT_MAX: Duration = Duration::from_secs(20);
/// Between two looks at certificate files: who replaces them wants to see it happen.
pub(crate) const CERTIFICATE_WATCH: Duration = Duration::from_secs(5);
/// Between two looks at the age of a certificate of ours, which is replaced long before it expires.
pub(crate) const CERTIFICATE_AGE_WATCH: Duration = Duration::from_hours(1);
/// How long who pressed the button may claim the server: the way to a computer, and no longer.
pub(crate) const CLAIM_WINDOW: Duration = Duration::from_mins(2);
