//! The archive against a plain list of messages, and how few rows it reads of a long one.

use super::{
    walk::{Filter, Way},
    *,
};
use index::{BLOCK_ENTRIES, SPAN_BLOCKS};
use std::{cell::Cell, ops::ControlFlow, sync::Arc};
use store::{Options, Store, Urgency, Value, disk::SimDisk};

const ACCOUNT: u32 = 7;
const START: u64 = 1 << 40;

/// Numbers that look random and are the same in every run.
struct Numbers(Cell<u64>);

impl Numbers {
    fn below(&self, end: u64) -> u64 {
        let next = self
            .0
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0.set(next);
        (next >> 33) % end
    }

    fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug)]
struct Said {
    position: u64,
    stamp: u64,
    contact: String,
    body: String,
}

struct World {
    store: Arc<Store>,
    index: Index,
    said: Vec<Said>,
    next: u64,
}

impl World {
    fn new() -> World {
        World {
            store: Store::open(Arc::new(SimDisk::new()), Options::default()).unwrap(),
            index: Index::default(),
            said: Vec::new(),
            next: START,
        }
    }

    fn keep(&mut self, contact: &str, stamp: u64, body: &str, kind: EntryKind) {
        let position = self.next;
        let (from, own) = (format!("{contact}/phone"), "juliet@home.example");
        let xml = format!(
            "<message xmlns='jabber:client' from='{from}' to='{own}'><body>{body}</body></message>"
        );
        let record = EntryRecord {
            stamp,
            contact: contact.to_owned(),
            kind,
            payload: position,
            bytes: xml.len() as u32,
        };
        let mut writes = vec![
            PAYLOAD.put(&position, &Bytes::from(xml)),
            ENTRY.put(&(ACCOUNT, position), &record),
        ];
        if record.is_shown() {
            let member = record.member(position);
            let full = self.index.add(ACCOUNT, member, u64::from(record.bytes));
            writes.extend(full.into_iter().flatten());
            self.said.push(Said {
                position,
                stamp,
                contact: contact.to_owned(),
                body: body.to_owned(),
            });
        }
        self.store.queue(writes, Urgency::Now);
    }

    /// A life with friends, one rare one among them, a clock that jumps, and messages that only wait.
    fn live(&mut self, messages: u64, numbers: &Numbers) {
        let mut now = 1_790_000_000_000;
        for n in 0..messages {
            now += numbers.below(90_000);
            if numbers.one_in(700) {
                now -= 3_600_000;
            }
            let contact = match numbers.below(40) {
                0 if numbers.one_in(20) => "rare@far.example".to_owned(),
                x => format!("friend{}@home.example", x % 5),
            };
            let kind = match numbers.below(30) {
                0 => EntryKind::Temporary,
                x if x % 2 == 0 => EntryKind::Sent,
                _ => EntryKind::Received,
            };
            let body = format!("word{} in {n} Ünnep", n % 17);
            self.keep(&contact, now, &body, kind);
            self.next += 1 + numbers.below(3);
            if n % 500 == 0 {
                while self.store.turn() {}
            }
        }
        while self.store.turn() {}
    }

    fn page(&self, query: &Query) -> Result<Page, PageError> {
        let snapshot = self.store.snapshot().unwrap();
        Archive::new(&snapshot, ACCOUNT, &self.index).page(query)
    }

    /// What the page is by the plain list.
    fn expected(&self, query: &Query) -> (Vec<u64>, bool, usize, usize) {
        let in_set = |said: &&Said| {
            query
                .with
                .as_ref()
                .is_none_or(|with| with.bare_str() == said.contact)
                && (query.earliest..=query.latest).contains(&said.stamp)
                && query.after.is_none_or(|after| said.position > after)
                && query.before.is_none_or(|before| said.position < before)
                && query
                    .positions
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&said.position))
                && query
                    .words
                    .iter()
                    .all(|word| said.body.to_lowercase().contains(word))
        };
        let set: Vec<u64> = self
            .said
            .iter()
            .filter(in_set)
            .map(|said| said.position)
            .collect();
        let (backwards, rest): (bool, Vec<u64>) = match query.page {
            Start::First => (false, set.clone()),
            Start::Last => (true, set.clone()),
            Start::After(at) => (false, set.iter().copied().filter(|p| *p > at).collect()),
            Start::Before(at) => (true, set.iter().copied().filter(|p| *p < at).collect()),
        };
        let complete = rest.len() <= query.max;
        let skip = if backwards {
            rest.len().saturating_sub(query.max)
        } else {
            0
        };
        let page: Vec<u64> = rest.into_iter().skip(skip).take(query.max).collect();
        let first = page.first();
        let index = first.map_or(0, |first| set.iter().filter(|p| *p < first).count());
        (page, complete, index, set.len())
    }

    fn check(&self, query: &Query) {
        let page = self.page(query).unwrap();
        let (positions, complete, index, count) = self.expected(query);
        let got: Vec<u64> = page.messages.iter().map(|kept| kept.position).collect();
        assert_eq!(got, positions, "{query:?}");
        assert_eq!(page.complete, complete, "{query:?}");
        let ends = positions.first().copied().zip(positions.last().copied());
        assert_eq!(page.ends, ends, "{query:?}");
        if query.words.is_empty() {
            let told = (page.index, page.count);
            assert_eq!(told, (Some(index as u64), Some(count as u64)), "{query:?}");
        }
    }
}

fn everything(max: usize, page: Start) -> Query {
    Query {
        with: None,
        earliest: 0,
        latest: u64::MAX,
        after: None,
        before: None,
        positions: None,
        said_by: None,
        words: Vec::new(),
        max,
        page,
    }
}

fn some_query(world: &World, numbers: &Numbers) -> Query {
    let any = || &world.said[numbers.below(world.said.len() as u64) as usize];
    let page = match numbers.below(4) {
        0 => Start::First,
        1 => Start::Last,
        2 => Start::After(any().position),
        _ => Start::Before(any().position),
    };
    let mut query = everything(1 + numbers.below(60) as usize, page);
    if numbers.one_in(2) {
        query.with = Jid::parse(&any().contact).ok();
    }
    if numbers.one_in(10) {
        query.with =
            Jid::parse(["rare@far.example", "nobody@far.example"][numbers.below(2) as usize]).ok();
    }
    if numbers.one_in(3) {
        query.earliest = any().stamp;
    }
    if numbers.one_in(3) {
        query.latest = any().stamp;
    }
    if numbers.one_in(4) {
        query.after = Some(any().position);
    }
    if numbers.one_in(4) {
        query.before = Some(any().position);
    }
    if numbers.one_in(6) {
        query.positions = Some((0..20).map(|_| any().position).collect());
    }
    if numbers.one_in(10) {
        query.words = vec![format!("word{}", numbers.below(17)), "ünnep".into()];
    }
    query
}

#[test]
fn pages_are_those_of_a_plain_list() {
    let numbers = Numbers(Cell::new(1));
    let mut world = World::new();
    for stage in [0, 40, 400, 3_000, 16_384] {
        world.live(stage, &numbers);
        let snapshot = world.store.snapshot().unwrap();
        assert_eq!(
            Index::load(&snapshot, ACCOUNT).unwrap(),
            world.index,
            "{stage}"
        );
        let bytes: u64 = bytes(&snapshot, ACCOUNT).unwrap();
        assert!(bytes >= world.said.len() as u64 * 100);
        drop(snapshot);
        world.check(&everything(10, Start::First));
        world.check(&everything(10, Start::Last));
        for _ in 0..if world.said.is_empty() { 0 } else { 150 } {
            world.check(&some_query(&world, &numbers));
        }
    }
    assert!(
        world.said.len() as u64 > BLOCK_ENTRIES * u64::from(SPAN_BLOCKS),
        "a span was full"
    );
}

#[test]
fn a_walk_by_pages_meets_everything_once() {
    let numbers = Numbers(Cell::new(2));
    let mut world = World::new();
    world.live(2_000, &numbers);
    let all: Vec<u64> = world.said.iter().map(|said| said.position).collect();
    for (mut page, forwards) in [(Start::First, true), (Start::Last, false)] {
        let mut met = Vec::new();
        loop {
            let got = world.page(&everything(37, page)).unwrap();
            let positions: Vec<u64> = got.messages.iter().map(|kept| kept.position).collect();
            let (first, last) = got.ends.unwrap();
            if forwards {
                met.extend(positions);
                page = Start::After(last);
            } else {
                met.splice(0..0, positions);
                page = Start::Before(first);
            }
            if got.complete {
                break;
            }
        }
        assert_eq!(met, all);
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut world = World::new();
    world.keep("a@b", 1, "shown", EntryKind::Received);
    world.next += 1;
    world.keep("a@b", 1, "hidden", EntryKind::Temporary);
    while world.store.turn() {}
    let hidden = world.next;
    for position in [0, hidden, hidden + 1, u64::MAX] {
        let plain = everything(1, Start::First);
        for query in [
            Query {
                page: Start::After(position),
                ..plain.clone()
            },
            Query {
                page: Start::Before(position),
                ..plain.clone()
            },
            Query {
                after: Some(position),
                ..plain.clone()
            },
            Query {
                before: Some(position),
                ..plain.clone()
            },
            Query {
                positions: Some(vec![START, position]),
                ..plain.clone()
            },
        ] {
            let page = world.page(&query);
            assert!(matches!(page, Err(PageError::NotFound)), "{query:?}");
        }
    }
    let counted = world.page(&everything(0, Start::First)).unwrap();
    assert_eq!(
        (counted.count, counted.complete, counted.messages.len()),
        (Some(1), false, 0)
    );
}

#[test]
fn with_a_full_jid_is_that_resource_alone() {
    let mut world = World::new();
    world.keep("a@b", 1, "one", EntryKind::Received);
    while world.store.turn() {}
    for (with, expected) in [("a@b/phone", 1), ("a@b/laptop", 0), ("a@b", 1)] {
        let with = Jid::parse(with).ok();
        let page = world
            .page(&Query {
                with,
                ..everything(9, Start::First)
            })
            .unwrap();
        assert_eq!(page.messages.len(), expected);
        assert!(page.complete);
    }
}

#[test]
fn a_page_ends_at_its_bytes() {
    let mut world = World::new();
    let body = "x".repeat(100_000);
    for _ in 0..4 {
        world.keep("a@b", 1, &body, EntryKind::Received);
        world.next += 1;
    }
    while world.store.turn() {}
    let page = world.page(&everything(10, Start::First)).unwrap();
    assert_eq!(
        (page.messages.len(), page.complete, page.count),
        (2, false, Some(4))
    );
    let rest = Start::After(page.ends.unwrap().1);
    let page = world.page(&everything(10, rest)).unwrap();
    assert_eq!(
        (page.messages.len(), page.complete, page.index),
        (2, true, Some(2))
    );
}

/// A search that finds nothing says where it stopped, and goes on from there.
#[test]
fn a_search_stops_early_and_goes_on() {
    let (mut world, many) = (World::new(), crate::limits::LOOKED_AT_MAX as u64 + 100);
    world.keep("a@b", 1, "needle", EntryKind::Received);
    for n in 0..many {
        world.next += 1;
        world.keep("a@b", 1, "hay", EntryKind::Received);
        if n % 1_000 == 0 {
            while world.store.turn() {}
        }
    }
    while world.store.turn() {}
    let words = vec!["needle".to_owned()];
    let query = Query {
        words,
        ..everything(5, Start::Last)
    };
    let page = world.page(&query).unwrap();
    assert!(page.messages.is_empty() && !page.complete && page.count.is_none());
    let reached = page.ends.unwrap().0;
    let page = world
        .page(&Query {
            page: Start::Before(reached),
            ..query
        })
        .unwrap();
    assert_eq!((page.messages.len(), page.complete), (1, true));
}

/// Rows, where a time would depend on the machine.
#[test]
fn a_page_of_a_long_archive_reads_few_rows() {
    let numbers = Numbers(Cell::new(3));
    let mut world = World::new();
    world.live(100_000, &numbers);
    let middle = world.said[world.said.len() / 2].clone();
    let plain = |page| everything(50, page);
    let with = |contact: &str, page| Query {
        with: Jid::parse(contact).ok(),
        ..plain(page)
    };
    let rows = [
        ("the first page", plain(Start::First), 300),
        ("the last page", plain(Start::Last), 300),
        ("in the middle", plain(Start::After(middle.position)), 350),
        ("backwards", plain(Start::Before(middle.position)), 350),
        ("a friend", with("friend1@home.example", Start::Last), 300),
        ("a rare friend", with("rare@far.example", Start::Last), 500),
        ("nobody", with("nobody@home.example", Start::Last), 200),
        (
            "since",
            Query {
                earliest: middle.stamp,
                ..plain(Start::First)
            },
            500,
        ),
        (
            "until",
            Query {
                latest: middle.stamp,
                ..plain(Start::Last)
            },
            500,
        ),
        ("how many", everything(0, Start::First), 200),
    ];
    let snapshot = world.store.snapshot().unwrap();
    for (what, query, at_most) in rows {
        let archive = Archive::new(&snapshot, ACCOUNT, &world.index);
        archive.page(&query).unwrap();
        let rows = archive.rows.get();
        assert!(rows <= at_most, "{what}: {rows} rows");
        world.check(&query);
    }
}

#[test]
fn what_came_later_is_not_seen() {
    let numbers = Numbers(Cell::new(4));
    let mut world = World::new();
    world.live(300, &numbers);
    let (index, known) = (world.index.clone(), world.said.len());
    world.live(20_000, &numbers);
    let snapshot = world.store.snapshot().unwrap();
    let archive = Archive::new(&snapshot, ACCOUNT, &index);
    for way in [Way::Forwards, Way::Backwards] {
        let mut seen = 0;
        let flow = archive.visit(&Filter::ALL, way, &mut |_| {
            seen += 1;
            Ok(ControlFlow::Continue(()))
        });
        assert!(flow.unwrap().is_continue());
        assert_eq!(seen, known);
    }
    assert_eq!(archive.count(&Filter::ALL).unwrap(), known as u64);
}

#[test]
fn stored_bytes() {
    fn encoded(value: &impl Value) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }
    let record = EntryRecord {
        stamp: 300,
        contact: "a@b".into(),
        kind: EntryKind::Received,
        payload: 5,
        bytes: 200,
    };
    assert_eq!(encoded(&record), b"\xac\x02\x03a@b\x01\x05\xc8\x01");
    let holder = Holder {
        account: 1,
        position: 300,
    };
    assert_eq!(encoded(&holder), b"\x01\xac\x02");
    assert_eq!(encoded(&KeepRecord { seconds: 300 }), b"\xac\x02");
    let mut index = Index::default();
    index.add(1, record.member(5), 200);
    index.add(1, record.member(7), 100);
    let contact = b"\xb5\xb1\xa3\xa8\x07";
    let summary = [
        b"\x05\x07\x02\xac\x02\xac\x02\xac\x02\x01",
        contact.as_slice(),
        b"\x02\x00",
    ]
    .concat();
    let members = b"\x06\x00\x00\x00\x02\x00\x00\xac\x02\xac\x02";
    assert_eq!(
        encoded(&index.block),
        [summary.as_slice(), members].concat()
    );
    index.span.push(&index.block);
    assert_eq!(encoded(&index.span), [summary.as_slice(), b"\x01"].concat());
}
