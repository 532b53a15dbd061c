//! Limits of the server, with the reason for each number (house rule 8).

/// Stanzas that may wait for one session. A family's busiest evening in a room of fifty stays below.
pub const OUTBOX_STANZAS_MAX: usize = 4_096;
/// Bytes that may wait for one session: what a session asked for itself (a roster, an archive page) must fit.
pub const OUTBOX_BYTES_MAX: usize = 4_194_304;
/// Stanzas that wait for one session or that it has not acknowledged, above which it gets no archive page:
/// the acknowledgements of a client that asks for many pages at once are behind its queries, so waiting for
/// them helps nothing, and a page more could cost it the connection. The last quarter is for what others
/// send.
pub const PAGE_OUTBOX_STANZAS_MAX: usize = OUTBOX_STANZAS_MAX / 4 * 3;
/// Bytes, likewise.
pub const PAGE_OUTBOX_BYTES_MAX: usize = OUTBOX_BYTES_MAX / 4 * 3;
const _: () = assert!(PAGE_OUTBOX_STANZAS_MAX + 2 * PAGE_MESSAGES_MAX < OUTBOX_STANZAS_MAX);
const _: () = assert!(PAGE_OUTBOX_BYTES_MAX + 2 * PAGE_BYTES_MAX < OUTBOX_BYTES_MAX);
/// Stanzas that may wait for a session without a connection, sent and not acknowledged ones included. A
/// quarter more than for a connected one, so that a line that is too slow can be dropped first.
pub const WAITING_STANZAS_MAX: usize = 5_120;
/// Bytes that may wait for a session without a connection, likewise.
pub const WAITING_BYTES_MAX: usize = 5_242_880;
/// Milliseconds that a session waits for its client (XEP-0198): a phone that was off for a day is back
/// without a login.
pub const SESSION_WAIT_MS_MAX: u64 = 86_400_000;
/// Sessions that are over of which the count of handled stanzas is kept, for clients that ask too late: more
/// than a household has devices.
pub const ENDED_MAX: usize = 1_024;
/// Stanzas that a session never took whose senders are told when it is over: all that one sender may have
/// sent fit into that sender's own outbox several times.
pub const BOUNCED_MAX: usize = 1_024;
const _: () = assert!(BOUNCED_MAX * 2 < OUTBOX_STANZAS_MAX, "the sender stays");
/// Stanzas that may be open until the client is asked for an acknowledgement although it was asked just now,
/// or although they are presence alone: what is kept of a login with many contacts until their client says it
/// has them.
pub const UNASKED_MAX: usize = 4;
/// Milliseconds after asking for an acknowledgement in which only [`UNASKED_MAX`] makes us ask again. A phone
/// that vanishes is found out a second later, which is nothing beside [`ACK_TIMEOUT_MS`].
pub const ASK_INTERVAL_MS: u64 = 1_000;
/// Stanzas held back from a client that nobody looks at. An evening of presence and chat states stays below;
/// above it they go out, since memory is not for them.
pub const HELD_MAX: usize = 256;
/// Places for counted stanzas that an idle session keeps.
pub const PLACES_KEPT: usize = 4;
/// Stanzas of one session that are not on disk yet, above which it is not read (DESIGN §9).
pub const UNDURABLE_MAX: usize = 256;
/// Milliseconds that an answer to a request for acknowledgement waits for the disk. XEP-0198 §4 allows no
/// other reason than a timeout, and a client gives up after some seconds.
pub const ACK_WAIT_MS_MAX: u64 = 250;
/// Milliseconds from asking for an acknowledgement to taking the line for dead. Mobile links stall for many
/// seconds; the session itself waits much longer.
pub const ACK_TIMEOUT_MS: u64 = 60_000;
/// Resources bound to one account at a time. Phone, tablet, laptop and browser, twice, and two to spare.
pub const RESOURCES_MAX: usize = 10;

const _: () = assert!(
    xmpp::limits::STANZA_BYTES_MAX * 4 < OUTBOX_BYTES_MAX,
    "several legal stanzas must fit"
);
/// How many stanzas may cause one another in a row. A subscription makes four; beyond eight two hooks feed
/// each other.
pub const ROUTED_MAX: u8 = 8;
/// Stanzas decided in one account that wait to be worked off, above which its sessions are not read. The
/// same of a room: who spoke to it, while somebody else's task works it off, is not read until it has
/// nothing left, so that nobody is kept busy with what others send.
pub const LEAVING_MAX: usize = 4_096;
/// Places in an empty queue of leaving stanzas that are kept: a chat needs one at a time, and the memory
/// of a broadcast goes back.
pub const LEAVING_KEPT: usize = 1;
/// Removals of one account that are remembered until they are on disk: of the stanzas of a few sessions that
/// were over while the disk was full. What is forgotten waits on disk as long as its session could.
pub const REMOVALS_MAX: usize = 8_192;
/// Contacts in one roster. The largest rosters seen on public servers have some hundreds.
pub const ROSTER_ITEMS_MAX: usize = 2_000;
/// Bytes of all contacts of one roster, as [`crate::roster::Item::bytes`] counts them: twice as much as a
/// full roster of ordinary names and groups. The whole roster is in memory, and goes out as one answer.
pub const ROSTER_BYTES_MAX: usize = 600_000;
const _: () = assert!(
    ROSTER_BYTES_MAX * 6 < OUTBOX_BYTES_MAX,
    "a full roster must fit, even where every character is escaped"
);
/// Subscription requests that wait for an answer, per account; further ones are dropped (RFC 6121 §3.1.3,
/// warning).
pub const REQUESTS_MAX: usize = 100;
/// Bytes of a subscription request that is kept whole; of a larger one the addresses and the id are kept.
pub const REQUEST_BYTES_MAX: usize = 4_096;
/// Contacts of one account that say to have moved and whose old accounts are being asked (XEP-0283): further
/// ones are let in by hand. A family moves house one at a time.
pub const MOVES_MAX: usize = 16;
/// Milliseconds that the old account has for its answer, until the request is shown as any other: a slow
/// server on the other side of the world needs some seconds.
pub const MOVE_ANSWER_MS_MAX: u64 = 60_000;
/// Bytes of a contact's name or of a group's: a roster is read on every login.
pub const ROSTER_NAME_BYTES_MAX: usize = 1_023;
/// Groups of one contact.
pub const ROSTER_GROUPS_MAX: usize = 50;
/// Addresses that got directed presence from one resource: rooms mostly.
pub const DIRECTED_MAX: usize = 1_000;
/// Addresses that one account blocks: far more than a person would click together.
pub const BLOCKED_MAX: usize = 1_000;
/// Bytes of all addresses that one account blocks. The list is in memory, and one row and one answer.
pub const BLOCKED_BYTES_MAX: usize = 65_536;
/// Reports of one account that are kept for the administrator; the oldest make room. A family has few.
pub const REPORTS_MAX: usize = 50;
/// Bytes of the reports of one account: they are one row, and in memory with their account.
pub const REPORTS_BYTES_MAX: usize = 65_536;
/// Reports of all accounts that are kept; the oldest make room. As many as ten people who are at their own
/// limit: more than an administrator reads.
pub const REPORTS_ALL_MAX: usize = 500;
/// Bytes of the reports of all accounts: they are read at once, and passed to the command line as one answer.
pub const REPORTS_ALL_BYTES_MAX: usize = 524_288;
const _: () = assert!(
    REPORTS_MAX < REPORTS_ALL_MAX && REPORTS_BYTES_MAX < REPORTS_ALL_BYTES_MAX,
    "one account alone stays below"
);
/// Bytes of what a reporter says in their own words; of more, the beginning is kept.
pub const REPORT_TEXT_BYTES_MAX: usize = 1_024;
/// Bytes of a report's reason: the registered ones (XEP-0377 §11.4) have less than 30.
pub const REPORT_REASON_BYTES_MAX: usize = 255;
/// Messages that one report may point at: an administrator looks at a few.
pub const REPORT_IDS_MAX: usize = 20;
/// Bytes of the address and the id in such a reference: an id of ours has less than 40.
pub const REPORT_ID_BYTES_MAX: usize = 512;
/// Messages of one account that were copied to its other devices and may still come back as an error, eight
/// bytes each: errors take seconds, and nobody sends so many in that time.
pub const COPIED_MAX: usize = 64;
/// Messages that wait for an account; of more, the oldest are left to the archive.
pub const WAITING_MAX: usize = 1_000;
/// Waiting messages read from the archive at a time.
pub const REPLAY_CHUNK: usize = 32;
/// Milliseconds after a start in which a message that the archive has already is known again (DESIGN §6):
/// after a power cut the router takes some minutes, and then every phone is back at once.
pub const RESEND_MS_MAX: u64 = 600_000;
/// Messages of one account that are known again, sixteen bytes each while the server looks for them: a client
/// without an answer stops long before.
pub const RESENDS_MAX: usize = 64;
/// Messages of an archive that are looked at for them: who gets much more than they write is seldom in the
/// middle of writing.
pub const RESEND_ROWS_MAX: usize = 1_024;
/// Bytes in an outbox below which waiting messages are fetched from the archive.
pub const OUTBOX_LOW: usize = 262_144;

/// Bytes of one vCard, picture included, in base 64: as much as fits into one stanza. Clients publish
/// pictures of 100 KB and more.
pub const VCARD_BYTES_MAX: usize = 245_760;
const _: () = assert!(
    VCARD_BYTES_MAX + 8_192 < xmpp::limits::STANZA_BYTES_MAX,
    "whoever asks for it gets it in one stanza"
);
/// Elements of private data of one account (XEP-0049): a client has a handful.
pub const PRIVATE_ELEMENTS_MAX: usize = 100;
/// Bytes of all private data of one account: bookmarks and notes on a thousand contacts are half of it.
pub const PRIVATE_BYTES_MAX: usize = 1_048_576;
const _: () = assert!(
    PRIVATE_BYTES_MAX * 2 < OUTBOX_BYTES_MAX,
    "all of it fits into one answer"
);

// --- The archive ---

/// Messages of an archive page where the client does not say: a screen, and what it scrolls to next.
pub const PAGE_MESSAGES_DEFAULT: usize = 50;
/// Messages of an archive page at most.
pub const PAGE_MESSAGES_MAX: usize = 250;
/// Bytes of the messages of an archive page, above which it ends: several pages that were asked for at once
/// fit into an outbox.
pub const PAGE_BYTES_MAX: usize = 262_144;
/// Messages looked at for one page: a search through this many takes about a tenth of a second on a desktop
/// machine, and a reader that others wait for.
pub const LOOKED_AT_MAX: usize = 20_000;
/// Ids that one query may name, so that all of them fit into one page.
pub const QUERY_IDS_MAX: usize = PAGE_MESSAGES_MAX;
/// Words of a search; each is looked for in every body.
pub const SEARCH_WORDS_MAX: usize = 16;
/// Bytes of what is searched for.
pub const SEARCH_BYTES_MAX: usize = 1_024;
/// Characters of a query's own id, which is repeated in every message of its answer.
pub const QUERY_ID_BYTES_MAX: usize = 128;
/// Contacts listed for some sixteen thousand messages of an archive (8 KB); with more of them, spam as a
/// rule, a search for one contact opens the parts of the run.
pub const SPAN_CONTACTS_MAX: usize = 1_024;
/// Addresses in the preferences of one archive, both lists together.
pub const PREFERENCES_MAX: usize = 1_000;
/// Bytes of the addresses in the preferences of one archive: they are in memory.
pub const PREFERENCES_BYTES_MAX: usize = 65_536;
/// Milliseconds between two looks for messages that are too old, where nothing was left over before.
pub const RETENTION_MS: u64 = 3_600_000;
/// Messages of one account removed at a time; three rows each, and those of the index that list them.
pub const RETENTION_MESSAGES_MAX: usize = 160;
/// Milliseconds that a message waits for its delivery, whatever its archive keeps: 60 days. Nobody who is
/// away for a summer loses anything, and an abandoned account does not keep the words of others for ever.
pub const WAITING_MS_MAX: u64 = 60 * 86_400_000;

const _: () = assert!(
    RETENTION_MESSAGES_MAX * 3 + 16 <= store::limits::SWEEP_ROWS_MAX,
    "a sweep is one small group"
);
const _: () = assert!(
    PAGE_BYTES_MAX * 4 + PAGE_MESSAGES_MAX * 1_024 < OUTBOX_BYTES_MAX,
    "several archive pages must fit"
);

// --- Publish-subscribe ---

/// Nodes of one account, and of the service: a blog with a node of comments for each of its entries is the
/// largest use known. Each is some 150 bytes in memory while its account is.
pub const PUBSUB_NODES_MAX: usize = 2_000;
/// Items of one node. What peers allow, and what `max` stands for (XEP-0060 §8.2.2).
pub const PUBSUB_ITEMS_MAX: usize = 10_000;
/// Items of all nodes of one account: 24 bytes each in memory while the account is.
pub const PUBSUB_NODE_ITEMS_MAX: usize = 50_000;
/// Bytes of one payload: what a picture of 140 KB becomes. It has to fit into a stanza with its wrapping,
/// coming and going.
pub const PUBSUB_ITEM_BYTES_MAX: usize = 200_000;
/// Bytes of all items of one account: a few hundred pictures. An account that somebody took over shall not
/// fill the card.
pub const PUBSUB_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a node's name and of an item's id: they are keys, and repeated in every event.
pub const PUBSUB_ID_BYTES_MAX: usize = 1_024;
/// Items of one request to publish: clients send one, or a handful when they move in.
pub const PUBSUB_BATCH_MAX: usize = 64;
/// Seconds after which items of a node go by themselves, at most: a century. What is to stay for longer
/// stays, as with `max` (XEP-0060 §16.4.4).
pub const PUBSUB_EXPIRE_S_MAX: u32 = 3_155_760_000;
/// Bytes of a text in a configuration, such as a title: they are in memory with their node.
pub const PUBSUB_TEXT_BYTES_MAX: usize = 1_024;
/// Groups of contacts that a configuration names: as many as a contact may be in.
pub const PUBSUB_GROUPS_MAX: usize = 50;
/// Bytes of their names together: a configuration is in memory with its node.
pub const PUBSUB_GROUPS_BYTES_MAX: usize = 4_096;
/// Subscriptions to one node: more than there are people who know a household.
pub const PUBSUB_SUBSCRIPTIONS_MAX: usize = 1_000;
/// Subscriptions of one person to one node, as several resources: each gets every event.
pub const PUBSUB_SUBSCRIPTIONS_PER_PERSON_MAX: usize = 20;
/// Affiliations with one node.
pub const PUBSUB_AFFILIATIONS_MAX: usize = 1_000;
/// Subscriptions and affiliations of all nodes of one account, which are in memory while it is: a blog that
/// a hundred people read, with a node of comments for each of two hundred entries.
pub const PUBSUB_PEOPLE_MAX: usize = 20_000;
/// Parts of the service: one person of the household may fill one of them.
pub const PUBSUB_SHARES: usize = 4;
/// Items of a list in one answer, of nodes, rooms and occupants, too; the rest is paged (XEP-0059).
pub const LIST_ITEMS_MAX: usize = 1_000;
/// Bytes of the payloads of an answer, above which it ends: what others take as one stanza.
pub const LIST_BYTES_MAX: usize = 262_144;
/// Bytes of the last items that one account sends to one resource that became available: with twenty
/// contacts a quarter of its outbox is left. What people ask to be told of is short.
pub const PUBSUB_LAST_BYTES_MAX: usize = 131_072;
/// Ids that one request may name: as many as a page of an archive has.
pub const PUBSUB_IDS_MAX: usize = 250;
/// Items removed together with what made them go; of more, the rows go later, so many at a time.
pub const PUBSUB_SWEEP_ITEMS: usize = 250;
/// Kinds of clients of which it is remembered what they ask for, over restarts: a household has a few dozen,
/// and its contacts' clients come on top.
pub const CAPABILITIES_MAX: usize = 512;
/// Bytes of what they ask for together: all of it is in memory.
pub const CAPABILITIES_BYTES_MAX: usize = 262_144;
/// Bytes of the verification string of a client and its method: 33 of SHA-1, 95 of SHA-512.
pub const CAPABILITIES_VER_BYTES_MAX: usize = 128;
/// Nodes that one client may ask for. Those known ask for up to twenty.
pub const CAPABILITIES_NODES_MAX: usize = 100;
/// Resources of contacts on other servers that one account knows to be there, for events: five each of two
/// hundred contacts.
pub const NEIGHBOURS_MAX: usize = 1_000;
/// Of those, resources of one contact: whoever shows more keeps them from others.
pub const NEIGHBOURS_PER_CONTACT_MAX: usize = 50;

/// Bytes of what a client says that it is, category and type: the registered ones have up to 30.
pub const CAPABILITIES_KIND_BYTES_MAX: usize = 64;

/// Bookmarks of one account: each that changes in a list is an event for every device.
pub const BOOKMARKS_MAX: usize = 1_000;
/// Bytes of all bookmarks of one account, in memory while the account is: a hundred for each.
pub const BOOKMARKS_BYTES_MAX: usize = 131_072;
const _: () = assert!(
    BOOKMARKS_BYTES_MAX + BOOKMARKS_MAX * 64 < PUBSUB_ITEM_BYTES_MAX,
    "the list of XEP-0048 is one item"
);
const _: () = assert!(
    BOOKMARKS_MAX * 2 < OUTBOX_STANZAS_MAX,
    "a list that changes every room is survived"
);

const _: () = assert!(
    PUBSUB_ITEM_BYTES_MAX * 5 / 4 < xmpp::limits::STANZA_BYTES_MAX
        && PUBSUB_ITEM_BYTES_MAX < LIST_BYTES_MAX,
    "an item must fit into a stanza"
);
const _: () = assert!(
    PUBSUB_LAST_BYTES_MAX * 20 < OUTBOX_BYTES_MAX,
    "a login with many contacts must fit"
);
const _: () = assert!(
    PUBSUB_IDS_MAX <= PUBSUB_SWEEP_ITEMS,
    "what was taken back by name must not come back"
);
const _: () = assert!(
    PUBSUB_SWEEP_ITEMS * 2 <= store::limits::SWEEP_ROWS_MAX,
    "a sweep is one small group"
);

// --- Rooms ---

/// Rooms of the service: what a household's rooms and their cards take in memory stays below a megabyte.
pub const ROOMS_MAX: usize = 2_000;
/// Rooms that one account made and that are still there: a family has a dozen.
pub const ROOMS_PER_ACCOUNT_MAX: usize = 100;
/// Nicknames in one room at a time. Each message and each change of presence is a stanza for every one.
pub const ROOM_OCCUPANTS_MAX: usize = 1_000;
/// Places beyond that for owners and admins, who must get into a room that somebody filled (XEP-0045 §7.2.9).
pub const ROOM_OCCUPANTS_RESERVE: usize = 10;
/// People and domains that are affiliated with one room: its members and those it banned. All are in memory
/// with the room, and one answer where they are of one kind.
pub const ROOM_AFFILIATIONS_MAX: usize = 1_000;
/// Bytes of the reason that is given for a decision about somebody, or about what somebody said: everybody in
/// the room gets it.
pub const ROOM_REASON_BYTES_MAX: usize = 512;
/// Decisions in one request: each is told to everybody in the room.
pub const ROOM_CHANGES_MAX: usize = 100;
/// Hats of one room (XEP-0317): whoever wears them all shows them all with each presence.
pub const ROOM_HATS_MAX: usize = 20;
/// People who wear one hat, there or not: what too many wear tells nobody apart.
pub const ROOM_HAT_WEARERS_MAX: usize = 100;
/// Bytes of what a hat is called: it stands beside a nickname.
pub const ROOM_HAT_TITLE_BYTES_MAX: usize = 64;
/// Bytes of the URI of a hat.
pub const ROOM_HAT_URI_BYTES_MAX: usize = 256;
/// Messages of which a room remembers that a moderator took them back, so that it need not be told twice: two
/// moderators who see the same do it within a minute.
pub const ROOM_MODERATED_MAX: usize = 64;
/// People in one room whose voice is remembered until they come back; the oldest are forgotten.
pub const ROOM_VOICES_MAX: usize = 200;
/// Milliseconds until somebody may ask the moderators or admins of a room again: they have read it by then.
pub const ROOM_ASKING_MS: u64 = 600_000;
/// People who may ask in that time: who comes under many names does not flood them.
pub const ROOM_ASKING_MAX: usize = 20;
/// Bytes of a nickname: every list of occupants shows it.
pub const ROOM_NICK_BYTES_MAX: usize = 128;
/// Bytes of what a client says in its presence, in a room where everybody gets it.
pub const ROOM_PRESENCE_BYTES_MAX: usize = 4_096;
/// Bytes of a room's name: every list of rooms shows it.
pub const ROOM_NAME_BYTES_MAX: usize = 128;
/// Bytes of a room's description, which is in memory for every room: a long sentence in any script.
pub const ROOM_DESCRIPTION_BYTES_MAX: usize = 512;
/// Bytes of a room's password: people type it.
pub const ROOM_PASSWORD_BYTES_MAX: usize = 256;
/// Addresses to write to about a room: everybody who asks what it is gets them all.
pub const ROOM_CONTACTS_MAX: usize = 20;
/// Owners, and admins, that one form names: the form shows them all, and a household has fewer people.
pub const ROOM_OWNERS_MAX: usize = 100;
/// Bytes of what is said when a room is destroyed, in its reason, its new place and the password of that:
/// everybody in it gets them.
pub const ROOM_FAREWELL_BYTES_MAX: usize = 4_096;
/// Bytes of a subject in all its languages: everybody who enters gets it.
pub const ROOM_SUBJECT_BYTES_MAX: usize = 4_096;
/// Rooms in one answer to a search (XEP-0433): each comes with its description, and the rest is paged.
pub const ROOM_SEARCH_RESULTS_MAX: usize = 100;
/// Bytes of what is searched for: some words, which are looked for in every public room.
pub const ROOM_SEARCH_BYTES_MAX: usize = 256;
/// Messages of history for whoever enters and asks for no number: what fits on a few screens.
pub const ROOM_HISTORY_DEFAULT: u32 = 20;
/// Messages of history for whoever asks for more: the archive has the rest.
pub const ROOM_HISTORY_MAX: usize = 100;
/// Messages that are read beyond that, for changes of the subject and marks of who has read what are none.
pub const ROOM_HISTORY_SPARE: usize = 20;
/// Pictures in a room's card: one in a few formats (XEP-0486 §5.1).
pub const ROOM_PICTURES_MAX: usize = 4;
/// Sessions under one nickname: devices of a person. A server of somebody else's could make up any number.
pub const ROOM_SEATS_MAX: usize = 20;
/// Private messages and invitations that a room remembers, so that what comes back finds its sender.
pub const ROOM_UNDER_WAY_MAX: usize = 256;
/// People that one message may invite.
pub const ROOM_INVITED_MAX: usize = 20;
/// People that one person may invite in [`INVITING_MS`]: as many as a large family has, twice.
pub const INVITING_MAX: u32 = 60;
/// Milliseconds after which somebody who invited so many may invite again.
pub const INVITING_MS: u64 = 600_000;
/// People who are counted for that; of more, the one that has been counted for longest is forgotten.
pub const INVITING_PEOPLE_MAX: usize = 1_000;
/// Bytes of what an invitation, or the answer to it, gives for a reason.
pub const ROOM_INVITATION_BYTES_MAX: usize = 1_024;
/// Changes of presence, nickname or being there that one person may make in one room at once: all devices of
/// somebody come back, several times over.
pub const ROOM_CHANGES_MAX_AT_ONCE: u64 = 60;
/// Milliseconds between two such changes beyond that: more often nobody becomes somebody else.
pub const ROOM_CHANGE_MS: u64 = 1_000;
/// People in one room whose changes are counted, sixteen bytes each: as many as can be there.
pub const ROOM_HASTY_MAX: usize = ROOM_OCCUPANTS_MAX;
/// Messages that are remembered for those who wait for the disk to enter. More are in the archive.
pub const ROOM_MEANWHILE_MAX: usize = 100;
/// Pages of one room's archive that one person is given at a time, whatever server they are on: a client asks
/// for one after the other, on each device.
pub const ROOM_PAGES_PER_PERSON_MAX: usize = 4;
/// Pages of one room's archive that are read at a time: a reader that others wait for is soon free again.
pub const ROOM_PAGES_MAX: usize = 64;

const _: () = assert!(
    ROOM_AFFILIATIONS_MAX * (3_071 + ROOM_REASON_BYTES_MAX + ROOM_NICK_BYTES_MAX)
        < OUTBOX_BYTES_MAX,
    "the longest list of members is one answer"
);

// --- The household ---

/// Accounts that share a room and a group of contacts (`family.rs`): each is a contact of each, and all of
/// that is written when it is switched on. A large household, or a small club.
pub const FAMILY_ACCOUNTS_MAX: usize = 100;
const _: () = assert!(
    FAMILY_ACCOUNTS_MAX * 10 < ROSTER_ITEMS_MAX,
    "other contacts have room"
);

// --- Push ---

/// Registrations of one account: each device that is remembered has one. Of more, the oldest goes.
pub const PUSHES_MAX: usize = 32;
/// Registrations of one device: the one it has, and the one it changes to. Of more, its oldest goes, or each
/// new address that its system gives it would be one more notification for every message.
pub const PUSHES_PER_DEVICE_MAX: usize = 2;
/// Bytes of the node of a push service: those known have up to 200.
pub const PUSH_NODE_BYTES_MAX: usize = 1_024;
/// Bytes of the form that goes with every notification: a secret, and a few words.
pub const PUSH_OPTIONS_BYTES_MAX: usize = 4_096;
/// Bytes of the addresses that one registration names in its filters: a thousand muted contacts.
pub const PUSH_FILTER_BYTES_MAX: usize = 32_768;
/// Addresses that one registration names in its filters: short ones cost more memory than they have bytes,
/// and each is compared with every sender.
pub const PUSH_FILTER_ADDRESSES_MAX: usize = 2_000;
/// Bytes of a message that are kept for a notification: more than any carries.
pub const PUSH_TEXT_BYTES_MAX: usize = 4_096;
/// Bytes of the id of a call: those known have up to 40. With a longer one nobody is woken.
pub const PUSH_CALL_ID_BYTES_MAX: usize = 128;
/// Bytes of an encrypted notification where its device does not say: what the services of phones carry is
/// 4 096, with the app server's own part.
pub const PUSH_PAYLOAD_BYTES: u32 = 3_000;
/// The least that a device may ask for: id and sender of a call must fit, unless that address is a monster.
pub const PUSH_PAYLOAD_BYTES_MIN: u32 = 512;
/// The most that a device may ask for.
pub const PUSH_PAYLOAD_BYTES_MAX: u32 = 4_096;
/// Milliseconds between two notifications for one device, calls aside: people write in bursts, and a phone
/// that was woken a moment ago fetches all there is.
pub const PUSH_INTERVAL_MS: u64 = 10_000;
/// Milliseconds between two notifications of calls for one device: it is ringing, and nobody who calls again
/// and again shall drain it.
pub const PUSH_CALL_INTERVAL_MS: u64 = 3_000;
/// Milliseconds that a push service has to answer: a connection to another server may have to be made first.
pub const PUSH_ANSWER_MS: u64 = 60_000;
/// Milliseconds without an acknowledgement after which a device that seemed to be there is pushed: a phone on
/// a bad line answers within some seconds, and one that is woken for nothing loses a little of its battery.
pub const PUSH_UNACKNOWLEDGED_MS: u64 = 20_000;
/// The same for calls, which do not wait.
pub const PUSH_CALL_UNACKNOWLEDGED_MS: u64 = 4_000;
/// Failures in a row, of a kind that may pass, after which a registration is given up. With the times between
/// attempts this is most of a day: a push service that was down overnight is not forgotten.
pub const PUSH_FAILURES_MAX: u32 = 24;
/// Milliseconds until a push service that failed is tried again; doubled each time after.
pub const PUSH_RETRY_MS_FIRST: u64 = 30_000;
/// Milliseconds between two attempts at most.
pub const PUSH_RETRY_MS_MAX: u64 = 3_600_000;

const _: () = assert!(
    PUSHES_MAX >= DEVICES_MAX && PUSHES_PER_DEVICE_MAX < PUSHES_MAX,
    "each device has one"
);
const _: () = assert!(
    PUSH_CALL_UNACKNOWLEDGED_MS < PUSH_UNACKNOWLEDGED_MS && PUSH_UNACKNOWLEDGED_MS < ACK_TIMEOUT_MS,
    "a device is pushed before its line is given up"
);

// --- Connections and their negotiation ---

/// Milliseconds from where a stream may begin to a bound resource. A phone on a bad line needs several round
/// trips of some seconds; a person typing a password is not among them, since clients ask before they
/// connect.
pub const NEGOTIATION_MS_MAX: u64 = 60_000;
/// Milliseconds for the TLS handshake alone, so that strangers who never speak hold a socket for a short
/// time.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 20_000;
/// Attempts at authenticating on one stream. RFC 6120 §6.4.5 wants two to five retries after the first.
pub const ATTEMPTS_MAX: u32 = 5;
/// Requests to bind a resource on one stream. RFC 6120 §7.7.3 wants five to ten retries.
pub const BINDS_MAX: u32 = 8;
/// Milliseconds without a byte in either direction after which the server sends a space, so that a dead line
/// is noticed. RFC 6120 §4.6.4 asks for five minutes at least; each one wakes a phone's radio, so three times
/// that.
pub const IDLE_MS: u64 = 900_000;
/// Bytes that wait for the socket before the stream is read again: what one answer may cost in memory, twice
/// over.
pub const OUTPUT_BYTES_PAUSE: usize = 65_536;
/// Milliseconds after which a stream that waits for the store looks again.
pub const CONGESTION_MS: u64 = 20;
/// Milliseconds in which a socket must take at least some of what is written to it. Mobile links stall for
/// many seconds in tunnels and lifts; beyond this the outbox and the archive are the better places to wait.
pub const WRITE_STALL_MS_MAX: u64 = 60_000;
/// Milliseconds that bytes in the kernel may stay unacknowledged by the peer's kernel. Linux alone would try
/// for a quarter of an hour, in which a client that signs in again and again leaves a session each time; a
/// tunnel is shorter than this.
pub const DEAD_LINE_MS: u32 = 180_000;
/// Milliseconds for a closed stream to take its last bytes and for the peer to close its side (RFC 6120
/// §4.4).
pub const CLOSE_MS_MAX: u64 = 3_000;
/// Bytes that are read from another server or a component while it takes nothing of what is written to it. It
/// may be waiting for us just so: of two that write to each other, each takes all the other has in hand.
pub const READ_AHEAD_BYTES_MAX: usize = 524_288;
const _: () = assert!(
    OUTPUT_BYTES_PAUSE + xmpp::limits::STANZA_BYTES_MAX + READ_BYTES < READ_AHEAD_BYTES_MAX
);
/// Milliseconds for all streams to take their last bytes when the server stops; the service manager is not
/// patient.
pub const SHUTDOWN_MS_MAX: u64 = 5_000;
/// Milliseconds in which nobody is accepted after the system ran out of file descriptors.
pub const ACCEPT_PAUSE_MS: u64 = 250;
/// Bytes lent for one read of a socket: one TLS record.
pub const READ_BYTES: usize = 16_384;
/// Connections that have not authenticated yet, over all addresses: some 20 MB of buffers and keys at worst.
pub const UNAUTHENTICATED_MAX: usize = 1_000;
/// Connections from one address that have not authenticated yet: a household of twenty devices behind one
/// router that all reconnect after a power cut, several times over. It also bounds guesses at a password,
/// because a connection that waits for a slowed-down answer counts.
pub const UNAUTHENTICATED_PER_ADDRESS_MAX: usize = 100;
/// Threads that may look up keys and derive them from a password at the same time.
pub const LOOKUPS_MAX: usize = 2;
/// Characters of a client's name for itself (XEP-0386 `<tag/>`) that become part of its resource.
pub const TAG_CHARS_MAX: usize = 64;
/// Devices of one account that are remembered: as many as may be connected, three times over. Of more, the
/// one that was away for longest is forgotten, and has to sign in with the password again.
pub const DEVICES_MAX: usize = 32;
/// Milliseconds for which a device that never comes back is remembered: three months, after which it says
/// nothing about who has access, and nobody's habits need to be kept (XEP-0494 §6).
pub const DEVICE_MS_MAX: u64 = 90 * 86_400_000;
/// Characters of a device's name for itself or for its software: they are shown in one line.
pub const DEVICE_NAME_CHARS_MAX: usize = 64;
/// Milliseconds for which a token is good: a phone may be left in a drawer over the holidays. Each day of use
/// brings a new one.
pub const TOKEN_MS_MAX: u64 = 30 * 86_400_000;
/// Milliseconds after which a token that is used is replaced by a new one: a stolen one is soon worth
/// nothing, and a card is not written for every tunnel a train goes through.
pub const TOKEN_ROTATION_MS: u64 = 86_400_000;
const _: () = assert!(
    TOKEN_ROTATION_MS < TOKEN_MS_MAX && TOKEN_MS_MAX <= DEVICE_MS_MAX,
    "a token is replaced before it ends, and ends before its device is forgotten"
);
const _: () = assert!(DEVICES_MAX > RESOURCES_MAX, "one of them is not connected");
/// (address, account) pairs whose failed logins are remembered, and addresses likewise: some 700 KB at worst.
pub const THROTTLE_ENTRIES_MAX: usize = 1_024;
/// Different failing names that are told apart per address: more than a household has accounts.
pub const THROTTLE_NAMES_MAX: usize = 32;
/// Milliseconds before a slowed-down failure is answered the first time; doubled each time after.
pub const THROTTLE_MS_FIRST: u64 = 1_000;
/// Milliseconds before a slowed-down failure is answered at the latest: clients give up on servers after
/// about a minute.
pub const THROTTLE_MS_MAX: u64 = 30_000;
/// Milliseconds without a failure after which earlier ones are forgotten.
pub const THROTTLE_QUIET_MS: u64 = 60_000;
/// Accounts that strangers may ask for from one address in [`REGISTRATION_MS`]: a family that sits around one
/// table. Names that somebody has count, too, so that nobody tries them all.
pub const REGISTRATIONS_PER_ADDRESS_MAX: usize = 6;
/// Accounts that strangers may ask for in [`REGISTRATION_MS`], from wherever: a household is complete with
/// these, and a crowd of machines cannot fill a card. All of them are remembered.
pub const REGISTRATIONS_MAX: usize = 30;
/// Milliseconds in which requests for accounts are counted.
pub const REGISTRATION_MS: u64 = 3_600_000;
/// Requests about registration on one stream: who reads the form and corrects some mistakes has enough.
pub const REGISTRATION_REQUESTS_MAX: u32 = 10;
/// Characters of a name that a stranger asks for: it is typed, and read aloud.
pub const REGISTERED_NAME_CHARS_MAX: usize = 64;
/// Characters of a password that somebody chooses in their app: what can be guessed is the door to all else.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Milliseconds for which an account that its owner closed can still be opened again: a week, in which a lost
/// temper or a stolen phone is found out.
pub const CLOSED_MS: u64 = 7 * 86_400_000;
/// Milliseconds for which strangers cannot have the name of a removed account: a year, in which old contacts
/// learn that there is nobody any more.
pub const FORMER_MS: u64 = 365 * 86_400_000;
/// Groups of rows of one removed account that are swept at a time, before others have a reader again.
pub const SWEEP_GROUPS_MAX: usize = 100;
/// TLS sessions kept for clients that resume without tickets (TLS 1.2 session ids): a few hundred bytes each.
pub const TLS_SESSIONS_MAX: usize = 256;
/// Bytes of a certificate chain or key file. Real ones have less than 10 000.
pub const PEM_BYTES_MAX: usize = 262_144;

const _: () = assert!(
    OUTBOX_STANZAS_MAX < WAITING_STANZAS_MAX && OUTBOX_BYTES_MAX < WAITING_BYTES_MAX,
    "a session outlives its line"
);
const _: () =
    assert!(CLOSE_MS_MAX < TLS_HANDSHAKE_MS_MAX && TLS_HANDSHAKE_MS_MAX < NEGOTIATION_MS_MAX);
const _: () = assert!(
    READ_BYTES >= xmpp::limits::UNAUTHENTICATED_BYTES_MAX,
    "a login fits into one read"
);
/// Certificates above another server's own that are looked at: real chains have one to three. A path is
/// looked for in every order of them, so each one more is several times the work: five made to be slow cost
/// a millisecond or two, seven a tenth of a second.
pub const PEER_ISSUERS_MAX: usize = 5;
/// Bytes of all certificates of another server, kept with the connection. Four with long keys and a hundred
/// names have 16 000.
pub const PEER_CERTIFICATES_BYTES_MAX: usize = 32_768;
/// Milliseconds for which the machine's authorities stay in memory unused: 70 KB, read again in no time.
pub const ROOTS_IDLE_MS: u64 = 600_000;
/// Milliseconds after which they are read again: a day, in which an update of the system takes effect.
pub const ROOTS_MS: u64 = 86_400_000;
