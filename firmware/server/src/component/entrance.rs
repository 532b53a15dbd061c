//! What a component sends: whether it may, and on its way (XEP-0114 §3).

use super::privilege;
use crate::{
    account::{Account, Leaving},
    limits::LEAVING_MAX,
    router,
    server::Server,
};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza, StanzaError, StreamError};

impl Server {
    /// Takes a stanza from the component of that name, and gives it back where it is to be sent on its way.
    ///
    /// # Errors
    /// Those that end a component's stream: it must say who sends and to whom, and speak for its own domain
    /// alone.
    pub(super) async fn receive_from_component(
        self: &Arc<Self>,
        name: &Jid,
        stanza: Stanza,
    ) -> Result<Option<Passing>, StreamError> {
        let Ok(from) = stanza.from() else {
            return self.refuse_unreadable(name, stanza).map(|()| None);
        };
        let from = from.ok_or(StreamError::IMPROPER_ADDRESSING)?;
        if from.domainpart() != name.as_str() {
            return Err(StreamError::INVALID_FROM);
        }
        let stanza = Arc::new(stanza);
        let passing = match stanza.to() {
            Ok(Some(to)) => Passing::new(stanza, from, to),
            Ok(None) => return Err(StreamError::IMPROPER_ADDRESSING),
            // RFC 6120 §4.9.3.7 would close the stream for this one, too. A gateway makes addresses from
            // names that people choose elsewhere; for one of them not everybody behind it is thrown out.
            Err(_) => {
                let unreadable = Passing::new(stanza, from, self.domain().clone());
                self.refuse_to_component(&unreadable, StanzaError::JID_MALFORMED);
                return Ok(None);
            }
        };
        if let Some(fault) = router::fault(self, &passing) {
            self.refuse_to_component(&passing, fault);
            return Ok(None);
        }
        if is_on_behalf(self, &passing) {
            if let Err(refusal) = self.send_on_behalf(&passing).await {
                self.refuse_to_component(&passing, refusal);
            }
            return Ok(None);
        }
        Ok(Some(passing))
    }

    /// Sends on its way what a component sent, and works off all that follows from it. Gives an account whose
    /// queue is too long to read on.
    pub(super) async fn route_from_component(
        self: &Arc<Self>,
        passing: Passing,
    ) -> Option<Arc<Account>> {
        let touched = self.route(Leaving::of(passing)).await;
        if let Some(account) = &touched {
            self.settle_account(account).await;
        }
        Box::pin(self.follow_changes()).await;
        touched.filter(|account| account.leaving() > LEAVING_MAX)
    }

    /// The sender is no address. Where it is somebody at the component's own domain nevertheless, that one
    /// stanza is refused (RFC 6120 §8.3.3.8), as those to addresses that are none.
    fn refuse_unreadable(self: &Arc<Self>, name: &Jid, stanza: Stanza) -> Result<(), StreamError> {
        let from = stanza.from_as_written().unwrap_or_default();
        if Jid::domain_as_written(&from).as_ref() != Some(name) {
            return Err(StreamError::INVALID_FROM);
        }
        let unreadable = Passing::new(Arc::new(stanza), name.clone(), self.domain().clone());
        self.refuse_to_component(&unreadable, StanzaError::JID_MALFORMED);
        Ok(())
    }

    fn refuse_to_component(self: &Arc<Self>, passing: &Passing, error: StanzaError) {
        if router::may_be_refused(passing) {
            // It is connected: this is what it sent.
            let _ = self.send_away(&passing.refused(error), None);
        }
    }
}

/// XEP-0356 §5.3: a message for the server that has another one in it.
fn is_on_behalf(server: &Server, passing: &Passing) -> bool {
    let is_message = passing.stanza.kind == Kind::Message && passing.stanza.type_() != "error";
    let is_for_server = is_message && passing.to == *server.domain();
    is_for_server && passing.stanza.child(privilege::NS, "privilege").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_of_what_is_no_address() {
        for (text, expected) in [
            ("irc.example", Some("irc.example")),
            ("irc.example/", Some("irc.example")),
            ("ty balt@IRC.example", Some("irc.example")),
            ("ty@balt@irc.example/x@y.example", Some("irc.example")),
            ("a@irc.example/b/c@y.example", Some("irc.example")),
            ("ty balt@sub.irc.example", Some("sub.irc.example")),
            ("a@y.example/b@irc.example", Some("y.example")),
            ("a@irc.exam ple", None),
            ("@", None),
            ("/irc.example", None),
            ("", None),
        ] {
            let domain = Jid::domain_as_written(text);
            assert_eq!(domain.as_ref().map(Jid::as_str), expected, "{text}");
        }
    }
}
