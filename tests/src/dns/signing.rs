//! Signatures of the test's root zone (RFC 4034). Owns the zone's one key.

use anyhow::{Result, anyhow};
use hickory_resolver::proto::{
    dnssec::{
        PublicKey, PublicKeyBuf, SigningKey, TBS,
        crypto::Ed25519SigningKey,
        rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG, SigInput},
    },
    rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber},
};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds for which a signature is good, before and after now.
const GOOD: u32 = 3_600;

pub(super) struct Key {
    key: Ed25519SigningKey,
    public: PublicKeyBuf,
}

impl Key {
    pub(super) fn new() -> Result<Key> {
        let pkcs8 = Ed25519SigningKey::generate_pkcs8().map_err(|error| anyhow!("{error}"))?;
        let key = Ed25519SigningKey::from_pkcs8(&pkcs8).map_err(|error| anyhow!("{error}"))?;
        let public = key.to_public_key().map_err(|error| anyhow!("{error}"))?;
        Ok(Key { key, public })
    }

    pub(super) fn public(&self) -> &PublicKeyBuf {
        &self.public
    }

    fn dnskey(&self) -> DNSKEY {
        DNSKEY::new(true, true, false, self.public.clone())
    }

    pub(super) fn record(&self) -> RData {
        RData::DNSSEC(DNSSECRData::DNSKEY(self.dnskey()))
    }

    /// The signature of records that have one name and one type; `None` for none.
    pub(super) fn sign(&self, records: &[Record]) -> Option<Record> {
        let first = records.first()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() as u32;
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: self.public.algorithm(),
            num_labels: first.name.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: SerialNumber::new(now + GOOD),
            sig_inception: SerialNumber::new(now - GOOD),
            key_tag: self.dnskey().calculate_key_tag().ok()?,
            signer_name: Name::root(),
        };
        let bytes = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter()).ok()?;
        let signature = RRSIG::from_sig(input, self.key.sign(&bytes).ok()?);
        let data = RData::DNSSEC(DNSSECRData::RRSIG(signature));
        Some(Record::from_rdata(first.name.clone(), first.ttl, data))
    }
}

/// That a name has these types and no others, and nothing is between it and the next possible one.
pub(super) fn nothing_else(name: &Name, types: Vec<RecordType>) -> RData {
    let next = name
        .prepend_label(&b"\0"[..])
        .unwrap_or_else(|_| name.clone());
    RData::DNSSEC(DNSSECRData::NSEC(NSEC::new_cover_self(next, types)))
}
