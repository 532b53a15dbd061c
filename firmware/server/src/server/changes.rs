//! What a change of an account means at runtime, once it is on disk: who is told, and who is put out.

use super::Server;
use crate::{account::Account, devices, push};
use std::sync::Arc;
use tracing::error;
use xmpp::StreamError;

/// What was done to an account: by the command line, later the admin page; by its owner, in band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange {
    Added,
    PasswordChanged,
    /// By the session of this number.
    OwnPasswordChanged {
        session: u64,
    },
    Disabled,
    Enabled,
    Removed,
    /// How long its messages are kept.
    KeepChanged,
    /// One of its devices was signed out.
    SignedOut(devices::Id),
}

impl Server {
    /// What follows at runtime from a change of an account that is already durable.
    pub async fn account_changed(self: &Arc<Self>, localpart: &str, change: AccountChange) {
        if let Err(error) = self.note_administrator() {
            error!(%error, "the accounts cannot be read");
        }
        if change == AccountChange::KeepChanged {
            self.retention.hurry();
        }
        if let Some(account) = self.directory.get(localpart) {
            self.take_over(&account, change).await;
        }
        if matches!(change, AccountChange::Disabled | AccountChange::Removed) {
            self.end_bytestreams(localpart);
        }
        match change {
            AccountChange::Added => {
                Box::pin(self.keep_family()).await;
                self.welcome(localpart).await;
            }
            AccountChange::Enabled => Box::pin(self.keep_family()).await,
            AccountChange::Removed => {
                Box::pin(self.keep_family()).await; // whom it leaves without a word has nothing to be told
                self.say_farewells().await;
            }
            _ => {}
        }
    }

    /// What a change means for an account in memory.
    async fn take_over(self: &Arc<Self>, account: &Arc<Account>, change: AccountChange) {
        self.at(account, 0, |cx| match change {
            AccountChange::PasswordChanged | AccountChange::Disabled => {
                devices::locked_out(cx, None);
                push::locked_out(cx, None);
            }
            AccountChange::OwnPasswordChanged { session } => {
                let mut resources = cx.state.resources.iter();
                let own = resources.find(|resource| resource.session.number == session);
                let device = own.and_then(|own| own.memory.device);
                devices::locked_out(cx, device);
                push::locked_out(cx, Some(session));
            }
            AccountChange::SignedOut(device) => devices::signed_out(cx, device),
            _ => {}
        });
        self.settle(account).await;
        match change {
            // RFC 6120 §4.9.3.16: what these streams were secured with is worth nothing any more. Otherwise
            // whoever has a lost phone stays in for as long as its line holds.
            AccountChange::PasswordChanged | AccountChange::OwnPasswordChanged { .. } => {
                let error = StreamError::RESET.with_text("the password was changed");
                let by = match change {
                    AccountChange::OwnPasswordChanged { session } => Some(session),
                    _ => None,
                };
                self.end_sessions(account, error, |session| Some(session.number) != by)
                    .await;
            }
            AccountChange::Disabled | AccountChange::Removed => {
                let error = StreamError::NOT_AUTHORIZED.with_text("this account was closed");
                self.end_sessions(account, error, |_| true).await;
                self.directory.forget(account);
            }
            _ => {}
        }
    }
}
