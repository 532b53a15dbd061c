//! "Send me a push": whether the push services of an account take a notification, for the command line and
//! for pages.

use super::{Enabled, publish};
use crate::{account::State, server::Server};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A notification that was sent to find out about it.
pub struct Trial {
    /// The address of the push service.
    pub service: String,
    /// What the device is called, or the resource it had when it asked; perhaps empty.
    pub device: String,
    /// Comes when the push service answers, and fails if it never does.
    pub outcome: oneshot::Receiver<Outcome>,
}

/// What a push service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// A condition of RFC 6120 §8.3.3, and whether the registration is forgotten for it.
    Refused {
        condition: String,
        is_forgotten: bool,
    },
}

/// Remembers who wants to hear of that notification.
pub(super) fn begin(state: &State, enabled: &mut Enabled, id: u64) -> Trial {
    let (sender, outcome) = oneshot::channel();
    enabled.trial = Some((id, sender));
    let device = enabled.settings.device();
    let device = device.and_then(|id| state.memory.devices.get(id));
    let names = device.map(|device| [&device.name, &device.software]);
    let mut names = names.into_iter().flatten();
    let name = names.find(|name| !name.is_empty());
    Trial {
        service: enabled.service.to_string(),
        device: name.unwrap_or(&enabled.settings.resource).to_string(),
        outcome,
    }
}

impl Server {
    /// Sends each push service of an account a notification that says that it is a trial, wherever the device
    /// is. `None` where there is no such account, or it may not sign in.
    pub async fn try_push(self: &Arc<Self>, localpart: &str) -> Option<Vec<Trial>> {
        let account = self.load(localpart).await.ok().flatten()?;
        let trials = self.at(&account, 0, publish::try_out);
        self.settle_account(&account).await;
        Some(trials)
    }
}
