//! What a room's configuration changes for those who enter it and speak there (XEP-0045 §7.2.17, §7.2.2 to
//! §7.2.9, §7.5, §7.8.2, §8.1), as tables.

use crate::{
    fixture::{Fixture, now},
    room::{Affiliation, Config, Role, Room, config::Roles, record::AffiliationRecord},
    session::Session,
};
use std::sync::Arc;
use xmpp::Jid;

const ROOM: &str = "r@groupchat.home.example";

/// A room that juliet owns and is in, as Juliet.
struct Scene {
    fixture: Fixture,
    juliet: Arc<Session>,
    romeo: Arc<Session>,
}

impl Scene {
    fn new(configure: impl FnOnce(&mut Room)) -> Scene {
        let fixture = Fixture::new(&["juliet", "romeo", "nurse", "tybalt"]);
        let juliet = fixture.online("juliet", "b");
        let romeo = fixture.online("romeo", "o");
        let scene = Scene {
            fixture,
            juliet,
            romeo,
        };
        scene.enter(&scene.juliet, "Juliet", "");
        let query = "<query xmlns='http://jabber.org/protocol/muc#owner'>\
            <x xmlns='jabber:x:data' type='submit'/></query>";
        let unlock = format!("<iq type='set' id='i' to='{ROOM}'>{query}</iq>");
        scene.fixture.send(&scene.juliet, &unlock);
        scene.fixture.write();
        scene.room(configure);
        scene.fixture.got(&scene.juliet);
        scene
    }

    fn room<T>(&self, f: impl FnOnce(&mut Room) -> T) -> T {
        let room = now(self.fixture.server.load(ROOM)).unwrap().unwrap();
        self.fixture
            .server
            .at(&room, 0, |cx| f(cx.room_mut().unwrap()))
    }

    fn enter(&self, who: &Arc<Session>, nick: &str, x: &str) {
        let x = format!("<x xmlns='http://jabber.org/protocol/muc'>{x}</x>");
        self.presence(who, nick, &x);
    }

    fn presence(&self, who: &Arc<Session>, nick: &str, content: &str) {
        let presence = format!("<presence to='{ROOM}/{nick}'>{content}</presence>");
        self.fixture.send(who, &presence);
    }

    fn says(&self, who: &Arc<Session>, rest: &str, content: &str) {
        self.fixture.send(
            who,
            &format!("<message to='{ROOM}{rest}>{content}</message>"),
        );
    }

    /// What somebody got, in short.
    fn got(&self, who: &Arc<Session>) -> String {
        let got = self.fixture.got(who);
        let got: Vec<String> = got.iter().map(|stanza| short(stanza)).collect();
        got.join(", ")
    }
}

/// Name, nickname it is from, type, address in it, status codes, error.
fn short(stanza: &str) -> String {
    let stanza = xmpp::Element::parse(stanza, "jabber:client").unwrap();
    let from = stanza.attr("from").unwrap_or_default();
    let nick = from.split_once('/').map_or("-", |(_, nick)| nick);
    let mut out = format!("{} {nick}", stanza.name);
    if let Some(error) = stanza.child("jabber:client", "error") {
        let condition = error.elements().next().unwrap();
        return format!("{} {}", error.attr("type").unwrap(), condition.name);
    }
    let type_ = stanza.attr("type").filter(|type_| *type_ == "unavailable");
    out.push_str(type_.map_or("", |_| " gone"));
    let x = stanza.child(super::USER, "x");
    for child in x.into_iter().flat_map(xmpp::Element::elements) {
        match child.name.as_str() {
            "item" if child.attr("jid").is_some() => out.push_str(" seen"),
            "status" => out.push_str(&format!(" {}", child.attr("code").unwrap())),
            "invite" | "password" => out.push_str(&format!(" {}", child.name)),
            _ => {}
        }
    }
    out
}

fn affiliate(room: &mut Room, name: &str, affiliation: Affiliation, nick: &str) {
    let jid = Jid::parse(&format!("{name}@home.example")).unwrap();
    let record = AffiliationRecord {
        affiliation,
        nick: nick.into(),
        reason: String::new(),
    };
    room.affiliations.insert(jid, record);
}

/// Configuration, what the newcomer says to the room, and what becomes of it.
type AtTheDoor = (fn(&mut Room), &'static str, &'static str);

const AT_THE_DOOR: &[AtTheDoor] = &[
    (|_| {}, "", "presence Romeo seen 110"),
    (
        |r| r.config.password = "p".into(),
        "",
        "auth not-authorized",
    ),
    (
        |r| r.config.password = "p".into(),
        "<password>q</password>",
        "auth not-authorized",
    ),
    (
        |r| r.config.password = "p".into(),
        "<password>p</password>",
        "presence Romeo seen 110",
    ),
    (
        |r| r.config.members_only = true,
        "",
        "auth registration-required",
    ),
    (
        |r| {
            r.config.members_only = true;
            affiliate(r, "romeo", Affiliation::Member, "");
        },
        "",
        "presence Romeo seen 110",
    ),
    (
        |r| affiliate(r, "romeo", Affiliation::Outcast, ""),
        "",
        "auth forbidden",
    ),
    // Who is banned does not learn what else would be needed.
    (
        |r| {
            r.config.password = "p".into();
            affiliate(r, "romeo", Affiliation::Outcast, "");
        },
        "",
        "auth forbidden",
    ),
    (
        |r| affiliate(r, "nurse", Affiliation::Member, "ROMEO"),
        "",
        "cancel conflict",
    ),
    (
        |r| affiliate(r, "romeo", Affiliation::Member, "Romeo"),
        "",
        "presence Romeo seen 110",
    ),
    (|r| r.config.max_users = 1, "", "wait service-unavailable"),
    (
        |r| {
            r.config.max_users = 1;
            affiliate(r, "romeo", Affiliation::Member, "");
        },
        "",
        "wait service-unavailable",
    ),
    // §7.2.9: there is a reserve.
    (
        |r| {
            r.config.max_users = 1;
            affiliate(r, "romeo", Affiliation::Admin, "");
        },
        "",
        "presence Romeo seen 110",
    ),
    (|r| r.config.max_users = 2, "", "presence Romeo seen 110"),
    (
        |r| r.config.non_anonymous = true,
        "",
        "presence Romeo seen 110 100",
    ),
    (
        |r| r.config.public_log = true,
        "",
        "presence Romeo seen 110 170",
    ),
];

/// §7.2.17, and the codes of §7.2.3 and §7.2.12.
#[test]
fn at_the_door() {
    for (configure, x, expected) in AT_THE_DOOR {
        let scene = Scene::new(configure);
        scene.enter(&scene.romeo, "Romeo", x);
        let got = scene.got(&scene.romeo);
        let own = got
            .split(", ")
            .find(|got| !got.starts_with("presence Juliet"));
        assert_eq!(own.unwrap(), *expected, "{got}");
    }
}

/// Whether a nickname is taken is known to those who may come in.
#[test]
fn nicknames_are_not_for_those_outside() {
    type Row = (fn(&mut Room), &'static str);
    let rows: &[Row] = &[
        (|_| {}, "cancel conflict"),
        (|r| r.config.password = "p".into(), "auth not-authorized"),
        (
            |r| r.config.members_only = true,
            "auth registration-required",
        ),
        (
            |r| affiliate(r, "romeo", Affiliation::Outcast, ""),
            "auth forbidden",
        ),
        (|r| r.locked = true, "cancel item-not-found"),
    ];
    for (configure, expected) in rows {
        let scene = Scene::new(configure);
        scene.enter(&scene.romeo, "Juliet", "");
        assert_eq!(scene.got(&scene.romeo), *expected);
    }
}

/// §7.2.3, §7.2.4: who sees a real address.
#[test]
fn who_sees_addresses() {
    for (non_anonymous, affiliation, expected) in [
        (false, Affiliation::None, "presence Juliet"),
        (false, Affiliation::Member, "presence Juliet"),
        (false, Affiliation::Admin, "presence Juliet seen"),
        (true, Affiliation::None, "presence Juliet seen"),
    ] {
        let scene = Scene::new(|room| {
            room.config.non_anonymous = non_anonymous;
            affiliate(room, "romeo", affiliation, "");
        });
        scene.enter(&scene.romeo, "Romeo", "");
        let got = scene.got(&scene.romeo);
        assert_eq!(got.split(", ").next(), Some(expected));
        scene.presence(&scene.juliet, "Juliet", "<show>away</show>");
        assert_eq!(scene.got(&scene.romeo), expected);
    }
}

/// §7.2.2: somebody of a role that is not shown comes, changes, and leaves.
#[test]
fn who_is_shown() {
    let visitors_hidden = Roles {
        visitor: false,
        ..Roles::EVERYBODY
    };
    for (shown, role, expected) in [
        (
            Roles::EVERYBODY,
            Role::Visitor,
            "presence Romeo seen, presence Romeo seen, presence Romeo gone seen",
        ),
        (visitors_hidden, Role::Visitor, ""),
        (
            visitors_hidden,
            Role::Participant,
            "presence Romeo seen, presence Romeo seen, presence Romeo gone seen",
        ),
    ] {
        let scene = Scene::new(|room| {
            room.config.presence_broadcast = shown;
            room.config.moderated = role == Role::Visitor;
        });
        scene.enter(&scene.romeo, "Romeo", "");
        scene.presence(&scene.romeo, "Romeo", "<show>away</show>");
        let nurse = scene.fixture.online("nurse", "k");
        scene.enter(&nurse, "Nurse", "");
        let sees_romeo = scene.got(&nurse).contains("presence Romeo");
        assert_eq!(sees_romeo, !expected.is_empty());
        scene.fixture.leave(&nurse);
        let leave = format!("<presence to='{ROOM}/Romeo' type='unavailable'/>");
        scene.fixture.send(&scene.romeo, &leave);
        let got = scene.got(&scene.juliet);
        let of_romeo = got.split(", ").filter(|got| got.contains("Romeo"));
        assert_eq!(of_romeo.collect::<Vec<_>>().join(", "), expected);
        assert!(
            scene
                .got(&scene.romeo)
                .ends_with("presence Romeo gone seen 110")
        );
    }
}

/// A moderator hides somebody, and shows them again, by their role.
#[test]
fn who_changes_between_shown_and_hidden() {
    use super::announce::{News, Told, to_others};
    let scene = Scene::new(|room| {
        room.config.presence_broadcast.visitor = false;
        room.config.moderated = true;
    });
    scene.enter(&scene.romeo, "Romeo", "");
    scene.got(&scene.juliet);
    let own = Jid::parse(&format!("{ROOM}/Romeo")).unwrap();
    for (was, role, expected) in [
        (Role::Visitor, Role::Participant, "presence Romeo seen"),
        (Role::Participant, Role::Visitor, "presence Romeo gone seen"),
        (Role::Visitor, Role::Visitor, ""),
        (Role::Visitor, Role::None, ""),
    ] {
        let room = now(scene.fixture.server.load(ROOM)).unwrap().unwrap();
        scene.fixture.server.at(&room, 0, |cx| {
            let room = cx.room().unwrap();
            let told = Told::of(room, room.occupants.get(&own).unwrap()).unwrap();
            let was_shown = was > Role::Visitor;
            let told = Told {
                role,
                was_shown,
                ..told
            };
            to_others(cx, &told, &News::default());
            let leaving = cx.state.take_leaving();
            let leaving = leaving.iter().map(|leaving| {
                let mut bytes = Vec::new();
                leaving.passing.entry().write(&mut bytes);
                short(&String::from_utf8(bytes).unwrap())
            });
            assert_eq!(leaving.collect::<Vec<_>>().join(", "), expected);
        });
    }
}

/// §7.4, §8.1, §7.5: who may speak, and set the subject.
#[test]
fn who_may_speak() {
    type Row = (fn(&mut Config), [&'static str; 3]);
    let (said, forbidden) = ("message Romeo", "auth forbidden");
    let rows: &[Row] = &[
        // To everybody, the subject, in private.
        (|_| {}, [said, forbidden, ""]),
        (|c| c.change_subject = true, [said, said, ""]),
        (|c| c.moderated = true, [forbidden, forbidden, ""]),
        (
            |c| (c.moderated, c.change_subject) = (true, true),
            [forbidden, forbidden, ""],
        ),
        (|c| c.allow_pm = None, [said, forbidden, forbidden]),
        (
            |c| c.allow_pm = Some(Role::Moderator),
            [said, forbidden, forbidden],
        ),
        (
            |c| c.allow_pm = Some(Role::Participant),
            [said, forbidden, ""],
        ),
        (
            |c| (c.moderated, c.allow_pm) = (true, Some(Role::Participant)),
            [forbidden, forbidden, forbidden],
        ),
    ];
    for (number, (configure, expected)) in rows.iter().enumerate() {
        let scene = Scene::new(|room| configure(&mut room.config));
        scene.enter(&scene.romeo, "Romeo", "");
        scene.got(&scene.romeo);
        scene.says(&scene.romeo, "' type='groupchat'", "<body>b</body>");
        let speaks = scene.got(&scene.romeo);
        scene.says(&scene.romeo, "' type='groupchat'", "<subject>s</subject>");
        let sets = scene.got(&scene.romeo);
        scene.says(&scene.romeo, "/Juliet' type='chat'", "<body>b</body>");
        let whispers = scene.got(&scene.romeo);
        assert_eq!([&*speaks, &*sets, &*whispers], *expected, "row {number}");
        // Who owns the room may everything, unless it is for nobody.
        scene.says(&scene.juliet, "' type='groupchat'", "<subject>s</subject>");
        assert_eq!(scene.got(&scene.romeo), "message Juliet");
    }
}

/// Configuration, what romeo is told, what arrives at the nurse's, and what she is to the room then.
type Inviting = (fn(&mut Room), &'static str, &'static str, Affiliation);

const INVITING: &[Inviting] = &[
    (|_| {}, "", "message - invite", Affiliation::None),
    (
        |r| r.config.password = "p".into(),
        "",
        "message - invite password",
        Affiliation::None,
    ),
    (
        |r| r.config.allow_invites = false,
        "auth forbidden",
        "",
        Affiliation::None,
    ),
    (
        |r| {
            r.config.allow_invites = false;
            affiliate(r, "romeo", Affiliation::Admin, "");
        },
        "",
        "message - invite",
        Affiliation::None,
    ),
    (
        |r| r.config.moderated = true,
        "auth forbidden",
        "",
        Affiliation::None,
    ),
    (
        |r| {
            r.config.members_only = true;
            affiliate(r, "romeo", Affiliation::Member, "");
        },
        "",
        "message - invite",
        Affiliation::Member,
    ),
    (
        |r| affiliate(r, "nurse", Affiliation::Outcast, ""),
        "cancel not-allowed",
        "",
        Affiliation::Outcast,
    ),
    (
        |r| {
            r.config.members_only = true;
            affiliate(r, "romeo", Affiliation::Member, "");
            affiliate(r, "nurse", Affiliation::Admin, "");
        },
        "",
        "message - invite",
        Affiliation::Admin,
    ),
];

/// §7.8.2: who may invite, and what an invitation into a room that is closed makes.
#[test]
fn who_may_invite() {
    let nurse_jid = Jid::parse("nurse@home.example").unwrap();
    for (number, (configure, answer, arrives, becomes)) in INVITING.iter().enumerate() {
        let scene = Scene::new(configure);
        let nurse = scene.fixture.online("nurse", "k");
        let x = "<x xmlns='http://jabber.org/protocol/muc'><password>p</password></x>";
        scene.presence(&scene.romeo, "Romeo", x);
        scene.got(&scene.romeo);
        scene.fixture.write();
        let invite = "<invite to='nurse@home.example'/>";
        let x = format!("<x xmlns='{}'>{invite}</x>", super::USER);
        scene.says(&scene.romeo, "' id='n'", &x);
        assert_eq!(scene.got(&scene.romeo), *answer, "row {number}");
        assert_eq!(scene.got(&nurse), *arrives, "row {number}");
        let is = scene.room(|room| room.affiliation(&nurse_jid));
        assert_eq!(is, *becomes, "row {number}");
    }
}

/// §14.6.
#[test]
fn nobody_invites_without_end() {
    let scene = Scene::new(|_| {});
    let invites = |count: usize| {
        let people = (0..count).map(|n| format!("<invite to='p{n}@far.example'/>"));
        format!(
            "<x xmlns='{}'>{}</x>",
            super::USER,
            people.collect::<String>()
        )
    };
    let ask = |count: usize| {
        scene.fixture.write();
        scene.says(&scene.juliet, "' id='n'", &invites(count));
        let got = scene.got(&scene.juliet);
        got.split(", ").next().unwrap_or_default().to_owned()
    };
    // Other houses cannot be reached from this one: each comes back.
    let away = "cancel remote-server-not-found";
    assert_eq!(ask(21), "modify policy-violation");
    for _ in 0..3 {
        assert_eq!(ask(20), away);
    }
    assert_eq!(ask(1), "wait policy-violation");
    scene.fixture.hands.pass(crate::limits::INVITING_MS);
    assert_eq!(ask(1), away);
}

/// §7.6, §7.7: visitors of whom nothing changes.
#[test]
fn visitors_who_may_not_change() {
    let scene = Scene::new(|room| {
        room.config.moderated = true;
        room.config.visitors_may_change = false;
        room.config.visitors_may_rename = false;
    });
    scene.enter(&scene.romeo, "Romeo", "");
    scene.got(&scene.romeo);
    scene.got(&scene.juliet);
    scene.presence(&scene.romeo, "Montague", "");
    assert_eq!(scene.got(&scene.romeo), "cancel not-acceptable");
    scene.presence(&scene.romeo, "Romeo", "<status>Buy here</status>");
    assert_eq!(scene.got(&scene.romeo), "presence Romeo seen 110");
    assert_eq!(scene.got(&scene.juliet), "");
}

/// §7.2.9: a person may not be there with any number of devices, each of which gets everything.
#[test]
fn a_nickname_has_places_too() {
    use crate::{limits::ROOM_SEATS_MAX, room::Seat};
    let scene = Scene::new(|_| {});
    let own = Jid::parse(&format!("{ROOM}/Romeo")).unwrap();
    scene.enter(&scene.romeo, "Romeo", "");
    scene.got(&scene.romeo);
    scene.room(|room| {
        let occupant = room.occupants.get_mut(&own).unwrap();
        for n in 1..ROOM_SEATS_MAX {
            let jid = Jid::parse(&format!("romeo@home.example/{n}")).unwrap();
            let presence = "".into();
            occupant.take(Seat { jid, presence });
        }
    });
    let garden = scene.fixture.online("romeo", "garden");
    scene.enter(&garden, "Romeo", "");
    assert_eq!(scene.got(&garden), "wait service-unavailable");
    // Who has one keeps it.
    scene.enter(&scene.romeo, "Romeo", "");
    assert!(scene.got(&scene.romeo).contains("presence Romeo seen 110"));
}
