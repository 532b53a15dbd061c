//! Limits of BOSH, with the reason for each number (house rule 8).

use xmpp::limits::STANZA_BYTES_MAX;

/// Bytes of a request: some of the largest stanzas, because clients put all they have to say into one,
/// and its wrapper, whose attributes are short.
pub const BODY_BYTES_MAX: usize = 4 * STANZA_BYTES_MAX + WRAPPER_BYTES_MAX;
/// Bytes in which the tag of a wrapper ends, or whose it is stays unknown where the rest of it cannot be
/// read.
pub const WRAPPER_BYTES_MAX: usize = 8_192;
/// Bytes of payloads of one session that its stream has not taken yet, while it waits for its turn or for
/// its client to take something: two requests as long as they can get. Before a login they are as many as
/// a stream takes of one element then.
pub const INPUT_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// Milliseconds after which a request is looked at again that waits for the stream to take it.
pub const UNTAKEN_LOOK_MS: u64 = 1_000;
/// Bytes of elements that the client did not fetch before it said goodbye, and that go with its last answer
/// (§13): several answers as they usually are. Beyond, the line counts as lost.
pub const GOODBYE_BYTES_MAX: usize = 524_288;
/// Elements in one request. A client that joins all its rooms at once sends some dozens.
pub const PAYLOADS_MAX: usize = 256;
/// Bytes of an attribute that is kept for a session: an address or a key is much shorter.
pub const ATTRIBUTE_BYTES_MAX: usize = 3_071;
/// The largest request id (XEP-0124 §14.1): what a number of JavaScript holds exactly.
pub const RID_MAX: u64 = 9_007_199_254_740_991;
/// Sessions in all, as many as may be at the door at once; who has an account is counted there, too
/// (`RESOURCES_MAX`).
pub const SESSIONS_MAX: usize = 2_000;
/// Seconds for which a request is held at most: proxies on the way give up after a minute.
pub const WAIT_S_MAX: u64 = 55;
/// Requests of one session that are held at once. More than one helps nobody who can send while one waits.
pub const HOLD_MAX: usize = 2;
/// Seconds without a request after which a session's line counts as lost: a phone that changes networks is
/// back by then.
pub const INACTIVITY_S: u64 = 60;
/// Seconds likewise of a session that polls (§12: more than others have).
pub const POLLING_INACTIVITY_S: u64 = 120;
/// Seconds between two empty requests that come too soon (§11, §12).
pub const POLLING_S: u64 = 5;
/// Seconds that a client may pause (§10): a page that loads another one, or a laptop whose lid is closed for
/// a
/// moment.
pub const PAUSE_S_MAX: u64 = 300;
/// Milliseconds that a request of a session that polls waits for the answer to what is in it.
pub const POLL_PATIENCE_MS: u64 = 1_000;
/// Milliseconds after which a client is told that it has not said to have an answer (§9.2): longer than
/// answers
/// are on their way.
pub const REPORT_MS: u64 = 3_000;
/// Bytes of payloads in one answer, above which the rest waits for the next request. One element is always
/// sent whole.
pub const ANSWER_BYTES_MAX: usize = 65_536;
/// Answers kept for clients that lost them, where the client says which ones it has (§14.3); else as many as
/// there may be requests.
pub const ANSWERS_KEPT_MAX: usize = 8;
/// Bytes of such answers, apart from the newest: several full ones.
pub const ANSWERS_KEPT_BYTES_MAX: usize = 262_144;
/// Bytes of an answer that is kept as long as others where the client does not say which ones it has. A
/// session that waits keeps few of those, and nothing else.
pub const ANSWER_SHORT_BYTES_MAX: usize = 2_048;
/// Times that one request may be sent again (§14.3): a client on a line that breaks so often needs another.
pub const REPEATS_MAX: u32 = 16;

const _: () = assert!(ANSWER_BYTES_MAX * 3 < ANSWERS_KEPT_BYTES_MAX);
const _: () = assert!(WAIT_S_MAX < INACTIVITY_S && INACTIVITY_S + POLLING_S < POLLING_INACTIVITY_S);
const _: () = assert!(ANSWERS_KEPT_MAX > HOLD_MAX + 1);
