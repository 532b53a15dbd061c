//! What is asked for, read at the door.

use super::{
    NS,
    errors::{INVALID_PAYLOAD, INVALID_SUBID, JID_REQUIRED, NODE_REQUIRED},
};
use crate::feature::Iq;
use xmpp::{
    Element, Jid, StanzaError,
    form::{self, Form},
};

/// The one thing that is asked for, and what stands beside it.
pub(super) struct Request {
    pub(super) action: Element,
    /// `<configure/>`, `<options/>`, `<publish-options/>` or `<set/>`, in the order of the request.
    pub(super) beside: Vec<Element>,
}

impl Request {
    /// `bad-request` where nothing is asked for, or more than one thing.
    pub(super) fn read(iq: &Iq<'_>) -> Result<Request, StanzaError> {
        let payload = iq.payload.element();
        let mut elements: Vec<Element> = payload.elements().cloned().collect();
        // There are clients that say which page before they say of what.
        let is_action = |e: &Element, goes_along: &[&str]| {
            e.ns == payload.ns && (e.ns != NS || !goes_along.contains(&e.name.as_str()))
        };
        let sought = [&["configure", "publish-options", "options"][..], &[]];
        let at = sought.iter().find_map(|goes_along| {
            let at = elements.iter().position(|e| is_action(e, goes_along))?;
            let mut others = elements[at + 1..].iter();
            Some((at, others.any(|e| is_action(e, goes_along))))
        });
        let (at, is_several) = at.ok_or(StanzaError::BAD_REQUEST)?;
        // §8.1.3: a new node is configured after it is made.
        let is_before = elements[..at].iter().any(|e| e.name == "configure");
        if is_several || is_before && elements[at].name == "create" {
            return Err(StanzaError::BAD_REQUEST);
        }
        Ok(Request {
            action: elements.remove(at),
            beside: elements,
        })
    }

    /// The element of that name beside the action, of any namespace of publish-subscribe or of paging.
    pub(super) fn beside(&self, name: &str) -> Option<&Element> {
        self.beside.iter().find(|element| element.name == name)
    }

    pub(super) fn node(&self) -> Result<&str, StanzaError> {
        let node = self.action.attr("node").filter(|node| !node.is_empty());
        node.ok_or(NODE_REQUIRED)
    }

    /// Whose subscription it is about.
    pub(super) fn jid(&self) -> Result<Jid, StanzaError> {
        if self
            .action
            .attr("subid")
            .is_some_and(|subid| !subid.is_empty())
        {
            return Err(INVALID_SUBID);
        }
        jid(&self.action)
    }
}

/// The attribute `jid` of an element.
pub(super) fn jid(element: &Element) -> Result<Jid, StanzaError> {
    let jid = element.attr("jid").ok_or(JID_REQUIRED)?;
    Jid::parse(jid).map_err(|_| StanzaError::JID_MALFORMED)
}

/// The fields of the form inside an element; none where there is no form. `bad-request` for a form that is
/// none, or of another kind.
pub(super) fn fields(
    inside: Option<&Element>,
    kind: &str,
) -> Result<Vec<(String, Vec<String>)>, StanzaError> {
    let Some(x) = inside.and_then(|element| element.child(form::NS, "x")) else {
        return Ok(Vec::new());
    };
    let form = Form::submitted(x)?;
    // XEP-0068 wants the kind; what does not say one is taken for what belongs here.
    if form.form_type().is_some_and(|other| other != kind) {
        return Err(StanzaError::BAD_REQUEST);
    }
    let fields = form
        .fields()
        .map(|(var, values)| (var.to_owned(), values.to_vec()));
    Ok(fields.collect())
}

/// The payload of an item as XML that stands by itself; empty where there is none. §7.1.3.6: one element, of
/// a namespace.
pub(super) fn payload(item: &Element) -> Result<String, StanzaError> {
    let mut elements = item.elements();
    let Some(payload) = elements.next() else {
        return Ok(String::new());
    };
    if elements.next().is_some() || payload.ns.is_empty() {
        return Err(INVALID_PAYLOAD);
    }
    let mut xml = String::new();
    payload.write(&mut xml, "");
    Ok(xml)
}

/// §7.2.2.1, note: both forms of a boolean.
pub(super) fn is_true(value: Option<&str>) -> bool {
    matches!(value, Some("1" | "true"))
}
