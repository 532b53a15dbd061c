//! What a protocol extension is, seen from the core: one constant row (DESIGN §4).
//!
//! A feature file ends in `pub(super) const FEATURE`. The row says what the extension announces, which IQ
//! payloads it answers and at which stages of a stanza's path it wants to be asked. Nothing else registers
//! it.

use crate::{
    account::{Cx, Resource},
    pubsub::{NewItem, Refusal},
    server::Server,
    session::Session,
};
use std::sync::Arc;
use store::Snapshot;
use xmpp::{Element, Entry, Jid, Passing, StanzaError, StreamError, stanza::Child};

/// Writes a stream feature, before a resource is bound or for a session that was bound with the login.
pub(crate) type StreamFeatures = fn(&Server, Option<&Session>) -> Option<String>;

/// One protocol extension. Stages are a closed set of fields; each names in whose account its hook runs.
pub(crate) struct Feature {
    pub(crate) spec: Spec,
    /// What disco#info lists, and on whom.
    pub(crate) disco: &'static [(On, &'static str)],
    pub(crate) iq: &'static [IqHandler],
    /// XML among the stream features once the client is authenticated; nothing where that does not apply
    /// any more to a session that was bound together with the login.
    pub(crate) stream_features: Option<StreamFeatures>,
    /// Elements beside stanzas that a session may send.
    pub(crate) nonza: &'static [Nonza],
    /// What Bind 2 may turn on while it binds (XEP-0386 §4): the vars of its `<inline/>`.
    pub(crate) bind_inline: &'static [&'static str],
    /// In the account of a resource that Bind 2 just bound, with its `<bind/>`: what goes into `<bound/>`.
    pub(crate) bound: Option<BoundHook>,
    /// A data form (XEP-0128) in the server's disco#info.
    pub(crate) disco_form: Option<fn(&Server) -> Option<DiscoForm>>,
    /// In the sender's account, for a stanza of any kind that its client sends to somebody, and for presence
    /// that leaves in its name: asked first of all. A refusal reaches the client at once.
    pub(crate) stanza_out: Option<StanzaHook>,
    /// In the recipient's account, for a stanza of any kind, before anything is decided about it.
    pub(crate) stanza_in: Option<StanzaHook>,
    /// In the sender's account, before the stanza is routed.
    pub(crate) message_out: Option<StanzaHook>,
    /// In the recipient's account, before resources are chosen.
    pub(crate) message_in: Option<StanzaHook>,
    /// In the recipient's account, once it is known which resources get it, perhaps none; may change what
    /// they get, and send copies to others.
    pub(crate) message_delivered: Option<DeliveredHook>,
    /// In the recipient's account, when no resource took it, not even as a copy.
    pub(crate) message_undelivered: Option<StanzaHook>,
    /// In the account of a resource, for every presence that says it is available.
    pub(crate) presence_out: Option<fn(&mut Cx<'_>, &Passing)>,
    /// In the recipient's account, for presence that says whether somebody else is available.
    pub(crate) presence_in: Option<fn(&mut Cx<'_>, &Passing)>,
    /// In an account that may see somebody's presence from now on.
    pub(crate) subscribed: Option<fn(&mut Cx<'_>, &Jid)>,
    /// In the account that asked: a result or an error for its bare JID.
    pub(crate) answered: Option<fn(&mut Cx<'_>, &Passing)>,
    /// In the account of the node: what a client is about to publish in it. It may be refused, before
    /// anything was done, or put into the form in which it is to be kept.
    pub(crate) items_offered: Option<ItemsHook>,
    /// In the account of the node: a client published an item, removed one, or removed all of a node.
    pub(crate) item_changed: Option<fn(&mut Cx<'_>, &ItemChange<'_>)>,
    /// Likewise: a node, by name, is new, gone or configured in another way, so that others may read it, or
    /// none; or, where any are named, these people in particular (bare JIDs).
    pub(crate) readers_changed: Option<fn(&mut Cx<'_>, &str, &[Jid])>,
    /// An element of private storage (XEP-0049) that has its place elsewhere.
    pub(crate) private_face: Option<PrivateFace>,
    /// In an account that was just read from the disk, before anybody asks it anything.
    pub(crate) loaded: Option<fn(&mut Cx<'_>)>,
    /// What else an entity is (XEP-0030 §3.1): category and type.
    pub(crate) identities: &'static [(On, &'static str, &'static str)],
    /// In the account of a resource that just sent initial presence.
    pub(crate) available: Option<fn(&mut Cx<'_>, &Jid)>,
    /// In the account of a resource whose presence session ends (RFC 6121 §4.5).
    pub(crate) unavailable: Option<fn(&mut Cx<'_>, &Jid, &Passing)>,
    /// In the account that a client's stanza was written to: these archive positions reached its socket.
    pub(crate) written: Option<fn(&mut Cx<'_>, &Jid, &[u64])>,
    /// In the account of a session that lost its line and waits for another.
    pub(crate) waits: Option<fn(&mut Cx<'_>, &Jid)>,
    /// In the account of a session that is gone, while it is still listed.
    pub(crate) gone: Option<fn(&mut Cx<'_>, &Jid)>,
    /// In the account of a session that a restart left waiting, with the archive positions it carries.
    pub(crate) restored: Option<fn(&mut Cx<'_>, &Jid, &[u64])>,
    /// What it remembers of a session while that waits, over a restart.
    pub(crate) saved: Option<Saved>,
    /// In an account of which the disk refused something, when it works again: queues everything that the
    /// feature keeps with [`Cx::write_soon`].
    pub(crate) written_anew: Option<fn(&mut Cx<'_>)>,
}

/// How a feature's memory of a session gets to disk and back.
pub(crate) struct Saved {
    /// In the stored session; never changes.
    pub(crate) name: &'static str,
    /// `None` for what a new session has anyway.
    pub(crate) save: fn(&Resource) -> Option<Vec<u8>>,
    pub(crate) restore: fn(&mut Resource, &[u8]),
}

impl Feature {
    /// Hooks into nothing. Rows name what they use: `Feature { iq: &[…], ..Feature::NONE }`.
    pub(crate) const NONE: Feature = Feature {
        spec: Spec::Rfc(6121),
        disco: &[],
        iq: &[],
        stream_features: None,
        nonza: &[],
        bind_inline: &[],
        bound: None,
        disco_form: None,
        stanza_out: None,
        stanza_in: None,
        message_out: None,
        message_in: None,
        message_delivered: None,
        message_undelivered: None,
        presence_out: None,
        presence_in: None,
        subscribed: None,
        answered: None,
        items_offered: None,
        item_changed: None,
        readers_changed: None,
        private_face: None,
        loaded: None,
        identities: &[],
        available: None,
        unavailable: None,
        written: None,
        waits: None,
        gone: None,
        restored: None,
        saved: None,
        written_anew: None,
    };
}

/// Where a feature is specified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    Rfc(u16),
    /// Number, version, name.
    Xep(u16, &'static str, &'static str),
    /// Something of ours that no document describes.
    Own(&'static str),
}

/// Whose disco#info carries a feature, and whom an IQ is addressed to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum On {
    /// The domain.
    Server,
    /// The domain, asked by somebody who has no account here, for what only an account can be told: some
    /// specifications say how that is refused.
    Stranger,
    /// The sender's own bare JID, or no `to` at all.
    OwnAccount,
    /// Another bare JID of ours.
    OtherAccount,
    /// A resource that does not share presence with the sender, if there is such a resource at all (RFC 6121
    /// §8.5.3.1): the request does not reach it, and some specifications say how it is refused.
    HiddenResource,
    /// A bare JID that nobody has.
    NoAccount,
    /// The publish-subscribe service of the domain.
    PubsubService,
    /// The service that has the rooms.
    RoomService,
    /// The service that takes files.
    UploadService,
    /// The proxy for files from app to app.
    ProxyService,
    /// A room.
    Room,
    /// An address that a room could have, and none has.
    NoRoom,
    /// A room that keeps what is said in it: what disco#info lists on top.
    RoomArchive,
}

pub(crate) type StanzaHook = fn(&mut Cx<'_>, &mut Passing) -> Verdict;
/// Told who gets it (full JIDs); later stages never work out routing again. May set what each copy carries.
pub(crate) type DeliveredHook = fn(&mut Cx<'_>, &Passing, &mut Delivery<'_>);

pub(crate) type ItemsHook = fn(&Cx<'_>, &str, &mut [NewItem]) -> Result<(), Refusal>;

pub(crate) type BoundHook = fn(&mut Cx<'_>, &Arc<Session>, &Element) -> Option<String>;

/// An element beside the stanzas, and what it does in the account of the session that sent it.
pub(crate) struct Nonza {
    /// Namespace and name.
    pub(crate) name: (&'static str, &'static str),
    /// Gives the answer, as XML, or nothing. An error ends the stream.
    pub(crate) hook: fn(&mut Cx<'_>, &Arc<Session>, &Element) -> Result<String, StreamError>,
}

/// The outcome of choosing resources, before the copies leave.
pub(crate) struct Delivery<'a> {
    /// Full JIDs of the resources that get the message.
    pub(crate) receivers: &'a [Jid],
    /// What each of them gets.
    pub(crate) entry: &'a mut Entry,
    /// Other resources, and what they get to know about the message.
    pub(crate) copies: Vec<(Jid, Entry)>,
    /// Resources whose turn comes later: the feature that holds the message back sends it.
    pub(crate) held_back: Vec<Jid>,
}

/// What a client did to an item of its account (XEP-0163). Features that act on it publish through
/// [`Cx::publish`], of which no feature is told.
pub(crate) struct ItemChange<'a> {
    pub(crate) node: &'a str,
    /// Empty where all items of the node are gone, with it or without.
    pub(crate) id: &'a str,
    /// XML that stands by itself; `None` where the item is gone.
    pub(crate) payload: Option<&'a str>,
    /// The same request changes further items, of which this is told next.
    pub(crate) more: bool,
}

/// How an element of private storage is read and written that is not kept there.
pub(crate) struct PrivateFace {
    /// Namespace and name.
    pub(crate) name: (&'static str, &'static str),
    /// As XML that stands by itself; `None` where there is none.
    pub(crate) read: fn(&Cx<'_>) -> Option<String>,
    /// Puts another in its place, or does nothing and says why.
    pub(crate) put: fn(&mut Cx<'_>, &Element) -> Result<(), StanzaError>,
}

/// An IQ request in front of its handler.
pub(crate) struct Iq<'a> {
    pub(crate) passing: &'a Passing,
    pub(crate) payload: Child<'a>,
}

/// The payload of the result as XML, or the refusal.
pub(crate) type Answer = Result<String, StanzaError>;

/// What a request is answered with.
pub(crate) enum Reply {
    Done(String),
    /// The rest is done: what is not, as XML, and why (XEP-0060 §8.8.2.4).
    DoneInPart(String, StanzaError),
    Refused(StanzaError),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        answer.map_or_else(Reply::Refused, Reply::Done)
    }
}

/// Where a handler runs, told by its type.
#[derive(Clone, Copy)]
pub(crate) enum IqHook {
    /// Under the addressee's lock: memory only, effects are noted. The result waits for the writes it caused.
    Account(fn(&mut Cx<'_>, &Iq<'_>) -> Answer),
    /// The same, for a list of which some may be done and some not.
    List(fn(&mut Cx<'_>, &Iq<'_>) -> Reply),
    /// Without any account.
    Server(fn(&Server, &Iq<'_>) -> Answer),
    /// Authorised under the addressee's lock, then read from the disk, off the threads that route. The
    /// session's next stanza waits for it; from elsewhere, what leaves the asking account next.
    Reads(fn(&mut Cx<'_>, &Iq<'_>) -> Result<Plan, StanzaError>),
}

/// What is to be read, on a snapshot that holds everything decided in the account before it was asked.
pub(crate) type Plan = Box<dyn FnOnce(&Snapshot) -> Result<Read, StanzaError> + Send>;

/// What was read, for whoever asked.
pub(crate) struct Read {
    /// They go before the result, to whoever asked. The plan bounds them.
    pub(crate) stanzas: Vec<Entry>,
    pub(crate) reply: Reply,
}

impl Read {
    /// A result, its payload as XML, that needs no stanzas before it.
    pub(crate) fn of(result: String) -> Read {
        Read::reply(Reply::Done(result))
    }

    /// Likewise, whatever is answered.
    pub(crate) fn reply(reply: Reply) -> Read {
        Read {
            stanzas: Vec::new(),
            reply,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct IqHandler {
    pub(crate) on: On,
    pub(crate) type_: &'static str,
    pub(crate) payload: (&'static str, &'static str),
    pub(crate) hook: IqHook,
}

pub(crate) const fn get(
    on: On,
    payload: (&'static str, &'static str),
    answer: fn(&mut Cx<'_>, &Iq<'_>) -> Answer,
) -> IqHandler {
    IqHandler {
        on,
        type_: "get",
        payload,
        hook: IqHook::Account(answer),
    }
}

pub(crate) const fn set(
    on: On,
    payload: (&'static str, &'static str),
    answer: fn(&mut Cx<'_>, &Iq<'_>) -> Answer,
) -> IqHandler {
    IqHandler {
        on,
        type_: "set",
        payload,
        hook: IqHook::Account(answer),
    }
}

/// A list of changes, each for itself.
pub(crate) const fn set_list(
    on: On,
    payload: (&'static str, &'static str),
    answer: fn(&mut Cx<'_>, &Iq<'_>) -> Reply,
) -> IqHandler {
    IqHandler {
        on,
        type_: "set",
        payload,
        hook: IqHook::List(answer),
    }
}

/// A request that is refused, whoever asks.
pub(crate) const fn refuse(
    on: On,
    type_: &'static str,
    payload: (&'static str, &'static str),
    refusal: fn(&Server, &Iq<'_>) -> Answer,
) -> IqHandler {
    IqHandler {
        on,
        type_,
        payload,
        hook: IqHook::Server(refusal),
    }
}

/// A `get` that needs no account: to the domain, or to an address nobody has.
pub(crate) const fn get_server(
    on: On,
    payload: (&'static str, &'static str),
    answer: fn(&Server, &Iq<'_>) -> Answer,
) -> IqHandler {
    IqHandler {
        on,
        type_: "get",
        payload,
        hook: IqHook::Server(answer),
    }
}

/// A data form of disco#info: its FORM_TYPE, and fields with type and values.
pub(crate) struct DiscoForm {
    pub(crate) form_type: &'static str,
    pub(crate) fields: Vec<(&'static str, &'static str, Vec<String>)>,
}

/// What a hook decides about the stanza in front of it. Effects are noted in [`Cx`], never returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on to the next feature.
    Pass,
    /// It ends here, and the sender is not told.
    Drop,
    /// It ends here, and the sender gets this error.
    Refuse(StanzaError),
    /// It ends here because this feature now answers for it.
    Taken,
}

/// What is spoken below the features, on the way to a session, and by several of them.
const BELOW: [Spec; 19] = [
    Spec::Xep(4, "2.13.2", "Data Forms"),
    Spec::Xep(59, "1.0", "Result Set Management"),
    Spec::Xep(82, "1.1.1", "XMPP Date and Time Profiles"),
    Spec::Xep(114, "1.6", "Jabber Component Protocol"),
    Spec::Xep(
        124,
        "1.11.2",
        "Bidirectional-streams Over Synchronous HTTP (BOSH)",
    ),
    Spec::Xep(
        178,
        "1.2",
        "Best Practices for Use of SASL EXTERNAL with Certificates",
    ),
    Spec::Xep(185, "1.0", "Dialback Key Generation and Validation"),
    Spec::Xep(203, "2.0", "Delayed Delivery"),
    Spec::Xep(206, "1.4", "XMPP Over BOSH"),
    Spec::Xep(220, "1.1.1", "Server Dialback"),
    Spec::Xep(288, "1.0.1", "Bidirectional Server-to-Server Connections"),
    Spec::Xep(368, "1.1.0", "SRV records for XMPP over TLS"),
    Spec::Xep(386, "1.1.0", "Bind 2"),
    Spec::Xep(388, "1.0.4", "Extensible SASL Profile"),
    Spec::Xep(440, "1.0.0", "SASL Channel-Binding Type Capability"),
    Spec::Xep(474, "0.5.0", "SASL SCRAM Downgrade Protection"),
    Spec::Xep(478, "0.2.0", "Stream Limits Advertisement"),
    Spec::Xep(484, "0.2.0", "Fast Authentication Streamlining Tokens"),
    Spec::Xep(509, "0.2.0", "Initial Authentication Pipelining"),
];

/// Every specification that is spoken, for the README's table.
pub fn specs() -> impl Iterator<Item = Spec> {
    crate::features::ALL
        .iter()
        .map(|feature| feature.spec)
        .chain(BELOW)
}

/// Two features answering the same IQ is a mistake the compiler reports, not a surprise at runtime.
pub(crate) const fn assert_disjoint(all: &[&Feature]) {
    let mut a = 0;
    while a < all.len() {
        let mut b = a + 1;
        while b < all.len() {
            assert!(
                !overlap(all[a].iq, all[b].iq),
                "two features answer the same IQ payload"
            );
            b += 1;
        }
        a += 1;
    }
}

const fn overlap(a: &[IqHandler], b: &[IqHandler]) -> bool {
    let mut i = 0;
    while i < a.len() {
        let mut j = 0;
        while j < b.len() {
            let (x, y) = (&a[i], &b[j]);
            if x.on as u8 == y.on as u8
                && equal(x.type_, y.type_)
                && equal(x.payload.0, y.payload.0)
                && equal(x.payload.1, y.payload.1)
            {
                return true;
            }
            j += 1;
        }
        i += 1;
    }
    false
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
