//! The one strict pass over a stanza: it judges every byte and notes where head and direct children lie.

use super::Kind;
use crate::{
    StreamError, limits,
    stream::Scope,
    xml::{Ns, Span, Start, Token, Walker},
};

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
    pub(super) children: Vec<IndexedChild>,
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
    let mut leans = false;
    // The child whose end tag is still to come.
    let mut start = None;
    while let Some(token) = walker.next()? {
        match token {
            Token::Start(tag) => {
                leans |= tag.leans;
                // Depth 1 is inside the stanza, and an empty tag opens nothing.
                let depth = walker.depth() + usize::from(tag.is_empty);
                if depth == 2 && tag.is_empty {
                    index.push(tag, tag.span.end, std::mem::take(&mut leans), text)?;
                } else if depth == 2 {
                    start = Some(tag);
                }
            }
            Token::End(tag) => match walker.depth() {
                0 => index.content.end = tag.start,
                1 => {
                    if let Some(start) = start.take() {
                        index.push(start, tag.end, std::mem::take(&mut leans), text)?;
                    }
                }
                _ => {}
            },
            Token::Text(_) | Token::CData(_) => {}
        }
    }
    Ok(Some(index))
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
            children: Vec::new(),
        }
    }

    fn note_head(&mut self, walker: &Walker<'_>, root: Start<'_>, text: &str) {
        self.head = root.span;
        self.content = Span {
            start: root.span.end,
            end: root.span.end,
        };
        for attribute in walker.attributes() {
            let value = Some(Span::of(attribute.value, text));
            match (attribute.prefix, attribute.local) {
                ("", "to") => self.to = value,
                ("", "from") => self.from = value,
                ("", "id") => self.id = value,
                ("", "type") => self.type_ = value,
                ("xml", "lang") => self.lang = value,
                ("", "xmlns") => {}
                ("", _) => self.has_others = true,
                _ => {}
            }
        }
    }

    fn push(
        &mut self,
        tag: Start<'_>,
        end: u32,
        leans: bool,
        text: &str,
    ) -> Result<(), StreamError> {
        if self.children.len() >= limits::CHILDREN_MAX {
            return Err(TOO_MANY_CHILDREN);
        }
        let span = Span {
            start: tag.span.start,
            end,
        };
        let name = Span::of(tag.local, text);
        self.children.push(IndexedChild {
            span,
            head: tag.span,
            name,
            ns: tag.ns,
            leans,
        });
        Ok(())
    }
}
