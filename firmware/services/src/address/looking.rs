//! The search for the address of one family: what the links and the router tell by themselves, who is asked
//! when, and what all of it comes to. Pure: answers and time come in. [`Looking`] owns its whole state.

use super::{
    judge::{Class, Judge, Said, weigh},
    schedule::{Ask, Schedule},
    settings::{Server, Settings},
};
use crate::links::Links;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug)]
pub(super) struct Looking {
    pub(super) is_v6: bool,
    pub(super) judge: Judge,
    schedule: Schedule,
    around: Around,
    /// Those that answered last, and whose turn it is.
    answered: Vec<Server>,
    turn: usize,
}

/// What is known without a question.
#[derive(Debug, Default, PartialEq, Eq)]
struct Around {
    /// Our addresses on the link that leads out and who passes packets on there: another one may mean another
    /// address outside.
    link: Vec<(IpAddr, u32)>,
    /// Whether any way leads out.
    has_way: bool,
    /// Our public address, where we are told to look there.
    own: Option<IpAddr>,
    /// Public addresses of ours, wherever we look.
    here: Vec<IpAddr>,
    /// What the router says.
    router: Option<IpAddr>,
}

impl Looking {
    pub(super) fn new(is_v6: bool) -> Looking {
        Looking {
            is_v6,
            judge: Judge::default(),
            schedule: Schedule::default(),
            around: Around::default(),
            answered: Vec::new(),
            turn: 0,
        }
    }

    /// Takes note of what was told: everybody is asked again where that may mean another address.
    pub(super) fn see(
        &mut self,
        links: &Links,
        settings: &Settings,
        router: Option<Ipv4Addr>,
        now_ms: u64,
    ) {
        let now = self.look(links, settings, router);
        let known = self.judge.address();
        let router_is_news = now.router != self.around.router && now.router != known;
        if router_is_news {
            self.schedule.wake_at_once(now_ms);
        } else if now.link != self.around.link || now.own != self.around.own {
            self.schedule.wake(now_ms);
        }
        self.around = now;
        self.judge.expire(now_ms);
    }

    fn look(&self, links: &Links, settings: &Settings, router: Option<Ipv4Addr>) -> Around {
        let out = links.way_out(self.is_v6);
        let staying = links.addresses.iter().filter(|it| {
            let is_out = out.is_some_and(|out| out.interface == it.interface);
            is_out && it.ip.is_ipv6() == self.is_v6 && !it.is_temporary && !it.is_passing
        });
        let mut link: Vec<_> = staying.map(|it| (it.ip, it.interface)).collect();
        link.extend(out.and_then(|out| Some((out.gateway?, out.interface))));
        link.sort_unstable();
        let here: Vec<IpAddr> = links.public(self.is_v6).collect();
        let before = self.judge.address().filter(|known| here.contains(known));
        let looks_here = settings.classes.contains(&Class::Interface);
        let own = before.or_else(|| here.iter().min().copied());
        let believes = settings.classes.contains(&Class::Router) && !self.is_v6;
        Around {
            link,
            has_way: out.is_some(),
            own: own.filter(|_| looks_here),
            here,
            router: router.filter(|_| believes).map(IpAddr::V4),
        }
    }

    /// Whom to ask now, if anybody. Nobody where the answer is at hand, or no way leads out.
    pub(super) fn due(&mut self, settings: &Settings, now_ms: u64) -> Vec<Server> {
        match self.schedule.due(now_ms) {
            None => Vec::new(),
            Some(_) if self.around.own.is_some() || !self.around.has_way => Vec::new(),
            Some(Ask::One) if !self.answered.is_empty() => {
                let server = self.answered[self.turn % self.answered.len()].clone();
                self.turn = self.turn.wrapping_add(1);
                vec![server]
            }
            Some(_) => settings.servers.clone(),
        }
    }

    /// Whether anything is to be judged now.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.schedule.due(now_ms).is_some()
    }

    /// Hears the answers of those that were [due](Self::due). `true`: everybody is to be asked at once, since
    /// the one that was asked alone says something else.
    pub(super) fn hear(
        &mut self,
        asked: &[Server],
        answers: &[Option<IpAddr>],
        settings: &Settings,
        now_ms: u64,
    ) -> bool {
        let was_alone = self.schedule.due(now_ms) == Some(Ask::One) && asked.len() == 1;
        if was_alone && settings.servers.len() > 1 {
            let is_same = answers.first() == Some(&self.judge.address());
            if is_same && self.judge.address().is_some() {
                self.judge.hear_again();
                self.schedule.same(now_ms, self.is_told());
                return false;
            }
            self.schedule.wake_at_once(now_ms);
            return true;
        }
        let at_hand = [
            (Class::Interface, self.around.own),
            (Class::Router, self.around.router),
        ];
        let mut said: Vec<Said> = Vec::new();
        for (class, address) in at_hand {
            said.extend(address.map(|_| Said { class, address }));
        }
        for (server, address) in asked.iter().zip(answers) {
            said.push(Said {
                class: server.class,
                address: *address,
            });
        }
        self.answered = asked
            .iter()
            .zip(answers)
            .filter(|(_, answer)| answer.is_some())
            .map(|(server, _)| server.clone())
            .collect();
        // STUN costs an operator least.
        if self.answered.iter().any(|it| it.class == Class::Stun) {
            self.answered.retain(|it| it.class == Class::Stun);
        }
        let classes = if self.around.has_way {
            settings.able(self.is_v6)
        } else {
            Vec::new()
        };
        let verdict = weigh(&classes, &said);
        self.judge.hear(verdict.clone(), now_ms);
        self.schedule.asked(now_ms, &verdict, self.is_told());
        false
    }

    /// Whether somebody at home would tell of another address: the link itself, or the router.
    fn is_told(&self) -> bool {
        let address = self.judge.address();
        address.is_some_and(|it| self.around.here.contains(&it) || self.around.router == Some(it))
    }

    /// When something is due, if nothing is told before.
    pub(super) fn at_ms(&self) -> u64 {
        let at = self.schedule.at_ms();
        self.judge.until_ms().map_or(at, |until| until.min(at))
    }
}

#[cfg(test)]
mod tests;
