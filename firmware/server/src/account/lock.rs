//! What holds while an account is locked.
//!
//! State: in debug builds, whether this thread has one locked.

use super::Account;
use crate::server::Server;

/// Drops an account whose hook panicked (DESIGN §10): its sessions end, and it is loaded afresh by whoever
/// needs it.
pub(super) struct IfPanicked<'a> {
    server: &'a Server,
    account: &'a Account,
}

impl<'a> IfPanicked<'a> {
    pub(super) fn new(server: &'a Server, account: &'a Account) -> IfPanicked<'a> {
        IfPanicked { server, account }
    }
}

impl Drop for IfPanicked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.server.directory().forget(self.account);
        }
    }
}

/// House rule 3, counted in debug builds.
pub(super) struct OneLock;

#[cfg(debug_assertions)]
thread_local! {
    static LOCKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl OneLock {
    pub(super) fn new() -> OneLock {
        #[cfg(debug_assertions)]
        LOCKED.with(|locked| assert!(!locked.replace(true), "two accounts locked at once"));
        OneLock
    }
}

impl Drop for OneLock {
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        LOCKED.with(|locked| locked.set(false));
    }
}
