//! What came, written down as a script would say it: for messages, and to fill in the answers of a
//! new script.

use crate::{filling::Bindings, wire::Item};
use std::{fmt::Write, ops::Range};
use xmpp::{Element, compose, element::Node, ns};

/// Longest line of a script that is filled in.
const LINE_CHARS_MAX: usize = 110;

/// Changes to the text of a script.
#[derive(Debug, Default)]
pub struct Answers(Vec<(Range<usize>, String)>);

impl Answers {
    /// Whether the script stays as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a text in the place of lines, counted from 1.
    pub(crate) fn replace(&mut self, lines: Range<usize>, text: String) {
        self.0.push((lines, text));
    }

    /// Puts a text before a line.
    pub(crate) fn insert(&mut self, line: usize, text: String) {
        self.0.push((line..line, text));
    }

    /// The script with the changes.
    pub fn apply(&self, source: &str) -> String {
        let mut out = String::new();
        let mut changes = self.0.iter().peekable();
        let count = source.lines().count();
        let mut skip_to = 0;
        for (number, line) in (1..).zip(source.lines().chain(["", ""])) {
            while let Some((lines, text)) = changes.next_if(|(lines, _)| lines.start <= number) {
                out.push_str(text);
                skip_to = lines.end;
            }
            if number >= skip_to && number <= count {
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }
}

/// A whole `gets`, or nothing where nothing came.
pub(crate) fn gets(who: &str, ordered: bool, items: &[Item], bindings: &Bindings) -> String {
    if items.is_empty() {
        return String::new();
    }
    let order = if ordered { "" } else { " in any order" };
    items
        .iter()
        .fold(format!("{who} gets{order}\n"), |text, item| {
            text + &block(item, Some(bindings)) + "\n"
        })
}

/// One item, indented.
pub(crate) fn block(item: &Item, bindings: Option<&Bindings>) -> String {
    match item {
        Item::Declaration => "    <?xml version='1.0'?>".into(),
        Item::Close => "    </stream:stream>".into(),
        Item::Open(element) => {
            let tag = tag(element, ns::STREAMS, bindings);
            format!("    <stream:{tag}>")
        }
        Item::Element(element) => {
            let mut out = String::new();
            write_element(&mut out, element, ns::CLIENT, 4, bindings);
            out.trim_end().to_owned()
        }
    }
}

fn write_element(
    out: &mut String,
    element: &Element,
    ns: &str,
    indent: usize,
    bindings: Option<&Bindings>,
) {
    let line = one_line(element, ns, bindings);
    let has_text = element
        .children
        .iter()
        .any(|node| matches!(node, Node::Text(text) if !text.trim().is_empty()));
    if indent + line.chars().count() <= LINE_CHARS_MAX
        || has_text
        || element.elements().next().is_none()
    {
        let _ = writeln!(out, "{:indent$}{line}", "");
        return;
    }
    let prefix = prefix(element);
    let _ = writeln!(
        out,
        "{:indent$}<{prefix}{}>",
        "",
        tag(element, ns, bindings)
    );
    let inner_ns = if prefix.is_empty() {
        element.ns.as_str()
    } else {
        ns
    };
    for child in element.elements() {
        write_element(out, child, inner_ns, indent + 2, bindings);
    }
    let _ = writeln!(out, "{:indent$}</{prefix}{}>", "", element.name);
}

fn one_line(element: &Element, ns: &str, bindings: Option<&Bindings>) -> String {
    let prefix = prefix(element);
    let mut out = format!("<{prefix}{}", tag(element, ns, bindings));
    if element.children.is_empty() {
        return out + "/>";
    }
    out.push('>');
    let inner_ns = if prefix.is_empty() {
        element.ns.as_str()
    } else {
        ns
    };
    for node in &element.children {
        match node {
            Node::Element(child) => out.push_str(&one_line(child, inner_ns, bindings)),
            Node::Text(text) => compose::escape(&mut out, &named(text, bindings)),
        }
    }
    let _ = write!(out, "</{prefix}{}>", element.name);
    out
}

/// Name and attributes; the namespace where it is not the one in force.
fn tag(element: &Element, ns: &str, bindings: Option<&Bindings>) -> String {
    let mut out = element.name.clone();
    if element.ns != ns && prefix(element).is_empty() {
        compose::attribute(&mut out, "xmlns", &element.ns);
    }
    for (name, value) in &element.attributes {
        if name == crate::matching::FURTHER {
            out.push_str(" …");
        } else {
            compose::attribute(&mut out, name, &named(value, bindings));
        }
    }
    out
}

fn prefix(element: &Element) -> &'static str {
    if element.ns == ns::STREAMS {
        "stream:"
    } else {
        ""
    }
}

/// The value, or the name in braces that is bound to it.
fn named(value: &str, bindings: Option<&Bindings>) -> String {
    bindings
        .and_then(|bindings| bindings.name_of(value))
        .unwrap_or_else(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_change_a_script() {
        let mut answers = Answers::default();
        answers.replace(2..4, "new\n".into());
        answers.insert(6, "end\n".into());
        assert_eq!(
            answers.apply("one\ntwo\nthree\nfour\nfive\n"),
            "one\nnew\nfour\nfive\nend\n"
        );
    }

    #[test]
    fn what_came_reads_like_a_script() {
        let mut bindings = Bindings::default();
        bindings.unify("{m}", "m-1").unwrap();
        let items = crate::wire::items(
            "<iq id='m-1' type='result'><query xmlns='jabber:iq:roster'><item jid='a'/></query></iq>",
        );
        assert_eq!(
            gets(
                "juliet@home.example/balcony",
                true,
                &items.unwrap(),
                &bindings
            ),
            "juliet@home.example/balcony gets\n    \
             <iq id='{m}' type='result'><query xmlns='jabber:iq:roster'><item jid='a'/></query></iq>\n"
        );
    }
}
