//! Which components are configured, which of them are connected, and since when the others are not.

use super::{line::Line, privilege::Told};
use crate::{s2s::Remote, server::Server, world::Timestamp};
use household::Config;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use xmpp::{Jid, StreamError};

/// The components of which something is known, by domain: no more than the configuration ever had.
#[derive(Default)]
pub(crate) struct Components {
    pub(super) told: Told,
    known: Mutex<BTreeMap<String, Known>>,
    /// Queues of those that were configured, until senders of what waits there are told: as many as changes
    /// of the configuration within a minute leave.
    forsaken: Mutex<Vec<Arc<Remote>>>,
}

enum Known {
    Connected(Arc<Line>),
    /// It went at this time, in elapsed milliseconds. Those that never came went when the server started.
    Away(u64),
}

impl Components {
    /// The domains of those that are connected, in order.
    pub(crate) fn connected(&self) -> Vec<Jid> {
        let known = self.known();
        let lines = known.values().filter_map(Known::line);
        lines.map(|line| line.name.clone()).collect()
    }

    /// Queues of components that are configured no more and whose lines are gone.
    pub(crate) fn take_forsaken(&self) -> Vec<Arc<Remote>> {
        let mut forsaken = self.forsaken();
        forsaken
            .extract_if(.., |queue| !queue.is_carried())
            .collect()
    }

    fn forsaken(&self) -> MutexGuard<'_, Vec<Arc<Remote>>> {
        self.forsaken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn line(&self) -> Option<&Arc<Line>> {
        match self {
            Known::Connected(line) => Some(line),
            Known::Away(_) => None,
        }
    }
}

impl Server {
    /// Whether the domain is that of a component, connected or not.
    pub(crate) fn is_component(&self, domain: &str) -> bool {
        self.config().components.contains_key(domain)
    }

    /// The domains of components that are connected, for people.
    pub fn components(&self) -> Vec<Jid> {
        self.components.connected()
    }

    /// Makes it the connected one.
    ///
    /// # Errors
    /// `conflict` where there is one already, which is tried whether it is alive; `resource-constraint` where
    /// there is no room for its queue (RFC 6120 §4.9.3.17).
    pub(super) fn attach_component(&self, name: &Jid) -> Result<Arc<Line>, StreamError> {
        let queue = self.component_queue(name);
        let queue = queue.ok_or(StreamError::RESOURCE_CONSTRAINT)?;
        let mut known = self.components.known();
        if let Some(there) = known.get(name.as_str()).and_then(Known::line) {
            there.doubt();
            return Err(StreamError::CONFLICT);
        }
        let number = self.next_number();
        // Perhaps from another server, whose domain this was before it became a component's.
        queue.take_over(number);
        let line = Arc::new(Line::new(name.clone(), queue, number));
        known.insert(name.as_str().to_owned(), Known::Connected(line.clone()));
        Ok(line)
    }

    /// It is gone.
    pub(super) fn detach_component(&self, line: &Line) {
        let away = Known::Away(self.clock().elapsed_ms());
        let mut known = self.components.known();
        known.insert(line.name.as_str().to_owned(), away);
    }

    /// For how many milliseconds a component has not been connected; `None` where it is.
    pub(crate) fn component_away_ms(&self, name: &Jid) -> Option<u64> {
        let now = self.clock().elapsed_ms();
        match self.components.known().get(name.as_str()) {
            Some(Known::Connected(_)) => None,
            Some(Known::Away(since)) => Some(now.saturating_sub(*since)),
            None => Some(now),
        }
    }

    /// All configured ones that are not connected, likewise.
    pub(crate) fn components_away(&self) -> Vec<(Jid, u64)> {
        let config = self.config();
        let names = config.components.keys();
        let names = names.filter_map(|name| Jid::parse(name).ok());
        names
            .filter_map(|name| {
                let away = self.component_away_ms(&name)?;
                Some((name, away))
            })
            .collect()
    }

    /// The configuration is another one: a component that it does not have any more is told so, and nothing
    /// waits for it. One that now has another secret shows that it knows it; one that may do something else
    /// comes again and hears what, and who is there (XEP-0356 §4.2, §8 rule 1).
    pub(crate) fn follow_components(&self, before: &Config) {
        let now = self.config();
        for (name, known) in &*self.components.known() {
            let Some(line) = known.line() else { continue };
            let is_same = before.components.get(name) == now.components.get(name)
                && before.privileges.get(name) == now.privileges.get(name);
            if !now.components.contains_key(name) {
                line.end(StreamError::HOST_GONE);
            } else if !is_same {
                line.end(StreamError::RESET);
            }
        }
        let names = before.components.keys();
        let gone = names.filter(|name| !now.components.contains_key(*name));
        let queues = gone.filter_map(|name| self.forsake_queue(&Jid::parse(name).ok()?));
        self.components.forsaken().extend(queues);
    }

    /// A component showed the wrong secret: for how many milliseconds the answer has to wait.
    pub(super) fn component_failed(&self, address: IpAddr, name: &Jid) -> Timestamp {
        let per_minute = self.config().limits.login_failures_per_minute;
        let now = self.clock().elapsed_ms();
        let throttle = &self.logins().throttle;
        throttle.failed(address, name.as_str(), per_minute, now)
    }
}
