//! XEP-0030: Service Discovery. The answer is derived from the feature list, never written down twice.

use super::{ALL, announced, caps, identities, pubsub};
use crate::{
    account::Cx,
    feature::{Answer, DiscoForm, Feature, Iq, On, Spec, get, get_server},
    server::Server,
};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use xmpp::{StanzaError, compose};

pub(super) const INFO: &str = "http://jabber.org/protocol/disco#info";
pub(super) const ITEMS: &str = "http://jabber.org/protocol/disco#items";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(30, "2.5.0", "Service Discovery"),
    disco: &[
        (On::Server, INFO),
        (On::Server, ITEMS),
        (On::OwnAccount, INFO),
        (On::OwnAccount, ITEMS),
    ],
    iq: &[
        get_server(On::Server, (INFO, "query"), info_of_server),
        get_server(On::Server, (ITEMS, "query"), items_of_server),
        get_server(On::NoAccount, (ITEMS, "query"), no_items),
        get(On::OwnAccount, (INFO, "query"), info_of_account),
        pubsub::reads(On::OwnAccount, (ITEMS, "query"), pubsub::items_of_account),
        get(On::OtherAccount, (INFO, "query"), info_of_contact),
        pubsub::reads(On::OtherAccount, (ITEMS, "query"), pubsub::items_of_account),
    ],
    ..Feature::NONE
};

/// What an entity says of itself.
pub(super) struct Info {
    /// Category, type, name.
    identity: (&'static str, &'static str, &'static str),
    /// Category and type of what else it is.
    also: Vec<(&'static str, &'static str)>,
    features: Vec<&'static str>,
    forms: Vec<DiscoForm>,
}

pub(super) fn server_info(server: &Server) -> Info {
    Info {
        identity: ("server", "im", "Hearth"),
        also: identities(On::Server).collect(),
        features: sorted(announced(On::Server)),
        forms: ALL
            .iter()
            .filter_map(|f| f.disco_form)
            .filter_map(|form| form(server))
            .collect(),
    }
}

fn account_info() -> Info {
    Info {
        identity: ("account", "registered", ""),
        also: identities(On::OwnAccount).collect(),
        features: sorted(announced(On::OwnAccount)),
        forms: Vec::new(),
    }
}

/// disco#info of an entity beside the server and its accounts.
pub(super) fn entity_info(on: On) -> String {
    service_info(on, Vec::new())
}

/// The same, with forms.
pub(super) fn service_info(on: On, forms: Vec<DiscoForm>) -> String {
    let mut identities = identities(on);
    let (category, type_) = identities.next().unwrap_or_default();
    let info = Info {
        identity: (category, type_, "Hearth"),
        also: identities.collect(),
        features: sorted(announced(on)),
        forms,
    };
    info.to_xml(None)
}

fn sorted(features: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut features: Vec<_> = features.collect();
    features.sort_unstable();
    features.dedup();
    features
}

fn info_of_server(server: &Server, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(server_info(server).to_xml(None)),
        Some(node) if caps::is_own_node(server, &node) => {
            Ok(server_info(server).to_xml(Some(&node)))
        }
        Some(_) => Err(StanzaError::ITEM_NOT_FOUND),
    }
}

fn info_of_account(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(account_info().to_xml(None)),
        Some(node) => pubsub::node_info(cx, &iq.passing.from, &node),
    }
}

/// §8: only those who may see presence learn that there is such an account.
fn info_of_contact(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let sees_presence = cx.state.roster.subscription(&iq.passing.from.bare()).from;
    let info = info_of_account(cx, iq);
    // A node that everybody may read says so to everybody; nothing else does.
    let of_open_node = iq.payload.attr("node").is_some() && info.is_ok();
    if sees_presence || of_open_node {
        info
    } else {
        Err(StanzaError::SERVICE_UNAVAILABLE)
    }
}

/// The services of the domain; no nodes (§7).
fn items_of_server(server: &Server, iq: &Iq<'_>) -> Answer {
    if iq.payload.attr("node").is_some() {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    let (rooms, pubsub) = (server.rooms().service(), server.pubsub());
    let mut items = format!("<item jid='{rooms}'/><item jid='{pubsub}'/>");
    if server.web_address().is_some() {
        items += &format!("<item jid='{}'/>", server.uploads().service());
    }
    if server.bytestreams.port().is_some() {
        items += &format!("<item jid='{}'/>", server.bytestreams.service());
    }
    // Some clients give up where one of these does not answer, so only those that can.
    for component in server.components() {
        items += "<item";
        compose::attribute(&mut items, "jid", component.as_str());
        items += "/>";
    }
    Ok(format!("<query xmlns='{ITEMS}'>{items}</query>"))
}

/// §8: an account nobody has looks like one without items.
fn no_items(_: &Server, iq: &Iq<'_>) -> Answer {
    let mut query = format!("<query xmlns='{ITEMS}'");
    if let Some(node) = iq.payload.attr("node") {
        compose::attribute(&mut query, "node", &node);
    }
    Ok(query + "/>")
}

impl Info {
    fn to_xml(&self, node: Option<&str>) -> String {
        let mut xml = format!("<query xmlns='{INFO}'");
        if let Some(node) = node {
            compose::attribute(&mut xml, "node", node);
        }
        let (category, type_, name) = self.identity;
        xml += &format!("><identity category='{category}' type='{type_}'");
        if !name.is_empty() {
            compose::attribute(&mut xml, "name", name);
        }
        xml += "/>";
        for (category, type_) in &self.also {
            xml += &format!("<identity category='{category}' type='{type_}'/>");
        }
        for feature in &self.features {
            xml += &format!("<feature var='{feature}'/>");
        }
        for form in &self.forms {
            form_to_xml(form, &mut xml);
        }
        xml + "</query>"
    }

    /// The verification string of XEP-0115 §5.1: base64 of the SHA-1 of everything, sorted.
    pub(super) fn ver(&self) -> String {
        let (category, type_, name) = self.identity;
        let also = self
            .also
            .iter()
            .map(|(category, type_)| format!("{category}/{type_}//<"));
        let mut identities: Vec<String> = also.collect();
        identities.push(format!("{category}/{type_}//{name}<"));
        identities.sort();
        let mut s = identities.concat();
        for feature in &self.features {
            s += &format!("{feature}<");
        }
        let mut forms: Vec<&DiscoForm> = self.forms.iter().collect();
        forms.sort_by_key(|form| form.form_type);
        for form in forms {
            s += &format!("{}<", form.form_type);
            let mut fields: Vec<_> = form.fields.iter().collect();
            fields.sort();
            for (var, _, values) in fields {
                let mut values = values.clone();
                values.sort();
                s += &format!("{var}<{}<", values.join("<"));
            }
        }
        STANDARD.encode(digest::digest(
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
            s.as_bytes(),
        ))
    }
}

fn form_to_xml(form: &DiscoForm, xml: &mut String) {
    *xml += &format!(
        "<x xmlns='jabber:x:data' type='result'>\
         <field var='FORM_TYPE' type='hidden'><value>{}</value></field>",
        form.form_type
    );
    for (var, type_, values) in &form.fields {
        *xml += &format!("<field var='{var}' type='{type_}'>");
        for value in values {
            *xml += "<value>";
            compose::escape(xml, value);
            *xml += "</value>";
        }
        *xml += "</field>";
    }
    *xml += "</x>";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simple_example_of_xep_0115_5_2() {
        let info = Info {
            identity: ("client", "pc", "Exodus 0.9.1"),
            also: Vec::new(),
            features: sorted(
                [
                    "http://jabber.org/protocol/caps",
                    "http://jabber.org/protocol/muc",
                    "http://jabber.org/protocol/disco#info",
                    "http://jabber.org/protocol/disco#items",
                ]
                .into_iter(),
            ),
            forms: Vec::new(),
        };
        assert_eq!(info.ver(), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }
}
