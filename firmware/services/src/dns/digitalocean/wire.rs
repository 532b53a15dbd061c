//! DigitalOcean's JSON, and records in it: names are relative to the zone, targets end with a dot.

use super::super::record::{Data, Kept, Record, whole};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(super) struct Domain {
    pub(super) domain: Named,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) domain_records: Vec<Listed>,
    links: Option<Links>,
    pub(super) meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Links {
    pages: Option<Pages>,
}

#[derive(Deserialize)]
struct Pages {
    next: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Meta {
    pub(super) total: u64,
}

impl Page {
    pub(super) fn has_next(&self) -> bool {
        let pages = self.links.as_ref().and_then(|links| links.pages.as_ref());
        pages.is_some_and(|pages| pages.next.is_some())
    }
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) domain_record: Listed,
}

/// A record. What its kind has no use for is `null`.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) id: u64,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    data: Option<String>,
    ttl: Option<u32>,
    priority: Option<u16>,
    port: Option<u16>,
    weight: Option<u16>,
    flags: Option<u8>,
    tag: Option<String>,
}

impl Listed {
    pub(super) fn kept(self, zone: &str) -> Kept {
        let name = match self.name.as_str() {
            "@" | "" => zone.to_owned(),
            name => format!("{}.{zone}", whole(name)),
        };
        let (id, ttl) = (self.id.to_string(), self.ttl.unwrap_or(0));
        let record = Record::new(name, ttl, self.data(zone));
        Kept { id, record }
    }

    fn data(self, zone: &str) -> Data {
        let text = self.data.unwrap_or_default();
        let known = match self.kind.as_str() {
            "A" => text.parse().ok().map(Data::A),
            "AAAA" => text.parse().ok().map(Data::Aaaa),
            "CNAME" => Some(Data::Cname(target(&text, zone))),
            "TXT" => Some(Data::Txt(text.clone())),
            "SRV" => srv((self.priority, self.weight, self.port), target(&text, zone)),
            "CAA" => self.flags.zip(self.tag).map(|(flags, tag)| Data::Caa {
                flags,
                tag,
                value: text.strip_suffix('.').unwrap_or(&text).to_owned(),
            }),
            _ => None,
        };
        known.unwrap_or(Data::Other(self.kind, text))
    }
}

fn srv(numbers: (Option<u16>, Option<u16>, Option<u16>), target: String) -> Option<Data> {
    let (Some(priority), Some(weight), Some(port)) = numbers else {
        return None;
    };
    Some(Data::Srv {
        priority,
        weight,
        port,
        target,
    })
}

/// A target as it is answered: with a dot at the end or without, or `@` for the zone.
fn target(text: &str, zone: &str) -> String {
    match text {
        "@" => zone.to_owned(),
        text => whole(text),
    }
}

/// The body that makes or changes a record. `data` is always there: without it, what is stored is checked
/// anew and refused for its missing dot.
pub(super) fn body(record: &Record, zone: &str) -> String {
    let name = match record.name.strip_suffix(zone) {
        Some("") | None => "@",
        Some(rest) => rest.trim_end_matches('.'),
    };
    let mut body = json!({ "type": record.data.kind(), "name": name, "ttl": record.ttl });
    let mut set = |key: &str, value: Value| body[key] = value;
    match &record.data {
        Data::A(address) => set("data", json!(address)),
        Data::Aaaa(address) => set("data", json!(address)),
        Data::Cname(name) => set("data", json!(format!("{name}."))),
        Data::Txt(text) | Data::Other(_, text) => set("data", json!(text)),
        Data::Srv {
            priority,
            weight,
            port,
            target,
        } => {
            set("data", json!(format!("{target}.")));
            set("priority", json!(priority));
            set("weight", json!(weight));
            set("port", json!(port));
        }
        Data::Caa { flags, tag, value } => {
            // The dot is wanted here, too, and is not in the record then.
            set("data", json!(format!("{value}.")));
            set("flags", json!(flags));
            set("tag", json!(tag));
        }
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let srv = |target: &str| Data::Srv {
            priority: 5,
            weight: 1,
            port: 443,
            target: target.to_owned(),
        };
        let caa = Data::Caa {
            flags: 0,
            tag: "issue".to_owned(),
            value: "ca.example; accounturi=https://ca.example/1".to_owned(),
        };
        let service = "_xmpp-client._tcp.chat.home.example";
        for (name, data, relative, part) in [
            (
                "home.example",
                Data::A([192, 0, 2, 1].into()),
                "@",
                "\"192.0.2.1\"",
            ),
            (
                "a.b.home.example",
                Data::Cname("home.example".into()),
                "a.b",
                "\"home.example.\"",
            ),
            (
                service,
                srv("home.example"),
                "_xmpp-client._tcp.chat",
                "\"port\":443",
            ),
            (service, srv(""), "_xmpp-client._tcp.chat", "\"data\":\".\""),
            ("home.example", Data::Txt("x=1".into()), "@", "\"x=1\""),
            ("home.example", caa, "@", "https://ca.example/1.\""),
        ] {
            let record = Record::new(name, 60, data);
            let body = body(&record, "home.example");
            assert!(
                body.contains(part) && body.contains(&format!("\"name\":\"{relative}\"")),
                "{body}"
            );
            let mut answer: Value = serde_json::from_str(&body).unwrap();
            answer["id"] = json!(7);
            let listed: Listed = serde_json::from_value(answer).unwrap();
            assert_eq!(listed.kept("home.example").record, record);
        }
    }

    #[test]
    fn what_is_not_understood_is_somebody_elses() {
        for line in [
            r#"{"id":1,"type":"MX","name":"@","data":"mail.home.example","priority":10}"#,
            r#"{"id":1,"type":"A","name":"@","data":"not an address","ttl":60}"#,
            r#"{"id":1,"type":"SRV","name":"_a._b","data":"@","ttl":60,"port":1}"#,
            r#"{"id":1,"type":"SOA","name":"@","data":"1800","ttl":1800,"flags":null}"#,
        ] {
            let listed: Listed = serde_json::from_str(line).unwrap();
            let kept = listed.kept("home.example");
            assert!(matches!(kept.record.data, Data::Other(..)), "{line}");
        }
    }
}
