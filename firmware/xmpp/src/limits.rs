//! What a peer may send us, with the reason for each number.

/// Bytes of one stanza from an authenticated client. RFC 6120 §13.12 asks for at least 10 000; avatars and
/// OMEMO bundles in one stanza reach a few hundred kilobytes.
pub const STANZA_BYTES_MAX: usize = 262_144;
/// Bytes of one element before authentication: nobody logs in with more.
pub const UNAUTHENTICATED_BYTES_MAX: usize = 10_000;
/// Bytes of an element at stream level that is no stanza: it becomes a tree, which takes many times that.
pub const NONZA_BYTES_MAX: usize = UNAUTHENTICATED_BYTES_MAX;
/// Elements inside one another, the stanza itself included. The deepest known protocol (jingle in a forwarded
/// message in a carbon) reaches 12.
pub const DEPTH_MAX: usize = 64;
/// Attributes of one element, namespace declarations included.
pub const ATTRIBUTES_MAX: usize = 64;
/// Bytes of an element or attribute name, prefix included.
pub const NAME_BYTES_MAX: usize = 256;
/// Direct children of a stanza that are indexed and may be told apart.
pub const CHILDREN_MAX: usize = 512;
/// Namespace prefixes declared on a stream header.
pub const STREAM_PREFIXES_MAX: usize = 16;
/// Bytes of a namespace's name. A name is repeated in memory for every element that is in it; the longest of
/// the XEPs has 70.
pub const NAMESPACE_BYTES_MAX: usize = 256;
/// Namespace declarations in force at one place of a stanza. Every name is looked up among them, so that this
/// bounds the work a stanza can cause; real stanzas have a dozen.
pub const NAMESPACES_MAX: usize = 128;
/// Fields of a data form that is submitted. The largest known one, a room's configuration, has some forty.
pub const FORM_FIELDS_MAX: usize = 128;
/// Values of all fields of a form together: a list of ids or addresses in one of them is the longest.
pub const FORM_VALUES_MAX: usize = 1_000;
/// Bytes of a stream's `xml:lang`, which is stamped on every stanza. RFC 5646 §4.4.1 shows that 35 are
/// enough.
pub const LANG_BYTES_MAX: usize = 64;

const _: () = assert!(
    UNAUTHENTICATED_BYTES_MAX >= 10_000,
    "RFC 6120 §13.12 allows no smaller limit"
);
const _: () = assert!(
    STANZA_BYTES_MAX < u32::MAX as usize,
    "offsets into a stanza are u32"
);
const _: () = assert!(
    STREAM_PREFIXES_MAX < u16::MAX as usize,
    "a prefix of the header is a u16"
);
