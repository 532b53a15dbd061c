//! XEP-0388: Extensible SASL Profile. What differs from classic SASL: the request says what the client wishes
//! besides being authenticated, and the stream goes on without a restart.

use super::{attempt::decode, bind2};
use crate::{devices::Issued, features::management};
use base64::{Engine, engine::general_purpose::STANDARD};
use xmpp::{
    Element, Jid, SaslFailure, compose, datetime,
    sasl::{Mechanism, ht::Channel},
};

pub(super) const NS: &str = "urn:xmpp:sasl:2";

/// XEP-0484.
pub(super) const FAST: &str = "urn:xmpp:fast:0";

/// XEP-0509.
pub(super) const PIPELINING: &str = "urn:xmpp:iap:0";

/// What comes along with `<authenticate/>`.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) agent: Option<Agent>,
    /// It says to use a token (XEP-0484 §3.4).
    pub(super) fast: Option<Fast>,
    /// The mechanism of the token that it asks for (XEP-0484 §3.2).
    pub(super) wants_token: Option<Channel>,
    /// The features it counts on (XEP-0509 §2.2).
    pub(super) config_version: Option<String>,
    /// `<resume/>` (XEP-0198 §9): the session that the client would rather have back than bind anew.
    pub(super) resume: Option<Element>,
    pub(super) bind: Option<bind2::Request>,
}

/// `<user-agent/>`, which is told to nobody but the user (§2.3).
pub(super) struct Agent {
    /// Names the installation of the client.
    pub(super) id: String,
    pub(super) software: String,
    pub(super) device: String,
}

impl Agent {
    fn of(agent: &Element) -> Option<Agent> {
        let text = |name| agent.child(NS, name).map(Element::text).unwrap_or_default();
        // §2.3: it must be a UUID. One that is none identifies nothing, which is no reason to refuse a login.
        let id = agent.attr("id").filter(|id| is_uuid(id))?;
        Some(Agent {
            id: id.to_ascii_lowercase(),
            software: text("software"),
            device: text("device"),
        })
    }
}

/// `<fast/>` inside `<authenticate/>`.
pub(super) struct Fast {
    /// Only early data would need one, which there is not; so one that is no number is none.
    pub(super) count: Option<u32>,
    pub(super) invalidate: bool,
}

impl Fast {
    fn of(fast: &Element) -> Fast {
        Fast {
            count: fast.attr("count").and_then(|count| count.parse().ok()),
            invalidate: matches!(fast.attr("invalidate"), Some("true" | "1")),
        }
    }
}

impl Wishes {
    pub(super) fn of(authenticate: &Element) -> Wishes {
        let mechanism = authenticate
            .child(FAST, "request-token")
            .and_then(|request| Mechanism::parse(request.attr("mechanism")?));
        let version = authenticate
            .child(PIPELINING, "config-version")
            .map(|version| version.attr("value").unwrap_or_default().to_owned());
        Wishes {
            agent: authenticate.child(NS, "user-agent").and_then(Agent::of),
            fast: authenticate.child(FAST, "fast").map(Fast::of),
            wants_token: mechanism.and_then(|mechanism| match mechanism {
                Mechanism::Token(channel) => Some(channel),
                _ => None,
            }),
            config_version: version,
            resume: authenticate.child(management::NS, "resume").cloned(),
            bind: authenticate
                .child(bind2::NS, "bind")
                .map(bind2::Request::of),
        }
    }
}

/// The initial response, if there is one (§2.2: an empty element is an empty string).
pub(super) fn initial_response(authenticate: &Element) -> Result<Option<Vec<u8>>, SaslFailure> {
    authenticate
        .child(NS, "initial-response")
        .map(|element| decode(&element.text()))
        .transpose()
}

/// `<success/>` (§2.6.1) for a bare JID, or for a full one where a resource was bound or a session resumed;
/// `inline` is what came of the features asked for besides.
pub(super) fn success(data: Option<&[u8]>, jid: &Jid, inline: &str) -> String {
    let data = data
        .map(|data| {
            format!(
                "<additional-data>{}</additional-data>",
                STANDARD.encode(data)
            )
        })
        .unwrap_or_default();
    let jid = compose::escaped(jid.as_str());
    format!(
        "<success xmlns='{NS}'>{data}\
         <authorization-identifier>{jid}</authorization-identifier>{inline}</success>"
    )
}

/// A token with the success (XEP-0484 §3.3).
pub(super) fn token(issued: &Issued) -> String {
    format!(
        "<token xmlns='{FAST}' expiry='{}' token='{}'/>",
        datetime::format(issued.expires_ms),
        issued.token
    )
}

/// XEP-0509 §2.2: the client counted on features that are not what it sees now.
pub(super) fn config_version_mismatch() -> String {
    format!(
        "<failure xmlns='{NS}'>{}<config-version-mismatch xmlns='{PIPELINING}'/></failure>",
        SaslFailure::ABORTED.to_xml()
    )
}

fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_names_an_installation() {
        for (id, expected) in [
            ("d4565fa7-4d72-4749-b3d3-740edbf87770", true),
            ("D4565FA7-4D72-4749-B3D3-740EDBF87770", true),
            ("d4565fa74d724749b3d3740edbf87770", false),
            ("d4565fa7-4d72-4749-b3d3-740edbf8777g", false),
            ("d4565fa7-4d72-4749-b3d3-740edbf87770 ", false),
            ("ééééééééé-éééé-éé", false),
            ("", false),
        ] {
            assert_eq!(is_uuid(id), expected, "{id}");
        }
    }
}
