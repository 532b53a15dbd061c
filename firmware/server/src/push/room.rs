//! What is said in rooms while a member is not there: a room tells the accounts of its members, and their
//! devices that are away are pushed as their settings say (XEP-0492).

use super::{
    Device,
    chat::Chat,
    note::Note,
    publish::{for_each, is_wanted, owe},
};
use crate::{account::Cx, features::notification_settings::Notify};
use std::sync::Arc;
use xmpp::Passing;

/// In the account of a member of a room, who has this nickname there: something was said, by the occupant
/// whose address `said` is from. Each device that is away is pushed, if it wants to hear of that: `usual`
/// holds where the bookmark of the room says nothing, which is [`Notify::Always`] for private groups and
/// [`Notify::OnMention`] for public rooms (§3). A device that waits in the room (XEP-0198) is sent what is
/// said there, and pushed for that: it is passed over here, and every member may be told.
pub(crate) fn said(cx: &mut Cx<'_>, said: &Passing, nickname: &str, usual: Notify) {
    let is_own = said.from.resourcepart() == Some(nickname);
    if cx.state.memory.push.is_empty() || is_own {
        return;
    }
    let Some(mut note) = Note::of(said, cx.jid()) else {
        return;
    };
    note.position = None; // it is in the room's archive
    let note = Arc::new(note);
    let chat = Chat::in_room(cx, said, &note, nickname, usual);
    for_each(cx, |cx, enabled| {
        let mut own = cx.state.resources.iter();
        let is_there = own.any(|own| {
            let mut directed = own.directed.iter();
            enabled.settings.is_of(own)
                && directed.any(|jid| jid.bare_str() == said.from.bare_str())
        });
        let is_away = matches!(enabled.device(cx.state, None), Device::Away);
        if is_away && !is_there && is_wanted(cx.state, enabled, &chat) {
            owe(cx, enabled, note.clone(), 1);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{Fixture, now},
        session::Session,
    };
    use xmpp::{Jid, Stanza};

    const ROOM: &str = "hall@rooms.home.example";

    fn in_hall(home: &Fixture, member: &Arc<Session>, from: &str, inside: &str, usual: Notify) {
        let stanza = format!("<message type='groupchat'>{inside}</message>");
        let stanza = Arc::new(Stanza::parse(&stanza).unwrap());
        let from = Jid::parse(&format!("{ROOM}/{from}")).unwrap();
        let passing = Passing::new(stanza, from, Jid::parse(ROOM).unwrap());
        let account = &member.account;
        home.server
            .at(account, 0, |cx| said(cx, &passing, "Jule", usual));
        now(home.server.settle(account));
    }

    /// A push service, and juliet, whose phone asked for it.
    fn household(home: &Fixture, bookmark: &str) -> (Arc<Session>, Arc<Session>) {
        let push = home.online("push", "app");
        home.send(&push, "<presence to='juliet@home.example'/>");
        let phone = home.online("juliet", "phone");
        let enable = "<enable xmlns='urn:xmpp:push:0' jid='push@home.example/app' node='n'/>";
        home.send(&phone, &format!("<iq type='set' id='e'>{enable}</iq>"));
        if !bookmark.is_empty() {
            let item = format!(
                "<item id='{ROOM}'><conference xmlns='urn:xmpp:bookmarks:1'><nick>Juliet</nick><extensions>\
                 <notify xmlns='urn:xmpp:notification-settings:1'>{bookmark}</notify>\
                 </extensions></conference></item>"
            );
            let publish = format!("<publish node='urn:xmpp:bookmarks:1'>{item}</publish>");
            let pubsub =
                format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{publish}</pubsub>");
            home.send(&phone, &format!("<iq type='set' id='b'>{pubsub}</iq>"));
        }
        home.write();
        home.got(&phone);
        home.got(&push);
        (push, phone)
    }

    #[test]
    fn members_who_are_away_are_pushed_as_they_wish() {
        use Notify::{Always, OnMention};
        let (hark, named) = ("<body>Hark</body>", "<body>Jule, hark</body>");
        let in_bookmark = "<body>Where is Juliet?</body>";
        let secret = "<encrypted xmlns='urn:xmpp:omemo:2'><payload/></encrypted>";
        let subject = "<subject>Tonight</subject>";
        for (bookmark, usual, from, inside, expected) in [
            ("", Always, "nurse", hark, true),
            ("", OnMention, "nurse", hark, false),
            ("", OnMention, "nurse", named, true),
            ("", OnMention, "nurse", secret, true),
            ("", Always, "Jule", hark, false),
            ("", Always, "nurse", subject, false),
            ("<never/>", Always, "nurse", named, false),
            ("<on-mention/>", Always, "nurse", hark, false),
            ("<on-mention/>", Always, "nurse", named, true),
            ("<on-mention/>", Always, "nurse", in_bookmark, true),
            ("<always/>", OnMention, "nurse", hark, true),
            (
                "<never/><always identity-category='client' identity-type='phone'/>",
                OnMention,
                "nurse",
                hark,
                true,
            ),
        ] {
            let home = Fixture::new(&["juliet", "push"]);
            let (push, phone) = household(&home, bookmark);
            home.leave(&phone);
            in_hall(&home, &phone, from, inside, usual);
            let got = home.got(&push).concat();
            assert_eq!(
                got.contains("urn:xmpp:push:0"),
                expected,
                "{bookmark} {usual:?} {from} {inside}"
            );
        }
    }

    #[test]
    fn a_device_that_is_there_is_told_by_the_room_alone() {
        let home = Fixture::new(&["juliet", "push"]);
        let (push, phone) = household(&home, "<always/>");
        in_hall(&home, &phone, "nurse", "<body>Hark</body>", Notify::Always);
        assert_eq!(home.got(&push), Vec::<String>::new(), "connected");
        // Without a line, and still in the room.
        let room = Jid::parse(&format!("{ROOM}/Jule")).unwrap();
        {
            let mut state = phone.account.lock();
            state.resource(&phone.jid).unwrap().directed.insert(room);
        }
        in_hall(&home, &phone, "nurse", "<body>Hark</body>", Notify::Always);
        assert_eq!(home.got(&push), Vec::<String>::new(), "in the room");
    }
}
