//! What `[public]` and `[address]` say about one family. Plain values; owns nothing.

use super::{
    judge::{Class, Judge},
    limits::SERVERS_MAX,
    words,
};
use household::{Config, Finding, Level, config::AddressSource};
use std::net::IpAddr;

/// Somebody who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) class: Class,
    /// `host:port` of STUN, or the URL of an echo.
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// The address is this one, whatever anybody says.
    pub(super) given: Option<IpAddr>,
    /// Which sorts are believed.
    pub(super) classes: Vec<Class>,
    pub(super) servers: Vec<Server>,
}

impl Settings {
    pub(super) fn of(config: &Config, is_v6: bool) -> Settings {
        let given = if is_v6 {
            config.public.ipv6.map(IpAddr::V6)
        } else {
            config.public.ipv4.map(IpAddr::V4)
        };
        if given.is_some() || config.domain == "localhost" {
            return Settings {
                given,
                ..Settings::default()
            };
        }
        let mut classes: Vec<Class> = config.address.sources.iter().map(class).collect();
        classes.sort_unstable();
        classes.dedup();
        let of = |class: Class, names: &[String]| {
            let names = names.iter().take(SERVERS_MAX).cloned();
            let is_asked = classes.contains(&class);
            let names = names.filter(|_| is_asked).collect::<Vec<_>>();
            names.into_iter().map(move |name| Server { class, name })
        };
        let servers = of(Class::Stun, &config.address.stun)
            .chain(of(Class::Echo, &config.address.echo))
            .collect();
        Settings {
            given,
            classes,
            servers,
        }
    }

    /// Whether anything is to be found out.
    pub(super) fn is_looking(&self) -> bool {
        self.given.is_none() && !self.classes.is_empty()
    }

    /// The sorts that could answer: of a router's addresses only that of IPv4 is another one than ours, and
    /// who has nobody to ask cannot ask.
    pub(super) fn able(&self, is_v6: bool) -> Vec<Class> {
        let mut able = self.classes.clone();
        able.retain(|class| match class {
            Class::Interface => true,
            Class::Router => !is_v6,
            Class::Stun | Class::Echo => self.servers.iter().any(|it| it.class == *class),
        });
        able
    }

    /// What to tell people; nothing in a house that never asked.
    pub(super) fn finding(&self, is_v6: bool, judge: &Judge) -> Option<Finding> {
        if let Some(address) = self.given {
            return Some(words::given(is_v6, address));
        }
        if self.classes.is_empty() {
            let text = format!(
                "{}: not looked for, as address.sources is empty",
                words::family(is_v6)
            );
            return Some(words::finding(Level::Ok, text, ""));
        }
        Some(words::looked_for(is_v6, judge))
    }
}

fn class(source: &AddressSource) -> Class {
    match source {
        AddressSource::Interface => Class::Interface,
        AddressSource::Router => Class::Router,
        AddressSource::Stun => Class::Stun,
        AddressSource::Echo => Class::Echo,
    }
}
