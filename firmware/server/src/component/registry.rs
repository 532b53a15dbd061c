//! Which components are configured, and which of them are connected.

use super::line::Line;
use crate::{server::Server, world::Timestamp};
use household::Config;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use xmpp::{Jid, Passing, StanzaError, StreamError};

const ABSENT: StanzaError =
    StanzaError::REMOTE_SERVER_TIMEOUT.with_text("this service is not connected at the moment");

/// The components that are connected, by domain.
#[derive(Default)]
pub(crate) struct Components {
    lines: Mutex<BTreeMap<String, Arc<Line>>>,
}

impl Components {
    /// Makes it the connected one; `None` where there is one already, which is tried whether it is alive.
    pub(super) fn attach(&self, name: &Jid) -> Option<Arc<Line>> {
        let mut lines = self.lines();
        if let Some(there) = lines.get(name.as_str()) {
            there.doubt();
            return None;
        }
        let line = Arc::new(Line::new(name.clone()));
        lines.insert(name.as_str().to_owned(), line.clone());
        Some(line)
    }

    /// It is gone.
    pub(super) fn detach(&self, line: &Line) {
        self.lines().remove(line.name.as_str());
    }

    /// The domains of those that are connected, in order.
    pub(crate) fn connected(&self) -> Vec<Jid> {
        self.lines()
            .values()
            .map(|line| line.name.clone())
            .collect()
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Sends a stanza to the component at its domain. Refused where it cannot go, with what its sender is to
    /// be told.
    pub(crate) fn send_to_component(&self, passing: &Passing) -> Result<(), StanzaError> {
        let lines = self.components.lines();
        let line = lines.get(passing.to.domainpart()).ok_or(ABSENT)?;
        if line.offer(passing.entry()) {
            Ok(())
        } else {
            Err(StanzaError::RESOURCE_CONSTRAINT)
        }
    }

    /// The configuration is another one: a component that it does not have any more is told so, and one that
    /// now has another secret shows that it knows it.
    pub(crate) fn follow_components(&self, before: &Config) {
        let now = self.config();
        for (name, line) in &*self.components.lines() {
            match (before.components.get(name), now.components.get(name)) {
                (_, None) => line.end(StreamError::HOST_GONE),
                (before, after) if before != after => line.end(StreamError::RESET),
                _ => {}
            }
        }
    }

    /// A component showed the wrong secret: for how many milliseconds the answer has to wait.
    pub(super) fn component_failed(&self, address: IpAddr, name: &Jid) -> Timestamp {
        let per_minute = self.config().limits.login_failures_per_minute;
        let now = self.clock().elapsed_ms();
        let throttle = &self.logins().throttle;
        throttle.failed(address, name.as_str(), per_minute, now)
    }
}
