//! What nodes of certain names are for, and what follows for who may read them, whoever forgets to say so.

use super::config::{Config, Face};

/// XEP-0384: everybody who may write to a person has to read these. §5.3.1, §5.3.2, and the nodes of version
/// 0.3, which clients still speak.
const KEYS: [&str; 4] = [
    "urn:xmpp:omemo:2:devices",
    "urn:xmpp:omemo:2:bundles",
    "eu.siacs.conversations.axolotl.devicelist",
    "eu.siacs.conversations.axolotl.bundles:",
];

/// What only the account's own devices are to see, should a client forget to say so: bookmarks (XEP-0048,
/// XEP-0402), what was read (XEP-0490), what is to ring (XEP-0492).
const PRIVATE: [&str; 4] = [
    "storage:bookmarks",
    "urn:xmpp:bookmarks:1",
    "urn:xmpp:mds:displayed:0",
    "urn:xmpp:notification-settings:1",
];

/// Whether a node of an account holds keys for OMEMO.
pub(super) fn holds_keys(node: &str) -> bool {
    let mut keys = KEYS.iter();
    keys.any(|key| *key == node || key.ends_with(':') && node.starts_with(key))
}

/// Whether a node is for the devices of its account alone.
pub(super) fn is_private(face: Face, node: &str) -> bool {
    face == Face::Personal && PRIVATE.contains(&node)
}

/// XEP-0384 §5.3.2: one item for each device; XEP-0402 §2, XEP-0490 §4.1: for each chat.
pub(super) fn has_many_items(node: &str) -> bool {
    node == KEYS[1] || PRIVATE[1..].contains(&node)
}

impl Config {
    /// The same, as far as a private node of this name may be so: what its account relies on cannot be
    /// configured away, nor can anybody be let in whom the account did not name.
    pub(super) fn private(self, node: &str) -> Config {
        let usual = Config::of_new(Face::Personal, node);
        Config {
            access: usual.access,
            publishing: usual.publishing,
            persist_items: usual.persist_items,
            max_items: usual.max_items,
            max_payload: usual.max_payload,
            when_full: usual.when_full,
            item_expire: usual.item_expire,
            ..self
        }
    }
}
