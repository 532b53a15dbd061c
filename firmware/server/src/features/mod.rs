//! Every protocol extension, in the order a stanza meets them.
//!
//! To add one: write its file, add its line here, write its script in `tests/scripts`. If it keeps
//! something in memory, add a line to [`PerAccount`] or [`PerResource`].

mod archive;
mod avatar;
mod bind;
pub(crate) mod blocking;
pub(crate) mod bookmarks;
mod bytestreams;
mod caps;
pub(crate) mod carbons;
mod contact_addresses;
mod csi;
mod data_policy;
mod devices;
mod disco;
mod displayed;
pub(crate) mod external_services;
mod hints;
pub(crate) mod jingle_message;
pub(crate) mod last;
pub(crate) mod mam;
pub(crate) mod management;
mod moved;
pub(crate) mod muc;
mod nick;
pub(crate) mod notification_settings;
pub(crate) mod offline;
mod outage;
mod page;
mod pep;
mod ping;
mod pre_approval;
pub(crate) mod private;
mod privileged;
mod pubsub;
pub(crate) mod push;
mod register;
pub(crate) mod reporting;
pub(crate) mod resends;
mod room_search;
mod roster;
mod stanza_ids;
mod time;
pub(crate) mod upload;
pub(crate) mod vcard;
mod vcard4;
mod version;

pub(crate) use archive::{says_nothing, worth_keeping, worth_keeping_in_room};
pub(crate) use csi::{is_encrypted, mentions};
pub(crate) use pubsub::message_to_service;

use crate::{
    account::{Cx, Resource},
    devices::Devices,
    feature::{Feature, ItemChange, On, PrivateFace, StanzaHook, Verdict, assert_disjoint},
    pubsub::{NewItem, Refusal},
};
use std::sync::LazyLock;
use store::Snapshot;
use xmpp::{Jid, Passing};

/// The order matters, and this is where it is decided.
pub(crate) const ALL: &[&Feature] = &[
    &blocking::FEATURE,   // first: a blocked stanza is neither stored nor copied
    &stanza_ids::FEATURE, // what is forged is neither kept nor copied
    &displayed::FEATURE,  // what is for the account alone goes to nobody else, resent or not
    &resends::FEATURE,    // what is kept already is neither kept nor copied again
    &displayed::PUBLISHING_FEATURE, // and what comes again was published
    &archive::FEATURE,    // what goes on, goes on with its place in the archive
    &hints::FEATURE,      // read by the archive, carbons and offline
    &jingle_message::FEATURE, // likewise, and by push
    &mam::FEATURE,
    &mam::PREFERENCES_FEATURE,
    &mam::SEARCH_FEATURE,
    &carbons::FEATURE, // behind the archive, whose ids are in the copies; who gets one counts for offline
    &push::NOBODY_THERE_FEATURE, // before offline, which takes what it is asked about
    &offline::FEATURE, // only asked when nobody was there, or told who was
    &csi::FEATURE,     // told of all copies
    &push::FEATURE,    // told by csi what is urgent
    &roster::FEATURE,
    &pre_approval::FEATURE,
    &moved::FEATURE,
    &bind::FEATURE,
    &management::FEATURE,
    &reporting::FEATURE, // read by blocking
    &privileged::FEATURE,
    &disco::FEATURE,
    &caps::FEATURE, // asks what clients want to know; read by pep
    &pep::FEATURE,
    &pep::OMEMO_FEATURE,
    &pep::PUBLIC_FEATURE,
    &pep::PRIVATE_FEATURE,
    &pubsub::FEATURE,
    &muc::FEATURE,
    &muc::OCCUPANT_ID_FEATURE,
    &muc::SELF_PING_FEATURE,
    &muc::AVATAR_FEATURE,
    &muc::HATS_FEATURE,
    &muc::COMMANDS_FEATURE,
    &muc::RETRACTION_FEATURE,
    &muc::MODERATION_FEATURE,
    &room_search::FEATURE,
    &bookmarks::FEATURE,
    &bookmarks::LIST_FEATURE,
    &bookmarks::CONVERSION_FEATURE,
    &notification_settings::FEATURE,
    &upload::FEATURE,
    &bytestreams::FEATURE,
    &external_services::FEATURE,
    &contact_addresses::FEATURE,
    &data_policy::FEATURE,
    &outage::FEATURE,
    &devices::FEATURE,
    &last::FEATURE,
    &ping::FEATURE,
    &private::FEATURE,
    &register::FEATURE,
    &time::FEATURE,
    &vcard::FEATURE,
    &vcard4::FEATURE, // they keep the card in a second form
    &nick::FEATURE,
    &avatar::FEATURE,
    &avatar::HASH_FEATURE,
    &avatar::CONVERSION_FEATURE,
    &nick::MOOD_FEATURE,
    &nick::ACTIVITY_FEATURE,
    &nick::TUNE_FEATURE,
    &version::FEATURE,
];

const _: () = assert_disjoint(ALL);

/// What features keep in memory for an account while it is loaded.
#[derive(Default)]
pub(crate) struct PerAccount {
    pub(crate) archive: crate::archive::Index,
    pub(crate) preferences: mam::Preferences,
    pub(crate) waiting: offline::Waiting,
    pub(crate) last: last::LastSeen,
    pub(crate) blocked: blocking::Blocklist,
    pub(crate) copied: carbons::Copied,
    pub(crate) devices: Devices,
    pub(crate) reports: reporting::Reports,
    pub(crate) resends: resends::Resends,
    pub(crate) photo: vcard::Photo,
    pub(crate) newer: crate::identity::Newer,
    pub(crate) private: private::Index,
    pub(crate) nodes: crate::pubsub::Nodes,
    pub(crate) bookmarks: bookmarks::Bookmarks,
    pub(crate) neighbours: crate::capabilities::Neighbours,
    pub(crate) push: crate::push::Pushes,
    pub(crate) moves: crate::presence::moved::Moves,
    pub(crate) asked: crate::component::Asked,
}

impl PerAccount {
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<PerAccount, store::Error> {
        let nodes = crate::pubsub::Nodes::load(snapshot, account)?;
        Ok(PerAccount {
            archive: crate::archive::Index::load(snapshot, account)?,
            preferences: mam::Preferences::load(snapshot, account)?,
            waiting: offline::Waiting::load(snapshot, account)?,
            last: last::LastSeen::load(snapshot, account)?,
            blocked: blocking::Blocklist::load(snapshot, account)?,
            copied: carbons::Copied::default(),
            devices: Devices::load(snapshot, account)?,
            reports: reporting::Reports::load(snapshot, account)?,
            resends: resends::Resends::default(),
            photo: vcard::Photo::load(snapshot, account)?,
            newer: crate::identity::Newer::load(snapshot, account)?,
            private: private::Index::load(snapshot, account)?,
            bookmarks: bookmarks::Bookmarks::load(snapshot, account, &nodes)?,
            nodes,
            neighbours: crate::capabilities::Neighbours::default(),
            push: crate::push::Pushes::load(snapshot, account)?,
            moves: crate::presence::moved::Moves::default(),
            asked: crate::component::Asked::default(),
        })
    }
}

/// What features keep in memory for a connected resource. Times the number of sessions.
#[derive(Default)]
pub(crate) struct PerResource {
    pub(crate) waiting: offline::Replay,
    /// The device it came from, where that is known.
    pub(crate) device: Option<crate::devices::Id>,
    /// Asked for the block list, so is told its changes (XEP-0191 §3.3).
    pub(crate) blocklist_pushes: bool,
    /// Wants copies (XEP-0280 §4).
    pub(crate) carbons: bool,
    /// Asked what there is for calls, so is told its changes (XEP-0215 §3.2).
    pub(crate) services: external_services::Asked,
    /// What its client asks for (XEP-0115).
    pub(crate) capabilities: crate::capabilities::Announced,
}

/// Whether every feature lets a stanza pass at a stage, where the router is not in between: what goes out in
/// an account's name, and what waited to come in.
pub(crate) fn passes(
    cx: &mut Cx<'_>,
    stage: fn(&Feature) -> Option<StanzaHook>,
    passing: &mut Passing,
) -> bool {
    let mut hooks = ALL.iter().filter_map(|feature| stage(feature));
    hooks.all(|hook| hook(cx, passing) == Verdict::Pass)
}

/// Somebody's presence reached an account. The commonest of all stanzas: who wants to know is looked up once.
pub(crate) fn presence_came(cx: &mut Cx<'_>, presence: &Passing) {
    type Hook = fn(&mut Cx<'_>, &Passing);
    static HOOKS: LazyLock<Vec<Hook>> =
        LazyLock::new(|| ALL.iter().filter_map(|f| f.presence_in).collect());
    for hook in HOOKS.iter() {
        hook(cx, presence);
    }
}

/// A result or an error for the account itself.
pub(crate) fn answered_us(cx: &mut Cx<'_>, answer: &Passing) {
    for hook in ALL.iter().filter_map(|feature| feature.answered) {
        hook(cx, answer);
    }
}

/// A client is about to publish items of an account; what is in the service is nobody's.
pub(crate) fn items_offered(cx: &Cx<'_>, node: &str, items: &mut [NewItem]) -> Result<(), Refusal> {
    if cx.is_service() {
        return Ok(());
    }
    let mut hooks = ALL.iter().filter_map(|feature| feature.items_offered);
    hooks.try_for_each(|hook| hook(cx, node, items))
}

/// An element of private storage that has its place elsewhere.
pub(crate) fn private_face(ns: &str, name: &str) -> Option<&'static PrivateFace> {
    let mut faces = ALL
        .iter()
        .filter_map(|feature| feature.private_face.as_ref());
    faces.find(|face| face.name == (ns, name))
}

/// An account was read from the disk.
pub(crate) fn loaded(cx: &mut Cx<'_>) {
    for hook in ALL.iter().filter_map(|feature| feature.loaded) {
        hook(cx);
    }
}

/// A client changed an item of an account, likewise.
pub(crate) fn item_changed(cx: &mut Cx<'_>, change: &ItemChange<'_>) {
    if cx.is_service() {
        return;
    }
    for hook in ALL.iter().filter_map(|feature| feature.item_changed) {
        hook(cx, change);
    }
}

/// Tells features that others may read a node of an account, or these people.
pub(crate) fn readers_changed(cx: &mut Cx<'_>, name: &str, people: &[Jid]) {
    if cx.is_service() {
        return;
    }
    for hook in ALL.iter().filter_map(|feature| feature.readers_changed) {
        hook(cx, name, people);
    }
}

/// What an entity is besides what it is first of all.
pub(crate) fn identities(on: On) -> impl Iterator<Item = (&'static str, &'static str)> {
    let identities = ALL.iter().flat_map(|f| f.identities);
    identities
        .filter(move |(at, ..)| *at == on)
        .map(|(_, category, type_)| (*category, *type_))
}

/// disco#info of the server or of an account: nobody writes this list by hand.
pub(crate) fn announced(on: On) -> impl Iterator<Item = &'static str> {
    ALL.iter()
        .flat_map(|f| f.disco)
        .filter(move |(at, _)| *at == on)
        .map(|(_, var)| *var)
}

/// What Bind 2 may turn on while it binds (XEP-0386 §4).
pub(crate) fn bind_inline() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|f| f.bind_inline).copied()
}

/// What features keep of a session that waits, by their name for it.
pub(crate) fn saved(resource: &Resource) -> Vec<(String, Vec<u8>)> {
    let saved = ALL.iter().filter_map(|feature| feature.saved.as_ref());
    saved
        .filter_map(|saved| Some((saved.name.to_owned(), (saved.save)(resource)?)))
        .collect()
}

/// Gives a session back what features kept of it.
pub(crate) fn restore(resource: &mut Resource, kept: &[(String, Vec<u8>)]) {
    for saved in ALL.iter().filter_map(|feature| feature.saved.as_ref()) {
        if let Some((_, bytes)) = kept.iter().find(|(name, _)| name == saved.name) {
            (saved.restore)(resource, bytes);
        }
    }
}

/// A restart left this session waiting, with these archive positions in its outbox.
pub(crate) fn restored(cx: &mut Cx<'_>, jid: &Jid, positions: &[u64]) {
    for hook in ALL.iter().filter_map(|feature| feature.restored) {
        hook(cx, jid, positions);
    }
}
