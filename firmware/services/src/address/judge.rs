//! Which address is ours: what several sources say, weighed against each other and against what was known
//! before (FEATURES §4.4). Pure; one [`Judge`] a family owns what is published of it and since when it is
//! doubted.

use super::limits::KEPT_MS;
use household::denied::{self, Kind};
use std::{fmt, net::IpAddr};

/// A sort of source: those of one sort see the same thing from the same side, and only two sorts that agree
/// are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// This machine has it itself.
    Interface,
    /// The router at home says that it has it.
    Router,
    /// An operator of STUN sees it.
    Stun,
    /// An echo over HTTPS sees it.
    Echo,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Interface => "this machine",
            Class::Router => "the router",
            Class::Stun => "STUN",
            Class::Echo => "the web",
        })
    }
}

/// What one source said; `None` where it said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) class: Class,
    pub(super) address: Option<IpAddr>,
}

/// Why an address is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Interface,
    /// These say the same.
    Agreed(Vec<Class>),
    /// Nobody else may be asked.
    Alone(Class),
}

/// Why none is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no way out for this family, and nobody says otherwise.
    NoWay,
    /// The router's own address is inside the provider's network.
    SharedByProvider(IpAddr),
    /// Only this sort of source answered, of several.
    OneOnly(Class, IpAddr),
    /// They contradict each other.
    Disagree(Vec<(Class, IpAddr)>),
    /// Nothing but addresses that nobody outside could call.
    NotPublic(IpAddr, Kind),
}

/// What one round of questions comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Found {
        address: IpAddr,
        why: Why,
        /// The router is behind another one that has this address itself.
        behind: Option<IpAddr>,
    },
    /// Nobody answered.
    Silent,
    NotFound(Trouble),
}

/// Weighs one round: `asked` are the sorts that the configuration allows and that could answer.
pub(super) fn weigh(asked: &[Class], said: &[Said]) -> Verdict {
    let answers = || said.iter().filter_map(|it| Some((it.class, it.address?)));
    let is_public = |address: IpAddr| denied::kind(address).is_none();
    let own = answers().find(|(class, address)| *class == Class::Interface && is_public(*address));
    if let Some((_, address)) = own {
        return Verdict::Found {
            address,
            why: Why::Interface,
            behind: None,
        };
    }
    let router = answers().find(|(class, _)| *class == Class::Router);
    let outside = router.map(|(_, address)| (address, denied::kind(address)));
    if let Some((address, Some(Kind::ProviderInside))) = outside {
        return Verdict::NotFound(Trouble::SharedByProvider(address));
    }
    let behind = outside.filter(|(_, kind)| kind.is_some());
    let mut different: Vec<(Class, IpAddr)> = answers().filter(|it| is_public(it.1)).collect();
    different.sort_unstable();
    different.dedup();
    let Some((first, address)) = different.first().copied() else {
        let inside = answers().find_map(|(_, address)| Some((address, denied::kind(address)?)));
        return match inside {
            Some((address, kind)) => Verdict::NotFound(Trouble::NotPublic(address, kind)),
            None if !could_answer(asked) => Verdict::NotFound(Trouble::NoWay),
            None => Verdict::Silent,
        };
    };
    if different.iter().any(|(_, other)| *other != address) {
        return Verdict::NotFound(Trouble::Disagree(different));
    }
    let classes: Vec<Class> = different.into_iter().map(|(class, _)| class).collect();
    // This machine itself cannot agree from behind a router.
    let mut able = asked.iter().filter(|class| **class != Class::Interface);
    let why = match classes.len() {
        1 if able.any(|class| *class != first) => {
            return Verdict::NotFound(Trouble::OneOnly(first, address));
        }
        1 => Why::Alone(first),
        _ => Why::Agreed(classes),
    };
    Verdict::Found {
        address,
        why,
        behind: behind.map(|(address, _)| address),
    }
}

/// Whether anybody was asked who sees more than this machine does.
fn could_answer(asked: &[Class]) -> bool {
    asked.iter().any(|class| *class != Class::Interface)
}

/// What is published of one family, and what is known about it.
#[derive(Debug, Default)]
pub(super) struct Judge {
    pub(super) known: Option<(IpAddr, Why)>,
    /// Since when somebody contradicts it.
    doubted_ms: Option<u64>,
    pub(super) last: Option<Verdict>,
}

impl Judge {
    /// Hears the verdict of a round. An address that is agreed on counts at once; one that is contradicted
    /// stays for [`KEPT_MS`], for a router that starts again says many things; one that nobody says anything
    /// about stays, since a house without a way out is called by nobody.
    pub(super) fn hear(&mut self, verdict: Verdict, now_ms: u64) {
        let is_own = matches!(self.known, Some((_, Why::Interface)));
        match &verdict {
            Verdict::Found { address, why, .. } => {
                self.known = Some((*address, why.clone()));
                self.doubted_ms = None;
            }
            Verdict::Silent if !is_own => {}
            // What this machine had itself and has no more is gone, whoever is silent about it.
            Verdict::Silent | Verdict::NotFound(_) => {
                self.doubted_ms.get_or_insert(now_ms);
            }
        }
        self.last = Some(verdict);
        self.expire(now_ms);
    }

    /// One source says the same address again.
    pub(super) fn hear_again(&mut self) {
        self.doubted_ms = None;
    }

    /// Gives up what was doubted for too long.
    pub(super) fn expire(&mut self, now_ms: u64) {
        if self.until_ms().is_some_and(|until| until <= now_ms) {
            self.known = None;
            self.doubted_ms = None;
        }
    }

    /// When the address is given up, if nothing happens.
    pub(super) fn until_ms(&self) -> Option<u64> {
        self.known.as_ref()?;
        Some(self.doubted_ms? + KEPT_MS)
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.known.as_ref().map(|(address, _)| *address)
    }
}
