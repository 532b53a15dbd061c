//! Limits of WebSockets, with the reason for each number (house rule 8).

use crate::limits::CLOSE_MS_MAX;
use xmpp::limits::{STANZA_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX};

/// Bytes of a message, whatever its fragments: the largest stanza, and an XML declaration with the white
/// space around it.
pub(super) const FRAME_BYTES_MAX: usize = STANZA_BYTES_MAX + 1_024;
/// Bytes of a message before authentication: as much as over TCP.
pub(super) const STRANGERS_FRAME_BYTES_MAX: usize = UNAUTHENTICATED_BYTES_MAX;
/// Milliseconds of [`CLOSE_MS_MAX`] in which the peer's goodbye is waited for before TLS is closed (RFC 6455
/// §7.1.1): a browser answers at once.
pub(super) const CLOSE_ANSWER_MS_MAX: u64 = 2_000;

const _: () = assert!(CLOSE_ANSWER_MS_MAX < CLOSE_MS_MAX);
