//! Namespaces as small values that point to where they are written (Namespaces in XML 1.0; RFC 6120 §4.8).

use crate::ns;

/// A piece of a frame, in bytes. Frames are far below 4 GB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Where in `text` its own piece `part` lies.
    pub(crate) fn of(part: &str, text: &str) -> Span {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        Span::new(start, start + part.len())
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A namespace name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ns {
    /// The content namespace: on every kind of stream it reads `jabber:client`.
    #[default]
    Content,
    /// In no namespace.
    None,
    /// What the prefix `xml` means.
    Xml,
    /// The default namespace around the frame, where it is none of the above.
    Around,
    /// The prefix with that place among those of the stream's header.
    Header(u16),
    /// As written in the frame.
    Frame(Span),
}

/// What is in force around a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    /// The default namespace.
    pub(crate) default: Ns,
    /// What [`Ns::Around`] reads as.
    pub(crate) named: &'a str,
    /// Prefix and namespace, in the order of declaration.
    pub(crate) prefixes: &'a [(String, String)],
    /// Whether a frame that declares a content namespace means *the* content namespace.
    pub(crate) is_content: bool,
}

impl<'a> Around<'a> {
    /// One default namespace and nothing else.
    pub(crate) fn default_ns(named: &'a str) -> Around<'a> {
        let (default, is_content) = match named {
            ns::CLIENT => (Ns::Content, true),
            "" => (Ns::None, false),
            _ => (Ns::Around, false),
        };
        Around {
            default,
            named,
            prefixes: &[],
            is_content,
        }
    }

    /// The namespace's name, where `text` is the frame.
    pub(crate) fn name(&self, ns: Ns, text: &'a str) -> &'a str {
        match ns {
            Ns::Content => ns::CLIENT,
            Ns::None => "",
            Ns::Xml => ns::XML,
            Ns::Around => self.named,
            Ns::Header(index) => self
                .prefixes
                .get(usize::from(index))
                .map_or("", |(_, name)| name),
            Ns::Frame(span) => &text[span.range()],
        }
    }
}

/// Whether it is one of the three content namespaces.
pub(crate) fn is_content(name: &str) -> bool {
    matches!(name, ns::CLIENT | ns::SERVER | ns::COMPONENT)
}
