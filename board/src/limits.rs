//! Limits and times of the board, with the reason for each number (house rule 8).

/// Milliseconds for which a contact must stay as it is: cheap buttons bounce for 5 to 20.
pub const DEBOUNCE_MS: u64 = 30;
/// Milliseconds after the start in which a press counts as one "at boot": who holds the button while plugging
/// in is seen as soon as there is a server, and who is late has this long.
pub const BOOT_MS: u64 = 60_000;
/// Times an address is shown: once to notice that it begins, once to write it down.
pub const ADDRESS_TIMES: u64 = 2;
/// Milliseconds between two looks at temperature and voltage: an administrator is told of what lasts.
pub const THERMAL_MS: u64 = 30_000;
/// Milliseconds between two feedings of the watchdog: bcm2835's bites after 15 s at most, so that one may be
/// missed.
pub const FEED_MS: u64 = 5_000;
/// Milliseconds that a check of the server may fail before the watchdog goes hungry. A card that is busy with
/// itself for half a minute comes back; a restart in between would only take longer.
pub const FAILING_MS_MAX: u64 = 60_000;
/// Milliseconds that all checks together may take; what takes longer hangs.
pub const CHECK_MS_MAX: u64 = 4_000;
/// Bytes read of a file of the kernel's: none of those used here has more than a line or a list of words.
pub const KERNEL_FILE_BYTES_MAX: u64 = 8_192;
/// Orders from the button that wait for somebody who carries them out: fingers give one at a time.
pub const ORDERS_MAX: usize = 4;

const _: () = assert!(
    CHECK_MS_MAX < FEED_MS,
    "a check ends before the next one begins"
);
const _: () = assert!(3 * FEED_MS <= 15_000, "one feeding may be missed");
/// Events of the button that wait to be answered: each press has five at most, and they are answered at once.
pub const EVENTS_MAX: usize = 16;
