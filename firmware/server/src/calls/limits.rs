//! Limits of what apps are given for calls, with the reason for each number (house rule 8).

/// Milliseconds for which a name and its password are good: a day, as coturn's users are used to, so that the
/// longest call need not ask again. With the account they end at once.
pub const CREDENTIALS_MS: u64 = 86_400_000;
/// Bytes of `turn.secret_file`: passwords that people make have some 60.
pub(super) const SECRET_FILE_BYTES_MAX: usize = 4_096;
