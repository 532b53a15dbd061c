//! Limits of uploads, with the reason for each number (house rule 8). How large a file may be and how many
//! bytes an account may have is for the administrator to say (`[upload]`).

/// Milliseconds for which a slot may be used: clients begin at once, and XEP-0363 §8 recommends about this.
/// Until then its bytes count as used.
pub const SLOT_MS: u64 = 300_000;
/// Slots of one account that were promised and not used, at a time: somebody who shares the photographs of a
/// whole holiday is asked to wait for a moment.
pub const SLOTS_PER_ACCOUNT_MAX: usize = 64;
/// Bytes of a file's name in its URL, before it is escaped. Those of cameras have 12, those of scanned bills
/// some 60; file systems take 255.
pub const NAME_BYTES_MAX: usize = 120;
/// Bytes of the end of a longer name that stay, with the dot, because they say what it is.
pub const NAME_ENDING_BYTES_MAX: usize = 16;
const _: () = assert!(NAME_ENDING_BYTES_MAX < NAME_BYTES_MAX);
/// Bytes of a media type: twice the longest that is registered.
pub const MEDIA_TYPE_BYTES_MAX: usize = 160;
/// Bytes of the token in a URL: a name of an account and a media type as long as they can get, and some
/// numbers.
pub const TOKEN_BYTES_MAX: usize = 2_048;
/// Rows that are looked at in one step of the search for old files: a millisecond or two, so that nobody who
/// waits for the disk notices.
pub const LOOK_ROWS_MAX: usize = 500;
/// Files that are removed in one step.
pub const DOOMED_MAX: usize = 64;
