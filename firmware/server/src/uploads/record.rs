//! What the store keeps of uploaded files.

use crate::world::{Dice, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use store::{Error, Record, Snapshot, Table, Write};

/// By account and id: a file that is there.
pub(super) const FILE: Table<(u32, [u8; 16]), FileRecord> = Table::per_account("upload.file", 1);
/// By id: the account that it is of.
pub(super) const PLACE: Table<[u8; 16], u32> = Table::new("upload.place", 1);
/// By id: a file whose bytes are to be removed.
pub(super) const DOOMED: Table<[u8; 16], ()> = Table::new("upload.doomed", 1);
/// One row: what tokens are made with.
pub(super) const SECRET: Table<(), SecretRecord> = Table::new("upload.secret", 1);

/// The name of a file: 128 random bits. Who knows it may read the file, so it never reaches a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub(super) [u8; 16]);

impl UploadId {
    pub(super) fn draw(dice: &dyn Dice) -> UploadId {
        let mut bytes = [0; 16];
        dice.fill(&mut bytes);
        UploadId(bytes)
    }

    /// Reads what [`fmt::Display`] writes, and nothing else: 32 digits, in lower case.
    pub fn parse(text: &str) -> Option<UploadId> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(UploadId(bytes))
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// For URLs and names of files.
impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadId")
    }
}

/// A stored file. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    pub(super) bytes: u64,
    pub(super) name: String,
    /// In its normal form; empty where nobody said one.
    pub(super) media_type: String,
    pub(super) stored_ms: Timestamp,
    /// When it is gone at the latest, where whoever sent it said so (XEP-0363 §5.3).
    pub(super) gone_ms: Option<Timestamp>,
}

impl Record for FileRecord {}

impl FileRecord {
    /// When it is gone, where files are kept for so many milliseconds.
    pub(super) fn over_ms(&self, keep_ms: u64) -> Timestamp {
        let over = self.stored_ms.saturating_add(keep_ms);
        self.gone_ms.map_or(over, |gone| gone.min(over))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SecretRecord {
    pub(super) bytes: [u8; 32],
}

impl Record for SecretRecord {}

/// What makes a file one that is gone but for its bytes.
pub(super) fn doom(account: u32, id: [u8; 16]) -> [Write; 3] {
    [
        FILE.remove(&(account, id)),
        PLACE.remove(&id),
        DOOMED.put(&id, &()),
    ]
}

/// The next writes that doom an account's files, at most `max`.
pub(crate) fn removals(snapshot: &Snapshot, account: u32, max: usize) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for row in FILE.prefix(snapshot, &account)?.take(max / 3) {
        let ((_, id), _) = row?;
        writes.extend(doom(account, id));
    }
    Ok(writes)
}

/// Bytes of an account's files.
pub(crate) fn bytes(snapshot: &Snapshot, account: u32) -> Result<u64, Error> {
    let rows = FILE.prefix(snapshot, &account)?;
    rows.map(|row| row.map(|(_, file)| file.bytes)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = UploadId([0x0f; 16]);
        let text = id.to_string();
        assert_eq!(text, "0f".repeat(16));
        assert!(UploadId::parse(&text) == Some(id));
        let upper = text.to_uppercase();
        let rows = [
            "",
            &text[1..],
            &upper,
            "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0g",
            "../../../../../../../../etc/passw",
        ];
        for wrong in rows {
            assert!(UploadId::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(format!("{id:?}"), "UploadId", "not for logs");
    }
}
