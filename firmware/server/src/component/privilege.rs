//! What a component may do in accounts of this house (XEP-0356), and how it is told.
//!
//! State: with each account the requests that were sent in its name and not answered yet (`asked.rs`); for
//! the components that are told of presence, what each was told last of whom (`told.rs`).

mod asked;
mod told;

pub(crate) use asked::{Asked, answered, ask, wrapped};
pub(crate) use told::{Told, appeared, contact_is, went};

use crate::{account::Cx, router, server::Server};
use household::config::{Presences, Privileges};
use std::sync::Arc;
use xmpp::{Element, Entry, Jid, Kind, Passing, Stanza, StanzaError, compose, element::Node, ns};

pub(crate) const NS: &str = "urn:xmpp:privilege:2";
const FORWARD: &str = "urn:xmpp:forward:0";

/// The privileges of whoever has this address: a component has them with every address of its domain, for
/// which it speaks.
pub(crate) struct Granted(Privileges);

impl Granted {
    /// Nothing at all, for most.
    pub(crate) fn to(server: &Server, who: &Jid) -> Granted {
        let config = server.config();
        Granted(
            config
                .privileges
                .get(who.domainpart())
                .cloned()
                .unwrap_or_default(),
        )
    }
}

impl std::ops::Deref for Granted {
    type Target = Privileges;

    fn deref(&self) -> &Privileges {
        &self.0
    }
}

impl Server {
    /// The components that are connected and may do something.
    pub(crate) fn privileged(&self, may: impl Fn(&Privileges) -> bool) -> Vec<Jid> {
        let config = self.config();
        if config.privileges.is_empty() {
            return Vec::new();
        }
        let mut connected = self.components();
        connected.retain(|name| config.privileges.get(name.as_str()).is_some_and(&may));
        connected
    }

    /// Takes the message out in which a component sends one in the name of the server or of an account, and
    /// sends that on its way (§5.3). Refused with `forbidden` where it may not.
    pub(super) async fn send_on_behalf(
        self: &Arc<Self>,
        outer: &Passing,
    ) -> Result<(), StanzaError> {
        if !Granted::to(self, &outer.from).message {
            return Err(StanzaError::FORBIDDEN);
        }
        let inner = Arc::new(forwarded_message(outer)?);
        let from = inner.from().map_err(|_| StanzaError::FORBIDDEN)?;
        // §5.1, item 1.
        let from =
            from.filter(|from| from.is_bare() && from.domainpart() == self.domain().as_str());
        let from = from.ok_or(StanzaError::FORBIDDEN)?;
        let to = inner.to().map_err(|_| StanzaError::JID_MALFORMED)?;
        let inner = Passing::new(inner, from.clone(), to.unwrap_or_else(|| from.clone()));
        let Some(localpart) = from.localpart() else {
            Box::pin(self.receive_remote(inner, None)).await;
            return Ok(());
        };
        let account = self.load(localpart).await;
        let account = account.map_err(|_| StanzaError::RESOURCE_CONSTRAINT)?;
        let account = account.ok_or(StanzaError::FORBIDDEN)?;
        self.at(&account, 0, |cx| {
            cx.server.router.message_on_behalf(cx, outer, inner);
        });
        self.settle_account(&account).await;
        Ok(())
    }
}

/// The message in `<forwarded/>` (XEP-0297 §3) in `<privilege/>`.
fn forwarded_message(outer: &Passing) -> Result<Stanza, StanzaError> {
    let privilege = outer.stanza.child(NS, "privilege");
    let privilege = privilege.ok_or(StanzaError::BAD_REQUEST)?.element();
    let mut messages = privilege
        .elements()
        .filter(|child| child.is(FORWARD, "forwarded"))
        .flat_map(Element::elements)
        .filter(|child| child.name == "message" && is_content(&child.ns));
    match (messages.next(), messages.next()) {
        (Some(message), None) => {
            let mut message = message.clone();
            in_client_terms(&mut message);
            router::inner_stanza(&message)
        }
        _ => Err(StanzaError::BAD_REQUEST),
    }
}

/// Libraries forward what they would have sent themselves, in the namespace of the component's stream.
fn is_content(namespace: &str) -> bool {
    matches!(namespace, ns::CLIENT | ns::COMPONENT)
}

fn in_client_terms(element: &mut Element) {
    if element.ns == ns::COMPONENT {
        ns::CLIENT.clone_into(&mut element.ns);
    }
    for node in &mut element.children {
        if let Node::Element(child) = node {
            in_client_terms(child);
        }
    }
}

/// An answer as XML, the way a component gets those that are not for itself (§6.3).
pub(crate) fn forwarded(answer: &Passing) -> String {
    let answer = answer.to_xml();
    format!("<privilege xmlns='{NS}'><forwarded xmlns='{FORWARD}'>{answer}</forwarded></privilege>")
}

/// A roster is another one: those who may read it are told like the account's own devices (§4.4).
pub(crate) fn roster_changed(cx: &mut Cx<'_>, query: &str) {
    for component in cx.server.privileged(|it| it.roster_get) {
        let id = format!("push{}", cx.server.next_number());
        let push = Stanza::compose(Kind::Iq, &[("type", "set"), ("id", &id)], query);
        cx.route(Passing::new(Arc::new(push), cx.jid().clone(), component));
    }
}

/// The first stanza that a privileged component gets (§4.2, §5.2, §6.2, §7.2, §7.5).
pub(super) fn advertisement(server: &Server, name: &Jid) -> Option<Entry> {
    let perms = perms(&Granted::to(server, name));
    if perms.is_empty() {
        return None;
    }
    let id = format!("privilege{}", server.next_number());
    let attributes = [("from", server.domain().as_str()), ("id", &id)];
    let content = format!("<privilege xmlns='{NS}'>{perms}</privilege>");
    Some(Entry::compose(
        Kind::Message,
        Some(name.clone()),
        &attributes,
        content,
    ))
}

fn perms(granted: &Privileges) -> String {
    let mut perms = String::new();
    let mut perm = |access: &str, type_: &str| {
        perms += &format!("<perm access='{access}' type='{type_}'/>");
    };
    match (granted.roster_get, granted.roster_set) {
        (true, true) => perm("roster", "both"),
        (true, false) => perm("roster", "get"),
        (false, true) => perm("roster", "set"),
        (false, false) => {}
    }
    if granted.message {
        perm("message", "outgoing");
    }
    match granted.presence {
        Presences::Contacts => perm("presence", "roster"),
        Presences::Accounts => perm("presence", "managed_entity"),
        Presences::None => {}
    }
    if !granted.iq.is_empty() {
        perms += "<perm access='iq'>";
        for requests in &granted.iq {
            perms += "<namespace";
            compose::attribute(&mut perms, "ns", &requests.namespace);
            let type_ = match (requests.get, requests.set) {
                (true, true) => "both",
                (true, false) => "get",
                _ => "set",
            };
            compose::attribute(&mut perms, "type", type_);
            perms += "/>";
        }
        perms += "</perm>";
    }
    perms
}
