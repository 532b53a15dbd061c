//! The verification string of capabilities (XEP-0115 §5.1, §5.4), of an answer to disco#info.

use super::INFO;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use xmpp::{Element, form};

/// What features that matter here end with.
const NOTIFY: &str = "+notify";

/// The verification string under SHA-1. `None` where §5.4 wants the answer ignored as a whole: an identity,
/// a feature or a kind of form comes twice, or a form is of two kinds.
///
/// §9.3: in that string nothing tells a feature from an identity or a part of a form. An answer that shows
/// somebody else's features there has somebody else's string and asks for less; it counts for nobody else
/// either, so `None`.
pub(crate) fn verification(query: &Element) -> Option<String> {
    let mut s = String::new();
    let named = |name| query.elements().filter(move |child| child.is(INFO, name));
    let identity = |identity: &Element| {
        let attr = |name| identity.attr(name).unwrap_or_default();
        format!(
            "{}/{}/{}/{}",
            attr("category"),
            attr("type"),
            attr("xml:lang"),
            attr("name")
        )
    };
    each_once(&mut s, named("identity").map(identity))?;
    let feature = |feature: &Element| feature.attr("var").unwrap_or_default().to_owned();
    each_once(&mut s, named("feature").map(feature))?;
    let forms = || query.elements().filter(|child| child.is(form::NS, "x"));
    if forms().any(is_of_two_kinds) {
        return None;
    }
    let mut forms: Vec<(String, String)> = forms().filter_map(extension).collect();
    forms.sort();
    if forms.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    for (_, form) in forms {
        s.push_str(&form);
    }
    let asked_for = named("feature").filter(|feature| {
        let var = feature.attr("var");
        var.is_some_and(|var| var.ends_with(NOTIFY))
    });
    let shown = s.split('<').filter(|part| part.ends_with(NOTIFY));
    if shown.count() != asked_for.count() {
        return None;
    }
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, s.as_bytes());
    Some(STANDARD.encode(hash))
}

/// Appends what must be there once, sorted by its bytes.
fn each_once(s: &mut String, parts: impl Iterator<Item = String>) -> Option<()> {
    let mut parts: Vec<String> = parts.collect();
    parts.sort_unstable();
    for pair in parts.windows(2) {
        (pair[0] != pair[1]).then_some(())?;
    }
    for part in parts {
        push(s, &part);
    }
    Some(())
}

/// Appends a part, and what parts end with. §5.4, note: within a part that stays what it was in XML.
fn push(s: &mut String, part: &str) {
    s.push_str(&part.replace('<', "&lt;"));
    s.push('<');
}

fn is_of_two_kinds(x: &Element) -> bool {
    let kinds = x
        .elements()
        .filter(|field| field.is(form::NS, "field") && field.attr("var") == Some("FORM_TYPE"));
    let mut kinds = kinds.flat_map(values);
    let first = kinds.next();
    kinds.any(|other| Some(other) != first)
}

/// The values of a field, sorted.
fn values(field: &Element) -> Vec<String> {
    let values = field.elements().filter(|child| child.is(form::NS, "value"));
    let mut values: Vec<String> = values.map(Element::text).collect();
    values.sort_unstable();
    values
}

/// A form (XEP-0128): its kind, and what it adds, which is nothing where the kind is not hidden (§5.4, 3.6).
/// `None` for one without a kind.
fn extension(x: &Element) -> Option<(String, String)> {
    let (mut kind, mut hidden) = (None, false);
    let mut fields = Vec::new();
    for field in x.elements().filter(|child| child.is(form::NS, "field")) {
        let var = field.attr("var").unwrap_or_default();
        let values = values(field);
        if var == "FORM_TYPE" {
            hidden |= field.attr("type") == Some("hidden");
            kind = values.into_iter().next();
        } else {
            let mut text = String::new();
            push(&mut text, var);
            for value in &values {
                push(&mut text, value);
            }
            fields.push(text);
        }
    }
    fields.sort_unstable();
    let kind = kind?;
    if !hidden {
        return Some((kind, String::new()));
    }
    let mut text = String::new();
    push(&mut text, &kind);
    Some((kind, text + &fields.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inside: &str) -> Option<String> {
        let query = format!("<query xmlns='{INFO}'>{inside}</query>");
        verification(&Element::parse(&query, "jabber:client").unwrap())
    }

    #[test]
    fn the_examples_of_sections_5_2_and_5_3() {
        let features = "<feature var='http://jabber.org/protocol/caps'/>\
             <feature var='http://jabber.org/protocol/disco#info'/>\
             <feature var='http://jabber.org/protocol/disco#items'/>\
             <feature var='http://jabber.org/protocol/muc'/>";
        let simple = "<identity category='client' name='Exodus 0.9.1' type='pc'/>";
        let ver = of(&format!("{simple}{features}"));
        assert_eq!(ver.as_deref(), Some("QgayPKawpkPSDYmwT/WM94uAlu0="));
        let two = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
             <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>";
        let form = "<x xmlns='jabber:x:data' type='result'>\
             <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
             <field var='ip_version'><value>ipv4</value><value>ipv6</value></field>\
             <field var='os'><value>Mac</value></field>\
             <field var='os_version'><value>10.5.1</value></field>\
             <field var='software'><value>Psi</value></field>\
             <field var='software_version'><value>0.11</value></field></x>";
        let ver = of(&format!("{two}{features}{form}"));
        assert_eq!(ver.as_deref(), Some("q07IKJEyjvHSyhy//CH0CxmKi8w="));
    }

    #[test]
    fn what_comes_twice_is_ill_formed() {
        let identity = "<identity category='client' type='pc'/>";
        let form = "<x xmlns='jabber:x:data'>\
             <field var='FORM_TYPE' type='hidden'><value>f</value></field></x>";
        for part in [identity, "<feature var='a'/>", form] {
            assert!(of(part).is_some());
            assert_eq!(of(&part.repeat(2)), None, "{part}");
        }
        // §5.4, 3.5 comes before 3.6: also where one of the two would be ignored.
        let shown = form.replace(" type='hidden'", "");
        assert_eq!(of(&shown), of(""));
        assert_eq!(of(&format!("{form}{shown}")), None);
        let of_two = "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'>\
             <value>f</value><value>g</value></field></x>";
        assert_eq!(of(of_two), None);
    }

    #[test]
    fn nobody_speaks_for_others_who_ask_for_more() {
        let real = of(
            "<identity category='client' type='pc'/><feature var='http://a/b+notify'/>\
             <feature var='http://c/d+notify'/><feature var='urn:e+notify'/>",
        );
        assert!(real.is_some());
        // The same string, as far as its parts are not told apart: as one feature, as an identity, in a form.
        let forged = [
            "<identity category='client' type='pc'/><feature var='http://a/b+notify&lt;\
             http://c/d+notify&lt;urn:e+notify'/>",
            "<identity category='client' type='pc'/><identity category='http:' type='' xml:lang='a' \
             name='b+notify'/><feature var='http://c/d+notify'/><feature var='urn:e+notify'/>",
            "<identity category='client' type='pc'/><feature var='http://a/b+notify'/>\
             <x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>http://c/d+notify</value>\
             </field><field var='urn:e+notify'/></x>",
        ];
        for forged in forged {
            assert_ne!(of(forged), real, "{forged}");
        }
    }
}
