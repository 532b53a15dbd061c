//! The one strict pass over a stanza: it judges every byte and notes where head and direct children lie.

use super::Kind;
use crate::{
    StreamError, limits,
    stream::Scope,
    xml::{Ns, Span, Start, Token, Walker},
};
use std::sync::OnceLock;

/// Where things lie in a stanza's bytes.
pub(crate) struct Index {
    pub(super) kind: Kind,
    pub(super) to: Option<Span>,
    pub(super) from: Option<Span>,
    pub(super) id: Option<Span>,
    pub(super) type_: Option<Span>,
    pub(super) lang: Option<Span>,
    /// Whether there are attributes without prefix that we do not know.
    pub(super) has_others: bool,
    /// The start tag.
    pub(super) head: Span,
    /// Everything between the tags.
    pub(super) content: Span,
    /// Not looked for yet where the stanza is of our own and nobody has asked.
    pub(super) children: OnceLock<Vec<IndexedChild>>,
}

/// A direct child.
pub(super) struct IndexedChild {
    /// From its `<` to behind its last `>`.
    pub(super) span: Span,
    /// Its start tag.
    pub(super) head: Span,
    /// Its name without prefix.
    pub(super) name: Span,
    pub(super) ns: Ns,
    /// Whether it leans on something around it and cannot be copied as it stands.
    pub(super) leans: bool,
}

const TOO_MANY_CHILDREN: StreamError =
    StreamError::POLICY_VIOLATION.with_text("the stanza has too many children");

/// Judges one whole element at stream level; `None` where it is well-formed and no stanza.
pub(crate) fn index(text: &str, scope: &Scope) -> Result<Option<Index>, StreamError> {
    let mut walker = Walker::new(text, scope.around());
    let Some(Token::Start(root)) = walker.next()? else {
        return Err(StreamError::NOT_WELL_FORMED);
    };
    if root.ns != Ns::Content {
        return Ok(None);
    }
    check_content(&walker, root, scope)?;
    let Some(kind) = Kind::of(root.local) else {
        return Ok(None);
    };
    let mut index = Index::of_nothing(kind);
    index.note_head(&walker, root, text);
    let (mut children, mut leans) = (Vec::new(), false);
    // The child whose end tag is still to come.
    let mut start = None;
    while let Some(token) = walker.next()? {
        match token {
            Token::Start(tag) => {
                leans |= tag.leans;
                // Depth 1 is inside the stanza, and an empty tag opens nothing.
                let depth = walker.depth() + usize::from(tag.is_empty);
                if depth == 2 && tag.is_empty {
                    let leans = std::mem::take(&mut leans);
                    push(&mut children, tag, tag.span.end, leans, text)?;
                } else if depth == 2 {
                    start = Some(tag);
                }
            }
            Token::End(tag) => match walker.depth() {
                0 => index.content.end = tag.start,
                1 => {
                    if let Some(start) = start.take() {
                        let leans = std::mem::take(&mut leans);
                        push(&mut children, start, tag.end, leans, text)?;
                    }
                }
                _ => {}
            },
            Token::Text(_) | Token::CData(_) => {}
        }
    }
    index.children = children.into();
    Ok(Some(index))
}

fn push(
    children: &mut Vec<IndexedChild>,
    tag: Start<'_>,
    end: u32,
    leans: bool,
    text: &str,
) -> Result<(), StreamError> {
    if children.len() >= limits::CHILDREN_MAX {
        return Err(TOO_MANY_CHILDREN);
    }
    let span = Span {
        start: tag.span.start,
        end,
    };
    children.push(IndexedChild {
        span,
        head: tag.span,
        name: Span::of(tag.local, text),
        ns: tag.ns,
        leans,
    });
    Ok(())
}

/// RFC 6120 §4.8.3: an element in another content namespace than the stream's ends the stream. §4.8.5: so
/// does a prefix for the right one.
fn check_content(walker: &Walker<'_>, root: Start<'_>, scope: &Scope) -> Result<(), StreamError> {
    let declared = walker
        .attributes()
        .find(|attribute| attribute.declares() == Some(root.prefix));
    match declared {
        Some(attribute) if attribute.value != scope.content => Err(StreamError::INVALID_NAMESPACE),
        _ if !root.prefix.is_empty() => Err(StreamError::BAD_NAMESPACE_PREFIX),
        _ => Ok(()),
    }
}

impl Index {
    /// The index of a stanza without attributes and children.
    pub(super) fn of_nothing(kind: Kind) -> Index {
        Index {
            kind,
            to: None,
            from: None,
            id: None,
            type_: None,
            lang: None,
            has_others: false,
            head: Span::default(),
            content: Span::default(),
            children: OnceLock::new(),
        }
    }

    fn note_head(&mut self, walker: &Walker<'_>, root: Start<'_>, text: &str) {
        self.head = root.span;
        self.content = Span {
            start: root.span.end,
            end: root.span.end,
        };
        for attribute in walker.attributes() {
            let value = Span::of(attribute.value, text);
            self.note(attribute.prefix, attribute.local, value);
        }
    }

    /// Notes an attribute of the start tag.
    pub(super) fn note(&mut self, prefix: &str, local: &str, value: Span) {
        match (prefix, local) {
            ("", "to") => self.to = Some(value),
            ("", "from") => self.from = Some(value),
            ("", "id") => self.id = Some(value),
            ("", "type") => self.type_ = Some(value),
            ("xml", "lang") => self.lang = Some(value),
            ("", "xmlns") => {}
            ("", _) => self.has_others = true,
            _ => {}
        }
    }
}
