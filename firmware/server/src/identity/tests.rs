//! What scripts cannot say of pictures: whatever clients do, in whatever order, and wherever the power fails
//! in between, the faces of a person agree.

use super::{DATA, METADATA, NICK};
use crate::{features::vcard::PhotoHash, fixture::Fixture, session::Session};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::sync::Arc;
use xmpp::Element;

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PICTURES: [&[u8]; 2] = [b"a nightingale", b"a lark"];

/// One person with one client, who sees everything that others see.
struct World {
    home: Fixture,
    juliet: Arc<Session>,
    /// What the last presence said: `None` for nothing, empty for no picture.
    told: Option<String>,
    chance: u64,
}

/// What each face shows.
#[derive(Debug)]
struct Faces {
    card: Option<String>,
    /// Which picture the metadata says is among the events.
    metadata: Option<String>,
    /// Whether it is.
    there: bool,
    told: Option<String>,
}

impl World {
    fn new(seed: u64) -> World {
        let home = Fixture::new(&["juliet"]);
        let juliet = home.bind("juliet", "balcony");
        let mut world = World {
            home,
            juliet,
            told: None,
            chance: seed,
        };
        world.send("<presence/>");
        world
    }

    /// A number below `bound`.
    fn any(&mut self, bound: u64) -> u64 {
        let next = self.chance.wrapping_mul(6_364_136_223_846_793_005);
        self.chance = next.wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % bound
    }

    /// Sends something, and gives what came back besides presence.
    fn send(&mut self, xml: &str) -> Vec<Element> {
        self.home.send(&self.juliet, xml);
        self.home.write();
        self.listen()
    }

    fn listen(&mut self) -> Vec<Element> {
        let mut rest = Vec::new();
        for got in self.home.got(&self.juliet) {
            let got = Element::parse(&got, "jabber:client").unwrap();
            if got.name == "presence" {
                let x = got.child("vcard-temp:x:update", "x");
                let photo = x.map(|x| x.child(&x.ns, "photo").unwrap().text());
                self.told = photo;
            } else {
                rest.push(got);
            }
        }
        rest
    }

    /// The answer to a question: its payload, where it is a result.
    fn ask(&mut self, payload: &str) -> Option<Element> {
        let answers = self.send(&format!("<iq type='get' id='ask'>{payload}</iq>"));
        let answer = answers
            .into_iter()
            .find(|iq| iq.attr("id") == Some("ask"))
            .unwrap();
        let is_result = answer.attr("type") == Some("result");
        answer.elements().next().filter(|_| is_result).cloned()
    }

    /// Ids and payloads of a node's items.
    fn items(&mut self, node: &str) -> Vec<(String, Element)> {
        let question = format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>");
        let answer = self.ask(&question);
        let items = answer
            .iter()
            .flat_map(Element::elements)
            .flat_map(Element::elements);
        items
            .map(|item| {
                let payload = item.elements().next().unwrap();
                (item.attr("id").unwrap().to_owned(), payload.clone())
            })
            .collect()
    }

    fn faces(&mut self) -> Faces {
        let card = self.ask("<vCard xmlns='vcard-temp'/>").and_then(|card| {
            let photo = card.child(&card.ns, "PHOTO")?;
            let bytes = STANDARD
                .decode(photo.child(&card.ns, "BINVAL")?.text())
                .unwrap();
            Some(PhotoHash::of(&bytes).to_string())
        });
        let metadata = self
            .items(METADATA)
            .into_iter()
            .last()
            .and_then(|(_, metadata)| {
                let info = metadata.child(METADATA, "info")?.clone();
                let here = info.attr("url").is_none();
                info.attr("id").filter(|_| here).map(str::to_owned)
            });
        let data = self.items(DATA);
        Faces {
            card,
            there: data.iter().any(|(id, _)| Some(id) == metadata.as_ref()),
            metadata,
            told: self.told.clone(),
        }
    }

    fn agree(&mut self, after: &str) {
        let faces = self.faces();
        let Faces {
            card,
            metadata,
            there,
            told,
        } = &faces;
        let right = match metadata {
            Some(_) if *there => card == metadata && told == metadata,
            // Bytes are still to come, or went before their metadata.
            Some(_) => card.is_none() || card == metadata,
            None => card.is_none() && told.as_deref().unwrap_or_default().is_empty(),
        };
        assert!(right, "after {after}: {faces:?}");
    }

    /// Something that a client might do.
    fn something(&mut self) -> String {
        let picture = PICTURES[self.any(2) as usize];
        let (bytes, id) = (STANDARD.encode(picture), PhotoHash::of(picture).to_string());
        let info = format!("<info bytes='1' id='{id}' type='image/png'");
        let publish = |node: &str, item: &str| {
            format!("<pubsub xmlns='{PUBSUB}'><publish node='{node}'>{item}</publish></pubsub>")
        };
        let describe = |info: &str| {
            let metadata = format!("<metadata xmlns='{METADATA}'>{info}</metadata>");
            publish(METADATA, &format!("<item id='{id}'>{metadata}</item>"))
        };
        let node = [DATA, METADATA][self.any(2) as usize];
        let owner =
            |what: &str| format!("<pubsub xmlns='{PUBSUB}#owner'><{what} node='{node}'/></pubsub>");
        let payload = match self.any(13) {
            0 => "<vCard xmlns='vcard-temp'><FN>J</FN></vCard>".to_owned(),
            1..=3 => format!(
                "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE>\
                 <BINVAL>{bytes}</BINVAL></PHOTO></vCard>"
            ),
            4 | 5 => {
                let data = format!("<data xmlns='{DATA}'>{bytes}</data>");
                publish(DATA, &format!("<item id='{id}'>{data}</item>"))
            }
            6 | 7 => describe(&format!("{info}/>")),
            8 => describe(""),
            9 => describe(&format!("{info} url='https://home.example/a.png'/>")),
            10 => format!(
                "<pubsub xmlns='{PUBSUB}'><retract node='{node}'><item id='{id}'/></retract></pubsub>"
            ),
            11 => format!(
                "<pubsub xmlns='{PUBSUB}#owner'><configure node='{DATA}'>\
                 <x xmlns='jabber:x:data' type='submit'><field var='pubsub#max_items'>\
                 <value>2</value></field></x></configure></pubsub>"
            ),
            _ => owner(["purge", "delete"][self.any(2) as usize]),
        };
        format!("<iq type='set' id='do'>{payload}</iq>")
    }

    /// The power fails, and everything comes back.
    fn again(mut self) -> World {
        self.home.disk.power_fails(self.chance);
        let home = Fixture::on(self.home.disk.clone());
        self.juliet = home.bind("juliet", "balcony");
        (self.home, self.told) = (home, None);
        self.send("<presence/>");
        self
    }
}

#[test]
fn the_faces_agree_whatever_clients_do() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for step in 0..25 {
            let deed = world.something();
            world.send(&deed);
            world.agree(&format!("step {step} of {seed}: {deed}"));
        }
        world.again().agree(&format!("a restart after {seed}"));
    }
}

#[test]
fn the_faces_agree_wherever_the_power_fails() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..world.any(6) {
            let deed = world.something();
            world.send(&deed);
        }
        let (deed, operations) = (world.something(), world.any(5));
        world.home.disk.dies_after(operations);
        world.send(&deed);
        let mut world = world.again();
        world.agree(&format!("a power cut {operations} into {seed}: {deed}"));
    }
}

#[test]
fn a_card_is_stored_and_published_in_one_commit() {
    let world = World::new(0);
    let (home, juliet) = (&world.home, &world.juliet);
    let card = "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>J</FN><NICKNAME>J</NICKNAME>\
        <PHOTO><TYPE>image/png</TYPE><BINVAL>YWJj</BINVAL></PHOTO></vCard></iq>";
    home.send(juliet, card);
    assert!(!home.got(juliet).concat().contains("type='result'"));
    assert!(home.server.store().turn());
    assert!(home.got(juliet).concat().contains("type='result'"));
    assert!(!home.server.store().turn(), "nothing is left to be written");
}

#[test]
fn a_card_that_is_put_together_is_no_larger_than_one_that_is_stored() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    let ask = |xml: &str| {
        home.send(&juliet, xml);
        home.write();
        home.got(&juliet).concat()
    };
    let card = |text: &str| format!("<vCard xmlns='vcard-temp'>{text}</vCard>");
    let vcard4 = |text: &str| {
        let ns = super::vcard4::NS;
        format!("<vcard xmlns='{ns}'><note><text>{text}</text></note></vcard>")
    };
    let nick = |nick: &str| {
        format!(
            "<pubsub xmlns='{PUBSUB}'><publish node='{NICK}'><item id='current'>\
             <nick xmlns='{NICK}'>{nick}</nick></item></publish></pubsub>"
        )
    };
    // Each becomes four bytes where it is written anew.
    let long = ">".repeat(190_000);
    let (name, short) = (
        "<NICKNAME>J</NICKNAME>",
        "<DESC>d</DESC><NICKNAME>J</NICKNAME>",
    );
    for (said, nickname, expected) in [
        (card("<DESC>d</DESC>"), "J", short),
        (vcard4(&long), "J", name),
        (card(&format!("<DESC>{long}</DESC>")), "J", name),
        (vcard4("d"), "J", short),
    ] {
        for xml in [said, nick(nickname)] {
            let answer = ask(&format!("<iq type='set' id='s'>{xml}</iq>"));
            assert!(answer.contains("type='result'"));
        }
        let got = ask("<iq type='get' id='g'><vCard xmlns='vcard-temp'/></iq>");
        let is_as_expected = got.contains(&card(expected));
        assert!(is_as_expected, "{} bytes, not {expected}", got.len());
    }
}
