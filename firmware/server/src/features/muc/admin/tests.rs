//! What is asked in rooms that are for members only, moderated, or without secret addresses.

use super::{
    super::{announce::Told, voice},
    *,
};
use crate::{
    fixture::Fixture,
    room::{Config, Occupant, Seat},
};
use std::sync::Arc;
use xmpp::{
    Passing, Stanza,
    form::{FieldType, Writer},
};

const ROOM: &str = "capulet@groupchat.home.example";

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

/// A room of juliet's with the nurse, an admin; tybalt, a member; and romeo, as he enters.
struct Capulet(Fixture);

impl Capulet {
    fn new(config: Config) -> Capulet {
        let fixture = Fixture::new(&["juliet"]);
        let server = &fixture.server;
        let owner = jid("juliet@home.example");
        let account = server.make_room(&jid(ROOM), &owner).unwrap();
        server.at(&account, 0, |cx| {
            cx.unlock_room();
            let room = cx.room_mut().unwrap();
            room.config = config;
            for (name, affiliation) in [
                ("nurse", Affiliation::Admin),
                ("tybalt", Affiliation::Member),
            ] {
                room.affiliate(&Change {
                    jid: jid(&format!("{name}@home.example")),
                    affiliation,
                    nick: None,
                    reason: String::new(),
                });
            }
            for name in ["juliet", "nurse", "tybalt", "romeo"] {
                let occupant = jid(&format!("{ROOM}/{name}"));
                let real = jid(&format!("{name}@home.example/r"));
                let role = room.first_role(&real);
                let seat = Seat {
                    jid: real,
                    presence: "".into(),
                };
                let new = || Occupant {
                    jid: occupant.clone(),
                    role,
                    id: name.into(),
                    seats: Vec::new(),
                };
                let lets_in = !room.config.members_only || name != "romeo";
                if lets_in {
                    room.occupants.seat(&occupant, new, seat);
                }
            }
        });
        Capulet(fixture)
    }

    /// Somebody asks; what the room says then, without the parts that are always the same.
    fn set(&self, name: &str, items: &str) -> Vec<String> {
        self.asks(name, NS, items, set)
    }

    /// Likewise, to register with the room.
    fn register(&self, name: &str, nick: &str) -> Vec<String> {
        let form = Writer::submit(register::FORM);
        let form = form.field(FieldType::TextSingle, "muc#register_roomnick", &[nick]);
        self.asks(name, register::NS, &form.finish(), register::set)
    }

    /// Somebody sends a form that decides about a registration.
    fn decides(&self, name: &str, (who, nick): (&str, &str), allow: &str) -> Vec<String> {
        let form = Writer::submit(register::FORM)
            .field(FieldType::TextSingle, "muc#register_roomnick", &[nick])
            .field(FieldType::JidSingle, "muc#jid", &[who])
            .field(FieldType::Boolean, "muc#register_allow", &[allow]);
        let xml = format!("<message>{}</message>", form.finish());
        let stanza = Arc::new(Stanza::parse(&xml).unwrap());
        let passing = Passing::new(stanza, jid(&format!("{name}@home.example/r")), jid(ROOM));
        let account = self.0.server.directory().get(ROOM).unwrap();
        self.0.server.at(&account, 0, |cx| {
            let outcome = voice::form(cx, &passing).unwrap();
            said(cx, outcome)
        })
    }

    fn asks(
        &self,
        name: &str,
        ns: &str,
        payload: &str,
        hook: fn(&mut Cx<'_>, &Iq<'_>) -> Answer,
    ) -> Vec<String> {
        let account = self.0.server.directory().get(ROOM).unwrap();
        let xml = format!("<iq type='set' id='i'><query xmlns='{ns}'>{payload}</query></iq>");
        let stanza = Arc::new(Stanza::parse(&xml).unwrap());
        let passing = Passing::new(
            stanza.clone(),
            jid(&format!("{name}@home.example/r")),
            jid(ROOM),
        );
        self.0.server.at(&account, 0, |cx| {
            let payload = stanza.children().next().unwrap();
            let iq = Iq {
                passing: &passing,
                payload,
            };
            let outcome = hook(cx, &iq).map(drop);
            said(cx, outcome)
        })
    }

    fn config(&self, change: impl FnOnce(&mut Config)) {
        let account = self.0.server.directory().get(ROOM).unwrap();
        self.0
            .server
            .at(&account, 0, |cx| change(&mut cx.room_mut().unwrap().config));
    }

    /// Another device comes, under a nickname that is there or a new one.
    fn sits(&self, nick: &str, real: &str) {
        let account = self.0.server.directory().get(ROOM).unwrap();
        self.0.server.at(&account, 0, |cx| {
            let occupant = jid(&format!("{ROOM}/{nick}"));
            let new = || Occupant {
                jid: occupant.clone(),
                role: Role::Participant,
                id: nick.into(),
                seats: Vec::new(),
            };
            let seat = Seat {
                jid: jid(real),
                presence: "".into(),
            };
            let room = cx.room_mut().unwrap();
            room.occupants.seat(&occupant, new, seat);
        });
    }

    fn told(&self, name: &str) -> Option<(Affiliation, Role)> {
        let account = self.0.server.directory().get(ROOM).unwrap();
        self.0.server.at(&account, 0, |cx| {
            let room = cx.room().unwrap();
            let occupant = room.occupants.get(&jid(&format!("{ROOM}/{name}")))?;
            let told = Told::of(room, occupant)?;
            Some((told.affiliation, told.role))
        })
    }
}

/// What leaves the room, and why nothing was done where nothing was.
fn said(cx: &mut Cx<'_>, outcome: Result<(), StanzaError>) -> Vec<String> {
    let leaving = cx.state.take_leaving();
    let said = leaving.iter().map(|leaving| short(&leaving.passing));
    let refusal = outcome.err().map(|error| error.condition.to_owned());
    said.chain(refusal).collect()
}

/// Whom it is for and who it is about, and what is said.
fn short(passing: &Passing) -> String {
    let content = passing.to_xml();
    let x = content.split_once("<x xmlns='http://jabber.org/protocol/muc#user'>");
    let x = x.and_then(|(_, rest)| Some(rest.split_once("</x>")?.0));
    let about = passing.from.resourcepart().unwrap_or("room");
    let to = passing.to.localpart().unwrap_or_default();
    let type_ = passing.stanza.type_();
    format!("{to}: {about} {type_} {}", x.unwrap_or_default())
}

fn members_only() -> Config {
    Config {
        members_only: true,
        non_anonymous: true,
        password: "cauldronburn".into(),
        ..Config::default()
    }
}

fn moderated() -> Config {
    Config {
        moderated: true,
        ..Config::default()
    }
}

/// §9.4: who is no member any more is removed with 321, and nothing else is said of it.
#[test]
fn who_loses_membership_leaves_a_room_for_members() {
    let room = Capulet::new(members_only());
    let jid_of_tybalt = "<item affiliation='none' jid='tybalt@home.example/r' role='none'>";
    let item = format!("{jid_of_tybalt}<actor nick='nurse'/><reason>Brawls</reason></item>");
    assert_eq!(
        room.set(
            "nurse",
            "<item affiliation='none' jid='tybalt@home.example'><reason>Brawls</reason></item>"
        ),
        [
            format!("tybalt: tybalt unavailable {item}<status code='321'/><status code='110'/>"),
            format!("juliet: tybalt unavailable {item}<status code='321'/>"),
            format!("nurse: tybalt unavailable {item}<status code='321'/>"),
        ]
    );
    assert_eq!(room.told("tybalt"), None);
}

/// §9.5: whoever is let in from now on is invited, with the password; an outcast who is a member again is
/// not.
#[test]
fn new_members_are_invited() {
    let room = Capulet::new(members_only());
    let to_all = |item: &str| {
        ["juliet", "nurse", "tybalt"].map(|to| format!("{to}: room  <item {item} role='none'/>"))
    };
    let mut expected = to_all("affiliation='member' jid='hecate@home.example'").to_vec();
    expected.push(
        "hecate: room  <invite from='juliet@home.example'><reason>Come</reason></invite>\
         <password>cauldronburn</password>"
            .into(),
    );
    assert_eq!(
        room.set(
            "juliet",
            "<item affiliation='member' jid='hecate@home.example/x'><reason>Come</reason></item>"
        ),
        expected
    );
    let banned = "affiliation='outcast' jid='hecate@home.example'";
    assert_eq!(
        room.set("nurse", &format!("<item {banned}/>")),
        to_all(banned)
    );
    let member = "affiliation='member' jid='hecate@home.example'";
    assert_eq!(
        room.set("nurse", &format!("<item {member}/>")),
        to_all(member)
    );
    assert_eq!(room.set("nurse", &format!("<item {member}/>")), [""; 0]);
}

/// §9.2: one answer to a domain, which may be a member, too.
#[test]
fn a_domain_is_let_in_and_thrown_out() {
    let room = Capulet::new(members_only());
    room.set("juliet", "<item affiliation='member' jid='home.example'/>");
    room.set(
        "juliet",
        "<item affiliation='none' jid='tybalt@home.example'/>",
    );
    assert_eq!(
        room.told("tybalt"),
        Some((Affiliation::Member, Role::Participant))
    );
    room.set("juliet", "<item affiliation='none' jid='home.example'/>");
    assert_eq!(room.told("tybalt"), None);
}

/// §5.1.3: a member has a voice; who is a member no more keeps it (§9.4).
#[test]
fn roles_follow_affiliations_in_a_moderated_room() {
    use Affiliation::{Admin, Member, None as Nobody, Owner};
    use Role::{Moderator, Participant, Visitor};
    let room = Capulet::new(moderated());
    for (by, item, expected) in [
        ("juliet", "affiliation='none' jid='JID'", (Nobody, Visitor)),
        (
            "nurse",
            "role='participant' nick='romeo'",
            (Nobody, Participant),
        ),
        (
            "nurse",
            "role='moderator' nick='romeo'",
            (Nobody, Moderator),
        ),
        ("nurse", "role='visitor' nick='romeo'", (Nobody, Visitor)),
        (
            "nurse",
            "affiliation='member' jid='JID'",
            (Member, Participant),
        ),
        (
            "nurse",
            "affiliation='none' jid='JID'",
            (Nobody, Participant),
        ),
        (
            "juliet",
            "affiliation='admin' jid='JID'",
            (Admin, Moderator),
        ),
        (
            "juliet",
            "affiliation='owner' jid='JID'",
            (Owner, Moderator),
        ),
        (
            "juliet",
            "affiliation='member' jid='JID'",
            (Member, Participant),
        ),
        (
            "juliet",
            "affiliation='owner' jid='JID'",
            (Owner, Moderator),
        ),
        ("juliet", "affiliation='none' jid='JID'", (Nobody, Visitor)),
    ] {
        let item = item.replace("JID", "romeo@home.example");
        room.set(by, &format!("<item {item}/>"));
        assert_eq!(room.told("romeo"), Some(expected), "{item}");
    }
}

/// §7.2.2: whose role is not broadcast any more is not there any more for others; who is it again, is.
#[test]
fn a_role_that_is_not_broadcast() {
    let room = Capulet::new(moderated());
    room.config(|config| config.presence_broadcast.visitor = false);
    let given = room.set("nurse", "<item nick='romeo' role='participant'/>");
    assert_eq!(given.len(), 4);
    let taken = room.set("nurse", "<item nick='romeo' role='visitor'/>");
    let to_others: Vec<bool> = taken
        .iter()
        .filter(|said| !said.starts_with("romeo"))
        .map(|said| said.contains("romeo unavailable") && said.contains("role='none'"))
        .collect();
    assert_eq!(to_others, [true; 3]);
    assert_eq!(taken.len(), 4);
}

/// §8.2: in a room without secret addresses it is told who decided it from outside.
#[test]
fn an_actor_who_is_not_there() {
    for (non_anonymous, actor) in [(true, "<actor jid='juliet@home.example'/>"), (false, "")] {
        let room = Capulet::new(Config {
            non_anonymous,
            ..Config::default()
        });
        room.set("juliet", "<item nick='juliet' role='none'/>");
        let said = room.set("juliet", "<item nick='romeo' role='none'/>");
        assert_eq!(said.len(), 3);
        for said in said {
            assert!(said.contains("<status code='307'/>"), "{said}");
            assert_eq!(said.contains("<actor"), !actor.is_empty(), "{said}");
            assert!(said.contains(actor), "{said}");
        }
    }
}

/// Nobody learns an address that they may not see, of those who are not there, either.
#[test]
fn addresses_stay_secret() {
    let room = Capulet::new(Config::default());
    for (item, about) in [
        ("affiliation='member' jid='hecate@home.example'", "hecate@"),
        ("affiliation='outcast' jid='hecate@home.example'", "hecate@"),
        ("affiliation='member' jid='romeo@home.example'", "romeo@"),
        ("affiliation='outcast' jid='romeo@home.example'", "romeo@"),
    ] {
        let said = room.set("juliet", &format!("<item {item}/>"));
        assert!(
            said.iter()
                .any(|said| said.starts_with("nurse: ") && said.contains(about))
        );
        let to_tybalt = said.iter().filter(|said| said.starts_with("tybalt: "));
        assert!(
            to_tybalt.clone().all(|said| !said.contains('@')),
            "{said:?}"
        );
    }
}

/// Limits of one request and of one room.
#[test]
fn there_are_limits() {
    use crate::limits::ROOM_AFFILIATIONS_MAX;
    let room = Capulet::new(Config::default());
    let items = |range: std::ops::Range<usize>| {
        let items = range.map(|n| format!("<item affiliation='outcast' jid='v{n}@home.example'/>"));
        items.collect::<String>()
    };
    let too_many = room.set("juliet", &items(0..ROOM_CHANGES_MAX + 1));
    assert_eq!(too_many, ["policy-violation"]);
    let mut known = 3; // juliet, the nurse, tybalt
    while known + ROOM_CHANGES_MAX <= ROOM_AFFILIATIONS_MAX {
        room.set("juliet", &items(known..known + ROOM_CHANGES_MAX));
        known += ROOM_CHANGES_MAX;
    }
    let left = ROOM_AFFILIATIONS_MAX - known;
    let full = room.set("juliet", &items(known..known + left + 1));
    assert_eq!(full, ["resource-constraint"]);
    assert_eq!(
        room.set("juliet", &items(known..known + left)).len(),
        left * 2
    );
    // Of those who are known already something else can be said.
    let again = room.set("juliet", "<item affiliation='none' jid='v3@home.example'/>");
    assert_eq!(again.len(), 2);
}

/// §7.10, §9.9: for a public room for members only its admins are asked, there or not, and not by everybody
/// all the time; one of them lets somebody in.
#[test]
fn admins_let_somebody_in() {
    let room = Capulet::new(members_only());
    assert_eq!(room.register("romeo", "Romeo"), ["not-allowed"]); // nobody can find this room
    room.config(|config| config.public = true);
    room.set("juliet", "<item nick='nurse' role='none'/>");
    let asked = room.register("romeo", "Romeo");
    assert_eq!(asked, ["juliet: room  ", "nurse: room  "]);
    assert_eq!(room.register("romeo", "Romeo"), ["resource-constraint"]);
    let romeo = ("romeo@home.example", "Romeo");
    for (by, about, allow, expected) in [
        ("tybalt", romeo, "1", "forbidden"),
        ("romeo", romeo, "true", "forbidden"),
        ("nurse", romeo, "perhaps", "bad-request"),
        ("nurse", ("@", "Romeo"), "1", "jid-malformed"),
        ("nurse", ("home.example", "Romeo"), "1", "not-acceptable"),
        ("nurse", ("romeo@home.example", "tybalt"), "1", "conflict"),
    ] {
        assert_eq!(room.decides(by, about, allow), [expected], "{by} {about:?}");
    }
    assert_eq!(room.decides("nurse", romeo, "0"), [""; 0]);
    let let_in = room.decides("nurse", romeo, "1");
    assert_eq!(
        let_in.last().unwrap(),
        "romeo: room  <invite from='nurse@home.example'></invite><password>cauldronburn</password>"
    );
    assert_eq!(room.decides("juliet", romeo, "1"), [""; 0]); // somebody said so before
    room.set(
        "juliet",
        "<item affiliation='outcast' jid='romeo@home.example'/>",
    );
    assert_eq!(room.decides("juliet", romeo, "1"), ["not-allowed"]);
    assert_eq!(room.register("romeo", "Romeo"), ["not-allowed"]);
}

/// §7.2.8: who is there with two devices goes with both, and others hear of it once. Under two nicknames,
/// both go.
#[test]
fn all_devices_go() {
    for (item, code) in [
        ("nick='romeo' role='none'", "307"),
        ("jid='romeo@home.example' affiliation='outcast'", "301"),
    ] {
        let room = Capulet::new(Config::default());
        room.sits("romeo", "romeo@home.example/phone");
        room.sits("Montague", "romeo@home.example/tablet");
        let said = room.set("juliet", &format!("<item {item}/>"));
        let about = |to: &str, whom: &str| {
            let start = format!("{to}: {whom} unavailable ");
            let told = said
                .iter()
                .filter(|said| said.starts_with(&start) && said.contains(code));
            told.count()
        };
        // Two devices, and the person under the other nickname.
        assert_eq!(about("romeo", "romeo"), 3, "{said:?}");
        assert_eq!(about("tybalt", "romeo"), 1);
        assert_eq!(room.told("romeo"), None);
        assert_eq!(room.told("Montague").is_some(), code == "307");
    }
}

/// §4.2: a room that is not to stay ends with the last who is thrown out of it.
#[test]
fn the_last_one_is_kicked() {
    let room = Capulet::new(Config::default());
    for name in ["nurse", "tybalt", "romeo"] {
        room.set("juliet", &format!("<item nick='{name}' role='none'/>"));
    }
    let account = room.0.server.directory().get(ROOM).unwrap();
    let is_destroyed = |room: &Capulet| room.0.server.at(&account, 0, |cx| cx.state.is_destroyed());
    assert!(!is_destroyed(&room));
    room.set("juliet", "<item nick='juliet' role='none'/>");
    assert!(is_destroyed(&room));
}
