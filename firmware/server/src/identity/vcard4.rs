//! XEP-0292 §11: vcard-temp to vCard4 and back. Both ways it is what the stylesheet of §12.1 does and its
//! reverse; what only one of them can say is left out, and so is everything binary: a vCard4 is sent to
//! contacts, a card only to those who ask.

use crate::features::vcard::NS as TEMP;
use xmpp::{Element, element::Node};

pub(crate) const NS: &str = "urn:ietf:params:xml:ns:vcard-4.0";

/// Properties that are one text: in vcard-temp, in vCard4, and the kind of value there. Where two have the
/// same name in vCard4 the first is what it becomes again: people write about themselves in DESC.
const TEXTS: &[(&str, &str, &str)] = &[
    ("NICKNAME", "nickname", "text"),
    ("BDAY", "bday", "date"),
    ("TZ", "tz", "text"),
    ("TITLE", "title", "text"),
    ("ROLE", "role", "text"),
    ("DESC", "note", "text"),
    ("NOTE", "note", "text"),
    ("PRODID", "prodid", "text"),
    ("REV", "rev", "timestamp"),
    ("UID", "uid", "uri"),
    ("URL", "url", "uri"),
];

/// Properties whose one text is a child in vcard-temp.
const WRAPPED: &[(&str, &str, &str, &str)] = &[
    ("ORG", "ORGNAME", "org", "text"),
    ("CATEGORIES", "KEYWORD", "categories", "text"),
    ("KEY", "CRED", "key", "text"),
    ("PHOTO", "EXTVAL", "photo", "uri"),
    ("LOGO", "EXTVAL", "logo", "uri"),
    ("SOUND", "EXTVAL", "sound", "uri"),
];

/// A name in vcard-temp and in vCard4.
type Names = (&'static str, &'static str);

/// Properties with parts.
const PARTS: &[(&str, &str, &[Names])] = &[
    (
        "N",
        "n",
        &[
            ("FAMILY", "surname"),
            ("GIVEN", "given"),
            ("MIDDLE", "additional"),
            ("PREFIX", "prefix"),
            ("SUFFIX", "suffix"),
        ],
    ),
    (
        "ADR",
        "adr",
        &[
            ("POBOX", "pobox"),
            ("EXTADD", "ext"),
            ("STREET", "street"),
            ("LOCALITY", "locality"),
            ("REGION", "region"),
            ("PCODE", "code"),
            ("CTRY", "country"),
        ],
    ),
];

/// Properties that are one text with a scheme before it in vCard4, or none.
const SCHEMES: &[(&str, &str, &str, &str, &str)] = &[
    ("TEL", "NUMBER", "tel", "uri", "tel:"),
    ("EMAIL", "USERID", "email", "text", ""),
    ("JABBERID", "", "impp", "uri", "xmpp:"),
];

/// Kinds of addresses and numbers that both know (§11.3.1, §11.3.5).
const KINDS: [&str; 8] = [
    "HOME", "WORK", "TEXT", "VOICE", "FAX", "CELL", "VIDEO", "PAGER",
];

/// A card as a vCard4; `None` where it says nothing that can be said there.
pub(super) fn from_temp(card: &Element) -> Option<Element> {
    let mut vcard = Element::new(NS, "vcard");
    for property in card.elements().filter(|property| property.ns == TEMP) {
        push(&mut vcard, property_from_temp(property));
    }
    let full_name = card.child(TEMP, "FN").and_then(text_of);
    if vcard.children.is_empty() && full_name.is_none() {
        return None;
    }
    // RFC 6350 §6.2.1: never missing.
    let full_name = full_name.unwrap_or_default();
    let full_name = wrap(NS, "fn", leaf(NS, "text", &full_name));
    vcard.children.insert(0, Node::Element(full_name));
    Some(vcard)
}

/// A vCard4 as a card.
pub(super) fn to_temp(vcard: &Element) -> Element {
    let mut card = Element::new(TEMP, "vCard");
    for property in vcard.elements().filter(|property| property.ns == NS) {
        push(&mut card, property_to_temp(property));
    }
    card
}

/// The first nickname of a card.
pub(super) fn nickname(card: &Element) -> Option<String> {
    let mut nicknames = card.elements().filter(|child| child.is(TEMP, "NICKNAME"));
    nicknames.find_map(text_of)
}

fn property_from_temp(property: &Element) -> Option<Element> {
    let name = property.name.as_str();
    if let Some((_, new, kind)) = TEXTS.iter().find(|(old, ..)| *old == name) {
        return Some(wrap(NS, new, leaf(NS, kind, &text_of(property)?)));
    }
    if let Some((_, inner, new, kind)) = WRAPPED.iter().find(|(old, ..)| *old == name) {
        let text = property.child(TEMP, inner).and_then(text_of)?;
        return Some(wrap(NS, new, leaf(NS, kind, &text)));
    }
    let mut new = if let Some((_, new, parts)) = PARTS.iter().find(|(old, ..)| *old == name) {
        let mut element = Element::new(NS, new);
        for (old, new) in *parts {
            let text = property.child(TEMP, old).and_then(text_of);
            push(&mut element, text.map(|text| leaf(NS, new, &text)));
        }
        Some(element).filter(|element| !element.children.is_empty())?
    } else if let Some((_, inner, new, kind, scheme)) =
        SCHEMES.iter().find(|(old, ..)| *old == name)
    {
        let text = match *inner {
            "" => text_of(property)?,
            inner => property.child(TEMP, inner).and_then(text_of)?,
        };
        wrap(NS, new, leaf(NS, kind, &format!("{scheme}{text}")))
    } else if name == "GEO" {
        let part = |name| property.child(TEMP, name).and_then(text_of);
        let place = format!("geo:{},{}", part("LAT")?, part("LON")?);
        wrap(NS, "geo", leaf(NS, "uri", &place))
    } else {
        return None;
    };
    if let Some(parameters) = parameters_of(property) {
        new.children.insert(0, Node::Element(parameters));
    }
    Some(new)
}

fn property_to_temp(property: &Element) -> Option<Element> {
    let name = property.name.as_str();
    if name == "fn" {
        return Some(leaf(TEMP, "FN", &value_of(property)?));
    }
    if let Some((old, ..)) = TEXTS.iter().find(|(_, new, _)| *new == name) {
        return Some(leaf(TEMP, old, &value_of(property)?));
    }
    if let Some((old, inner, ..)) = WRAPPED.iter().find(|(_, _, new, _)| *new == name) {
        let value = value_of(property).filter(|value| !value.starts_with("data:"))?;
        return Some(wrap(TEMP, old, leaf(TEMP, inner, &value)));
    }
    let mut old = if let Some((old, _, parts)) = PARTS.iter().find(|(_, new, _)| *new == name) {
        let mut element = Element::new(TEMP, old);
        for (old, new) in *parts {
            let text = property.child(NS, new).and_then(text_of);
            push(&mut element, text.map(|text| leaf(TEMP, old, &text)));
        }
        Some(element).filter(|element| !element.children.is_empty())?
    } else if let Some((old, inner, _, _, scheme)) =
        SCHEMES.iter().find(|(_, _, new, ..)| *new == name)
    {
        let value = value_of(property)?;
        match (value.strip_prefix(scheme), *inner) {
            (Some(text), "") => leaf(TEMP, old, text),
            // A number need not be an address (RFC 6350 §6.4.1).
            (text, inner) if !inner.is_empty() => {
                wrap(TEMP, old, leaf(TEMP, inner, text.unwrap_or(&value)))
            }
            // Of another network than this one.
            _ => return None,
        }
    } else if name == "geo" {
        let value = value_of(property)?;
        let (latitude, longitude) = value.strip_prefix("geo:")?.split_once(',')?;
        let longitude = longitude.split([',', ';']).next().unwrap_or_default();
        let mut geo = wrap(TEMP, "GEO", leaf(TEMP, "LAT", latitude));
        push(&mut geo, Some(leaf(TEMP, "LON", longitude)));
        geo
    } else {
        return None;
    };
    if !matches!(name, "impp" | "geo" | "n") {
        let kinds = kinds_of(property).map(Node::Element);
        old.children.splice(0..0, kinds.collect::<Vec<_>>());
    }
    Some(old)
}

/// `<HOME/>`, `<CELL/>` and so on as parameters.
fn parameters_of(property: &Element) -> Option<Element> {
    let has = |name: &str| property.child(TEMP, name).is_some();
    let mut types = Element::new(NS, "type");
    for kind in KINDS.into_iter().filter(|kind| has(kind)) {
        push(
            &mut types,
            Some(leaf(NS, "text", &kind.to_ascii_lowercase())),
        );
    }
    let mut parameters = Element::new(NS, "parameters");
    push(
        &mut parameters,
        Some(types).filter(|types| !types.children.is_empty()),
    );
    if has("PREF") {
        push(
            &mut parameters,
            Some(wrap(NS, "pref", leaf(NS, "integer", "1"))),
        );
    }
    Some(parameters).filter(|parameters| !parameters.children.is_empty())
}

/// The other way round.
fn kinds_of(property: &Element) -> impl Iterator<Item = Element> {
    let parameters = property.child(NS, "parameters");
    let types = parameters.and_then(|parameters| parameters.child(NS, "type"));
    let types = types
        .into_iter()
        .flat_map(Element::elements)
        .map(Element::text);
    let types: Vec<String> = types.map(|text| text.trim().to_ascii_uppercase()).collect();
    let preferred = parameters.is_some_and(|parameters| parameters.child(NS, "pref").is_some());
    let kinds = KINDS
        .into_iter()
        .filter(move |kind| types.iter().any(|known| known == kind));
    let names = kinds.chain(preferred.then_some("PREF"));
    names.map(|name| Element::new(TEMP, name))
}

/// What a property of a vCard4 says, of whatever kind.
fn value_of(property: &Element) -> Option<String> {
    let mut values = property
        .elements()
        .filter(|child| child.name != "parameters");
    values.find_map(text_of)
}

/// The text of an element, if there is any.
fn text_of(element: &Element) -> Option<String> {
    let text = element.text();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn leaf(ns: &str, name: &str, text: &str) -> Element {
    let mut element = Element::new(ns, name);
    if !text.is_empty() {
        element.children.push(Node::Text(text.to_owned()));
    }
    element
}

fn wrap(ns: &str, name: &str, child: Element) -> Element {
    let mut element = Element::new(ns, name);
    element.children.push(Node::Element(child));
    element
}

fn push(parent: &mut Element, child: Option<Element>) {
    parent.children.extend(child.map(Node::Element));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XEP-0292 §12.2 and §12.3, a property at a time: what of vcard-temp becomes what, and what becomes of
    /// that again.
    const ROWS: &[(&str, &str, &str)] = &[
        (
            "<NICKNAME>psa</NICKNAME>",
            "<nickname><text>psa</text></nickname>",
            "=",
        ),
        (
            "<BDAY>1966-08-06</BDAY>",
            "<bday><date>1966-08-06</date></bday>",
            "=",
        ),
        (
            "<N><FAMILY>Saint-Andre</FAMILY><GIVEN>Peter</GIVEN><MIDDLE/></N>",
            "<n><surname>Saint-Andre</surname><given>Peter</given></n>",
            "<N><FAMILY>Saint-Andre</FAMILY><GIVEN>Peter</GIVEN></N>",
        ),
        (
            "<ADR><WORK/><PREF/><EXTADD>Suite 600</EXTADD><STREET/><CTRY>USA</CTRY></ADR>",
            "<adr><parameters><type><text>work</text></type><pref><integer>1</integer></pref></parameters>\
             <ext>Suite 600</ext><country>USA</country></adr>",
            "<ADR><WORK/><PREF/><EXTADD>Suite 600</EXTADD><CTRY>USA</CTRY></ADR>",
        ),
        (
            "<TEL><TEXT/><VOICE/><CELL/><MSG/><NUMBER>+1-720-256-6756</NUMBER></TEL>",
            "<tel><parameters><type><text>text</text><text>voice</text><text>cell</text></type></parameters>\
             <uri>tel:+1-720-256-6756</uri></tel>",
            "<TEL><TEXT/><VOICE/><CELL/><NUMBER>+1-720-256-6756</NUMBER></TEL>",
        ),
        (
            "<EMAIL><INTERNET/><USERID>stpeter@jabber.org</USERID></EMAIL>",
            "<email><text>stpeter@jabber.org</text></email>",
            "<EMAIL><USERID>stpeter@jabber.org</USERID></EMAIL>",
        ),
        (
            "<JABBERID>stpeter@jabber.org</JABBERID>",
            "<impp><uri>xmpp:stpeter@jabber.org</uri></impp>",
            "=",
        ),
        (
            "<GEO><LAT>39.59</LAT><LON>-105.01</LON></GEO>",
            "<geo><uri>geo:39.59,-105.01</uri></geo>",
            "=",
        ),
        (
            "<ORG><ORGNAME>XSF</ORGNAME><ORGUNIT>Board</ORGUNIT></ORG>",
            "<org><text>XSF</text></org>",
            "<ORG><ORGNAME>XSF</ORGNAME></ORG>",
        ),
        (
            "<URL>https://stpeter.im/</URL>",
            "<url><uri>https://stpeter.im/</uri></url>",
            "=",
        ),
        (
            "<DESC>More &amp; more</DESC>",
            "<note><text>More &amp; more</text></note>",
            "=",
        ),
        (
            "<NOTE>n</NOTE>",
            "<note><text>n</text></note>",
            "<DESC>n</DESC>",
        ),
        (
            "<KEY><CRED>k</CRED></KEY>",
            "<key><text>k</text></key>",
            "=",
        ),
        (
            "<PHOTO><EXTVAL>https://stpeter.im/i.jpg</EXTVAL></PHOTO>",
            "<photo><uri>https://stpeter.im/i.jpg</uri></photo>",
            "=",
        ),
        (
            "<TITLE>Executive Director</TITLE>",
            "<title><text>Executive Director</text></title>",
            "=",
        ),
    ];

    fn parsed(name: &str, ns: &str, content: &str) -> Element {
        Element::parse(&format!("<{name} xmlns='{ns}'>{content}</{name}>"), "").unwrap()
    }

    fn shown(element: &Element) -> String {
        let mut out = String::new();
        element.write(&mut out, &element.ns);
        out
    }

    #[test]
    fn properties_become_their_counterparts_and_themselves_again() {
        for (temp, vcard4, again) in ROWS {
            let card = parsed("vCard", TEMP, &format!("<FN>P</FN>{temp}"));
            let vcard = from_temp(&card).unwrap();
            let expected = format!("<vcard><fn><text>P</text></fn>{vcard4}</vcard>");
            assert_eq!(shown(&vcard), expected);
            let again = if *again == "=" { temp } else { again };
            let expected = format!("<vCard><FN>P</FN>{again}</vCard>");
            assert_eq!(shown(&to_temp(&vcard)), expected);
        }
    }

    #[test]
    fn what_cannot_be_said_there_is_left_out() {
        for content in [
            "",
            "<FN> </FN>",
            "<PHOTO><TYPE>image/png</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
            "<GEO><LAT>1</LAT></GEO>",
            "<TEL><HOME/></TEL>",
            "<MAILER>m</MAILER><CLASS><PUBLIC/></CLASS>",
            "<NICKNAME xmlns='other'>n</NICKNAME>",
        ] {
            let card = parsed("vCard", TEMP, content);
            assert!(from_temp(&card).is_none(), "{content}");
        }
        for content in [
            "<photo><uri>data:image/png;base64,YWJj</uri></photo>",
            "<impp><uri>irc:peter</uri></impp>",
            "<geo><uri>somewhere</uri></geo>",
            "<gender><sex><text>M</text></sex></gender>",
            "<fn><text/></fn>",
        ] {
            let card = to_temp(&parsed("vcard", NS, content));
            assert!(card.children.is_empty(), "{content}");
        }
    }

    #[test]
    fn values_of_other_kinds_are_read() {
        let card = to_temp(&parsed(
            "vcard",
            NS,
            "<bday><text>in spring</text></bday><tel><text>112</text></tel>\
             <geo><uri>geo:1,2,3;u=4</uri></geo>",
        ));
        let expected = "<vCard><BDAY>in spring</BDAY><TEL><NUMBER>112</NUMBER></TEL>\
                        <GEO><LAT>1</LAT><LON>2</LON></GEO></vCard>";
        assert_eq!(shown(&card), expected);
    }
}
