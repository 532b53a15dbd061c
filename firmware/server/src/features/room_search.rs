//! XEP-0433: Extended Channel Search over the public rooms of the service. Hidden ones are never shown,
//! whoever asks, and however well the question describes them.
//!
//! A term is what stands between spaces, in any case of letters; a room is found where each is in one of the
//! places that are searched. Nothing is remembered between pages (§2): a page says behind which room the
//! next one begins, also where that room is gone by then. Where §4.2.2.6 and its example disagree, the text
//! counts.
//!
//! State: none; the rooms are in the service's book.

use crate::{
    feature::{Answer, Feature, Iq, On, Spec, get_server},
    limits::{ROOM_SEARCH_BYTES_MAX, ROOM_SEARCH_RESULTS_MAX},
    room::Card,
    server::Server,
};
use std::{cmp::Reverse, ops::Range};
use xmpp::{
    Element, Jid, StanzaError, compose,
    form::{self, FieldType, Form, Writer},
    rsm,
};

const NS: &str = "urn:xmpp:channel-search:0:search";
const PARAMETERS: &str = "urn:xmpp:channel-search:0:search-params";
const BY_USERS: &str = "{urn:xmpp:channel-search:0:order}nusers";
const BY_ADDRESS: &str = "{urn:xmpp:channel-search:0:order}address";
/// §6.2: the only kind of rooms there is here.
const MUC: &str = "xep-0045";

/// §4.2.2.2.
const UNKNOWN_KEY: StanzaError = StanzaError {
    type_: "modify",
    ..StanzaError::FEATURE_NOT_IMPLEMENTED
}
.with_detail("<invalid-sort-key xmlns='urn:xmpp:channel-search:0:error'/>");
/// §4.2.2.3.
const NO_TERMS: StanzaError = StanzaError::BAD_REQUEST
    .with_detail("<invalid-search-terms xmlns='urn:xmpp:channel-search:0:error'/>")
    .with_text("search for one word or several, 256 bytes at most");
/// §4.2.2.6.
const ALL_AND_SOME: StanzaError = StanzaError::BAD_REQUEST
    .with_detail(
        "<conflicting-fields xmlns='urn:xmpp:channel-search:0:error'>\
         <var>all</var><var>q</var></conflicting-fields>",
    )
    .with_text("cannot both return all entries and search for words");
const NOWHERE: StanzaError = StanzaError::BAD_REQUEST
    .with_detail(
        "<conflicting-fields xmlns='urn:xmpp:channel-search:0:error'><var>q</var><var>sinname</var>\
         <var>sindescription</var><var>sinaddress</var></conflicting-fields>",
    )
    .with_text("cannot search for words in neither name, description nor address");
/// §4.2.2.7.
const NOTHING_ASKED: StanzaError = StanzaError {
    type_: "cancel",
    ..StanzaError::BAD_REQUEST
}
.with_detail("<no-search-conditions xmlns='urn:xmpp:channel-search:0:error'/>");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(433, "0.1.0", "Extended Channel Search"),
    disco: &[(On::RoomService, NS)],
    iq: &[get_server(On::RoomService, (NS, "search"), search)],
    ..Feature::NONE
};

/// §4.2.
fn search(server: &Server, iq: &Iq<'_>) -> Answer {
    let asked = iq.payload.element();
    let Some(x) = asked.child(form::NS, "x") else {
        return Ok(format!("<search xmlns='{NS}'>{}</search>", template()));
    };
    let wanted = Wanted::read(x)?;
    let set = asked.child(rsm::NS, "set").map(rsm::Request::read);
    let page = set.transpose()?.unwrap_or_default();
    let found = wanted.find(server);
    let range = wanted
        .order
        .range(&found, &page, server.rooms().service())?;
    Ok(wanted.order.result(server, &found, range))
}

/// §4.2.1, with what is taken where nothing is said (§5).
fn template() -> String {
    use FieldType::{Boolean, ListMulti, ListSingle, TextSingle};
    Writer::form(PARAMETERS)
        .labelled((TextSingle, "q", "Search for"), &[], &[])
        .labelled((Boolean, "all", "Return all entries"), &[], &["false"])
        .labelled((Boolean, "sinname", "Search in name"), &[], &["true"])
        .labelled(
            (Boolean, "sindescription", "Search in description"),
            &[],
            &["true"],
        )
        .labelled((Boolean, "sinaddress", "Search in address"), &[], &["true"])
        .labelled(
            (TextSingle, "min_users", "Minimum number of users"),
            &[],
            &["0"],
        )
        .labelled((ListMulti, "types", "Service types"), &[MUC], &[MUC])
        .labelled(
            (ListSingle, "key", "Sort results by"),
            &[BY_USERS, BY_ADDRESS],
            &[BY_USERS],
        )
        .finish()
}

/// What is searched for, parsed at the door (§6.1).
struct Wanted {
    /// In lower case; none for all rooms.
    terms: Vec<String>,
    in_name: bool,
    in_description: bool,
    in_address: bool,
    users_min: usize,
    /// Whether rooms of our kind are.
    rooms: bool,
    order: Order,
}

impl Wanted {
    fn read(x: &Element) -> Result<Wanted, StanzaError> {
        let form = Form::submitted(x)?;
        if form.form_type() != Some(PARAMETERS) {
            return Err(StanzaError::BAD_REQUEST);
        }
        let value = |var| form.values(var).and_then(|values| values.first());
        let flag = |var, usual| match value(var).map(String::as_str) {
            None => Ok(usual),
            Some("1" | "true") => Ok(true),
            Some("0" | "false") => Ok(false),
            Some(_) => Err(StanzaError::BAD_REQUEST),
        };
        // A field left empty is one that was not filled in.
        let words = value("q").filter(|words| !words.is_empty());
        let all = flag("all", false)?;
        // §4.2.1 and §6.1 have two names for it.
        let in_address = flag("sinaddress", true)? && flag("sinaddr", true)?;
        let users_min = value("min_users").filter(|number| !number.is_empty());
        let users_min = users_min.map_or(Ok(0), |number| number.trim().parse());
        let mut wanted = Wanted {
            terms: Vec::new(),
            in_name: flag("sinname", true)?,
            in_description: flag("sindescription", true)?,
            in_address,
            users_min: users_min.map_err(|_| StanzaError::BAD_REQUEST)?,
            rooms: form
                .values("types")
                .is_none_or(|types| types.is_empty() || types.iter().any(|type_| type_ == MUC)),
            order: match value("key").map(String::as_str) {
                None | Some(BY_USERS) => Order::Users,
                Some(BY_ADDRESS) => Order::Address,
                Some(_) => return Err(UNKNOWN_KEY),
            },
        };
        match (words, all) {
            (None, true) => Ok(wanted),
            (None, false) => Err(NOTHING_ASKED),
            (Some(_), true) => Err(ALL_AND_SOME),
            (Some(words), false) => {
                wanted.terms = terms(words)?;
                let somewhere = wanted.in_name || wanted.in_description || wanted.in_address;
                somewhere.then_some(wanted).ok_or(NOWHERE)
            }
        }
    }

    /// The rooms it is true of, in order.
    fn find(&self, server: &Server) -> Vec<Found> {
        let mut found = Vec::new();
        server.rooms().for_each(|localpart, card| {
            if self.is_met_by(localpart, card) {
                found.push(Found {
                    occupants: card.occupants,
                    localpart: localpart.to_owned(),
                });
            }
        });
        if self.order == Order::Users {
            // They come by address, which stays where as many are there.
            found.sort_by_key(|found| Reverse(found.occupants));
        }
        found
    }

    fn is_met_by(&self, localpart: &str, card: &Card) -> bool {
        if !card.public || !self.rooms || card.occupants < self.users_min {
            return false;
        }
        if self.terms.is_empty() {
            return true;
        }
        let places = [
            (self.in_name, &*card.name),
            (self.in_description, &*card.description),
            (self.in_address, localpart),
        ];
        let places = places.into_iter().filter(|(searched, _)| *searched);
        let texts: Vec<String> = places.map(|(_, text)| text.to_lowercase()).collect();
        let mut terms = self.terms.iter();
        terms.all(|term| texts.iter().any(|text| text.contains(term)))
    }
}

/// §4.2.2.3.
fn terms(words: &str) -> Result<Vec<String>, StanzaError> {
    if words.len() > ROOM_SEARCH_BYTES_MAX {
        return Err(NO_TERMS);
    }
    let terms = words.split_whitespace().map(|term| term.trim_matches('"'));
    let terms: Vec<String> = terms
        .filter(|term| term.contains(char::is_alphanumeric))
        .map(str::to_lowercase)
        .collect();
    (!terms.is_empty()).then_some(terms).ok_or(NO_TERMS)
}

/// A room that was found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    occupants: usize,
    localpart: String,
}

/// §6.1: the sort keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Users,
    Address,
}

impl Order {
    /// By which another page goes on: its place in the order, whether or not the room is there by then.
    fn id(self, found: &Found, service: &Jid) -> String {
        let address = format!("{}@{service}", found.localpart);
        match self {
            Order::Address => address,
            Order::Users => format!("{} {address}", found.occupants),
        }
    }

    /// What an id says; `item-not-found` for one that nobody gave (XEP-0059 §2.2).
    fn place(self, id: &str, service: &Jid) -> Result<Found, StanzaError> {
        let parts = match self {
            Order::Address => Some(("0", id)),
            Order::Users => id.split_once(' '),
        };
        let place = parts.and_then(|(occupants, address)| {
            let localpart = address.strip_suffix(service.as_str())?.strip_suffix('@')?;
            Some(Found {
                occupants: occupants.parse().ok()?,
                localpart: localpart.to_owned(),
            })
        });
        place.ok_or(StanzaError::ITEM_NOT_FOUND)
    }

    fn is_before(self, one: &Found, other: &Found) -> bool {
        let key = |found: &Found| match self {
            Order::Users => Reverse(found.occupants),
            Order::Address => Reverse(0),
        };
        (key(one), &one.localpart) < (key(other), &other.localpart)
    }

    /// The page that is asked for (XEP-0059).
    fn range(
        self,
        found: &[Found],
        request: &rsm::Request,
        service: &Jid,
    ) -> Result<Range<usize>, StanzaError> {
        let max = request
            .max
            .map_or(ROOM_SEARCH_RESULTS_MAX, |max| max as usize);
        let max = max.min(ROOM_SEARCH_RESULTS_MAX);
        let from = |start: usize| {
            let start = start.min(found.len());
            start..start.saturating_add(max).min(found.len())
        };
        let upto = |end: usize| end.saturating_sub(max)..end;
        Ok(match &request.page {
            rsm::Page::First => from(0),
            rsm::Page::Last => upto(found.len()),
            rsm::Page::Index(index) => from(*index as usize),
            rsm::Page::After(id) => {
                let place = self.place(id, service)?;
                from(found.partition_point(|found| !self.is_before(&place, found)))
            }
            rsm::Page::Before(id) => {
                let place = self.place(id, service)?;
                upto(found.partition_point(|found| self.is_before(found, &place)))
            }
        })
    }

    /// §4.2.2.1.
    fn result(self, server: &Server, found: &[Found], range: Range<usize>) -> String {
        let service = server.rooms().service();
        let page = &found[range.clone()];
        let mut out = format!("<result xmlns='{NS}'>");
        for found in page {
            // One that is gone since is in no list any more.
            if let Some(card) = server.rooms().card(&found.localpart) {
                item(&mut out, &format!("{}@{service}", found.localpart), &card);
            }
        }
        let id = |found: Option<&Found>| found.map(|found| self.id(found, service));
        let answer = rsm::Answer {
            ends: id(page.first()).zip(id(page.last())),
            index: Some(range.start as u64),
            count: Some(found.len() as u64),
        };
        out + &answer.to_xml() + "</result>"
    }
}

/// §6.2.
fn item(out: &mut String, address: &str, card: &Card) {
    out.push_str("<item");
    compose::attribute(out, "address", address);
    out.push('>');
    let occupants = card.occupants.to_string();
    let anonymity = if card.non_anonymous {
        "{urn:xmpp:channel-search:0:anonymity}none"
    } else {
        "muc_semianonymous"
    };
    let is_open = !card.members_only && !card.has_password;
    for (name, text) in [
        ("name", &*card.name),
        ("description", &*card.description),
        ("language", &*card.lang),
        ("nusers", &*occupants),
        ("service-type", MUC),
        ("is-open", if is_open { "true" } else { "" }),
        ("anonymity-mode", anonymity),
    ] {
        if !text.is_empty() {
            out.push_str(&format!("<{name}>{}</{name}>", compose::escaped(text)));
        }
    }
    out.push_str("</item>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use xmpp::form::Writer;

    fn card(name: &str, public: bool, occupants: usize) -> Card {
        Card {
            creator: "home.example".into(),
            name: name.into(),
            description: "For <everybody>".into(),
            lang: "en".into(),
            public,
            persistent: true,
            members_only: false,
            non_anonymous: false,
            has_password: false,
            occupants,
        }
    }

    /// A service with rooms of these names, a secret one among them.
    fn service() -> Fixture {
        let home = Fixture::new(&["juliet"]);
        let rooms = home.server.rooms();
        for (localpart, name, occupants) in [
            ("attic", "Old things", 2),
            ("balcony", "Balcony", 9),
            ("cellar", "Jars & WINE", 0),
            ("dining", "", 2),
        ] {
            rooms.note(localpart, card(name, true, occupants));
        }
        rooms.note("secret", card("Wine, too", false, 30));
        home
    }

    /// What is answered to a form with these fields, in short: addresses and the page's ends, or the refusal.
    fn ask(home: &Fixture, fields: &[(&str, &str)], set: &str) -> String {
        let form = fields
            .iter()
            .fold(Writer::submit(PARAMETERS), |form, (var, value)| {
                form.field(FieldType::TextSingle, var, &[value])
            });
        let juliet = home.bind("juliet", "x");
        let set = format!("<set xmlns='{}'>{set}</set>", rsm::NS);
        home.send(
            &juliet,
            &format!(
                "<iq type='get' id='1' to='groupchat.home.example'>\
                 <search xmlns='{NS}'>{set}{}</search></iq>",
                form.finish()
            ),
        );
        let answer = home.got(&juliet).concat();
        let Some(start) = answer.find("<result") else {
            let detail = answer.split("<error").nth(1).unwrap().to_owned();
            let mut words = detail.split(['<', ' ', '/', '>']);
            let known = |word: &&str| word.contains('-') && !word.contains(['=', '\'']);
            return words
                .by_ref()
                .filter(known)
                .take(2)
                .collect::<Vec<_>>()
                .join(" ");
        };
        let end = answer.find("</result>").unwrap() + "</result>".len();
        let result = Element::parse(&answer[start..end], "").unwrap();
        let items = result.elements().filter(|element| element.is(NS, "item"));
        let found: Vec<_> = items
            .map(|item| {
                item.attr("address")
                    .unwrap()
                    .split('@')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let set = result.child(rsm::NS, "set").unwrap();
        let count = set.child(rsm::NS, "count").unwrap().text();
        format!("{} of {count}", found.join(" "))
    }

    #[test]
    fn rooms_are_found_by_what_everybody_may_know() {
        let home = service();
        let (all, by_address) = (("all", "true"), ("key", BY_ADDRESS));
        for (fields, expected) in [
            (&[all, by_address][..], "attic balcony cellar dining of 4"),
            (&[all], "balcony attic dining cellar of 4"),
            (&[("q", "wine")], "cellar of 1"),
            (&[("q", "jars \"wine\"")], "cellar of 1"),
            (&[("q", "jars things")], " of 0"),
            (&[("q", "everybody old")], "attic of 1"),
            (&[("q", "secret")], " of 0"),
            (&[("q", "CELL"), ("sinaddress", "0")], " of 0"),
            (&[("q", "CELL"), ("sinaddr", "0")], " of 0"),
            (&[("q", "CELL"), ("sinname", "false")], "cellar of 1"),
            (
                &[all, ("min_users", "2"), by_address],
                "attic balcony dining of 3",
            ),
            (&[all, ("types", "xep-0369")], " of 0"),
            (
                &[all, ("unknown", "1"), ("q", "")],
                "balcony attic dining cellar of 4",
            ),
            (&[], "bad-request no-search-conditions"),
            (&[("q", "")], "bad-request no-search-conditions"),
            (&[all, ("q", "wine")], "bad-request conflicting-fields"),
            (&[("q", " ?! ")], "bad-request text"),
            (
                &[all, ("key", "name")],
                "feature-not-implemented invalid-sort-key",
            ),
            (&[all, ("min_users", "-1")], "bad-request"),
            (&[all, ("sinname", "yes")], "bad-request"),
        ] {
            let said = ask(&home, fields, "");
            let expected = expected.trim_end_matches(" text");
            assert!(said.starts_with(expected), "{fields:?}: {said}");
        }
        let long = "a".repeat(ROOM_SEARCH_BYTES_MAX + 1);
        assert!(ask(&home, &[("q", &long)], "").starts_with("bad-request"));
        let nowhere = [
            ("q", "wine"),
            ("sinname", "0"),
            ("sindescription", "0"),
            ("sinaddress", "0"),
        ];
        assert_eq!(ask(&home, &nowhere, ""), "bad-request conflicting-fields");
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let home = service();
        let at = |count: usize, name: &str| format!("{count} {name}@groupchat.home.example");
        let address = |name: &str| format!("{name}@groupchat.home.example");
        for (key, set, expected) in [
            (BY_USERS, "<max>2</max>".to_owned(), "balcony attic of 4"),
            (
                BY_USERS,
                format!("<max>2</max><after>{}</after>", at(2, "attic")),
                "dining cellar of 4",
            ),
            // It left, and others came and went.
            (
                BY_USERS,
                format!("<max>9</max><after>{}</after>", at(7, "gone")),
                "attic dining cellar of 4",
            ),
            (
                BY_USERS,
                format!("<max>1</max><before>{}</before>", at(2, "dining")),
                "attic of 4",
            ),
            (
                BY_ADDRESS,
                "<max>1</max><before/>".to_owned(),
                "dining of 4",
            ),
            (
                BY_ADDRESS,
                "<max>1</max><index>2</index>".to_owned(),
                "cellar of 4",
            ),
            (BY_ADDRESS, "<max>0</max>".to_owned(), " of 4"),
            (
                BY_ADDRESS,
                format!("<after>{}</after>", address("bath")),
                "cellar dining of 4",
            ),
            (
                BY_ADDRESS,
                "<after>nonsense</after>".to_owned(),
                "item-not-found",
            ),
            (
                BY_USERS,
                format!("<after>{}</after>", address("attic")),
                "item-not-found",
            ),
            (BY_ADDRESS, "<index>99</index>".to_owned(), " of 4"),
        ] {
            let said = ask(&home, &[("all", "1"), ("key", key)], &set);
            assert!(said.starts_with(expected), "{key} {set}: {said}");
        }
    }

    #[test]
    fn a_page_has_a_limit() {
        let home = service();
        for number in 0..ROOM_SEARCH_RESULTS_MAX {
            let rooms = home.server.rooms();
            rooms.note(&format!("more{number:04}"), card("", true, 0));
        }
        let said = ask(&home, &[("all", "1")], "<max>99999</max>");
        let names = said.split(' ').count() - 2;
        assert_eq!(names, ROOM_SEARCH_RESULTS_MAX);
    }

    #[test]
    fn an_item_says_what_it_takes_to_enter() {
        let said = |change: fn(&mut Card)| {
            let mut card = card("Den", true, 3);
            change(&mut card);
            let mut out = String::new();
            item(&mut out, "den@groupchat.home.example", &card);
            out
        };
        let open = said(|_| {});
        assert_eq!(
            open,
            "<item address='den@groupchat.home.example'><name>Den</name>\
             <description>For &lt;everybody&gt;</description><language>en</language><nusers>3</nusers>\
             <service-type>xep-0045</service-type><is-open>true</is-open>\
             <anonymity-mode>muc_semianonymous</anonymity-mode></item>"
        );
        for closed in [
            said(|card| card.has_password = true),
            said(|card| card.members_only = true),
        ] {
            assert!(!closed.contains("is-open"), "{closed}");
        }
        assert!(said(|card| card.non_anonymous = true).contains("anonymity}none<"));
    }
}
