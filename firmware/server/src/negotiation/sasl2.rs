//! XEP-0388: Extensible SASL Profile. What differs from classic SASL: the request says what the client wishes
//! besides being authenticated, and the stream goes on without a restart.

use super::{attempt::decode, bind2};
use base64::{Engine, engine::general_purpose::STANDARD};
use xmpp::{Element, Jid, SaslFailure, compose};

/// XEP-0198.
const MANAGEMENT: &str = "urn:xmpp:sm:3";

pub(super) const NS: &str = "urn:xmpp:sasl:2";

/// What comes along with `<authenticate/>`.
#[derive(Default)]
pub(super) struct Wishes {
    /// `id` of `<user-agent/>`: names the installation of the client, and is told to nobody (§2.3).
    pub(super) user_agent: Option<String>,
    /// `<resume/>` (XEP-0198 §9): the session that the client would rather have back than bind anew.
    pub(super) resume: Option<Element>,
    pub(super) bind: Option<bind2::Request>,
}

impl Wishes {
    pub(super) fn of(authenticate: &Element) -> Wishes {
        let user_agent = authenticate
            .child(NS, "user-agent")
            .and_then(|agent| agent.attr("id"));
        Wishes {
            // §2.3: it must be a UUID. One that is none identifies nothing, which is no reason to refuse a
            // login.
            user_agent: user_agent
                .filter(|id| is_uuid(id))
                .map(str::to_ascii_lowercase),
            resume: authenticate.child(MANAGEMENT, "resume").cloned(),
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
