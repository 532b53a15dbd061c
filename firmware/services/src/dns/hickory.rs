//! Our records in the types of the library that reads and writes DNS messages, and back. Owns nothing.

use super::record::{Data, Record, whole};
use hickory_resolver::proto::rr::{
    self, Name, RData, RecordType,
    rdata::{A, AAAA, CAA, CNAME, SRV, TXT},
};

/// Bytes of one text in a TXT record (RFC 1035 §3.3).
const TEXT_BYTES_MAX: usize = 255;

/// A name of ours. `None` for what none can be.
pub(super) fn name_of(name: &str) -> Option<Name> {
    Name::from_ascii(format!("{name}.")).ok()
}

/// A name as records of ours have it.
pub(super) fn text_of(name: &Name) -> String {
    whole(&name.to_ascii())
}

/// The kind that a record of ours is asked for by.
pub(super) fn kind_of(data: &Data) -> RecordType {
    match data {
        Data::A(_) => RecordType::A,
        Data::Aaaa(_) => RecordType::AAAA,
        Data::Cname(_) => RecordType::CNAME,
        Data::Srv { .. } => RecordType::SRV,
        Data::Txt(_) => RecordType::TXT,
        Data::Caa { .. } => RecordType::CAA,
        Data::Other(..) => RecordType::ANY,
    }
}

/// A record of ours for a message. `None` for one that no message holds.
pub(super) fn written(record: &Record) -> Option<rr::Record> {
    let data = match &record.data {
        Data::A(address) => RData::A(A(*address)),
        Data::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Data::Cname(name) => RData::CNAME(CNAME(name_of(name)?)),
        Data::Srv {
            priority,
            weight,
            port,
            target,
        } => RData::SRV(SRV::new(*priority, *weight, *port, name_of(target)?)),
        Data::Txt(text) => {
            let texts: Vec<&[u8]> = text.as_bytes().chunks(TEXT_BYTES_MAX).collect();
            RData::TXT(TXT::from_bytes(texts))
        }
        Data::Caa { flags, tag, value } => {
            let mut caa = CAA::new_issue(flags & 0x80 != 0, None, Vec::new());
            caa.reserved_flags = flags & 0x7f;
            caa.tag.clone_from(tag);
            caa.value = value.as_bytes().to_vec();
            RData::CAA(caa)
        }
        Data::Other(..) => return None,
    };
    Some(rr::Record::from_rdata(
        name_of(&record.name)?,
        record.ttl,
        data,
    ))
}

/// A record of a message.
pub(super) fn read(record: &rr::Record) -> Record {
    let data = match &record.data {
        RData::A(address) => Data::A(address.0),
        RData::AAAA(address) => Data::Aaaa(address.0),
        RData::CNAME(name) => Data::Cname(text_of(&name.0)),
        RData::SRV(srv) => Data::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text_of(&srv.target),
        },
        RData::TXT(txt) => {
            let bytes = txt.txt_data.concat();
            Data::Txt(String::from_utf8_lossy(&bytes).into_owned())
        }
        RData::CAA(caa) => Data::Caa {
            flags: caa.flags(),
            tag: caa.tag.clone(),
            value: String::from_utf8_lossy(&caa.value).into_owned(),
        },
        other => Data::Other(other.record_type().to_string(), other.to_string()),
    };
    Record::new(text_of(&record.name), record.ttl, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::{
        op::Message,
        rr::rdata::{MX, NS},
    };

    /// Through a message and back.
    fn sent(record: rr::Record) -> Record {
        let mut message = Message::query();
        message.add_answer(record);
        let bytes = message.to_vec().unwrap();
        read(&Message::from_vec(&bytes).unwrap().answers[0])
    }

    #[test]
    fn there_and_back() {
        let srv = |target: &str| Data::Srv {
            priority: 5,
            weight: 1,
            port: 443,
            target: target.to_owned(),
        };
        let caa = |flags| Data::Caa {
            flags,
            tag: "issue".to_owned(),
            value: "ca.example; accounturi=https://ca.example/1".to_owned(),
        };
        for data in [
            Data::A([192, 0, 2, 1].into()),
            Data::Aaaa("2001:db8::1".parse().unwrap()),
            Data::Cname("home.example".into()),
            srv("home.example"),
            srv(""),
            Data::Txt("a text".into()),
            Data::Txt("long ".repeat(100)),
            caa(0),
            caa(128),
        ] {
            let record = Record::new("_a._tcp.home.example", 60, data);
            assert_eq!(sent(written(&record).unwrap()), record);
        }
    }

    #[test]
    fn what_we_never_write_is_read_as_somebody_elses() {
        let name = name_of("Home.example").unwrap();
        let ns = RData::NS(NS(name.clone()));
        let mx = RData::MX(MX::new(10, name.clone()));
        for (data, kind) in [(ns, "NS"), (mx, "MX")] {
            let read = sent(rr::Record::from_rdata(name.clone(), 60, data));
            assert_eq!(
                (read.name.as_str(), read.data.kind()),
                ("home.example", kind)
            );
            assert_eq!(written(&read), None);
        }
    }
}
