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

/// Groups that begin without a pause after a rest. What a person does makes a few, one after the other, when
/// they log in or save a page, and each shall be as quick as the disk.
pub const GROUPS_AT_ONCE_MAX: u32 = 8;

/// Milliseconds from one group to the next while there is something to write all the time. Nobody's message
/// waits for the disk, only what promises that it is kept, and nobody notices a twentieth of a second. A chat
/// of 200 messages a second makes a group of ten of each pause, which costs three blocks and one sync instead
/// of ten of both.
pub const GATHER_MILLISECONDS: u64 = 50;

/// The same while somebody waits to hear that something is kept: an app that changes one thing after the
/// other goes on at once, and at full load a group still has company.
pub const AWAITED_MILLISECONDS: u64 = 5;

/// Milliseconds for which the first batch after a rest waits for others: a message is two batches, its
/// sender's and its recipient's, and the second is queued within this time on a slow machine.
pub const COMPANY_MILLISECONDS: u64 = 1;

/// Writes since the last checkpoint after which there is another, and so what may wait in memory for redb. A
/// checkpoint writes each page it touches once, so that the rarer it is the less a message costs: in a chat
/// of 100 pairs 5.7 KB of pages for each at 2 048, 1.3 KB here. A replay at start, or somebody who reads
/// first after so many, takes 2 to 3 µs for each.
pub const CHECKPOINT_WRITES_MAX: usize = 12_288;

/// Bytes of changes since the last checkpoint after which there is another, for the memory they take.
pub const CHECKPOINT_BYTES_MAX: usize = 4 << 20;

/// Age of the oldest change that is only in the journal. A checkpoint costs 100 KB or more however little has
/// changed, and a quiet house writes a message a minute: each of them would cost more than its own journal
/// block. The journal loses nothing meanwhile; what grows is what the next start replays.
pub const CHECKPOINT_SECONDS_MAX: u64 = 3_600;

/// How long a `Soon` write waits for company before it starts a group of its own. Without this, the last
/// offline mark of the evening would wait for the first message of the morning.
pub const SOON_SECONDS_MAX: u64 = 300;

/// Size of the journal file: 2 048 groups of a block each, which are an hour of a message every other second.
pub const JOURNAL_BYTES: u64 = 8 << 20;

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

/// Rows that a [`crate::Finder`] steps over before it takes the way from the root, which costs as much as
/// some ten of them.
pub const FINDER_STEPS_MAX: usize = 8;

/// Groups that wait to be put in order with what redb was not given yet: about a second's at the pace of
/// [`GATHER_MILLISECONDS`], and so few that each may be looked through.
pub const GROUPS_UNORDERED_MAX: usize = 32;

/// Pages held in memory while the database file cannot be written, so that reads go on. Enough for the pages
/// that the writes between two checkpoints touch.
pub const OVERLAY_BYTES_MAX: usize = 64 << 20;

/// First wait before a failed disk is tried again; doubled after each try.
pub const PROBE_SECONDS_MIN: u64 = 1;

/// Longest wait between two tries. People who freed some space look at the screen for about this long.
pub const PROBE_SECONDS_MAX: u64 = 30;

/// How often a reader waits for the database to be opened again before the disk's error is its answer. Twice
/// is what a disk that fails once more while it is opened needs; one that always fails must not hold anybody.
pub const REOPENINGS_AWAITED_MAX: usize = 3;

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
    OVERLAY_BYTES_MAX >= CHECKPOINT_WRITES_MAX * 4_096 * 5 / 4,
    "the overlay must take a page for each write, and those above them"
);
const _: () = assert!(
    GROUP_WRITES_MAX <= CHECKPOINT_WRITES_MAX,
    "a group is at most one checkpoint"
);
