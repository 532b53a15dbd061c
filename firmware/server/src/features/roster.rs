//! The roster on the wire (RFC 6121 §2): get, set, remove, versioning. Pushes are made in `presence.rs`,
//! beside the subscriptions that cause most of them.

use crate::{
    account::Cx,
    component::Granted,
    feature::{Answer, Feature, Iq, On, Spec, get, set},
    limits::{ROSTER_GROUPS_MAX, ROSTER_NAME_BYTES_MAX},
    presence,
    roster::{Item, NS, Verb},
};
use std::sync::Arc;
use xmpp::{Element, Jid, Kind, Passing, Stanza, StanzaError};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Rfc(6121),
    iq: &[
        get(On::OwnAccount, (NS, "query"), list),
        set(On::OwnAccount, (NS, "query"), change),
        // §2.3.3: somebody else's roster is nobody's business, but that of privileged components.
        get(On::OtherAccount, (NS, "query"), list_for_component),
        set(On::OtherAccount, (NS, "query"), change_by_component),
    ],
    // §2.6.1.
    stream_features: Some(|_, _| Some("<ver xmlns='urn:xmpp:features:rosterver'/>".into())),
    ..Feature::NONE
};

fn list(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    if let Some(resource) = cx.state.resource(&iq.passing.from) {
        resource.interested = true;
    }
    let version = cx.state.roster.version.to_string();
    if iq.payload.attr("ver").is_some_and(|known| known == version) {
        return Ok(String::new()); // §2.6.3: nothing has changed since
    }
    let listed = cx.state.roster.iter().filter(|(_, item)| item.listed);
    let items: String = listed.map(|(contact, item)| item.to_xml(contact)).collect();
    Ok(format!(
        "<query xmlns='{NS}' ver='{version}'>{items}</query>"
    ))
}

/// XEP-0356 §4.3.
fn list_for_component(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    if !Granted::to(cx.server, &iq.passing.from).roster_get {
        return Err(StanzaError::FORBIDDEN);
    }
    list(cx, iq)
}

/// XEP-0356 §4.3. Of contacts at its own domain the component says, too, who sees whom: §2.1.2.5 has that
/// ignored, but it answers for the contact, and gateways expect their contacts to be there without questions.
fn change_by_component(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    if !Granted::to(cx.server, &iq.passing.from).roster_set {
        return Err(StanzaError::FORBIDDEN);
    }
    let query = iq.payload.element();
    let said = query
        .child(NS, "item")
        .and_then(|item| item.attr("subscription"));
    let wanted = Wanted::parse(&query)?;
    let answers_for_it = wanted.contact.domainpart() == iq.passing.from.domainpart();
    let agreed = match said {
        Some("both") => Some((true, true)),
        Some("to") => Some((true, false)),
        Some("from") => Some((false, true)),
        _ => None,
    };
    put(cx, wanted, agreed.filter(|_| answers_for_it))
}

fn change(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let wanted = Wanted::parse(&iq.payload.element())?;
    put(cx, wanted, None)
}

/// Where it is known who sees whom, that goes into the same change, and the same push (§2.1.6).
fn put(cx: &mut Cx<'_>, wanted: Wanted, agreed: Option<(bool, bool)>) -> Answer {
    if wanted.contact == *cx.jid() {
        return Err(StanzaError::NOT_ALLOWED); // §2.3.3, interoperability note: nobody is their own contact
    }
    let old = cx.state.roster.get(&wanted.contact).cloned();
    match wanted.change {
        Change::Remove => remove(cx, &wanted.contact, old.filter(|item| item.listed))?,
        Change::Put { name, groups } => {
            let old = old.unwrap_or_default();
            let mut item = old.with_groups(groups);
            (item.listed, item.name) = (true, name);
            if !cx.state.roster.has_room(&wanted.contact, &item) {
                return Err(StanzaError::RESOURCE_CONSTRAINT.with_text("the contact list is full"));
            }
            if let Some(subscription) = agreed {
                presence::agree(cx, &wanted.contact, item, subscription);
            } else {
                presence::put(cx, &wanted.contact, item);
                presence::push_item(cx, &wanted.contact);
            }
        }
    }
    Ok(String::new())
}

/// §2.5.2: a contact goes with the subscriptions in both directions.
fn remove(cx: &mut Cx<'_>, contact: &Jid, old: Option<Item>) -> Result<(), StanzaError> {
    let old = old.ok_or(StanzaError::ITEM_NOT_FOUND)?;
    let subscription = old.subscription;
    if subscription.from {
        presence::show_unavailable(cx, contact); // while the contact may still see it (§3.2.2)
    }
    for (needed, verb) in [
        (subscription.to || subscription.ask, Verb::Unsubscribe),
        (subscription.from, Verb::Unsubscribed),
    ] {
        if needed {
            let id = format!("removed{}", cx.server.next_number());
            let stanza = Stanza::compose(Kind::Presence, &[("type", verb.name()), ("id", &id)], "");
            cx.route(Passing::new(
                Arc::new(stanza),
                cx.jid().clone(),
                contact.clone(),
            ));
        }
    }
    // A request of theirs that waits is answered by the removal of its item only if somebody answers it
    // (§3.1.3).
    let mut left = Item::default().with_request(old.request().map(Into::into));
    left.subscription.pending_in = subscription.pending_in;
    presence::put(cx, contact, left);
    presence::push_item(cx, contact);
    Ok(())
}

/// A roster set, parsed at the door (§2.1.5, §2.3.3).
struct Wanted {
    contact: Jid,
    change: Change,
}

enum Change {
    Remove,
    Put {
        name: Box<str>,
        groups: Box<[Box<str>]>,
    },
}

impl Wanted {
    fn parse(query: &Element) -> Result<Wanted, StanzaError> {
        let mut items = query.elements().filter(|element| element.is(NS, "item"));
        let (Some(item), None) = (items.next(), items.next()) else {
            return Err(StanzaError::BAD_REQUEST);
        };
        let jid = item.attr("jid").ok_or(StanzaError::BAD_REQUEST)?;
        // §2.1.2.3: contacts are bare JIDs; one with a resource would be another contact with the same
        // presence.
        let contact = Jid::parse(jid)
            .map_err(|_| StanzaError::JID_MALFORMED)?
            .bare();
        if item.attr("subscription") == Some("remove") {
            return Ok(Wanted {
                contact,
                change: Change::Remove,
            });
        }
        let name = item.attr("name").unwrap_or_default();
        let groups: Vec<String> = item
            .elements()
            .filter(|element| element.is(NS, "group"))
            .map(Element::text)
            .collect();
        let too_long = |text: &str| text.len() > ROSTER_NAME_BYTES_MAX;
        let bad_group = |group: &String| group.is_empty() || too_long(group);
        if too_long(name) || groups.iter().any(bad_group) || groups.len() > ROSTER_GROUPS_MAX {
            return Err(StanzaError::NOT_ACCEPTABLE);
        }
        let mut sorted: Vec<&String> = groups.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(StanzaError::BAD_REQUEST);
        }
        let groups = groups.into_iter().map(Into::into).collect();
        Ok(Wanted {
            contact,
            change: Change::Put {
                name: name.into(),
                groups,
            },
        })
    }
}
