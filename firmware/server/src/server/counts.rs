//! Figures for people and for `/metrics`.

use super::Server;

/// Figures for people.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub accounts_in_memory: usize,
    pub sessions: usize,
}

impl Server {
    /// Sessions bound and accounts in memory, for `status` and metrics.
    pub fn counts(&self) -> Counts {
        let accounts = self.directory.all();
        let people = accounts
            .iter()
            .filter(|account| account.jid.domainpart() == self.domain.as_str())
            .filter(|account| account.jid.localpart().is_some());
        let sessions = accounts
            .iter()
            .map(|account| account.lock().connections())
            .sum();
        Counts {
            accounts_in_memory: people.count(),
            sessions,
        }
    }
}
