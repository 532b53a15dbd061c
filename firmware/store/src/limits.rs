//! Everything in the store that can grow, with its unit and the reason for the number.

/// Writes in one group. A group is one sync; beyond this, those who wait for its first write wait too long.
pub const GROUP_WRITES_MAX: usize = 1_024;

/// Bytes in one group. A slow card takes about 100 ms for this much. One batch is never split, so a group of
/// a single batch may be larger.
pub const GROUP_BYTES_MAX: usize = 1 << 20;

/// Writes waiting above which streams are not read. Four full groups: what a card works off in a second.
pub const BACKLOG_WRITES_MAX: usize = 4 * GROUP_WRITES_MAX;

/// Bytes waiting above which streams are not read, for the same reason.
pub const BACKLOG_BYTES_MAX: usize = 4 * GROUP_BYTES_MAX;

/// Writes since the last checkpoint after which there is another. Spreads its cost, and bounds the replay at
/// start.
pub const CHECKPOINT_WRITES_MAX: usize = 2_048;

/// Bytes of changes in the journal after which there is a checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 1 << 20;

/// Age of the oldest change that is only in the journal. A previous release that comes back after an update
/// replays at most this much.
pub const CHECKPOINT_SECONDS_MAX: u64 = 300;

/// How long a `Soon` write waits for company before it starts a group of its own. Without this, the last
/// offline mark of the evening would wait for the first message of the morning.
pub const SOON_SECONDS_MAX: u64 = 300;

/// Size of the journal file. Each group begins on a block of its own, so this is a block for every write
/// between two checkpoints.
pub const JOURNAL_BYTES: u64 = CHECKPOINT_WRITES_MAX as u64 * JOURNAL_BLOCK_BYTES as u64;

/// Groups are aligned to this, so that an append that is cut off never touches a sector which holds something
/// that was acknowledged. The page size of file systems and the write unit of most cards.
pub const JOURNAL_BLOCK_BYTES: usize = 4_096;

/// redb's page cache. Its own default is 1 GiB. Accounts are in memory while somebody is there, and the
/// system's cache is behind this one, so what it saves is calls: the upper levels of the trees are a few
/// hundred pages.
pub const CACHE_BYTES: usize = 512 << 10;

/// Free space below which nothing more is accepted: a checkpoint of what was already acknowledged must still
/// fit, and a person needs room to clean up.
pub const FREE_BYTES_MIN: u64 = 16 << 20;

/// What must be free on top of that before writes are taken again, as a part of it: 1/4. Without it, a disk
/// at the edge would go back and forth with every message.
pub const FREE_BYTES_MARGIN: u64 = 4;

/// Milliseconds between two looks at the free space on behalf of those who are about to write. Others fill a
/// disk up in seconds; a look costs a microsecond.
pub const LOOK_MILLISECONDS: u64 = 250;

/// Pages held in memory while the database file cannot be written, so that reads go on. Enough for the pages
/// that the writes between two checkpoints touch.
pub const OVERLAY_BYTES_MAX: usize = 48 << 20;

/// First wait before a failed disk is tried again; doubled after each try.
pub const PROBE_SECONDS_MIN: u64 = 1;

/// Longest wait between two tries. People who freed some space look at the screen for about this long.
pub const PROBE_SECONDS_MAX: u64 = 30;

/// Ranges of failed tickets that are told apart; one for each time the disk failed. Beyond this the two
/// oldest are joined, which can only turn a late “yes” into a “no”.
pub const FAILED_RANGES_MAX: usize = 256;

/// Numbers of a sequence reserved on disk at a time. The next block is asked for when half is left: more
/// than may wait undurably ([`BACKLOG_WRITES_MAX`]) and than a checkpoint on a slow card lets through
/// meanwhile.
pub const SEQUENCE_BLOCK: u64 = 65_536;

const _: () = assert!(
    SEQUENCE_BLOCK as usize / 2 > 4 * BACKLOG_WRITES_MAX,
    "numbers must not run out under load"
);

/// The first number of a sequence; imported archives go below it.
pub const SEQUENCE_START: u64 = 1 << 40;

/// Rows that one sweep puts into a batch, so that people who chat meanwhile do not notice it.
pub const SWEEP_ROWS_MAX: usize = 500;

/// Bytes of a table's name; it is repeated in each journal record.
pub const TABLE_NAME_BYTES_MAX: usize = 64;

const _: () = assert!(
    JOURNAL_BYTES as usize >= GROUP_BYTES_MAX * 2,
    "a full group must fit with room to spare"
);
const _: () = assert!(
    GROUP_WRITES_MAX <= CHECKPOINT_WRITES_MAX,
    "a group is at most one checkpoint"
);
