//! What a component may do in accounts of this house (XEP-0356), and how it is told.

use crate::server::Server;
use household::config::{Presences, Privileges};
use xmpp::{Entry, Jid, Kind, compose};

pub(crate) const NS: &str = "urn:xmpp:privilege:2";

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
