//! XEP-0198 §5: instead of binding a resource, a client goes on with a session that it had.

use super::{Followed, Negotiation, Next, Stage};
use crate::{
    features::management::{NS, count, failed},
    server::Server,
    session::{Session, waiting::Resumed},
};
use std::sync::Arc;
use xmpp::{Element, Jid, StanzaError, StreamError, compose};

impl Negotiation {
    /// Takes an element of stream management. Nothing of it is possible before the login, and before a
    /// resource is bound only resuming one (§3, §5).
    pub(super) async fn manage(
        &mut self,
        server: &Arc<Server>,
        element: &Element,
        out: &mut Vec<u8>,
    ) -> Followed {
        // XEP-0388 §2.4: during an exchange nothing else may be sent.
        if let Stage::Secured(Some(_)) = &self.stage {
            return Err(StreamError::UNSUPPORTED_STANZA_TYPE);
        }
        let Stage::Authenticated(jid) = &self.stage else {
            out.extend(failed(StanzaError::UNEXPECTED_REQUEST, None).as_bytes());
            return Ok(Next::Stay);
        };
        if !element.is(NS, "resume") {
            out.extend(failed(StanzaError::UNEXPECTED_REQUEST, None).as_bytes());
            return Ok(Next::Stay);
        }
        let jid = jid.clone();
        self.may_ask_again()?;
        match resume(server, &jid, element).await {
            Ok((session, epoch, resumed)) => {
                out.extend(resumed.as_bytes());
                self.stage = Stage::Bound;
                Ok(Next::Bound(session, epoch))
            }
            Err(Refused::Kindly(failed)) => {
                out.extend(failed.as_bytes());
                Ok(Next::Stay)
            }
            Err(Refused::ForGood(error)) => Err(error),
        }
    }
}

/// Why a session does not go on.
pub(super) enum Refused {
    /// `<failed/>`: the client may bind a resource.
    Kindly(String),
    /// Its counts are broken (§6).
    ForGood(StreamError),
}

/// Resumes as asked: the session, which of its connections this is, and `<resumed/>`.
pub(super) async fn resume(
    server: &Arc<Server>,
    account: &Jid,
    request: &Element,
) -> Result<(Arc<Session>, u32, String), Refused> {
    let refused = |error, h| Refused::Kindly(failed(error, h));
    let (Some(id), Some(h)) = (request.attr("previd"), count(request)) else {
        return Err(refused(StanzaError::BAD_REQUEST, None));
    };
    let Some(local) = account.localpart() else {
        return Err(refused(StanzaError::ITEM_NOT_FOUND, None));
    };
    match server.resume(local, id, h).await {
        Resumed::Yes { session, epoch, h } => {
            let mut resumed = format!("<resumed xmlns='{NS}' h='{h}'");
            compose::attribute(&mut resumed, "previd", id);
            resumed.push_str("/>");
            Ok((session, epoch, resumed))
        }
        Resumed::No { h } => Err(refused(StanzaError::ITEM_NOT_FOUND, h)),
        Resumed::Broken(error) => Err(Refused::ForGood(error)),
    }
}
