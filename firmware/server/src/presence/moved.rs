//! XEP-0283: Moved. Somebody asks to see an account's presence and says to be a contact under a new address.
//! The old account is asked whether that is so before anybody sees the request (§4.4); if it is, the new
//! address takes the place of the old one.
//!
//! State: whose word is waited for, in memory with the account that asked. The request itself is kept as any
//! other: a restart, or an account that leaves memory, makes it one that somebody has to answer.

use super::{change, mere, requests, subscription_out};
use crate::{
    account::Cx,
    features::passes,
    limits::{MOVE_ANSWER_MS_MAX, MOVES_MAX},
    push,
    roster::Verb,
    server::Server,
};
use std::{mem, sync::Arc};
use tracing::info;
use xmpp::{Element, Jid, Kind, Passing, Stanza, ns};

const NS: &str = "urn:xmpp:moved:1";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// Whose word is waited for; no more than [`MOVES_MAX`].
#[derive(Default)]
pub(crate) struct Moves(Vec<Move>);

struct Move {
    /// Bare JIDs.
    old: Jid,
    new: Jid,
    /// Of the question.
    id: Box<str>,
    /// In elapsed milliseconds: later than that no answer is worth waiting for.
    until: u64,
    /// The request would have been shown, and waits.
    hides: bool,
}

impl Moves {
    /// Whether a request of this contact is not to be shown yet.
    pub(super) fn hide(&self, contact: &Jid) -> bool {
        self.0
            .iter()
            .any(|other| other.hides && other.new == *contact)
    }
}

/// Asks the old account of whoever sends a request and says to have moved; whether that was possible. `hides`
/// tells that the request would be shown now.
pub(super) fn ask(cx: &mut Cx<'_>, request: &Passing, hides: bool) -> bool {
    let Some(old) = old_address(request) else {
        return false;
    };
    let new = request.from.bare();
    let moves = &cx.state.memory.moves.0;
    // §4.3: whom the old address was never approved by is told nothing of it. What is too large to be kept
    // whole could not be shown as it was.
    if !cx.state.roster.subscription(&old).from
        || moves.len() >= MOVES_MAX
        || moves.iter().any(|other| other.new == new)
        || requests::is_too_large(request)
    {
        return false;
    }
    let id = format!("moved{}", cx.server.next_number());
    let mut question = question(&id, cx.jid(), &old);
    if !passes(cx, |feature| feature.stanza_out, &mut question) {
        return false; // the old address is blocked
    }
    let until = cx.server.clock().elapsed_ms() + MOVE_ANSWER_MS_MAX;
    cx.state.memory.moves.0.push(Move {
        old,
        new,
        id: id.into(),
        until,
        hides,
    });
    cx.route(question);
    true
}

/// §4.2: a single `<old-jid/>`, and a bare one (§4.3).
fn old_address(request: &Passing) -> Option<Jid> {
    let moved = request.stanza.child(NS, "moved")?.element();
    let old = address(&moved, "old-jid")?;
    (old != request.from.bare() && old.localpart().is_some()).then_some(old)
}

/// The bare JID in the only child of this name.
fn address(moved: &Element, name: &str) -> Option<Jid> {
    let mut children = moved.elements().filter(|child| child.is(NS, name));
    let only = children.next()?;
    let jid = Jid::parse(only.text().trim()).ok()?;
    (children.next().is_none() && jid.is_bare()).then_some(jid)
}

fn question(id: &str, from: &Jid, to: &Jid) -> Passing {
    let query = format!(
        "<pubsub xmlns='{PUBSUB}'><items node='{NS}'><item id='current'/></items></pubsub>"
    );
    let stanza = Stanza::compose(Kind::Iq, &[("type", "get"), ("id", id)], &query);
    Passing::new(Arc::new(stanza), from.clone(), to.clone())
}

/// An answer to the account: perhaps the word of an old address.
pub(crate) fn answered(cx: &mut Cx<'_>, answer: &Passing) {
    let id = answer.stanza.id().unwrap_or_default();
    let moves = &mut cx.state.memory.moves.0;
    let asked = moves
        .iter()
        .position(|other| *other.id == *id && other.old == answer.from);
    let Some(asked) = asked.map(|at| moves.remove(at)) else {
        return;
    };
    if new_address(answer).is_none_or(|new| new != asked.new) || !take_over(cx, &asked) {
        give_up(cx, &asked);
    }
}

/// What the old account says its new address is.
fn new_address(answer: &Passing) -> Option<Jid> {
    if answer.stanza.type_() == "error" {
        // §4.3, note: the old server itself says it.
        let error = answer.stanza.child(ns::CLIENT, "error")?.element();
        let gone = error.child(ns::STANZA_ERRORS, "gone")?.text();
        let jid = Jid::parse(gone.trim().strip_prefix("xmpp:")?).ok()?;
        return jid.is_bare().then_some(jid);
    }
    let pubsub = answer.stanza.child(PUBSUB, "pubsub")?.element();
    let items = pubsub.child(PUBSUB, "items")?;
    let is_statement = |item: &&Element| item.attr("id") == Some("current");
    let item = items.elements().find(is_statement)?;
    let is_ours = items.attr("node") == Some(NS);
    is_ours.then(|| address(item.child(NS, "moved")?, "new-jid"))?
}

/// §4.4: the new address is let in, the old one sees nothing any more, and whoever saw the old one asks to
/// see the new one. Whether it was possible.
fn take_over(cx: &mut Cx<'_>, Move { old, new, .. }: &Move) -> bool {
    let roster = &cx.state.roster;
    let was = roster.get(old).cloned().unwrap_or_default();
    let now = roster.get(new).cloned().unwrap_or_default();
    if !was.subscription.from {
        return false; // §6.2: once is enough
    }
    if now.subscription.pending_in {
        let mut item = now.clone();
        item.listed = true;
        if item.name.is_empty() && item.groups().is_empty() {
            item.name = was.name.clone();
            item = item.with_groups(was.groups().into());
        }
        let mut request = requests::request(cx, new, &now);
        let may_write = passes(cx, |feature| feature.stanza_in, &mut request);
        if !may_write || !cx.state.roster.has_room(new, &item) {
            return false;
        }
        let id = request.stanza.id().unwrap_or_default();
        let yes = [("type", "subscribed"), ("id", &*id)];
        let yes = mere(if id.is_empty() { &yes[..1] } else { &yes }, cx.jid(), new);
        cx.route(yes);
        let (state, _) = now.subscription.outbound(Verb::Subscribed);
        change(cx, new, &now, state, item);
        super::show_available(cx, new);
    } else if !now.subscription.from {
        return true; // it was refused meanwhile
    }
    tell(cx, old, Verb::Unsubscribed);
    if was.subscription.to && !now.subscription.to && !now.subscription.ask {
        tell(cx, new, Verb::Subscribe);
    }
    info!(account = %cx.jid(), "a contact moved, and was let in under the new address");
    true
}

/// As if a client of the account said so.
fn tell(cx: &mut Cx<'_>, contact: &Jid, verb: Verb) {
    let passing = mere(&[("type", verb.name())], &cx.jid().clone(), contact);
    subscription_out(cx, verb, passing);
}

/// The request is one like any other (§4.4).
fn give_up(cx: &mut Cx<'_>, Move { new, hides, .. }: &Move) {
    let item = cx.state.roster.get(new);
    let item = item.filter(|item| *hides && item.subscription.pending_in);
    let Some(item) = item.cloned() else {
        return;
    };
    let mut request = requests::request(cx, new, &item);
    if passes(cx, |feature| feature.stanza_in, &mut request) {
        requests::deliver(cx, Verb::Subscribe, &request);
        push::contact_requested(cx, &request);
    }
}

impl Server {
    /// Housekeeping: no account is waited for that has nothing to say.
    pub(crate) fn give_up_on_moves(&self) {
        let now = self.clock().elapsed_ms();
        for account in self.directory().all() {
            self.at(&account, 0, |cx| {
                let moves = mem::take(&mut cx.state.memory.moves.0);
                let (waiting, over) = moves.into_iter().partition(|other| now < other.until);
                cx.state.memory.moves.0 = waiting;
                let over: Vec<Move> = over;
                for asked in &over {
                    give_up(cx, asked);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::Fixture,
        presence::{arrive, put},
        roster::{Item, Subscription},
        session::Session,
    };

    const BOTH: Subscription = Subscription {
        to: true,
        from: true,
        ask: false,
        pending_in: false,
        approved: false,
    };

    fn jid(jid: &str) -> Jid {
        Jid::parse(jid).unwrap()
    }

    #[test]
    fn what_an_old_account_says() {
        let item = |content: &str| {
            format!(
                "<iq type='result' id='1'><pubsub xmlns='{PUBSUB}'><items node='{NS}'>\
                 <item id='current'>{content}</item></items></pubsub></iq>"
            )
        };
        let moved = |content: &str| item(&format!("<moved xmlns='{NS}'>{content}</moved>"));
        let error = |content: &str| {
            format!("<iq type='error' id='1'><error type='cancel'>{content}</error></iq>")
        };
        let gone = |to: &str| error(&format!("<gone xmlns='{}'>{to}</gone>", ns::STANZA_ERRORS));
        let rows = [
            (moved("<new-jid>j@new.example</new-jid>"), "j@new.example"),
            (
                moved("<new-jid> J@New.example\n</new-jid><x xmlns='y'/>"),
                "j@new.example",
            ),
            (moved("<new-jid>j@new.example/desk</new-jid>"), "-"),
            (
                moved("<new-jid>a@new.example</new-jid><new-jid>b@new.example</new-jid>"),
                "-",
            ),
            (moved("<new-jid xmlns='other'>j@new.example</new-jid>"), "-"),
            (moved("<new-jid/>"), "-"),
            (moved("<old-jid>j@new.example</old-jid>"), "-"),
            (
                item("<moved xmlns='other'><new-jid>j@new.example</new-jid></moved>"),
                "-",
            ),
            (item(""), "-"),
            (gone("xmpp:j@new.example"), "j@new.example"),
            (gone("mailto:j@new.example"), "-"),
            (gone(""), "-"),
            (
                error(&format!("<item-not-found xmlns='{}'/>", ns::STANZA_ERRORS)),
                "-",
            ),
            ("<iq type='result' id='1'/>".to_owned(), "-"),
            (
                moved("<new-jid>j@new.example</new-jid>").replace("current", "other"),
                "-",
            ),
            (
                moved("<new-jid>j@new.example</new-jid>").replace("node='urn", "node='x"),
                "-",
            ),
        ];
        for (xml, expected) in rows {
            let stanza = Stanza::parse(&xml).unwrap();
            let answer = Passing::new(
                Arc::new(stanza),
                jid("j@old.example"),
                jid("r@home.example"),
            );
            let new = new_address(&answer).map_or("-".to_owned(), |new| new.to_string());
            assert_eq!(new, expected, "{xml}");
        }
    }

    /// Romeo's contact on another server asks from a new address. The id of the question that leaves.
    fn asked(home: &Fixture, romeo: &Arc<Session>) -> String {
        home.server.at(&romeo.account, 0, |cx| {
            let mut item = Item::default();
            (item.listed, item.subscription) = (true, BOTH);
            put(cx, &jid("j@old.example"), item);
            let xml = format!(
                "<presence type='subscribe' id='s'><moved xmlns='{NS}'>\
                 <old-jid>j@old.example</old-jid></moved></presence>"
            );
            let request = Arc::new(Stanza::parse(&xml).unwrap());
            let request = Passing::new(request, jid("j@new.example"), cx.jid().clone());
            arrive(cx, request);
            let question = cx.state.take_leaving().pop_front().unwrap().passing;
            assert_eq!(question.to, jid("j@old.example"));
            question.stanza.id().unwrap().into_owned()
        })
    }

    fn shown(home: &Fixture, session: &Arc<Session>) -> usize {
        let got = home.got(session);
        let mut requests = got.iter();
        let is_whole = |xml: &&String| xml.contains("'subscribe'") && xml.contains("<old-jid>");
        requests.by_ref().filter(is_whole).count()
    }

    #[test]
    fn a_request_is_shown_once_when_nobody_answers() {
        let home = Fixture::new(&["romeo"]);
        let romeo = home.online("romeo", "orchard");
        asked(&home, &romeo);
        home.write();
        home.tick();
        let street = home.bind("romeo", "street");
        home.send(&street, "<presence/>");
        assert_eq!((shown(&home, &romeo), shown(&home, &street)), (0, 0));
        home.hands.pass(MOVE_ANSWER_MS_MAX - 1);
        home.tick();
        assert_eq!((shown(&home, &romeo), shown(&home, &street)), (0, 0));
        home.hands.pass(1);
        home.tick();
        assert_eq!((shown(&home, &romeo), shown(&home, &street)), (1, 1));
        home.tick();
        assert_eq!((shown(&home, &romeo), shown(&home, &street)), (0, 0));
        let tower = home.bind("romeo", "tower");
        home.send(&tower, "<presence/>");
        assert_eq!(shown(&home, &tower), 1, "it waits for somebody's answer");
    }

    #[test]
    fn the_word_counts_of_whoever_was_asked() {
        let gone = format!(
            "<error type='cancel'><gone xmlns='{}'>xmpp:j@new.example</gone></error>",
            ns::STANZA_ERRORS
        );
        let rows = [
            ("j@old.example", None, true),
            ("j@new.example", None, false),
            ("j@old.example/desk", None, false),
            ("j@old.example", Some("moved0"), false),
        ];
        for (from, other_id, is_believed) in rows {
            let home = Fixture::new(&["romeo"]);
            let romeo = home.online("romeo", "orchard");
            let id = asked(&home, &romeo);
            let attributes = [("type", "error"), ("id", other_id.unwrap_or(&id))];
            let answer = Arc::new(Stanza::compose(Kind::Iq, &attributes, &gone));
            home.server.at(&romeo.account, 0, |cx| {
                let answer = Passing::new(answer, jid(from), cx.jid().clone());
                answered(cx, &answer);
                let [old, new] = ["j@old.example", "j@new.example"].map(jid);
                let roster = &cx.state.roster;
                let seen_by = (
                    roster.subscription(&old).from,
                    roster.subscription(&new).from,
                );
                assert_eq!(seen_by, (!is_believed, is_believed), "{from} {other_id:?}");
            });
        }
    }

    #[test]
    fn who_was_refused_meanwhile_stays_out() {
        let home = Fixture::new(&["romeo"]);
        let romeo = home.online("romeo", "orchard");
        let id = asked(&home, &romeo);
        home.send(&romeo, "<presence type='unsubscribed' to='j@new.example'/>");
        home.server.at(&romeo.account, 0, |cx| {
            let answer = format!(
                "<iq type='result' id='{id}'><pubsub xmlns='{PUBSUB}'><items node='{NS}'>\
                 <item id='current'><moved xmlns='{NS}'><new-jid>j@new.example</new-jid></moved>\
                 </item></items></pubsub></iq>"
            );
            let answer = Arc::new(Stanza::parse(&answer).unwrap());
            answered(
                cx,
                &Passing::new(answer, jid("j@old.example"), cx.jid().clone()),
            );
            assert!(!cx.state.roster.subscription(&jid("j@new.example")).from);
            assert_eq!(cx.state.roster.subscription(&jid("j@old.example")), BOTH);
        });
    }
}
