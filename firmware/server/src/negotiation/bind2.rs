//! XEP-0386: Bind 2. A resource is bound together with the login.
//!
//! The resource is the client's tag, a slash and an identifier of ours. For a client that told its
//! installation the identifier is always the same one (§3.2.1), so a new login takes the place of that
//! client's earlier session, which §3.2 wants ended. It is an HMAC, so that neither the installation nor
//! another account's identifier can be told from it.

use crate::{devices, limits::TAG_CHARS_MAX, server::Server, session::Session, world::random_id};
use std::sync::Arc;
use xmpp::{Element, Jid, StanzaError, StreamError};

pub(super) const NS: &str = "urn:xmpp:bind:0";

/// `<bind/>` inside `<authenticate/>`.
pub(super) struct Request {
    tag: String,
    /// All of it, for the features that are asked for inside.
    bind: Element,
}

impl Request {
    pub(super) fn of(bind: &Element) -> Request {
        let tag = bind.child(NS, "tag").map(Element::text).unwrap_or_default();
        Request {
            tag: tag.trim().chars().take(TAG_CHARS_MAX).collect(),
            bind: bind.clone(),
        }
    }

    fn resource(&self, account: &Jid, identifier: &str) -> String {
        let tagged = format!("{}/{identifier}", self.tag);
        // A tag that may not stand in a resourcepart (RFC 7622 §3.4) is left out.
        if self.tag.is_empty() || account.with_resource(&tagged).is_err() {
            identifier.to_owned()
        } else {
            tagged
        }
    }
}

/// Binds a resource as asked: the session, and what goes into `<success/>`.
pub(super) async fn perform(
    server: &Arc<Server>,
    account: &Jid,
    request: &Request,
    by_starttls: bool,
    device: Option<devices::Id>,
) -> Result<(Arc<Session>, String), StanzaError> {
    let identifier = device.map_or_else(|| random_id(server.dice()), |id| id.to_string());
    let resource = request.resource(account, &identifier);
    let local = account.localpart().ok_or(StanzaError::NOT_ALLOWED)?;
    let session = server.bind(local, Some(&resource)).await?;
    session.note_door(by_starttls);
    end_earlier(server, &session, &identifier).await;
    if let Some(device) = device {
        server.note_device(&session, device);
    }
    let bound = server.bound(&session, &request.bind);
    let success = if bound.is_empty() {
        format!("<bound xmlns='{NS}'/>")
    } else {
        format!("<bound xmlns='{NS}'>{bound}</bound>")
    };
    Ok((session, success))
}

/// Ends what the same client left behind under another tag, as an update of it may bring one. Under the same
/// tag it had the same resource, whose session is gone already.
async fn end_earlier(server: &Arc<Server>, session: &Session, identifier: &str) {
    let is_same_client = |other: &Session| {
        let resource = other.jid.resourcepart().unwrap_or_default();
        let other_identifier = resource.rsplit_once('/').map_or(resource, |(_, last)| last);
        other.number != session.number && other_identifier == identifier
    };
    if session.account.sessions().iter().any(|s| is_same_client(s)) {
        let error = StreamError::CONFLICT.with_text("this client signed in again");
        server
            .end_sessions(&session.account, error, is_same_client)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_comes_first_if_it_may_stand_in_a_resourcepart() {
        let account = Jid::parse("juliet@home.example").unwrap();
        for (tag, expected) in [
            ("AwesomeXMPP", "AwesomeXMPP/4232f4d4"),
            ("  Awesome XMPP\n", "Awesome XMPP/4232f4d4"),
            ("", "4232f4d4"),
            ("bell\u{7}", "4232f4d4"),
        ] {
            let bind = format!(
                "<bind xmlns='{NS}'><tag>{}</tag></bind>",
                tag.replace('\u{7}', "")
            );
            let mut request = Request::of(&Element::parse(&bind, "").unwrap());
            if tag.contains('\u{7}') {
                request.tag = tag.to_owned();
            }
            assert_eq!(request.resource(&account, "4232f4d4"), expected, "{tag:?}");
        }
    }
}
