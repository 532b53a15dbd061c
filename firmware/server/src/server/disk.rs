//! What a disk that fails, and works again, means for accounts in memory.

use super::Server;
use crate::account;
use std::sync::Arc;
use store::Durable;

impl Server {
    /// From now on.
    pub(super) fn watch_disk(self: &Arc<Self>) {
        let watching = Arc::downgrade(self);
        self.store.watch_health(move |health| {
            let Some(server) = watching.upgrade() else {
                return;
            };
            server.forget_failed();
            if health.writable {
                server.write_anew();
            }
        });
    }

    /// DESIGN §6: what a failed group changed in memory never became true. Its accounts are loaded afresh.
    fn forget_failed(&self) {
        for account in self.directory.all() {
            if self.store.is_durable(account.relied_on()) == Some(Durable::No) {
                self.directory.forget(&account);
            }
        }
    }

    /// The disk works again. What it refused and nobody waited for is queued before anything that happens
    /// from now on, so that a restart finds the disk at one moment of the account.
    fn write_anew(&self) {
        self.logins.write_anew(&self.store);
        for account in self.directory.all() {
            self.at(&account, 0, account::write_anew);
        }
    }
}
