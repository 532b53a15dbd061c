//! A file's life as the store sees it.

use super::{limits::SLOT_MS, slot::Slot, *};
use crate::{
    fixture::{Fixture, run_beside},
    session::Session,
    world::Timestamp,
};

const DAY_MS: u64 = 86_400_000;

struct World {
    fixture: Fixture,
    juliet: Arc<Session>,
}

/// What a slot's URL says.
struct Url {
    id: UploadId,
    name: String,
    token: String,
}

fn url(slot: &Slot) -> Url {
    let path = slot.put.strip_prefix("https://home.example/upload/");
    let (path, token) = path.unwrap().split_once("?token=").unwrap();
    let (id, name) = path.split_once('/').unwrap();
    Url {
        id: UploadId::parse(id).unwrap(),
        name: name.to_owned(),
        token: token.to_owned(),
    }
}

impl World {
    fn new() -> World {
        let fixture = Fixture::new(&["juliet", "romeo"]);
        fixture.server.note_https_port(443);
        let juliet = fixture.online("juliet", "balcony");
        World { fixture, juliet }
    }

    fn config(&self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.fixture.server.config());
        change(&mut config);
        self.fixture.server.configure(Arc::new(config));
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        run_beside(self.fixture.server.store(), work)
    }

    fn slot(&self, bytes: u64, gone_ms: Option<Timestamp>) -> Result<Url, SlotRefusal> {
        let wanted = Wanted::new("a.jpg", bytes, Some("image/jpeg"), gone_ms).unwrap();
        let asked = self
            .fixture
            .server
            .upload_slot(&self.juliet.account, wanted);
        Ok(url(&self.run(asked)?))
    }

    fn judge(
        &self,
        url: &Url,
        length: Option<u64>,
        media_type: Option<&str>,
    ) -> Result<Accepted, PutRefusal> {
        let put = Put {
            id: url.id,
            name: &url.name,
            token: &url.token,
            length,
            media_type,
        };
        self.run(self.fixture.server.judge_upload(put))
    }

    fn put(&self, bytes: u64) -> UploadId {
        self.put_until(bytes, None)
    }

    fn put_until(&self, bytes: u64, gone_ms: Option<Timestamp>) -> UploadId {
        let url = self.slot(bytes, gone_ms).unwrap();
        let accepted = self.judge(&url, Some(bytes), Some("image/jpeg"));
        let kept = self.fixture.server.keep_upload(accepted.unwrap());
        assert_eq!(self.run(kept), Ok(()));
        url.id
    }

    fn is_there(&self, id: UploadId) -> bool {
        self.run(self.fixture.server.find_upload(id))
            .unwrap()
            .is_some()
    }

    fn doomed(&self) -> Vec<UploadId> {
        while self.run(self.fixture.server.expire_uploads()) {}
        self.run(self.fixture.server.doomed_uploads(None))
    }
}

#[test]
fn what_is_taken() {
    let world = World::new();
    let url = world.slot(10, None).unwrap();
    let rows = [
        (None, Some("image/jpeg"), PutRefusal::NoLength),
        (Some(11), Some("image/jpeg"), PutRefusal::TooLong(10)),
        (Some(9), Some("image/jpeg"), PutRefusal::TooShort(10)),
        (Some(10), Some("image/png"), PutRefusal::WrongType),
        (Some(10), Some("image/jpeg; x=y"), PutRefusal::WrongType),
        (Some(10), Some("nonsense"), PutRefusal::WrongType),
        (Some(10), None, PutRefusal::WrongType),
    ];
    for (length, media_type, expected) in rows {
        let refused = world.judge(&url, length, media_type).err();
        assert_eq!(refused, Some(expected), "{length:?} {media_type:?}");
    }
    let wrong_name = Url {
        name: "b.jpg".into(),
        token: url.token.clone(),
        ..url
    };
    let refused = world.judge(&wrong_name, Some(10), Some("image/jpeg"));
    assert_eq!(refused.err(), Some(PutRefusal::NoSlot));
    let accepted = world.judge(&url, Some(10), Some("IMAGE/jpeg")).unwrap();
    assert_eq!((accepted.id(), accepted.bytes()), (url.id, 10));
    assert!(!world.is_there(url.id), "not before it is kept");
    assert!(
        world
            .run(world.fixture.server.keep_upload(accepted))
            .is_ok()
    );
    let found = world.run(world.fixture.server.find_upload(url.id));
    let expected = Upload {
        bytes: 10,
        name: "a.jpg".into(),
        media_type: "image/jpeg".into(),
        left_ms: 30 * DAY_MS,
    };
    assert_eq!(found.unwrap(), Some(expected));
    let again = world.judge(&url, Some(10), Some("image/jpeg"));
    assert_eq!(again.err(), Some(PutRefusal::Stored));
}

#[test]
fn a_slot_ends() {
    let world = World::new();
    let url = world.slot(10, None).unwrap();
    world.fixture.hands.pass(SLOT_MS - 1);
    assert!(world.judge(&url, Some(10), Some("image/jpeg")).is_ok());
    world.fixture.hands.pass(1);
    let late = world.judge(&url, Some(10), Some("image/jpeg"));
    assert_eq!(late.err(), Some(PutRefusal::TooLate));
}

#[test]
fn slots_and_files_fill_a_quota() {
    let world = World::new();
    world.config(|config| config.upload.user_quota = 100);
    let now = world.fixture.server.now();
    world.put(60);
    let open = world.slot(40, None).unwrap();
    let full = world.slot(1, None).err();
    let retry = now + SLOT_MS;
    assert_eq!(full, Some(SlotRefusal::Full(Some(retry))));
    assert_eq!(
        world.slot(101, None).err(),
        Some(SlotRefusal::TooLarge(100))
    );
    world.fixture.hands.pass(SLOT_MS);
    let again = world.slot(40, None).unwrap();
    world.fixture.hands.pass(SLOT_MS);
    drop((open, again));
    let full = world.slot(41, None).err();
    let gone = now + 30 * DAY_MS;
    assert_eq!(full, Some(SlotRefusal::Full(Some(gone))));
    // Somebody else's quota is another one.
    let romeo = world.fixture.online("romeo", "orchard");
    let wanted = Wanted::new("a", 100, None, None).unwrap();
    let slot = world.fixture.server.upload_slot(&romeo.account, wanted);
    assert!(world.run(slot).is_ok());
}

#[test]
fn nobody_keeps_too_many_slots() {
    let world = World::new();
    let now = world.fixture.server.now();
    let first = world.slot(1, None).unwrap();
    world.fixture.hands.pass(1_000);
    for _ in 1..limits::SLOTS_PER_ACCOUNT_MAX {
        assert!(world.slot(1, None).is_ok());
    }
    let refused = world.slot(1, None).err();
    assert_eq!(refused, Some(SlotRefusal::TooMany(now + SLOT_MS)));
    // One that is used is none any more.
    let accepted = world.judge(&first, Some(1), Some("image/jpeg")).unwrap();
    assert!(
        world
            .run(world.fixture.server.keep_upload(accepted))
            .is_ok()
    );
    assert!(world.slot(1, None).is_ok());
}

#[test]
fn a_file_that_comes_slowly_counts_until_it_is_there() {
    let world = World::new();
    world.config(|config| config.upload.user_quota = 100);
    let url = world.slot(60, None).unwrap();
    let accepted = world.judge(&url, Some(60), Some("image/jpeg")).unwrap();
    world.fixture.hands.pass(SLOT_MS);
    assert!(world.slot(41, None).is_err());
    drop(accepted);
    assert!(world.slot(41, None).is_ok(), "it was cut off");
}

/// The second of two requests with one slot goes away, and the first goes on.
#[test]
fn a_slot_counts_while_one_of_its_requests_lives() {
    let world = World::new();
    world.config(|config| config.upload.user_quota = 100);
    let url = world.slot(60, None).unwrap();
    let judge = || world.judge(&url, Some(60), Some("image/jpeg")).unwrap();
    let (first, second) = (judge(), judge());
    world.fixture.hands.pass(SLOT_MS);
    drop(second);
    assert!(world.slot(41, None).is_err());
    drop(first);
    assert!(world.slot(41, None).is_ok());
}

/// Between reading what there is and promising more, a file comes.
#[test]
fn nothing_is_promised_of_what_nobody_knows() {
    let world = World::new();
    let (server, account) = (&world.fixture.server, world.juliet.account.id);
    let now = server.now();
    let promise = |id| {
        let file = (UploadId([id; 16]), 60);
        let usage = &mut server.uploads().usage();
        usage.promise(account, file, (now, now + SLOT_MS), 100)
    };
    assert_eq!(promise(1), None);
    let unknown = server.uploads().usage().unknown(account).unwrap();
    assert!(
        server
            .uploads()
            .usage()
            .learn(account, unknown, usage::Files::default())
    );
    assert_eq!(promise(1), Some(Ok(())));
    assert!(matches!(promise(2), Some(Err(SlotRefusal::Full(_)))));
    server.uploads().usage().changed(account);
    assert_eq!(promise(2), None);
}

/// Many at once get no more than one after the other.
#[test]
fn a_quota_holds_for_requests_at_the_same_time() {
    let world = World::new();
    world.config(|config| config.upload.user_quota = 100);
    let server = &world.fixture.server;
    let account = &world.juliet.account;
    let wanted = || Wanted::new("a.jpg", 30, Some("image/jpeg"), None).unwrap();
    let ask = || server.upload_slot(account, wanted());
    let slots = world.run(async { tokio::join!(ask(), ask(), ask(), ask(), ask(), ask()) });
    let slots = [slots.0, slots.1, slots.2, slots.3, slots.4, slots.5];
    assert_eq!(slots.iter().filter(|slot| slot.is_ok()).count(), 3);
}

#[test]
fn what_would_be_gone_before_it_comes_gets_no_slot() {
    let world = World::new();
    let now = world.fixture.server.now();
    assert_eq!(world.slot(1, Some(now)).err(), Some(SlotRefusal::Gone));
    assert!(world.slot(1, Some(now + 1)).is_ok());
}

#[test]
fn a_card_that_is_nearly_full_gets_no_slots() {
    let world = World::new();
    world.config(|config| config.upload.keep_free = 1_000);
    world.fixture.server.note_upload_room(1_010);
    assert!(world.slot(10, None).is_ok());
    assert_eq!(world.slot(11, None).err(), Some(SlotRefusal::Disk));
}

/// A slot for what is no media type is for just that.
#[test]
fn a_type_that_means_nothing_lets_no_other_in() {
    let world = World::new();
    let account = &world.juliet.account;
    for (asked, said, is_right) in [
        ("image", Some("image"), true),
        ("image", Some("text/html"), false),
        ("image", None, false),
        ("text/html; x", Some("text/html"), false),
        (" ", Some("text/html"), true),
    ] {
        let wanted = Wanted::new("a", 1, Some(asked), None).unwrap();
        let slot = world.run(world.fixture.server.upload_slot(account, wanted));
        let url = url(&slot.unwrap());
        let judged = world.judge(&url, Some(1), said);
        assert_eq!(judged.is_ok(), is_right, "{asked} {said:?}");
    }
    let long = "x".repeat(limits::MEDIA_TYPE_BYTES_MAX + 1);
    assert!(Wanted::new("a", 1, Some(&long), None).is_none());
}

/// Nobody could read it.
#[test]
fn a_file_whose_account_went_while_it_came_is_not_kept() {
    let world = World::new();
    let url = world.slot(10, None).unwrap();
    let accepted = world.judge(&url, Some(10), Some("image/jpeg")).unwrap();
    assert!(world.run(world.fixture.server.wants_upload(&accepted)));
    world.fixture.leave(&world.juliet);
    world.fixture.remove("juliet");
    assert!(!world.run(world.fixture.server.wants_upload(&accepted)));
    let kept = world.run(world.fixture.server.keep_upload(accepted));
    assert_eq!(kept, Err(PutRefusal::NoSlot));
    assert!(!world.is_there(url.id));
    assert_eq!(world.doomed(), [url.id]);
}

#[test]
fn what_cannot_be_removed_holds_up_nothing() {
    let world = World::new();
    let now = world.fixture.server.now();
    let mut ids = [(); 3].map(|()| world.put_until(1, Some(now + DAY_MS)));
    ids.sort();
    world.fixture.hands.pass(DAY_MS);
    assert_eq!(world.doomed(), ids);
    let behind = |id| world.run(world.fixture.server.doomed_uploads(Some(id)));
    assert_eq!(behind(ids[0]), ids[1..]);
    assert!(behind(ids[2]).is_empty());
}

#[test]
fn a_slot_used_over_a_restart_counts() {
    let world = World::new();
    let url = world.slot(60, None).unwrap();
    let restart = || *world.fixture.server.uploads().usage() = Usage::default();
    restart();
    world.config(|config| config.upload.user_quota = 59);
    let refused = world.judge(&url, Some(60), Some("image/jpeg"));
    assert_eq!(
        refused.err(),
        Some(PutRefusal::Quota),
        "others came meanwhile"
    );
    restart();
    world.config(|config| config.upload.user_quota = 100);
    assert!(world.judge(&url, Some(60), Some("image/jpeg")).is_ok());
    assert!(world.slot(41, None).is_err(), "it may come again");
    assert!(world.slot(40, None).is_ok());
}

#[test]
fn files_go_when_their_time_is_over() {
    let world = World::new();
    world.config(|config| config.upload.user_quota = 100);
    let now = world.fixture.server.now();
    let (early, late) = (world.put_until(50, Some(now + DAY_MS)), world.put(50));
    assert!(world.doomed().is_empty());
    world.fixture.hands.pass(DAY_MS);
    assert!(!world.is_there(early), "before anybody has looked");
    assert!(world.is_there(late));
    assert_eq!(world.doomed(), [early]);
    assert_eq!(world.doomed(), [early], "until its bytes are gone");
    assert!(world.slot(50, None).is_ok(), "there is room again");
    let removed = [early];
    assert!(world.run(world.fixture.server.uploads_removed(&removed)));
    assert!(world.doomed().is_empty());
    world.fixture.hands.pass(29 * DAY_MS);
    assert!(!world.is_there(late));
    assert_eq!(world.doomed(), [late]);
}

#[test]
fn many_files_are_looked_at_in_steps() {
    let world = World::new();
    let account = world.juliet.account.id;
    let store = world.fixture.server.store();
    let count = limits::LOOK_ROWS_MAX + 1;
    let mut writes = Vec::new();
    for number in 0..count {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let file = record::FileRecord {
            bytes: 1,
            name: "x".into(),
            media_type: String::new(),
            stored_ms: 0,
            gone_ms: None,
        };
        writes.push(record::FILE.put(&(account, id), &file));
        writes.push(record::PLACE.put(&id, &account));
    }
    store.queue(writes, store::Urgency::Now);
    world.fixture.write();
    assert!(
        world.run(world.fixture.server.expire_uploads()),
        "one is left"
    );
    assert!(!world.run(world.fixture.server.expire_uploads()));
    let mut removed = 0;
    loop {
        let doomed = world.run(world.fixture.server.doomed_uploads(None));
        if doomed.is_empty() {
            break;
        }
        removed += doomed.len();
        assert!(world.run(world.fixture.server.uploads_removed(&doomed)));
    }
    assert_eq!(removed, count);
}

#[test]
fn files_go_with_their_account() {
    let world = World::new();
    let id = world.put(50);
    let url = world.slot(10, None).unwrap();
    let snapshot = world.fixture.server.store().snapshot().unwrap();
    let shown = crate::accounts::show(&snapshot, "juliet").unwrap();
    assert!(shown.bytes >= 50, "{}", shown.bytes);
    drop(snapshot);
    world.fixture.leave(&world.juliet);
    world.fixture.remove("juliet");
    assert!(!world.is_there(id));
    assert_eq!(world.doomed(), [id]);
    let refused = world.judge(&url, Some(10), Some("image/jpeg"));
    assert_eq!(refused.err(), Some(PutRefusal::NoSlot));
    let again = world.run(world.fixture.server.strays(vec![id]));
    assert_eq!(again, Some(vec![id]));
}

#[test]
fn what_nobody_noted_is_a_stray() {
    let world = World::new();
    let (kept, stray) = (world.put(5), UploadId([9; 16]));
    let strays = world.run(world.fixture.server.strays(vec![kept, stray]));
    assert_eq!(strays, Some(vec![stray]));
}

#[test]
fn urls_name_the_port_that_the_world_sees() {
    let world = World::new();
    let rows = [
        (443, 0, "https://home.example/upload/"),
        (8443, 0, "https://home.example:8443/upload/"),
        (8443, 443, "https://home.example/upload/"),
        (0, 8080, "https://home.example:8080/upload/"),
    ];
    for (bound, configured, start) in rows {
        world.fixture.server.note_https_port(bound);
        world.config(|config| config.public.https_port = configured);
        let wanted = Wanted::new("très cool.jpg", 1, None, None).unwrap();
        let account = &world.juliet.account;
        let slot = world.run(world.fixture.server.upload_slot(account, wanted));
        let Slot { put, get } = slot.unwrap();
        let id = get.strip_prefix(start).and_then(|rest| rest.get(..32));
        assert!(id.and_then(UploadId::parse).is_some(), "{get}");
        assert!(get.ends_with("/tr%C3%A8s%20cool.jpg"), "{get}");
        assert!(put.starts_with(&(get + "?token=")), "{put}");
    }
    world.fixture.server.note_https_port(0);
    world.config(|config| config.public.https_port = 0);
    assert_eq!(world.slot(1, None).err(), Some(SlotRefusal::Nowhere));
}
