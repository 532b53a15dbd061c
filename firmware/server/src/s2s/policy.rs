//! With whom this house talks, and what they must show: `[s2s]`.

use household::Config;
use xmpp::{Jid, StanzaError};

const CLOSED: StanzaError =
    StanzaError::REMOTE_SERVER_NOT_FOUND.with_text("this server does not talk to other servers");
const DENIED: StanzaError =
    StanzaError::NOT_ALLOWED.with_text("this server does not talk to that server");

/// Whether stanzas may go to and come from a domain. The list of allowed ones, where there is one, decides
/// first; a denied one stays denied.
pub(super) fn may_talk(config: &Config, domain: &str) -> Result<(), StanzaError> {
    let s2s = &config.s2s;
    if !s2s.enabled {
        return Err(CLOSED);
    }
    let is_listed = |list: &[String]| list.iter().any(|listed| is_same(listed, domain));
    if is_listed(&s2s.deny) || !s2s.allow.is_empty() && !is_listed(&s2s.allow) {
        return Err(DENIED);
    }
    Ok(())
}

/// Whether somebody from this domain has to show a valid certificate; otherwise dialback alone is enough.
pub(super) fn needs_certificate(config: &Config, domain: &str) -> bool {
    let s2s = &config.s2s;
    let is_exempt = s2s.insecure.iter().any(|listed| is_same(listed, domain));
    s2s.require_valid_certificate && !is_exempt
}

fn is_same(listed: &str, domain: &str) -> bool {
    Jid::parse(listed).is_ok_and(|listed| listed.as_str() == domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(text: &str) -> Config {
        Config::from_texts([(Path::new("test.toml"), text)]).unwrap()
    }

    #[test]
    fn lists_decide_who_is_talked_to() {
        for (text, domain, expected) in [
            ("", "far.example", Ok(())),
            ("s2s.enabled = false", "far.example", Err(CLOSED)),
            ("s2s.deny = ['FAR.example']", "far.example", Err(DENIED)),
            ("s2s.deny = ['far.example']", "farther.example", Ok(())),
            ("s2s.allow = ['far.example']", "far.example", Ok(())),
            (
                "s2s.allow = ['far.example']",
                "rooms.far.example",
                Err(DENIED),
            ),
            (
                "s2s.allow = ['far.example']\ns2s.deny = ['far.example']",
                "far.example",
                Err(DENIED),
            ),
        ] {
            assert_eq!(may_talk(&config(text), domain), expected, "{text} {domain}");
        }
    }

    #[test]
    fn some_need_no_certificate() {
        for (text, expected) in [
            ("", true),
            ("s2s.require_valid_certificate = false", false),
            ("s2s.insecure = ['far.example']", false),
            ("s2s.insecure = ['other.example']", true),
        ] {
            assert_eq!(
                needs_certificate(&config(text), "far.example"),
                expected,
                "{text}"
            );
        }
    }
}
