//! The door for clients that come in over HTTP. Whoever speaks HTTP brings them; who they are, and how many
//! may be here before they have said so, is decided here as at every other port.

use super::gate::Gate;
use crate::{
    bosh::{self, Newcomer, Sessions},
    limits::SHUTDOWN_MS_MAX,
    server::Server,
    tls::Tls,
    transport::{
        frames::{self, Frames, Visitor},
        tcp::House,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tracing::debug;

/// A clone is a count.
#[derive(Clone)]
pub struct ClientDoor {
    house: Arc<House>,
    gate: Arc<Gate>,
    bosh: Arc<Sessions>,
    stop: watch::Sender<bool>,
}

impl ClientDoor {
    pub fn new(server: Arc<Server>, tls: Arc<Tls>) -> ClientDoor {
        ClientDoor {
            house: Arc::new(House::new(server, tls)),
            gate: Arc::default(),
            bosh: Arc::default(),
            stop: watch::Sender::new(false),
        }
    }

    /// The server behind the door.
    pub fn server(&self) -> &Arc<Server> {
        &self.house.server
    }

    /// Serves a client in frames to its end (RFC 7395). Returns at once where too many strangers are here.
    pub async fn serve_frames(&self, frames: impl Frames, visitor: Visitor) {
        let Some(admission) = self.gate.admit(visitor.address) else {
            debug!(address = %visitor.address, "too many connections that have not authenticated");
            return;
        };
        let (house, stop) = (self.house.clone(), self.stop.subscribe());
        frames::serve(house, frames, visitor, admission, stop).await;
    }

    /// Answers a request of BOSH, when there is something to say to it: at the latest after
    /// [`WAIT_S_MAX`](bosh::limits::WAIT_S_MAX) seconds (XEP-0124). `body` has
    /// [`BODY_BYTES_MAX`](bosh::limits::BODY_BYTES_MAX) bytes at most. Who drops it has lost the connection.
    pub async fn answer_bosh(&self, body: &[u8], visitor: Visitor) -> bosh::Answer {
        let newcomer = || Newcomer {
            house: self.house.clone(),
            admission: self.gate.admit(visitor.address),
            visitor,
            stop: self.stop.subscribe(),
        };
        self.bosh.answer(body, self.server(), newcomer).await
    }

    /// Answers a request that has more bytes than that, and of which no more was read than how it begins.
    pub fn refuse_bosh(&self, begin: &[u8]) -> bosh::Answer {
        self.bosh.refuse_long(begin)
    }

    #[cfg(test)]
    pub(crate) fn bosh(&self) -> &Sessions {
        &self.bosh
    }

    /// Lets everybody take their last words.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let _ = timeout(Duration::from_millis(SHUTDOWN_MS_MAX), self.stop.closed()).await;
    }
}
