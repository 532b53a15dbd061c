//! What the configuration asks for: from whom, for which names, proven how.

use super::limits::NAMES_MAX;
use household::{
    Config,
    config::{Challenge, TlsMode},
};
use std::net::IpAddr;

/// A certificate as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// In A-labels, the domain first.
    pub(super) names: Vec<String>,
    pub(super) directory: String,
    /// Tried first; empty: none.
    pub(super) staging: String,
    /// Mail address; empty: none.
    pub(super) contact: String,
    /// In the order in which they are tried, whether or not they are possible now.
    pub(super) ways: Vec<Way>,
}

/// How a name is proven (RFC 8555 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A record of the DNS (§8.4).
    Dns,
    /// A file at port 80 (§8.3).
    Http,
    /// A handshake at port 443 (RFC 8737).
    Tls,
}

/// Why nothing is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoWish {
    /// Certificates come from elsewhere.
    NotWanted,
    /// A sentence, and what to do.
    Impossible(String, &'static str),
}

impl Wish {
    pub(super) fn of(config: &Config) -> Result<Wish, NoWish> {
        if config.tls.mode != TlsMode::Acme {
            return Err(NoWish::NotWanted);
        }
        let mut names = server::tls::names(config);
        let domain = names.first().cloned().unwrap_or_default();
        if !is_public(&domain) {
            let text = format!("no authority gives certificates for {domain}");
            let next = "use a domain of your own, or tls.mode = \"self-signed\"";
            return Err(NoWish::Impossible(text, next));
        }
        names.retain(|name| is_public(name));
        if names.len() > NAMES_MAX {
            let text = format!(
                "{} names are too many for one certificate, which has {NAMES_MAX} at most",
                names.len()
            );
            return Err(NoWish::Impossible(text, "have fewer [components]"));
        }
        Ok(Wish {
            names,
            directory: config.acme.directory.clone(),
            staging: config.acme.staging_directory.clone(),
            contact: config.acme.contact.clone(),
            ways: ways(config)?,
        })
    }

    /// What must be the same for something to be known of it.
    pub(super) fn mark(&self) -> String {
        let ways: Vec<_> = self.ways.iter().map(|way| way.word()).collect();
        let parts = [&self.directory, &self.staging, &ways.join(" ")];
        let names = self.names.join(" ");
        parts.map(String::as_str).join("\n") + "\n" + &names
    }
}

impl Way {
    /// As in the configuration.
    pub(super) fn word(self) -> &'static str {
        match self {
            Way::Dns => "dns-01",
            Way::Http => "http-01",
            Way::Tls => "tls-alpn-01",
        }
    }

    pub(super) fn kind(self) -> instant_acme::ChallengeType {
        match self {
            Way::Dns => instant_acme::ChallengeType::Dns01,
            Way::Http => instant_acme::ChallengeType::Http01,
            Way::Tls => instant_acme::ChallengeType::TlsAlpn01,
        }
    }
}

fn ways(config: &Config) -> Result<Vec<Way>, NoWish> {
    let listen = &config.listen;
    let missing = |key: &str, way: Way| {
        let text = format!("acme.challenge = \"{}\" needs listen.{key}", way.word());
        let next = "let it listen, or choose another challenge";
        Err(NoWish::Impossible(text, next))
    };
    match config.acme.challenge {
        Challenge::Dns01 => Ok(vec![Way::Dns]),
        Challenge::Http01 if listen.http.is_empty() => missing("http", Way::Http),
        Challenge::Http01 => Ok(vec![Way::Http]),
        Challenge::TlsAlpn01 if listen.https.is_empty() => missing("https", Way::Tls),
        Challenge::TlsAlpn01 => Ok(vec![Way::Tls]),
        Challenge::Auto => {
            let all = [
                (Way::Dns, true),
                (Way::Http, !listen.http.is_empty()),
                (Way::Tls, !listen.https.is_empty()),
            ];
            let there = all.into_iter().filter(|(_, is_there)| *is_there);
            Ok(there.map(|(way, _)| way).collect())
        }
    }
}

/// Whether a name could be somebody's in the whole world (RFC 6761, RFC 6762, RFC 8375, RFC 7686).
fn is_public(name: &str) -> bool {
    const PRIVATE: [&str; 6] = [
        ".local",
        ".localhost",
        ".internal",
        ".home.arpa",
        ".lan",
        ".onion",
    ];
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_private = PRIVATE.iter().any(|end| name.ends_with(end));
    name.contains('.') && !is_address && !is_private
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn wish(text: &str) -> Result<Wish, NoWish> {
        let text = format!("tls.mode = 'acme'\n{text}");
        let config = Config::from_texts([(Path::new("x.toml"), &*text)]).unwrap();
        Wish::of(&config)
    }

    fn impossible(text: &str) -> String {
        match wish(text) {
            Err(NoWish::Impossible(text, next)) => format!("{text}; {next}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_that_somebody_could_have() {
        for (domain, expected) in [
            ("home.example", true),
            ("localhost", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]", false),
            ("hearth.local", false),
            ("chat.home.arpa", false),
            ("hearth", false),
        ] {
            assert_eq!(is_public(domain), expected, "{domain}");
        }
    }

    #[test]
    fn all_names_of_the_house_are_in_one_certificate() {
        let text = "domain = 'bücher.example'\n[components]\n'irc.bücher.example' = 's'\n'sms.local' = 's'";
        let names = wish(text).unwrap().names;
        let expected = ["", "groupchat.", "upload.", "proxy.", "pubsub.", "irc."];
        assert_eq!(
            names,
            expected.map(|label| format!("{label}xn--bcher-kva.example"))
        );
    }

    #[test]
    fn ways_are_those_that_the_configuration_leaves() {
        use Way::{Dns, Http, Tls};
        let home = "domain = 'home.example'\n";
        for (text, expected) in [
            ("", vec![Dns, Http, Tls]),
            ("listen.http = []", vec![Dns, Tls]),
            ("listen.https = []\nlisten.http = []", vec![Dns]),
            ("acme.challenge = 'tls-alpn-01'", vec![Tls]),
            ("acme.challenge = 'http-01'", vec![Http]),
            ("acme.challenge = 'dns-01'", vec![Dns]),
        ] {
            let found = wish(&format!("{home}{text}")).unwrap();
            assert_eq!(found.ways, expected, "{text}");
        }
        assert_eq!(
            impossible(&format!(
                "{home}acme.challenge = 'http-01'\nlisten.http = []"
            )),
            "acme.challenge = \"http-01\" needs listen.http; let it listen, or choose another challenge"
        );
    }

    #[test]
    fn what_cannot_be_had_is_not_asked_for() {
        assert_eq!(
            impossible("domain = 'localhost'"),
            "no authority gives certificates for localhost; \
             use a domain of your own, or tls.mode = \"self-signed\""
        );
        let many = (0..NAMES_MAX).map(|n| format!("'c{n}.home.example' = 's'\n"));
        let many: String = many.collect();
        let text = impossible(&format!("domain = 'home.example'\n[components]\n{many}"));
        assert!(text.starts_with("105 names are too many"), "{text}");
        assert_eq!(Wish::of(&Config::default()), Err(NoWish::NotWanted));
    }

    #[test]
    fn another_contact_makes_no_other_certificate() {
        let home = "domain = 'home.example'\n";
        let mark = |text: &str| wish(&format!("{home}{text}")).unwrap().mark();
        assert_eq!(mark(""), mark("acme.contact = 'a@b.example'"));
        for other in [
            "acme.directory = 'https://a.example/'",
            "acme.staging_directory = 'https://a.example/'",
            "names.rooms = 'rooms'",
            "acme.challenge = 'dns-01'",
        ] {
            assert_ne!(mark(""), mark(other), "{other}");
        }
    }
}
