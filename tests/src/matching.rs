//! Whether what came is what a script says, compared as XML: the order of attributes and of
//! siblings, prefixes, quotes and white space between elements mean nothing.
//!
//! In what a script says, `*` stands for any value or text, `{name}` for the same value everywhere
//! (it is bound on first use), `…` in a tag for any further attributes, and `…` between elements
//! for any further content.
//!
//! What RFC 6120 leaves to the taste of a server in an error need not be said (§4.9.2, §6.5,
//! §8.3.1–2): a text, who says so, a copy of what was refused, a stream's application-specific
//! condition, and the codes of XEP-0086. Nor need it be said that a stanza is in English: the
//! clients of scripts declare that for their streams, and the server stamps it (§4.7.4). Of another
//! server it need not be said either that a message or presence has an `id` (§8.1.3), and a stanza
//! in English may leave that unsaid.

use crate::{
    filling::Bindings,
    wire::{self, Item},
};
use xmpp::{Element, element::Node, ns};

/// How `…` in a tag is called while the text is XML.
pub(crate) const FURTHER: &str = "any-further-attributes";

/// Reads what a script says is got.
pub fn read(text: &str) -> Result<Vec<Item>, String> {
    let mut xml = String::with_capacity(text.len());
    let (mut in_tag, mut quote) = (false, None);
    for c in text.chars() {
        match (in_tag, quote, c) {
            (false, _, '<') => in_tag = true,
            (true, None, '>') => in_tag = false,
            (true, None, '\'' | '"') => quote = Some(c),
            (true, Some(open), c) if open == c => quote = None,
            (true, None, '…') => {
                xml.push_str(FURTHER);
                xml.push_str("=''");
                continue;
            }
            _ => {}
        }
        xml.push(c);
    }
    wire::items(&xml)
}

/// Compares one item. The error says what differs; `bindings` are then as they were.
pub fn compare(wanted: &Item, got: &Item, bindings: &mut Bindings) -> Result<(), String> {
    match (wanted, got) {
        (Item::Declaration, Item::Declaration) | (Item::Close, Item::Close) => Ok(()),
        (Item::Element(wanted), Item::Element(got)) | (Item::Open(wanted), Item::Open(got)) => {
            let before = bindings.clone();
            compare_elements(wanted, got, bindings).inspect_err(|_| *bindings = before)
        }
        _ => Err("it is something else".into()),
    }
}

fn compare_elements(
    wanted: &Element,
    got: &Element,
    bindings: &mut Bindings,
) -> Result<(), String> {
    if wanted.name != got.name {
        return Err(format!("it is <{}/>, not <{}/>", got.name, wanted.name));
    }
    if wanted.ns != got.ns {
        return Err(format!(
            "<{}/> is in the namespace '{}', not '{}'",
            got.name, got.ns, wanted.ns
        ));
    }
    compare_attributes(wanted, got, bindings)?;
    compare_content(wanted, got, bindings)
}

fn compare_attributes(
    wanted: &Element,
    got: &Element,
    bindings: &mut Bindings,
) -> Result<(), String> {
    let name = &got.name;
    for (attribute, value) in wanted
        .attributes
        .iter()
        .filter(|(attribute, _)| attribute != FURTHER)
    {
        match got.attr(attribute) {
            None if !bindings.repeats() && is_english(attribute, value) => {}
            None => return Err(format!("<{name}/> has no attribute {attribute}")),
            Some(found) => bindings.unify(value, found).map_err(|wanted| {
                format!("attribute {attribute} of <{name}/> is '{found}', not '{wanted}'")
            })?,
        }
    }
    let has_own_id = !bindings.repeats()
        && got.ns == ns::CLIENT
        && matches!(name.as_str(), "message" | "presence");
    let unsaid = |(attribute, value): &&(String, String)| {
        wanted.attr(attribute).is_none()
            && wanted.attr(FURTHER).is_none()
            && !(is_stanza_error(got) && matches!(attribute.as_str(), "by" | "code"))
            && !(got.ns == ns::CLIENT && is_english(attribute, value))
            && !(has_own_id && attribute == "id")
    };
    match got.attributes.iter().find(unsaid) {
        Some((attribute, value)) => Err(format!("<{name}/> also has {attribute}='{value}'")),
        None => Ok(()),
    }
}

fn compare_content(wanted: &Element, got: &Element, bindings: &mut Bindings) -> Result<(), String> {
    let name = &got.name;
    let children: Vec<&Element> = wanted.elements().collect();
    let found: Vec<&Element> = got.elements().collect();
    let mut taken = vec![false; found.len()];
    if !pair(&children, &found, &mut taken, bindings) {
        return Err(explain(&children, &found, name, bindings));
    }
    let said = text(wanted, !children.is_empty());
    if said == "…" {
        return Ok(());
    }
    let unsaid = |(child, taken): (&&Element, &bool)| !taken && !may_be_unsaid(child, got);
    if let Some((child, _)) = found.iter().zip(&taken).find(|pair| unsaid(*pair)) {
        return Err(format!(
            "<{name}/> also has <{} xmlns='{}'/>",
            child.name, child.ns
        ));
    }
    let came = text(got, !found.is_empty());
    let missing = said == "*" && came.is_empty();
    let unified = if missing {
        Err(said)
    } else {
        bindings.unify(&said, &came)
    };
    unified.map_err(|said| format!("the text of <{name}/> is '{came}', not '{said}'"))
}

/// Finds a partner for each wanted child, trying them all: a variable may fit several.
fn pair(
    wanted: &[&Element],
    got: &[&Element],
    taken: &mut [bool],
    bindings: &mut Bindings,
) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return true;
    };
    for at in 0..got.len() {
        let before = bindings.clone();
        if !taken[at] && compare_elements(first, got[at], bindings).is_ok() {
            taken[at] = true;
            if pair(rest, got, taken, bindings) {
                return true;
            }
            taken[at] = false;
        }
        *bindings = before;
    }
    false
}

/// Says about the first wanted child without a partner what comes nearest to it.
fn explain(wanted: &[&Element], got: &[&Element], parent: &str, bindings: &Bindings) -> String {
    for child in wanted {
        let mut differences = got
            .iter()
            .map(|found| (found, compare_elements(child, found, &mut bindings.clone())));
        if differences
            .clone()
            .any(|(_, difference)| difference.is_ok())
        {
            continue;
        }
        let near = differences.find(|(found, _)| found.is(&child.ns, &child.name));
        return match near {
            Some((_, Err(difference))) => difference,
            _ => format!("<{parent}/> has no <{} xmlns='{}'/>", child.name, child.ns),
        };
    }
    format!("<{parent}/> has too few children")
}

/// The text directly inside; white space between elements is none.
fn text(element: &Element, trim: bool) -> String {
    let text: String = element
        .children
        .iter()
        .filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        })
        .collect();
    if trim || text.trim().is_empty() || text.trim() == "…" {
        text.trim().to_owned()
    } else {
        text
    }
}

fn is_english(attribute: &str, value: &str) -> bool {
    attribute == "xml:lang" && value == "en"
}

fn is_stanza_error(element: &Element) -> bool {
    element.is(ns::CLIENT, "error")
}

/// What a server may add to an error.
fn may_be_unsaid(child: &Element, parent: &Element) -> bool {
    let is_text = |ns: &str| child.is(ns, "text");
    if is_stanza_error(parent) {
        return is_text(ns::STANZA_ERRORS);
    }
    match (parent.ns.as_str(), parent.name.as_str()) {
        (ns::STREAMS, "error") => child.ns != ns::STREAM_ERRORS || is_text(ns::STREAM_ERRORS),
        (ns::SASL, "failure") => is_text(ns::SASL),
        (_, "failure") => child.name == "text" && child.ns == parent.ns,
        (ns::CLIENT, _) if parent.attr("type") == Some("error") => !is_stanza_error(child),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &str, got: &str) -> String {
        let wanted = read(wanted).unwrap();
        let got = wire::items(got).unwrap();
        let mut bindings = Bindings::default();
        match compare(&wanted[0], &got[0], &mut bindings) {
            Ok(()) => bindings.to_string(),
            Err(why) => why,
        }
    }

    #[test]
    fn what_is_equal_as_xml() {
        for (wanted, got) in [
            (
                "<message to='a' id='1'/>",
                "<message id=\"1\" to=\"a\"></message>",
            ),
            (
                "<iq><ping xmlns='urn:xmpp:ping'/></iq>",
                "<iq><p:ping xmlns:p='urn:xmpp:ping'/></iq>",
            ),
            (
                "<iq>\n<query xmlns='q'>\n</query>\n</iq>",
                "<iq><query xmlns='q'/></iq>",
            ),
            ("<a><b/><c/></a>", "<a><c/><b/></a>"),
            ("<a><b x='1'/><b x='*'/></a>", "<a><b x='2'/><b x='1'/></a>"),
            ("<a …><b/></a>", "<a x='1' y='2'><b/></a>"),
            ("<a>\n<b/>…</a>", "<a>text<c/><b/></a>"),
            ("<a>…</a>", "<a/>"),
            ("<a x='*'>*</a>", "<a x=''>text</a>"),
            ("<a>&lt;&#x26;</a>", "<a>&#60;&amp;</a>"),
            ("<message/>", "<message xml:lang='en'/>"),
            (
                "<message type='error'><error type='wait'><c xmlns='x'/></error></message>",
                "<message type='error'><body>hi</body><error type='wait' code='500' by='b'><c xmlns='x'/>\
              <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text></error></message>",
            ),
            (
                "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
                "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
              <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>bye</text></stream:error>",
            ),
            (
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/></failure>",
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/>\
                 <text xml:lang='en'>oh</text></failure>",
            ),
        ] {
            assert_eq!(check(wanted, got), "", "{wanted} and {got}");
        }
    }

    #[test]
    fn what_differs() {
        for (wanted, got, difference) in [
            ("<a/>", "<b/>", "it is <b/>, not <a/>"),
            (
                "<a/>",
                "<a xmlns='x'/>",
                "<a/> is in the namespace 'x', not 'jabber:client'",
            ),
            (
                "<a x='1'/>",
                "<a x='2'/>",
                "attribute x of <a/> is '2', not '1'",
            ),
            ("<a x='*'/>", "<a/>", "<a/> has no attribute x"),
            ("<a/>", "<a x='1'/>", "<a/> also has x='1'"),
            (
                "<message/>",
                "<message xml:lang='hu'/>",
                "<message/> also has xml:lang='hu'",
            ),
            (
                "<a/>",
                "<a><b xmlns='c'/></a>",
                "<a/> also has <b xmlns='c'/>",
            ),
            (
                "<a>…<b/></a>",
                "<a/>",
                "<a/> has no <b xmlns='jabber:client'/>",
            ),
            (
                "<a><b x='1'/></a>",
                "<a><b x='2'/></a>",
                "attribute x of <b/> is '2', not '1'",
            ),
            (
                "<a><b/><b/></a>",
                "<a><b/></a>",
                "<a/> has too few children",
            ),
            ("<a>*</a>", "<a/>", "the text of <a/> is '', not '*'"),
            ("<a>x</a>", "<a> x</a>", "the text of <a/> is ' x', not 'x'"),
            ("<a/>", "<a>x</a>", "the text of <a/> is 'x', not ''"),
            (
                "<a x='{m}' y='{m}'/>",
                "<a x='1' y='2'/>",
                "attribute y of <a/> is '2', not '1'",
            ),
            (
                "<message><error/></message>",
                "<message><body/><error/></message>",
                "<message/> also has <body xmlns='jabber:client'/>",
            ),
        ] {
            assert_eq!(check(wanted, got), difference, "{wanted} and {got}");
        }
    }

    #[test]
    fn variables_are_bound_on_first_use() {
        for (wanted, got, bound) in [
            ("<a x='{m}' y='{m}'/>", "<a x='1' y='1'/>", "m=1"),
            ("<a x='{m}'>{n}</a>", "<a x='1'>two</a>", "m=1 n=two"),
            // The first <b/> fits both; only one pairing leaves a partner for the second.
            (
                "<a><b x='{m}'/><b x='1'/></a>",
                "<a><b x='1'/><b x='2'/></a>",
                "m=2",
            ),
        ] {
            assert_eq!(check(wanted, got), bound, "{wanted} and {got}");
        }
    }
}
