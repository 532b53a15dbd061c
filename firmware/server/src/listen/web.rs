//! The door for clients that come in over HTTP. Whoever speaks HTTP brings them; who they are, and how many
//! may be here before they have said so, is decided here as at every other port.

use super::{Admission, ByteStream, gate::Gate};
use crate::{
    bosh::{self, Newcomer, Sessions},
    limits::SHUTDOWN_MS_MAX,
    server::Server,
    tls::Tls,
    transport::{
        frames::{self, Visitor},
        tcp::House,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tracing::debug;

/// A client that may come in with a WebSocket. Counts as a stranger from now on.
pub struct Admitted {
    house: Arc<House>,
    visitor: Visitor,
    admission: Admission,
    stop: watch::Receiver<bool>,
}

impl Admitted {
    /// Serves it to its end, in a task of its own, which has nothing of what came before. `first` was read
    /// from the stream already.
    pub fn serve(self, stream: ByteStream, first: &[u8]) {
        let line = stream.into_socket(first);
        let serve = frames::serve(self.house, line, self.visitor, self.admission, self.stop);
        tokio::spawn(serve);
    }
}

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

    /// Lets a client in that is about to make a WebSocket (RFC 7395); `None` where too many strangers are
    /// here.
    pub fn admit(&self, visitor: Visitor) -> Option<Admitted> {
        let Some(admission) = self.gate.admit(visitor.address) else {
            debug!(address = %visitor.address, "too many connections that have not authenticated");
            return None;
        };
        Some(Admitted {
            house: self.house.clone(),
            visitor,
            admission,
            stop: self.stop.subscribe(),
        })
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
