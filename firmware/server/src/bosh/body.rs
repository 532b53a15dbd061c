//! `<body/>`: what a client's says (XEP-0124 §6, §7; XEP-0206 §3), and how ours are written.

use super::limits::{ATTRIBUTE_BYTES_MAX, PAYLOADS_MAX, RID_MAX};
use std::sync::Arc;
use xmpp::{Element, StreamError, compose, ns, wrapper};

/// The namespace of what XEP-0206 adds.
const XBOSH: &str = "urn:xmpp:xbosh";
/// The highest version that is spoken (§7.2).
pub(super) const VERSION: (u32, u32) = (1, 11);

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) rid: u64,
    pub(super) sid: Option<String>,
    pub(super) key: Option<String>,
    pub(super) newkey: Option<String>,
    pub(super) ack: Option<u64>,
    /// In seconds.
    pub(super) pause: Option<u64>,
    pub(super) is_goodbye: bool,
    pub(super) is_restart: bool,
    /// The name of a stream (§16): there is one, which has none.
    pub(super) stream: Option<String>,
    pub(super) to: Option<String>,
    pub(super) from: Option<String>,
    pub(super) lang: Option<String>,
    /// Elements as they go on a stream.
    pub(super) payloads: String,
    pub(super) terms: Wanted,
}

/// What a request that opens a session asks for (§7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: Option<(u32, u32)>,
    /// In seconds.
    pub(super) wait: Option<u64>,
    pub(super) hold: Option<u64>,
    pub(super) content: Option<String>,
    /// Of XMPP.
    pub(super) xmpp: Option<String>,
}

/// The request cannot be read. Whether its author is known to be of the days before `ver`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) why: Condition,
    pub(super) sid: Option<String>,
    pub(super) is_legacy: bool,
}

impl Request {
    pub(super) fn parse(bytes: &[u8]) -> Result<Request, Unreadable> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(Unreadable::begins(bytes, Condition::BadRequest));
        };
        let unwrapped = wrapper::unwrap(text, PAYLOADS_MAX).map_err(|error| {
            let is_much = error == StreamError::POLICY_VIOLATION;
            let why = if is_much {
                Condition::PolicyViolation
            } else {
                Condition::BadRequest
            };
            Unreadable::begins(bytes, why)
        })?;
        let body = &unwrapped.body;
        let sid = body.attr("sid").map(str::to_owned);
        read(body, unwrapped.payloads).ok_or(Unreadable {
            why: Condition::BadRequest,
            is_legacy: sid.is_none() && body.attr("ver").is_none(),
            sid,
        })
    }

    /// Whether it carries nothing and asks for nothing but an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.payloads.is_empty() && !self.is_restart && !self.is_farewell()
    }

    /// Whether it may be one more than the others (§11).
    pub(super) fn is_farewell(&self) -> bool {
        self.is_goodbye || self.pause.is_some()
    }
}

impl Unreadable {
    /// A request that begins like this: the session is known where the wrapper's tag can be read.
    pub(super) fn begins(bytes: &[u8], why: Condition) -> Unreadable {
        let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let tag = wrapper::tag(text);
        Unreadable {
            why,
            sid: tag.and_then(|tag| tag.attr("sid").map(str::to_owned)),
            is_legacy: false,
        }
    }
}

fn read(body: &Element, payloads: String) -> Option<Request> {
    let text = |name: &str| match body.attr(name) {
        Some(text) if text.len() > ATTRIBUTE_BYTES_MAX => None,
        text => Some(text.map(str::to_owned)),
    };
    let number = |name: &str| match body.attr(name) {
        Some(text) => number(text).map(Some),
        None => Some(None),
    };
    let xbosh = |name: &str| body.attr(&format!("{{{XBOSH}}}{name}"));
    let rid = number("rid")??;
    let content = text("content")?;
    if rid == 0 || rid > RID_MAX || !content.as_deref().is_none_or(is_content_type) {
        return None;
    }
    let version = match body.attr("ver") {
        Some(text) => Some(parse_version(text)?),
        None => None,
    };
    Some(Request {
        rid,
        sid: text("sid")?,
        key: text("key")?,
        newkey: text("newkey")?,
        ack: number("ack")?,
        pause: number("pause")?,
        is_goodbye: body.attr("type") == Some("terminate"),
        is_restart: matches!(xbosh("restart"), Some("true" | "1")),
        stream: text("stream")?,
        to: text("to")?,
        from: text("from")?,
        lang: text("xml:lang")?,
        payloads,
        terms: Wanted {
            version,
            wait: number("wait")?,
            hold: number("hold")?,
            content,
            xmpp: xbosh("version").map(str::to_owned),
        },
    })
}

/// Digits alone: no sign.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let part = |text| u32::try_from(number(text)?).ok();
    Some((part(major)?, part(minor)?))
}

/// RFC 9110 §8.3, roughly: it becomes a header of ours.
fn is_content_type(text: &str) -> bool {
    let is_token = |text: &str| {
        let odd = |byte: u8| !byte.is_ascii_alphanumeric() && !b"!#$&^_.+-".contains(&byte);
        !text.is_empty() && !text.bytes().any(odd)
    };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_kind = kind
        .trim()
        .split_once('/')
        .is_some_and(|(major, minor)| is_token(major) && is_token(minor));
    let is_shown = |byte: u8| (b' '..=b'~').contains(&byte);
    is_kind && text.len() <= 127 && parameters.bytes().all(is_shown)
}

/// What an HTTP request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, or for clients of the days before `ver` 400, 403 or 404 (§17.1).
    pub status: u16,
    pub content_type: Arc<str>,
    pub body: String,
}

/// Why a session ends, or does not begin (§17.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    BadRequest,
    HostUnknown,
    ImproperAddressing,
    ItemNotFound,
    OtherRequest,
    PolicyViolation,
    RemoteConnectionFailed,
    RemoteStreamError,
    SystemShutdown,
}

impl Condition {
    pub(super) fn name(self) -> &'static str {
        match self {
            Condition::BadRequest => "bad-request",
            Condition::HostUnknown => "host-unknown",
            Condition::ImproperAddressing => "improper-addressing",
            Condition::ItemNotFound => "item-not-found",
            Condition::OtherRequest => "other-request",
            Condition::PolicyViolation => "policy-violation",
            Condition::RemoteConnectionFailed => "remote-connection-failed",
            Condition::RemoteStreamError => "remote-stream-error",
            Condition::SystemShutdown => "system-shutdown",
        }
    }

    /// The status for a client that sent no `ver` (§17.1).
    pub(super) fn status(self, is_legacy: bool) -> u16 {
        match self {
            Condition::BadRequest if is_legacy => 400,
            Condition::PolicyViolation if is_legacy => 403,
            Condition::ItemNotFound if is_legacy => 404,
            _ => 200,
        }
    }

    /// An answer outside of every session.
    pub(super) fn answer(self, is_legacy: bool) -> Answer {
        let mut body = Body::default();
        body.end(Some(self));
        Answer {
            status: self.status(is_legacy),
            content_type: content_type(),
            body: body.write(""),
        }
    }
}

/// Where the client asked for nothing else (§7.1).
pub(super) fn content_type() -> Arc<str> {
    static USUAL: std::sync::LazyLock<Arc<str>> =
        std::sync::LazyLock::new(|| "text/xml; charset=utf-8".into());
    USUAL.clone()
}

/// A body of ours.
#[derive(Default)]
pub(super) struct Body {
    attributes: String,
    has_xbosh: bool,
}

impl Body {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        compose::attribute(&mut self.attributes, name, value);
    }

    pub(super) fn set_number(&mut self, name: &str, value: u64) {
        self.set(name, &value.to_string());
    }

    /// An attribute of XEP-0206.
    pub(super) fn set_xbosh(&mut self, name: &str, value: &str) {
        self.has_xbosh = true;
        self.set(&format!("xmpp:{name}"), value);
    }

    /// The last one (§13, §17.2).
    pub(super) fn end(&mut self, condition: Option<Condition>) {
        self.set("type", "terminate");
        if let Some(condition) = condition {
            self.set("condition", condition.name());
        }
    }

    /// With whole elements inside.
    pub(super) fn write(&self, content: &str) -> String {
        let mut out = String::with_capacity(128 + self.attributes.len() + content.len());
        out.push_str("<body");
        compose::attribute(&mut out, "xmlns", wrapper::NS);
        if self.has_xbosh {
            compose::attribute(&mut out, "xmlns:xmpp", XBOSH);
        }
        // XEP-0206 §2: on the body, though what is inside says it, too.
        if content.contains("<stream:") {
            compose::attribute(&mut out, "xmlns:stream", ns::STREAMS);
        }
        out.push_str(&self.attributes);
        if content.is_empty() {
            out.push_str("/>");
        } else {
            out.push('>');
            out.push_str(content);
            out.push_str("</body>");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(attributes: &str) -> Result<Request, Unreadable> {
        let ns = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'";
        Request::parse(format!("<body {ns} {attributes}/>").as_bytes())
    }

    #[test]
    fn the_example_of_the_specification() {
        let found = parse(
            "content='text/xml; charset=utf-8' from='user@example.com' hold='1' rid='1573741820' \
             to='example.com' route='xmpp:example.com:9999' ver='1.6' wait='60' ack='1' xml:lang='en' \
             xmpp:version='1.0'",
        );
        let expected = Request {
            rid: 1_573_741_820,
            sid: None,
            key: None,
            newkey: None,
            ack: Some(1),
            pause: None,
            is_goodbye: false,
            is_restart: false,
            stream: None,
            to: Some("example.com".into()),
            from: Some("user@example.com".into()),
            lang: Some("en".into()),
            payloads: String::new(),
            terms: Wanted {
                version: Some((1, 6)),
                wait: Some(60),
                hold: Some(1),
                content: Some("text/xml; charset=utf-8".into()),
                xmpp: Some("1.0".into()),
            },
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn attributes_are_what_the_schema_says() {
        for (attributes, is_good) in [
            ("rid='1'", true),
            ("rid='9007199254740991'", true),
            ("rid='9007199254740992'", false),
            ("rid='0'", false),
            ("rid='-1'", false),
            ("rid='+1'", false),
            ("rid=''", false),
            ("rid='99999999999999999999999'", false),
            ("", false),
            ("rid='1' ver='1.11'", true),
            ("rid='1' ver='1'", false),
            ("rid='1' ver='1.x'", false),
            ("rid='1' wait='soon'", false),
            ("rid='1' hold='1.5'", false),
            ("rid='1' ack='x'", false),
            ("rid='1' pause='-5'", false),
            ("rid='1' content='text/html'", true),
            (
                "rid='1' content='text/html; charset=&quot;utf-8&quot;'",
                true,
            ),
            ("rid='1' content='html'", false),
            ("rid='1' content='text/html&#10;X: y'", false),
            ("rid='1' content='text/html; ä'", false),
            ("rid='1' unknown='1' stream='x'", true),
        ] {
            assert_eq!(parse(attributes).is_ok(), is_good, "{attributes}");
        }
        let long = format!("rid='1' key='{}'", "a".repeat(ATTRIBUTE_BYTES_MAX + 1));
        assert!(parse(&long).is_err());
        for (value, expected) in [("true", true), ("1", true), ("0", false), ("yes", false)] {
            let request = parse(&format!("rid='1' xmpp:restart='{value}'")).unwrap();
            assert_eq!(request.is_restart, expected);
        }
    }

    #[test]
    fn who_sent_no_version_gets_a_status() {
        use Condition as C;
        for (condition, status) in [
            (C::BadRequest, 400),
            (C::PolicyViolation, 403),
            (C::ItemNotFound, 404),
            (C::HostUnknown, 200),
            (C::SystemShutdown, 200),
        ] {
            assert_eq!(
                (condition.status(true), condition.status(false)),
                (status, 200)
            );
        }
        let unreadable = parse("ver='1.6'").unwrap_err();
        assert!(!unreadable.is_legacy);
        assert!(parse("wait='5'").unwrap_err().is_legacy);
        assert!(!parse("sid='a'").unwrap_err().is_legacy);
    }
}
