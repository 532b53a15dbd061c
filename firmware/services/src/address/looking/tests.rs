//! Whole days of a search, with a clock moved by hand and answers as the test has them.

use super::*;
use crate::{
    address::{
        judge::Verdict,
        limits::{AGAIN_MS_MAX, KEPT_MS, PROBE_MS},
    },
    links::{LinkAddress, WayOut},
};
use household::Config;
use std::path::Path;

const DAY_MS: u64 = 24 * 3_600_000;
const MINUTE_MS: u64 = 60_000;
const ALL: &str = "sources = ['interface', 'router', 'stun', 'echo']\n\
     stun = ['one.example:3478', 'two.example:3478']\n\
     echo = ['https://one.example/', 'https://two.example/']";

/// A house, and a world around it that answers as it is told.
struct World {
    looking: Looking,
    settings: Settings,
    links: Links,
    router: Option<Ipv4Addr>,
    stun: [Option<&'static str>; 2],
    echo: [Option<&'static str>; 2],
    now_ms: u64,
    requests: usize,
}

impl World {
    fn new(address: &str, is_v6: bool) -> World {
        let text = format!("domain = 'home.example'\n[address]\n{address}");
        let config = Config::from_texts([(Path::new("hearth.toml"), &*text)]).unwrap();
        let mut world = World {
            looking: Looking::new(is_v6),
            settings: Settings::of(&config, is_v6),
            links: Links::default(),
            router: None,
            stun: [None; 2],
            echo: [None; 2],
            now_ms: 0,
            requests: 0,
        };
        world.live_at(if is_v6 { "fd00::7" } else { "192.168.1.7" });
        world
    }

    /// This machine has this address, and a way out.
    fn live_at(&mut self, address: &str) {
        let ip: IpAddr = address.parse().unwrap();
        self.links = Links {
            addresses: vec![LinkAddress {
                ip,
                interface: 2,
                is_temporary: false,
                is_passing: false,
            }],
            ways_out: vec![WayOut {
                is_v6: ip.is_ipv6(),
                gateway: None,
                interface: 2,
                metric: 0,
            }],
        };
    }

    fn all_see(&mut self, address: &'static str) {
        self.stun = [Some(address); 2];
        self.echo = [Some(address); 2];
    }

    fn answer(&self, server: &Server) -> Option<IpAddr> {
        let all = match server.class {
            Class::Stun => self.stun,
            _ => self.echo,
        };
        let at = usize::from(server.name.contains("two"));
        all[at].map(|it| it.parse().unwrap())
    }

    /// What the service does each time that it wakes.
    fn wake(&mut self) {
        let (links, settings) = (&self.links, &self.settings);
        self.looking.see(links, settings, self.router, self.now_ms);
        for _ in 0..2 {
            if !self.looking.is_due(self.now_ms) {
                return;
            }
            let servers = self.looking.due(&self.settings, self.now_ms);
            self.requests += servers.len();
            let answers: Vec<_> = servers.iter().map(|it| self.answer(it)).collect();
            if !self
                .looking
                .hear(&servers, &answers, &self.settings, self.now_ms)
            {
                return;
            }
        }
    }

    /// Lets time pass; everything that is due happens.
    fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        self.wake();
        while self.looking.at_ms() <= until {
            self.now_ms = self.now_ms.max(self.looking.at_ms());
            self.wake();
        }
        self.now_ms = until;
    }

    fn address(&self) -> Option<String> {
        self.looking.judge.address().map(|it| it.to_string())
    }
}

#[track_caller]
fn is_at(world: &World, expected: &str) {
    assert_eq!(world.address().as_deref(), Some(expected));
}

#[test]
fn a_quiet_day_costs_few_requests() {
    // Nobody at home tells of a change: a server is asked within each five minutes.
    let mut world = World::new(ALL, false);
    world.all_see("9.9.9.9");
    world.pass(DAY_MS);
    is_at(&world, "9.9.9.9");
    assert!(world.requests < 295, "{}", world.requests);
    assert!(world.requests > 280, "{}", world.requests);
    // The router does.
    let mut world = World::new(ALL, false);
    world.all_see("9.9.9.9");
    world.router = "9.9.9.9".parse().ok();
    world.pass(DAY_MS);
    is_at(&world, "9.9.9.9");
    assert!(world.requests <= 8, "{}", world.requests);
    // This machine has the address itself: nobody is asked at all.
    let mut world = World::new(ALL, true);
    world.live_at("2a02::7");
    world.pass(DAY_MS);
    is_at(&world, "2a02::7");
    assert_eq!(world.requests, 0);
    // There is no way out.
    let mut world = World::new(ALL, true);
    world.links = Links::default();
    world.pass(DAY_MS);
    assert_eq!((world.address(), world.requests), (None, 0));
    // A provider that shares its addresses is not asked for ever whether it still does.
    let mut world = World::new(ALL, false);
    world.all_see("9.9.9.9");
    world.router = "100.64.1.2".parse().ok();
    world.pass(DAY_MS);
    assert_eq!(world.address(), None);
    assert!(world.requests < 150, "{}", world.requests);
}

#[test]
fn a_change_is_noticed_within_five_minutes() {
    let mut world = World::new(ALL, false);
    world.all_see("9.9.9.9");
    world.pass(DAY_MS);
    world.all_see("8.8.8.8");
    world.pass(PROBE_MS);
    is_at(&world, "8.8.8.8");
    // The router tells at once.
    world.all_see("7.7.7.7");
    world.router = "7.7.7.7".parse().ok();
    world.wake();
    is_at(&world, "7.7.7.7");
    // So does the link.
    world.all_see("6.6.6.6");
    world.router = None;
    world.live_at("192.168.2.9");
    world.pass(10_000);
    is_at(&world, "6.6.6.6");
}

#[test]
fn an_address_of_the_link_counts_at_once() {
    let mut world = World::new("sources = ['interface']", true);
    world.live_at("2a02::7");
    world.wake();
    is_at(&world, "2a02::7");
    world.now_ms += 10_000;
    world.live_at("2a02:0:0:9::7");
    world.wake();
    is_at(&world, "2a02:0:0:9::7");
    // A cable that was pulled: what was known stays for some minutes.
    world.links = Links::default();
    world.pass(KEPT_MS - MINUTE_MS);
    is_at(&world, "2a02:0:0:9::7");
    world.pass(2 * MINUTE_MS);
    assert_eq!(world.address(), None);
    world.live_at("2a02:0:0:9::7");
    world.wake();
    is_at(&world, "2a02:0:0:9::7");
}

#[test]
fn silence_moves_nothing_and_contradiction_not_at_once() {
    let mut world = World::new(ALL, false);
    world.all_see("9.9.9.9");
    world.pass(DAY_MS);
    // The line is down for a day, and comes back with another address.
    world.stun = [None; 2];
    world.echo = [None; 2];
    world.pass(DAY_MS);
    is_at(&world, "9.9.9.9");
    assert_eq!(world.looking.judge.last, Some(Verdict::Silent));
    world.all_see("8.8.8.8");
    world.pass(5 * MINUTE_MS);
    is_at(&world, "8.8.8.8");
    // A VPN is switched on, for some packets: the sources disagree.
    world.stun = [Some("7.7.7.7"); 2];
    world.pass(PROBE_MS);
    is_at(&world, "8.8.8.8");
    world.pass(KEPT_MS);
    assert_eq!(world.address(), None);
    world.all_see("8.8.8.8");
    world.pass(AGAIN_MS_MAX);
    is_at(&world, "8.8.8.8");
}

#[test]
fn one_mistaken_answer_moves_nothing() {
    let mut world = World::new(ALL, false);
    world.all_see("9.9.9.9");
    world.pass(DAY_MS);
    world.stun[0] = Some("7.7.7.7");
    let mut minutes = 0;
    while minutes < 9 {
        world.pass(MINUTE_MS);
        is_at(&world, "9.9.9.9");
        minutes += 1;
    }
    world.stun[0] = Some("9.9.9.9");
    world.pass(DAY_MS);
    is_at(&world, "9.9.9.9");
}

fn sort(word: &str) -> Class {
    match word {
        "interface" => Class::Interface,
        "router" => Class::Router,
        "stun" => Class::Stun,
        _ => Class::Echo,
    }
}

fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Found {
            address,
            why,
            behind,
        } => {
            let behind = behind.map_or_else(String::new, |it| format!(" behind {it}"));
            format!("{address} {why:?}{behind}")
        }
        other => format!("{other:?}"),
    }
}

/// Who may be asked, what was said, and what it comes to.
const ROUNDS: &str = "\
all | interface 9.9.9.9 | 9.9.9.9 Interface
all | interface 9.9.9.9 stun 8.8.8.8 | 9.9.9.9 Interface
all | router 9.9.9.9 stun 9.9.9.9 | 9.9.9.9 Agreed([Router, Stun])
all | stun 9.9.9.9 echo 9.9.9.9 | 9.9.9.9 Agreed([Stun, Echo])
all | stun 9.9.9.9 stun 9.9.9.9 | NotFound(OneOnly(Stun, 9.9.9.9))
all | router 9.9.9.9 | NotFound(OneOnly(Router, 9.9.9.9))
stun | stun 9.9.9.9 | 9.9.9.9 Alone(Stun)
interface stun | stun 9.9.9.9 | 9.9.9.9 Alone(Stun)
interface router | router 9.9.9.9 | 9.9.9.9 Alone(Router)
router | router 100.64.0.9 | NotFound(SharedByProvider(100.64.0.9))
all | router 100.127.1.1 stun 9.9.9.9 echo 9.9.9.9 | NotFound(SharedByProvider(100.127.1.1))
all | router 192.168.0.2 stun 9.9.9.9 echo 9.9.9.9 | 9.9.9.9 Agreed([Stun, Echo]) behind 192.168.0.2
all | router 192.168.0.2 | NotFound(NotPublic(192.168.0.2, Private))
all | stun 10.0.0.1 echo 10.0.0.1 | NotFound(NotPublic(10.0.0.1, Private))
all | stun 203.0.113.7 echo 9.9.9.9 | NotFound(OneOnly(Echo, 9.9.9.9))
all | router 9.9.9.9 stun 8.8.8.8 echo 8.8.8.8 | \
NotFound(Disagree([(Router, 9.9.9.9), (Stun, 8.8.8.8), (Echo, 8.8.8.8)]))
all | stun 9.9.9.9 stun 8.8.8.8 | NotFound(Disagree([(Stun, 8.8.8.8), (Stun, 9.9.9.9)]))
all |  | Silent
interface |  | NotFound(NoWay)
 |  | NotFound(NoWay)";

#[test]
fn what_a_round_comes_to() {
    for row in ROUNDS.lines() {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let asked = columns[0].replace("all", "interface router stun echo");
        let asked: Vec<Class> = asked.split_whitespace().map(sort).collect();
        let words: Vec<&str> = columns[1].split_whitespace().collect();
        let said: Vec<Said> = words
            .chunks(2)
            .map(|pair| Said {
                class: sort(pair[0]),
                address: pair[1].parse().ok(),
            })
            .collect();
        assert_eq!(shown(&weigh(&asked, &said)), columns[2], "{row}");
    }
}

/// What people are told of it.
#[test]
fn every_outcome_is_a_sentence_with_a_next_step() {
    for (router, seen, expected) in [
        (
            Some("9.9.9.9"),
            Some("9.9.9.9"),
            "ok IPv4: 9.9.9.9; the router, STUN and the web say so",
        ),
        (
            Some("100.64.3.4"),
            Some("9.9.9.9"),
            "warn IPv4: your provider shares one address among",
        ),
        (
            Some("192.168.0.2"),
            Some("9.9.9.9"),
            "warn IPv4: 9.9.9.9; STUN and the web say so; but your",
        ),
        (
            Some("8.8.8.8"),
            Some("9.9.9.9"),
            "warn IPv4: the sources contradict each other (the router",
        ),
        (
            Some("8.8.8.8"),
            None,
            "warn IPv4: only the router answers (8.8.8.8), and one kind",
        ),
        (
            None,
            Some("10.0.0.1"),
            "warn IPv4: 10.0.0.1 is a private address, which nobody",
        ),
        (
            None,
            None,
            "warn IPv4: nobody outside answers, so the address is not known",
        ),
    ] {
        let mut world = World::new(ALL, false);
        world.router = router.map(|it| it.parse().unwrap());
        if let Some(seen) = seen {
            world.all_see(seen);
        }
        world.wake();
        let finding = world.settings.finding(false, &world.looking.judge).unwrap();
        let shown = format!("{} {}", finding.level.word(), finding.text);
        assert!(shown.starts_with(expected), "{shown}");
        let is_ok = finding.level == household::Level::Ok;
        assert_eq!(finding.next.is_empty(), is_ok, "{finding:?}");
    }
}
