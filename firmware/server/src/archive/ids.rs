//! What an archive calls its messages on the wire: the position, encrypted together with the account.
//!
//! XEP-0313 §3 wants ids that nobody can predict, and XEP-0359 §3 and §6 that nothing can be told from
//! them. One block of AES-128 does both, and needs no table: an id that we did not make decrypts to
//! something that is no position of this account, and is not found.
//!
//! State: the key, in table `archive.key`, made at the first start.

use crate::world::Dice;
use aws_lc_rs::cipher::{
    AES_128, AES_128_KEY_LEN, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use store::{Record, Store, Table, Urgency};

/// One row.
const KEY: Table<(), KeyRecord> = Table::new("archive.key", 1);

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    bytes: [u8; AES_128_KEY_LEN],
}

impl Record for KeyRecord {}

/// Bytes of a block, and of an id before it is text.
const BLOCK: usize = 16;
/// Characters of an id: letters, digits, `-` and `_`.
const TEXT: usize = 22;
/// Where what is encrypted has zeros: what is not from us passes once in 2^32 times, and then it still must
/// name this account and one of its positions.
const CHECK: [u8; 4] = [0; 4];

/// Makes ids and reads them.
pub(crate) struct Ids {
    encrypt: EncryptingKey,
    decrypt: DecryptingKey,
}

impl Ids {
    /// With the key of the store. A new one is queued before anything that it is used for.
    pub(crate) fn open(store: &Store, dice: &dyn Dice) -> Result<Ids, store::Error> {
        if let Some(record) = KEY.get(&store.snapshot()?, &())? {
            return Ok(Ids::new(&record.bytes));
        }
        let mut bytes = [0; AES_128_KEY_LEN];
        dice.fill(&mut bytes);
        store.queue(vec![KEY.put(&(), &KeyRecord { bytes })], Urgency::Now);
        Ok(Ids::new(&bytes))
    }

    fn new(key: &[u8; AES_128_KEY_LEN]) -> Ids {
        let key = || UnboundCipherKey::new(&AES_128, key).expect("the array has the key's length");
        Ids {
            encrypt: EncryptingKey::ecb(key()).expect("AES has this mode"),
            decrypt: DecryptingKey::ecb(key()).expect("AES has this mode"),
        }
    }

    /// Appends the id of this position of an account. It needs no escaping.
    pub(crate) fn write(&self, out: &mut String, account: u32, position: u64) {
        let mut block = [0; BLOCK];
        block[..4].copy_from_slice(&account.to_be_bytes());
        block[4..12].copy_from_slice(&position.to_be_bytes());
        block[12..].copy_from_slice(&CHECK);
        self.encrypt
            .encrypt(&mut block)
            .expect("it is one whole block");
        URL_SAFE_NO_PAD.encode_string(block, out);
    }

    /// The id of this position of an account.
    pub(crate) fn text(&self, account: u32, position: u64) -> String {
        let mut out = String::with_capacity(TEXT);
        self.write(&mut out, account, position);
        out
    }

    /// The position that an id names; `None` where it is not from us, or another account's.
    pub(crate) fn position(&self, account: u32, id: &str) -> Option<u64> {
        if id.len() != TEXT {
            return None;
        }
        let mut block: [u8; BLOCK] = URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?;
        self.decrypt
            .decrypt(&mut block, DecryptionContext::None)
            .ok()?;
        let (owner, rest) = block.split_first_chunk()?;
        let (position, check) = rest.split_first_chunk()?;
        let ours = u32::from_be_bytes(*owner) == account && check == CHECK;
        ours.then(|| u64::from_be_bytes(*position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = 1 << 40;

    #[test]
    fn an_id_is_read_by_its_own_account_alone() {
        let ids = Ids::new(&[7; 16]);
        let id = ids.text(3, FIRST);
        assert_eq!(id, "aDHbRS8nbVOVjHJoxTHfSw", "ids outlive an update");
        assert_eq!(ids.position(3, &id), Some(FIRST));
        assert_eq!(ids.position(4, &id), None, "another account's");
        assert_eq!(
            Ids::new(&[8; 16]).position(3, &id),
            None,
            "another server's"
        );
    }

    #[test]
    fn neighbours_have_nothing_in_common() {
        let ids = Ids::new(&[7; 16]);
        let (one, two) = (ids.text(3, FIRST), ids.text(3, FIRST + 1));
        let same = one.bytes().zip(two.bytes()).filter(|(a, b)| a == b).count();
        assert!(same < 5, "{one} {two}");
    }

    #[test]
    fn what_is_no_id_names_nothing() {
        let ids = Ids::new(&[7; 16]);
        let id = ids.text(3, FIRST);
        let other = format!("A{}", &id[1..]);
        let long = format!("{id}A");
        // The last character holds four bits that are not part of the block: one spelling alone is right.
        let respelled = format!("{}R", &id[..21]);
        for text in [
            "",
            "28482-98726-73623",
            &id[1..],
            &long,
            &other,
            &respelled,
            "é",
        ] {
            assert_eq!(ids.position(3, text), None, "{text}");
        }
    }
}
