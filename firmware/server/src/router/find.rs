//! Where an address leads: to an account of ours, to a room or its service, to the publish-subscribe service,
//! or to nobody.

use super::{Router, request};
use crate::{
    account::Account,
    directory,
    feature::{Answer, IqHook, On},
    features::{muc, upload},
    presence,
    server::Server,
};
use std::sync::Arc;
use tracing::error;
use xmpp::{Kind, Passing, StanzaError};

/// Where an address leads.
pub(crate) enum Found {
    Account(Arc<Account>),
    /// To another server.
    Elsewhere,
    /// Nowhere, and nobody is told.
    Nobody,
    /// Answered in its place.
    Answered(Answer),
    /// The same, in words of its own.
    Replied(Passing),
    Refused(StanzaError),
}

impl Router {
    /// Where the address leads (RFC 6120 §10, RFC 6121 §8).
    pub(super) async fn find(&self, server: &Arc<Server>, passing: &Passing) -> Found {
        if passing.to.domainpart() == server.rooms().service().domainpart() {
            return self.find_room(server, passing).await;
        }
        if passing.to.domainpart() == server.uploads().service().as_str() {
            return self.at_upload_service(server, passing).await;
        }
        if passing.to.domainpart() == server.bytestreams.service().as_str() {
            return self.at_proxy(server, passing);
        }
        let for_service = passing.to == *server.pubsub();
        if !for_service && passing.to.domainpart() == server.pubsub().domainpart() {
            return nobody(passing); // no node has an address of its own (XEP-0060 §4.6.1)
        }
        if passing.to.domainpart() != server.domain().as_str() && !for_service {
            return Found::Elsewhere;
        }
        let localpart = match passing.to.localpart() {
            Some(localpart) => localpart,
            None if for_service => directory::SERVICE,
            None => return self.at_domain(server, passing),
        };
        if passing.stanza.kind == Kind::Presence && !presence::concerns_the_absent(passing) {
            let there = server.directory().get(localpart);
            // XEP-0356 §7.4: a component may be told of contacts of those who are not there.
            if there.is_some() || !server.tells_of_contacts() {
                return there.map_or(Found::Nobody, Found::Account);
            }
        }
        match server.load(localpart).await {
            Ok(Some(account)) => Found::Account(account),
            Ok(None) => self.no_account(server, passing),
            Err(error) => {
                error!(localpart, %error, "account cannot be loaded");
                Found::Refused(StanzaError::RESOURCE_CONSTRAINT)
            }
        }
    }

    /// A room that is there; one that somebody enters is made (XEP-0045 §7.2.11).
    async fn find_room(&self, server: &Arc<Server>, passing: &Passing) -> Found {
        if passing.to.localpart().is_none() {
            return self.at_room_service(server, passing);
        }
        match server.load(passing.to.bare_str()).await {
            Ok(Some(room)) => Found::Account(room),
            Ok(None) if passing.stanza.kind == Kind::Presence => muc::enter_none(server, passing),
            Ok(None) => self.no_room(server, passing),
            Err(error) => {
                error!(room = %passing.to.bare_str(), %error, "room cannot be loaded");
                Found::Refused(StanzaError::RESOURCE_CONSTRAINT)
            }
        }
    }

    /// There is no such room, and entering it is the only way to make one.
    fn no_room(&self, server: &Server, passing: &Passing) -> Found {
        let is_iq = passing.stanza.kind == Kind::Iq;
        if is_iq && !passing.to.is_bare() {
            return Found::Refused(muc::outsider(passing));
        }
        let iq = request(passing).filter(|_| is_iq);
        let hook = iq
            .as_ref()
            .and_then(|iq| Some((iq, self.hook(On::NoRoom, iq)?)));
        match hook {
            Some((iq, IqHook::Server(hook))) => Found::Answered(hook(server, iq)),
            _ => Found::Refused(StanzaError::ITEM_NOT_FOUND),
        }
    }

    /// The domain itself, asked by somebody from elsewhere; who lives here is answered in their own account.
    fn at_domain(&self, server: &Server, passing: &Passing) -> Found {
        let iq = request(passing).filter(|_| passing.stanza.kind == Kind::Iq);
        let Some(iq) = iq.filter(|_| passing.to.is_bare()) else {
            return nobody(passing);
        };
        let hook = match self.hook(On::Server, &iq) {
            Some(IqHook::Server(hook)) => Some(IqHook::Server(hook)),
            _ => self.hook(On::Stranger, &iq),
        };
        match hook {
            Some(IqHook::Server(hook)) => Found::Answered(hook(server, &iq)),
            _ => Found::Refused(StanzaError::SERVICE_UNAVAILABLE),
        }
    }

    fn at_room_service(&self, server: &Server, passing: &Passing) -> Found {
        let iq = request(passing).filter(|_| passing.stanza.kind == Kind::Iq);
        let Some(iq) = iq.filter(|_| passing.to.is_bare()) else {
            return nobody(passing);
        };
        match self.hook(On::RoomService, &iq) {
            Some(IqHook::Server(hook)) => Found::Answered(hook(server, &iq)),
            _ => Found::Refused(StanzaError::SERVICE_UNAVAILABLE),
        }
    }

    async fn at_upload_service(&self, server: &Arc<Server>, passing: &Passing) -> Found {
        let iq = request(passing).filter(|_| passing.stanza.kind == Kind::Iq);
        let is_request = matches!(passing.stanza.type_(), "get" | "set");
        let is_service = passing.to == *server.uploads().service();
        let Some(iq) = iq.filter(|_| is_service && is_request) else {
            return nobody(passing);
        };
        if upload::asks_for_slot(&iq) {
            return upload::slot(server, passing).await;
        }
        match self.hook(On::UploadService, &iq) {
            Some(IqHook::Server(hook)) => Found::Answered(hook(server, &iq)),
            _ => Found::Refused(StanzaError::SERVICE_UNAVAILABLE),
        }
    }

    /// Where nothing listens there is no such service.
    fn at_proxy(&self, server: &Server, passing: &Passing) -> Found {
        let iq = request(passing).filter(|_| passing.stanza.kind == Kind::Iq);
        let is_service = passing.to == *server.bytestreams.service();
        let Some(iq) = iq.filter(|_| is_service && server.bytestreams.port().is_some()) else {
            return nobody(passing);
        };
        match self.hook(On::ProxyService, &iq) {
            Some(IqHook::Server(hook)) => Found::Answered(hook(server, &iq)),
            _ => Found::Refused(StanzaError::SERVICE_UNAVAILABLE),
        }
    }

    /// RFC 6121 §8.5.1: there is no such account.
    fn no_account(&self, server: &Server, passing: &Passing) -> Found {
        if passing.stanza.kind != Kind::Iq || !passing.to.is_bare() {
            return nobody(passing);
        }
        let iq = request(passing);
        let hook = iq
            .as_ref()
            .and_then(|iq| Some((iq, self.hook(On::NoAccount, iq)?)));
        match hook {
            Some((iq, IqHook::Server(hook))) => Found::Answered(hook(server, iq)),
            _ => Found::Refused(StanzaError::SERVICE_UNAVAILABLE),
        }
    }
}

/// RFC 6121 §8.5.1, RFC 6120 §10.5.3.1: there is nobody at this address of ours.
fn nobody(passing: &Passing) -> Found {
    match (passing.stanza.kind, passing.stanza.type_()) {
        (Kind::Presence, _) | (Kind::Message, "headline") => Found::Nobody,
        _ => Found::Refused(StanzaError::SERVICE_UNAVAILABLE),
    }
}
