//! Server dialback (XEP-0220): its words on the wire, and keys that need no memory (XEP-0185).
//!
//! A key is computed from a secret of this process and the names in it, so whoever asks whether it is ours
//! is answered without looking anything up. After a restart old keys are worth nothing: they live for the
//! seconds of a handshake.

use crate::world::Dice;
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac};
use std::fmt::Write;
use xmpp::{Element, Jid, StanzaError, compose, ns};

/// What keys are made from.
pub(crate) struct Secret(hmac::Key);

impl Secret {
    /// A new one (XEP-0185 §2, item 3).
    pub(crate) fn new(dice: &dyn Dice) -> Secret {
        let mut random = [0; 32];
        dice.fill(&mut random);
        Secret::of(&random)
    }

    fn of(secret: &[u8]) -> Secret {
        let hashed = hex(digest::digest(&digest::SHA256, secret).as_ref());
        Secret(hmac::Key::new(hmac::HMAC_SHA256, hashed.as_bytes()))
    }

    /// The key by which `originating` shows `receiving` that it is who it says, on the stream of that id.
    pub(crate) fn key(&self, receiving: &str, originating: &str, id: &str) -> String {
        let text = format!("{receiving} {originating} {id}");
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    /// Whether it is the key that [`Secret::key`] gives, in constant time.
    pub(crate) fn is_key(&self, key: &str, receiving: &str, originating: &str, id: &str) -> bool {
        let ours = self.key(receiving, originating, id);
        verify_slices_are_equal(ours.as_bytes(), key.as_bytes()).is_ok()
    }
}

/// Which of the two exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `<db:result/>`: may we speak for this domain?
    Result,
    /// `<db:verify/>`: is this key yours?
    Verify,
}

/// A dialback element.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) step: Step,
    /// A domain.
    pub(crate) from: Jid,
    /// A domain.
    pub(crate) to: Jid,
    /// Of the stream that the key is for; only with [`Step::Verify`].
    pub(crate) id: String,
    pub(crate) said: Said,
}

/// What a dialback element says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Key(String),
    Valid,
    Invalid,
    Error(StanzaError),
}

impl Word {
    /// Reads one; `None` where it is none, or lacks what it must have.
    pub(crate) fn read(element: &Element) -> Option<Word> {
        if element.ns != ns::DIALBACK {
            return None;
        }
        let step = match element.name.as_str() {
            "result" => Step::Result,
            "verify" => Step::Verify,
            _ => return None,
        };
        let domain = |name| {
            let jid = Jid::parse(element.attr(name)?).ok()?;
            (jid.as_str() == jid.domainpart()).then_some(jid)
        };
        let said = match element.attr("type") {
            None => Said::Key(element.text().trim().to_owned()),
            Some("valid") => Said::Valid,
            Some("invalid") => Said::Invalid,
            Some("error") => {
                let error = element.elements().find(|child| child.name == "error");
                Said::Error(error.map_or(StanzaError::UNDEFINED_CONDITION, StanzaError::of))
            }
            Some(_) => return None,
        };
        let id = element.attr("id").unwrap_or_default().to_owned();
        if step == Step::Verify && id.is_empty() {
            return None;
        }
        let (from, to) = (domain("from")?, domain("to")?);
        Some(Word {
            step,
            from,
            to,
            id,
            said,
        })
    }

    /// The answer to it.
    pub(crate) fn answered(self, said: Said) -> Word {
        Word {
            from: self.to,
            to: self.from,
            said,
            ..self
        }
    }

    /// As XML in a stream of ours, which declares the prefix `db`.
    pub(crate) fn to_xml(&self) -> String {
        let name = match self.step {
            Step::Result => "db:result",
            Step::Verify => "db:verify",
        };
        let mut xml = format!("<{name}");
        compose::attribute(&mut xml, "from", self.from.as_str());
        compose::attribute(&mut xml, "to", self.to.as_str());
        if self.step == Step::Verify {
            compose::attribute(&mut xml, "id", &self.id);
        }
        let content = match &self.said {
            Said::Key(key) => compose::escaped(key),
            Said::Valid | Said::Invalid => String::new(),
            Said::Error(error) => error.to_xml(),
        };
        let type_ = match self.said {
            Said::Key(_) => None,
            Said::Valid => Some("valid"),
            Said::Invalid => Some("invalid"),
            Said::Error(_) => Some("error"),
        };
        if let Some(type_) = type_ {
            compose::attribute(&mut xml, "type", type_);
        }
        if content.is_empty() {
            xml.push_str("/>");
        } else {
            let _ = write!(xml, ">{content}</{name}>");
        }
        xml
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_xep_0185() {
        let secret = Secret::of(b"s3cr3tf0rd14lb4ck");
        let key = secret.key("xmpp.example.com", "example.org", "D60000229F");
        assert_eq!(
            key,
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"
        );
        assert!(secret.is_key(&key, "xmpp.example.com", "example.org", "D60000229F"));
        assert!(!secret.is_key(&key, "xmpp.example.com", "example.org", "D60000229E"));
        assert!(!secret.is_key("", "xmpp.example.com", "example.org", "D60000229F"));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for xml in [
            "<db:result from='a.example' to='b.example'>k1</db:result>",
            "<db:result from='a.example' to='b.example' type='valid'/>",
            "<db:verify from='a.example' to='b.example' id='s1'>k1</db:verify>",
            "<db:verify from='a.example' to='b.example' id='s1' type='invalid'/>",
            "<db:result from='a.example' to='b.example' type='error'><error type='cancel'>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
        ] {
            let declared = xml.replacen(' ', " xmlns:db='jabber:server:dialback' ", 1);
            let element = Element::parse(&declared, ns::SERVER).unwrap();
            assert_eq!(Word::read(&element).unwrap().to_xml(), xml);
        }
    }

    #[test]
    fn what_lacks_something_is_no_word() {
        for xml in [
            "<result xmlns='jabber:server:dialback' to='b.example'>k</result>",
            "<result xmlns='jabber:server:dialback' from='a.example'>k</result>",
            "<result xmlns='jabber:server:dialback' from='x@a.example' to='b.example'>k</result>",
            "<result xmlns='jabber:server:dialback' from='a.example' to='b.example' type='?'/>",
            "<verify xmlns='jabber:server:dialback' from='a.example' to='b.example'>k</verify>",
            "<other xmlns='jabber:server:dialback' from='a.example' to='b.example'>k</other>",
            "<result xmlns='jabber:server' from='a.example' to='b.example'>k</result>",
        ] {
            let element = Element::parse(xml, ns::SERVER).unwrap();
            assert_eq!(Word::read(&element), None, "{xml}");
        }
    }
}
