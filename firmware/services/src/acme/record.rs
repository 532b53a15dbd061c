//! What is kept: accounts with their keys, the certificate with its key, and how the last attempt ended. All
//! of it is in backups, because an authority gives only so much in a week.
//!
//! Nothing here is shown: keys are in it, so there is no `Debug`.

use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// Accounts, by the directory of their authority (RFC 8555 §7.1.2).
pub(super) const ACCOUNT: Table<String, AccountRecord> = Table::new("acme.account", 1);
/// One row: what was given last.
pub(super) const CERTIFICATE: Table<(), CertificateRecord> = Table::new("acme.certificate", 1);
/// One row: how it went.
pub(super) const ATTEMPT: Table<(), AttemptRecord> = Table::new("acme.attempt", 1);
/// One row: an order for which a certificate may have been made.
pub(super) const ORDER: Table<(), OrderRecord> = Table::new("acme.order", 1);
/// Records of the DNS that we wrote and must take away again: name and value.
pub(super) const WRITTEN: Table<(String, String), ()> = Table::new("acme.written", 1);

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    /// Its URL, by which CAA records name it (RFC 8657 §3).
    pub(super) url: String,
    /// PKCS #8, DER.
    pub(super) key: Vec<u8>,
    /// The mail address that the authority has.
    pub(super) contact: String,
    /// Domains by which CAA records name the authority (RFC 8555 §7.1.1).
    pub(super) identities: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CertificateRecord {
    /// Who gave it.
    pub(super) directory: String,
    /// PEM, leaf first.
    pub(super) chain: String,
    /// PEM.
    pub(super) key: String,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttemptRecord {
    /// What was wanted ([`super::wish::Wish::mark`]).
    pub(super) mark: String,
    /// In a row.
    pub(super) failures: u32,
    /// Milliseconds since 1970; not before.
    pub(super) again: u64,
    /// The authority itself said when.
    pub(super) is_limited: bool,
    /// It went well at the directory that is tried first, with the same mark.
    pub(super) is_rehearsed: bool,
    /// Why it failed, and what to do.
    pub(super) text: String,
    pub(super) next: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OrderRecord {
    pub(super) directory: String,
    pub(super) names: Vec<String>,
    pub(super) url: String,
    /// PEM, of the certificate that was ordered.
    pub(super) key: String,
}

impl Record for AccountRecord {}
impl Record for CertificateRecord {}
impl Record for AttemptRecord {}
impl Record for OrderRecord {}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Value;

    fn check<R: Record>(record: &R, expected: &[u8]) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
        let mut again = Vec::new();
        R::decode(&bytes).unwrap().encode(&mut again);
        assert_eq!(again, expected);
    }

    #[test]
    fn rows_stay_as_they_are_written() {
        let text = |text: &str| text.to_owned();
        let account = AccountRecord {
            url: text("u"),
            key: vec![1, 2],
            contact: text("c"),
            identities: vec![text("ca.example")],
        };
        check(&account, b"\x01u\x02\x01\x02\x01c\x01\nca.example");
        let certificate = CertificateRecord {
            directory: text("d"),
            chain: text("c"),
            key: text("k"),
        };
        check(&certificate, b"\x01d\x01c\x01k");
        let attempt = AttemptRecord {
            mark: text("m"),
            failures: 3,
            again: 300,
            is_limited: true,
            is_rehearsed: false,
            text: text("t"),
            next: text("n"),
        };
        check(&attempt, b"\x01m\x03\xac\x02\x01\x00\x01t\x01n");
        let order = OrderRecord {
            directory: text("d"),
            names: vec![text("a.example")],
            url: text("u"),
            key: text("k"),
        };
        check(&order, b"\x01d\x01\ta.example\x01u\x01k");
    }
}
