//! The archive of a room (XEP-0313 §6.1.2): who may ask, and what of it they are shown.
//!
//! What is kept says who spoke by nickname, and by real address only where everybody saw it when it was said.
//! Moderators are told the bare address of anybody. A `with` is an occupant JID, or a real address for those
//! who may know it; the room's own is everything.

use super::{Results, query, read};
use crate::{
    account::Cx,
    archive::{Kept, Query, SaidBy},
    feature::{Answer, Iq, Plan},
    room::Sight,
};
use query::Asked;
use std::{borrow::Cow, sync::Arc};
use xmpp::{
    Jid, Passing, Stanza, StanzaError, compose,
    stanza::{Child, Reach},
};

/// XEP-0045.
const USER: &str = "http://jabber.org/protocol/muc#user";

/// §4.1.5.
pub(super) fn form(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    sight(cx, iq)?;
    Ok(query::form())
}

/// §5.
pub(super) fn metadata(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    sight(cx, iq)?;
    Ok(super::metadata(cx))
}

/// §4: as for the own archive, for whoever may read this one.
pub(super) fn ask(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let sight = sight(cx, iq)?;
    let (ids, account) = (cx.server.archive_ids().clone(), cx.id());
    let mut asked = Asked::read(&iq.payload.element(), |id| ids.position(account, id))?;
    narrow(&mut asked.query, sight, cx.jid())?;
    let room = cx.room().ok_or(StanzaError::ITEM_NOT_FOUND)?;
    let under_way = room.pages.begin(&iq.passing.from)?;
    let index = cx.state.memory.archive.clone();
    let (own, to) = (cx.jid().clone(), iq.passing.from.clone());
    Ok(Box::new(move |snapshot| {
        let _until_it_is_read = under_way;
        let page = read(snapshot, account, &index, &asked.query)?;
        let answer = Results {
            ids: &ids,
            account,
            own: &own,
            to: &to,
            asked: &asked,
            sight: Some(sight),
        };
        Ok(answer.of(page))
    }))
}

fn sight(cx: &Cx<'_>, iq: &Iq<'_>) -> Result<Sight, StanzaError> {
    let room = cx.room().ok_or(StanzaError::ITEM_NOT_FOUND)?;
    room.reader(&iq.passing.from)
}

/// §4.1.1: by whom, as far as the one who asks may know that.
fn narrow(query: &mut Query, sight: Sight, own: &Jid) -> Result<(), StanzaError> {
    let Some(with) = query.with.take() else {
        return Ok(());
    };
    if with == *own {
        return Ok(()); // everybody speaks under the room's address
    }
    if with.bare_str() == own.as_str() {
        query.said_by = Some(SaidBy::Occupant(with));
        return Ok(());
    }
    query.with = Some(with.bare());
    query.said_by = match sight {
        Sight::Nicknames => return Err(StanzaError::FORBIDDEN),
        Sight::All if with.is_bare() => None,
        Sight::Shown | Sight::All => Some(SaidBy::Known(with)),
    };
    Ok(())
}

/// A message as somebody who sees so much is shown it.
pub(super) fn shown<'a>(payload: &'a str, kept: &Kept, sight: Sight, own: &Jid) -> Cow<'a, str> {
    let may_tell = payload.contains(USER);
    let by_the_room = kept.contact == own.as_str();
    if !may_tell && (sight != Sight::All || by_the_room) || sight == Sight::Shown {
        return Cow::Borrowed(payload); // the usual case costs no look inside
    }
    let Ok(stanza) = Stanza::parse(payload) else {
        return Cow::Borrowed("");
    };
    let told = stanza.child(USER, "x").map(Child::index);
    let from = stanza.from().ok().flatten().unwrap_or_else(|| own.clone());
    let mut message = Passing::new(Arc::new(stanza), from, own.clone());
    match (told, sight) {
        (Some(x), Sight::Nicknames) => message.leave_behind(x, Reach::Everybody),
        (None, Sight::All) if !by_the_room => {
            let mut item = format!("<x xmlns='{USER}'><item");
            compose::attribute(&mut item, "jid", &kept.contact);
            message.add(item + "/></x>", Reach::Everybody);
        }
        _ => return Cow::Borrowed(payload),
    }
    Cow::Owned(message.to_xml_for_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{archive::ENTRY, fixture::Fixture, room::Config, session::Session};

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn asked_for(with: &str, sight: Sight) -> String {
        let mut query = query::nothing_special();
        query.with = Some(jid(with));
        match narrow(&mut query, sight, &jid("coven@s")) {
            Ok(()) => format!("{:?} {:?}", query.with, query.said_by),
            Err(error) => error.condition.to_owned(),
        }
    }

    #[test]
    fn by_whom() {
        let real = |with: &str, by: &str| {
            let by = if by.is_empty() {
                None
            } else {
                Some(SaidBy::Known(jid(by)))
            };
            format!("{:?} {by:?}", Some(jid(with)))
        };
        let hag = Some(SaidBy::Occupant(jid("coven@s/hag")));
        let occupant = format!("{:?} {hag:?}", None::<Jid>);
        let everybody = "None None".to_owned();
        let forbidden = "forbidden".to_owned();
        for (with, nicknames, shown, all) in [
            ("coven@s", &everybody, &everybody, &everybody),
            ("coven@s/hag", &occupant, &occupant, &occupant),
            ("h@s", &forbidden, &real("h@s", "h@s"), &real("h@s", "")),
            (
                "h@s/pda",
                &forbidden,
                &real("h@s", "h@s/pda"),
                &real("h@s", "h@s/pda"),
            ),
        ] {
            assert_eq!(asked_for(with, Sight::Nicknames), *nicknames, "{with}");
            assert_eq!(asked_for(with, Sight::Shown), *shown, "{with}");
            assert_eq!(asked_for(with, Sight::All), *all, "{with}");
        }
    }

    #[test]
    fn what_is_shown() {
        let body = "<body>http://jabber.org/protocol/muc#user</body>";
        let known = format!("<x xmlns='{USER}'><item jid='h@s/pda'/></x>");
        let added = format!("<x xmlns='{USER}'><item jid='h@s'/></x>");
        let message = |more: &str| {
            format!("<message xmlns='jabber:client' from='coven@s/hag'>{body}{more}</message>")
        };
        for (kept, nicknames, all) in [("", "", added.as_str()), (&known, "", &known)] {
            let payload = message(kept);
            let kept = Kept {
                position: 1,
                stamp: 0,
                contact: "h@s".into(),
                payload: payload.clone().into(),
            };
            let own = jid("coven@s");
            let as_seen = |sight| shown(&payload, &kept, sight, &own).into_owned();
            assert_eq!(as_seen(Sight::Nicknames), message(nicknames));
            assert_eq!(as_seen(Sight::Shown), payload);
            assert_eq!(as_seen(Sight::All), message(all));
            let by_the_room = Kept {
                contact: "coven@s".into(),
                ..kept.clone()
            };
            assert_eq!(shown(&payload, &by_the_room, Sight::All, &own), payload);
        }
    }

    const ROOM: &str = "coven@groupchat.home.example";

    /// Everything in the archive of the room, as somebody is shown it.
    fn found(home: &Fixture, who: &Arc<Session>) -> Vec<String> {
        home.got(who);
        let query = "<query xmlns='urn:xmpp:mam:2'/>";
        home.send(
            who,
            &format!("<iq type='set' id='q' to='{ROOM}'>{query}</iq>"),
        );
        home.write();
        // What comes out of one archive goes into no other, not even to wait.
        let snapshot = home.server.store().snapshot().unwrap();
        let own = ENTRY.prefix(&snapshot, &who.account.id).unwrap();
        assert_eq!(own.count(), 0);
        let mut found = home.got(who);
        assert!(found.pop().unwrap().contains("complete='true'"));
        found
    }

    fn configure(home: &Fixture, change: impl FnOnce(&mut Config)) {
        let room = home.server.directory().get(ROOM).unwrap();
        change(&mut room.lock().room.as_mut().unwrap().config);
    }

    #[test]
    fn where_nothing_is_kept_nothing_is_offered() {
        let home = Fixture::new(&["juliet"]);
        let juliet = home.online("juliet", "x");
        let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
        let form = "<query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query>";
        home.send(&juliet, &format!("<presence to='{ROOM}/j'>{x}</presence>"));
        home.send(
            &juliet,
            &format!("<iq type='set' id='o' to='{ROOM}'>{form}</iq>"),
        );
        for (archive, kept) in [(true, true), (false, false)] {
            configure(&home, |config| config.archive = archive);
            home.got(&juliet);
            let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
            let retract = "<retract xmlns='urn:xmpp:message-retract:1'/>";
            let moderate = format!(
                "<moderate xmlns='urn:xmpp:message-moderate:1' id='1'>{retract}</moderate>"
            );
            for (what, payload, answer) in [
                (
                    "get",
                    info,
                    if kept { "urn:xmpp:mam:2'" } else { "muc_open" },
                ),
                (
                    "set",
                    "<query xmlns='urn:xmpp:mam:2'/>",
                    if kept { "<fin" } else { GONE },
                ),
                (
                    "get",
                    "<metadata xmlns='urn:xmpp:mam:2'/>",
                    if kept { "<metadata" } else { GONE },
                ),
                ("set", &moderate, if kept { "item-not-found" } else { GONE }),
            ] {
                home.send(
                    &juliet,
                    &format!("<iq type='{what}' id='q' to='{ROOM}'>{payload}</iq>"),
                );
                home.write();
                let got = home.got(&juliet).concat();
                assert!(got.contains(answer), "{archive} {payload}: {got}");
                let offers = ["mam:2", "fulltext:0", "message-moderate:1", "sid:0"];
                let offered = offers.map(|var| got.contains(&format!("var='urn:xmpp:{var}'")));
                assert_eq!(offered, [kept && payload == info; 4], "{got}");
            }
            let message = format!("<message to='{ROOM}' type='groupchat'><body>1</body></message>");
            home.send(&juliet, &message);
            assert_eq!(home.got(&juliet).concat().contains("stanza-id"), kept);
        }
    }

    const GONE: &str = "service-unavailable";

    #[test]
    fn addresses_are_shown_to_who_might_have_seen_them() {
        let home = Fixture::new(&["juliet", "romeo", "nurse"]);
        let [juliet, romeo, nurse] = ["juliet", "romeo", "nurse"].map(|who| home.online(who, "x"));
        for who in [&juliet, &romeo] {
            let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
            let nick = who.jid.localpart().unwrap();
            home.send(who, &format!("<presence to='{ROOM}/{nick}'>{x}</presence>"));
            let form = "<query xmlns='http://jabber.org/protocol/muc#owner'>\
                 <x xmlns='jabber:x:data' type='submit'/></query>";
            home.send(
                who,
                &format!("<iq type='set' id='o' to='{ROOM}'>{form}</iq>"),
            );
        }
        let say = |body: &str| {
            let message =
                format!("<message to='{ROOM}' type='groupchat'><body>{body}</body></message>");
            home.send(&romeo, &message);
        };
        say("under a nickname");
        configure(&home, |config| config.non_anonymous = true);
        say("for all to see");
        let full = "<item affiliation='none' jid='romeo@home.example/x' role='participant'/>";
        let bare = "<item jid='romeo@home.example'/>";
        let has = |found: &str| (found.contains(full), found.contains(bare));
        for (non_anonymous, who, expected) in [
            (true, &nurse, [(false, false), (true, false)]),
            (true, &romeo, [(false, false), (true, false)]),
            (true, &juliet, [(false, true), (true, false)]),
            (false, &nurse, [(false, false), (false, false)]),
            (false, &juliet, [(false, true), (true, false)]),
        ] {
            configure(&home, |config| config.non_anonymous = non_anonymous);
            let found = found(&home, who);
            let shown: Vec<_> = found.iter().map(|found| has(found)).collect();
            assert_eq!(shown, expected, "{non_anonymous} {}", who.jid);
        }
        // Nor is it in the history of whoever enters.
        let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
        home.send(
            &nurse,
            &format!("<presence to='{ROOM}/nurse'>{x}</presence>"),
        );
        let got = home.got(&nurse).concat();
        assert!(
            got.contains("for all to see") && !got.contains("romeo@"),
            "{got}"
        );
    }
}
