//! One page of an archive: what a query asks for, and what it gets.
//!
//! A page ends at its number of messages, at [`PAGE_BYTES_MAX`], or after [`LOOKED_AT_MAX`] messages that
//! had to be looked at to know whether they match. Then it says where to go on: its last id in the
//! direction of the query is that of the last message looked at, whether that is in the page or not. How
//! many match in all is told where the index knows it; a search and a full JID need a look at each
//! message, so there it is left out (XEP-0059 §2.7 allows that).

use super::{
    ENTRY, EntryRecord, PAYLOAD,
    index::{self, Member},
    walk::{Archive, Filter, Way},
};
use crate::{
    limits::{LOOKED_AT_MAX, PAGE_BYTES_MAX},
    world::Timestamp,
};
use bytes::Bytes;
use std::ops::ControlFlow;
use store::{Error, Finder};
use xmpp::{Jid, Stanza, ns};

/// XEP-0045: what the archive of a room says of whoever said something.
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";

/// What is asked for. Positions are those of this account, if they are any at all.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) with: Option<Jid>,
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
    pub(crate) after: Option<u64>,
    pub(crate) before: Option<u64>,
    /// These and no others.
    pub(crate) positions: Option<Vec<u64>>,
    /// In a room, by whom.
    pub(crate) said_by: Option<SaidBy>,
    /// Every one of these is in the body, in small letters.
    pub(crate) words: Vec<String>,
    /// Messages at most; with 0 only the count is wanted.
    pub(crate) max: usize,
    pub(crate) page: Start,
}

/// Who said something in a room, as far as the message itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SaidBy {
    /// Whoever had this occupant JID then.
    Occupant(Jid),
    /// Whoever has this real address, bare or not, of which everybody was told then.
    Known(Jid),
}

/// Where the page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    First,
    After(u64),
    Before(u64),
    Last,
}

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum PageError {
    /// A position that the query names is not in the archive.
    NotFound,
    Store(Error),
}

impl From<Error> for PageError {
    fn from(error: Error) -> PageError {
        PageError::Store(error)
    }
}

/// The messages of a page, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) messages: Vec<Kept>,
    /// Nothing matches beyond it, in the direction of the query.
    pub(crate) complete: bool,
    /// Where it begins and ends.
    pub(crate) ends: Option<(u64, u64)>,
    /// How many match before it, and in all.
    pub(crate) index: Option<u64>,
    pub(crate) count: Option<u64>,
}

/// A message of the archive.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) position: u64,
    pub(crate) stamp: Timestamp,
    /// The other side's bare JID; in a room that of whoever said it.
    pub(crate) contact: String,
    /// The stanza as one element that says its namespace.
    pub(crate) payload: Bytes,
}

impl Archive<'_> {
    /// The page that is asked for.
    pub(crate) fn page(&self, query: &Query) -> Result<Page, PageError> {
        let (filter, way) = self.narrow(query)?;
        let whole = match query.page {
            Start::First | Start::Last => filter,
            Start::After(position) => filter.after(self.shown(position)?),
            Start::Before(position) => filter.before(self.shown(position)?),
        };
        let mut search = Search::new(self, query, way)?;
        if query.max > 0 {
            self.candidates(query, &whole, way, &mut |member| search.look(member))?;
        }
        let mut page = search.finish();
        if query.is_told_by_the_index() {
            self.number(query, &filter, &mut page)?;
        }
        if query.max == 0 {
            page.complete = page.count == Some(0);
        }
        Ok(page)
    }

    /// The filter of the query, without its page, and the direction.
    fn narrow(&self, query: &Query) -> Result<(Filter, Way), PageError> {
        let mut filter = Filter {
            earliest: query.earliest,
            latest: query.latest,
            contact: query.with.as_ref().map(|with| index::hash(with.bare_str())),
            ..Filter::ALL
        };
        if let Some(after) = query.after {
            filter = filter.after(self.shown(after)?);
        }
        if let Some(before) = query.before {
            filter = filter.before(self.shown(before)?);
        }
        let way = match query.page {
            Start::First | Start::After(_) => Way::Forwards,
            Start::Last | Start::Before(_) => Way::Backwards,
        };
        Ok((filter, way))
    }

    /// The position, if a message is there that clients may know of.
    fn shown(&self, position: u64) -> Result<u64, PageError> {
        match self.entry(position)? {
            Some(entry) if entry.is_shown() => Ok(position),
            _ => Err(PageError::NotFound),
        }
    }

    fn entry(&self, position: u64) -> Result<Option<EntryRecord>, Error> {
        self.counted(ENTRY.get(self.snapshot, &(self.account, position)))
    }

    /// Those that match as far as the index knows, in order.
    fn candidates(
        &self,
        query: &Query,
        filter: &Filter,
        way: Way,
        each: &mut dyn FnMut(Member) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), PageError> {
        let Some(positions) = &query.positions else {
            let _ = self.visit(filter, way, each)?; // why it ended, `each` knows
            return Ok(());
        };
        let mut members = self.named(positions)?;
        if way == Way::Backwards {
            members.reverse();
        }
        for member in members {
            if filter.takes(&member) && each(member)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// These messages, in order and each once; all of them must be there.
    fn named(&self, positions: &[u64]) -> Result<Vec<Member>, PageError> {
        let mut positions = positions.to_vec();
        positions.sort_unstable();
        positions.dedup();
        let members = positions.into_iter().map(|position| {
            let entry = self.entry(position)?.filter(EntryRecord::is_shown);
            let entry = entry.ok_or(PageError::NotFound)?;
            Ok(entry.member(position))
        });
        members.collect()
    }

    /// How many there are in all, and before the page.
    fn number(&self, query: &Query, filter: &Filter, page: &mut Page) -> Result<(), PageError> {
        let (before, rest) = match page.messages.first() {
            Some(first) => (
                filter.before(first.position),
                filter.after(first.position - 1),
            ),
            None => (
                Filter {
                    from: 1,
                    to: 0,
                    ..*filter
                },
                *filter,
            ),
        };
        let (before, rest) = match &query.positions {
            Some(positions) => {
                let members = self.named(positions)?;
                let count = |filter: Filter| {
                    members.iter().filter(|member| filter.takes(member)).count() as u64
                };
                (count(before), count(rest))
            }
            None => (self.count(&before)?, self.count(&rest)?),
        };
        page.index = Some(before);
        page.count = Some(before + rest);
        Ok(())
    }
}

impl Query {
    /// Whether the index alone tells what matches.
    fn is_told_by_the_index(&self) -> bool {
        self.words.is_empty()
            && self.said_by.is_none()
            && self.with.as_ref().is_none_or(Jid::is_bare)
    }

    fn takes(&self, entry: &EntryRecord, payload: &[u8]) -> bool {
        let with_matches = |with: &Jid| entry.contact == with.bare_str();
        if !entry.is_shown() || !self.with.as_ref().is_none_or(with_matches) {
            return false;
        }
        if self.is_told_by_the_index() {
            return true;
        }
        let stanza = std::str::from_utf8(payload).ok();
        let Some(stanza) = stanza.and_then(|xml| Stanza::parse(xml).ok()) else {
            return false;
        };
        self.with.as_ref().is_none_or(|with| is_with(&stanza, with))
            && self.said_by.as_ref().is_none_or(|by| by.said(&stanza))
            && has(&stanza, &self.words)
    }
}

impl SaidBy {
    fn said(&self, stanza: &Stanza) -> bool {
        match self {
            SaidBy::Occupant(jid) => stanza.from().is_ok_and(|from| from.as_ref() == Some(jid)),
            SaidBy::Known(jid) => speaker(stanza).is_some_and(|real| {
                real == *jid || jid.is_bare() && real.bare_str() == jid.as_str()
            }),
        }
    }
}

/// The real address that everybody in a room was told of (XEP-0313 §6.1.2).
fn speaker(stanza: &Stanza) -> Option<Jid> {
    let x = stanza.child(ROOM_USER, "x")?.element();
    Jid::parse(x.child(ROOM_USER, "item")?.attr("jid")?).ok()
}

/// XEP-0313 §4.1.1: a full JID is compared as it is.
fn is_with(stanza: &Stanza, with: &Jid) -> bool {
    with.is_bare()
        || [stanza.from(), stanza.to()]
            .into_iter()
            .any(|address| address.is_ok_and(|address| address.as_ref() == Some(with)))
}

/// Whether the bodies of a message have every word in them.
fn has(stanza: &Stanza, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let bodies = stanza
        .children()
        .filter(|child| (child.ns(), child.name()) == (ns::CLIENT, "body"));
    let text = bodies.fold(String::new(), |text, body| text + "\n" + &body.text());
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

/// A page on the way to be full.
struct Search<'s, 'a> {
    archive: &'s Archive<'a>,
    query: &'s Query,
    way: Way,
    entries: Finder<'static, (u32, u64), EntryRecord>,
    payloads: Finder<'static, u64, Bytes>,
    messages: Vec<Kept>,
    bytes: usize,
    looked_at: usize,
    /// The last message looked at that is there.
    reached: Option<u64>,
    stopped: Stopped,
}

#[derive(PartialEq)]
enum Stopped {
    /// There was nothing more.
    AtTheEnd,
    /// The page was full, and something else matches.
    Full,
    /// It looked at too many.
    Early,
}

impl<'s, 'a> Search<'s, 'a> {
    fn new(archive: &'s Archive<'a>, query: &'s Query, way: Way) -> Result<Search<'s, 'a>, Error> {
        let backwards = way == Way::Backwards;
        Ok(Search {
            archive,
            query,
            way,
            entries: Finder::new(&ENTRY, archive.snapshot, backwards)?,
            payloads: Finder::new(&PAYLOAD, archive.snapshot, backwards)?,
            messages: Vec::new(),
            bytes: 0,
            looked_at: 0,
            reached: None,
            stopped: Stopped::AtTheEnd,
        })
    }

    fn look(&mut self, member: Member) -> Result<ControlFlow<()>, Error> {
        if self.looked_at == LOOKED_AT_MAX {
            self.stopped = Stopped::Early;
            return Ok(ControlFlow::Break(()));
        }
        self.looked_at += 1;
        let position = member.position;
        let entry = self.entries.get(&(self.archive.account, position));
        let Some(entry) = self.archive.counted(entry)? else {
            return Ok(ControlFlow::Continue(()));
        };
        let payload = self.archive.counted(self.payloads.get(&entry.payload))?;
        let Some(payload) = payload.filter(|payload| self.query.takes(&entry, payload)) else {
            self.reached = Some(position);
            return Ok(ControlFlow::Continue(()));
        };
        let bytes = self.bytes + payload.len();
        let full = self.messages.len() == self.query.max
            || (bytes > PAGE_BYTES_MAX && !self.messages.is_empty());
        if full {
            self.stopped = Stopped::Full;
            return Ok(ControlFlow::Break(()));
        }
        self.bytes = bytes;
        self.reached = Some(position);
        self.messages.push(Kept {
            position,
            stamp: entry.stamp,
            contact: entry.contact,
            payload,
        });
        Ok(ControlFlow::Continue(()))
    }

    fn finish(mut self) -> Page {
        if self.way == Way::Backwards {
            self.messages.reverse();
        }
        let (first, last) = (self.messages.first(), self.messages.last());
        let mut ends = first
            .zip(last)
            .map(|(first, last)| (first.position, last.position));
        if let (Stopped::Early, Some(reached)) = (&self.stopped, self.reached) {
            let (first, last) = ends.unwrap_or((reached, reached));
            ends = Some(match self.way {
                Way::Forwards => (first, reached),
                Way::Backwards => (reached, last),
            });
        }
        Page {
            complete: self.stopped == Stopped::AtTheEnd,
            messages: self.messages,
            ends,
            index: None,
            count: None,
        }
    }
}
