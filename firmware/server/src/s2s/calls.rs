//! Calls other servers over sockets: one task for each call, which ends with its link. While nobody gets
//! through there is a task only where something waits that is on disk, and it ends with the rest.

use super::{
    Call, Dialed, Dialer, Link, Outcome, Outside, Reached, Remote, Unreachable, Verification,
    dane::Published, dial::Dialing,
};
use crate::{
    limits::SHUTDOWN_MS_MAX,
    s2s::limits::VERIFICATION_MS_MAX,
    server::Server,
    tls::Tls,
    transport::{
        socket::Socket,
        tcp::{self, House, Serving},
    },
};
use rustls_pki_types::CertificateDer;
use std::{
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tracing::debug;
use xmpp::StanzaError;

/// Makes connections to other servers, from this moment until `stop` turns true, then lets them take their
/// last words.
pub fn serve(
    server: Arc<Server>,
    tls: Arc<Tls>,
    dialer: Dialer,
    mut stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    // Each call holds a clone; when all are gone the channel says so.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let calls = Arc::new_cyclic(|this| Calls {
        this: this.clone(),
        house: Arc::new(House::new(server.clone(), tls)),
        dialer,
        alive: alive.downgrade(),
        stop: stop.clone(),
    });
    server.connect_outside(calls);
    async move {
        // The sender gone means the same as the word.
        let _ = stop.wait_for(|stop| *stop).await;
        drop(alive);
        let _ = timeout(Duration::from_millis(SHUTDOWN_MS_MAX), all_gone.recv()).await;
    }
}

struct Calls {
    this: Weak<Calls>,
    house: Arc<House>,
    dialer: Dialer,
    alive: mpsc::WeakSender<()>,
    stop: watch::Receiver<bool>,
}

impl Outside for Calls {
    fn call(&self, call: Call) {
        // Towards the end nobody is called: what must not be lost is on disk.
        let (Some(calls), Some(alive)) = (self.this.upgrade(), self.alive.upgrade()) else {
            return;
        };
        tokio::spawn(async move {
            let mut stop = calls.stop.clone();
            match call {
                Call::Deliver(remote) => calls.deliver(remote, &mut stop).await,
                Call::Verify(verification) => calls.verify(verification).await,
            }
            drop(alive);
        });
    }

    fn publishes(&self, domain: &str) -> Option<oneshot::Receiver<bool>> {
        let dialer = self.dialer.clone();
        let domain = domain.to_owned();
        let (tell, answer) = oneshot::channel();
        tokio::spawn(async move {
            if let Some(publishes) = dialer.publishes(&domain).await {
                let _ = tell.send(publishes); // the stream may be gone
            }
        });
        Some(answer)
    }

    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &str,
        published: &Published,
    ) -> Result<(), String> {
        let trust = self.house.tls.trust();
        let judged = published.judge(&trust, chain, domain, self.house.server.now());
        judged.map_err(|doubt| doubt.to_string())
    }
}

impl Calls {
    async fn deliver(&self, remote: Arc<Remote>, stop: &mut watch::Receiver<bool>) {
        let rest = remote
            .rests_until()
            .saturating_sub(self.house.server.clock().elapsed_ms());
        if rest > 0 {
            tokio::select! {
                () = sleep(Duration::from_millis(rest)) => {}
                () = poll_fn(|cx| remote.poll_alive(cx)) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
        if !remote.is_called() {
            return;
        }
        let reached = tokio::select! {
            biased;
            reached = self.reach(Reached::Deliver(remote.clone())) => reached,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if let Err((_, error, why)) = reached {
            self.house.server.remote_failed(&remote, error, &why).await;
        }
    }

    async fn verify(&self, verification: Verification) {
        let limit = Duration::from_millis(VERIFICATION_MS_MAX);
        // Out of time, the verification is dropped, which says so to whoever waits for it.
        if let Ok(Err((Reached::Verify(verification), error, why))) =
            timeout(limit, self.reach(Reached::Verify(verification))).await
        {
            debug!(peer = %verification.theirs, "a key cannot be verified: {why}");
            verification.failed(error);
        }
    }

    /// Tries one address after the other, until what the call is for is done. What could not be done comes
    /// back, with what senders are told and why.
    async fn reach(&self, mut why: Reached) -> Result<(), (Reached, StanzaError, String)> {
        let mut dialing = match self.begin(&why).await {
            Ok(dialing) => dialing,
            Err(unreachable) => {
                let (error, text) = told(unreachable);
                return Err((why, error, text));
            }
        };
        let mut failure = None;
        while let Some(dialed) = dialing.next().await {
            let Some(link) = self.drive(dialed, why).await else {
                return Ok(());
            };
            failure = Some(match link.outcome() {
                Outcome::Reached => return Ok(()),
                Outcome::Failed(error, text) => (error, text),
                Outcome::Again => {
                    why = match link.into_reason() {
                        Some(reason) => reason,
                        None => return Ok(()),
                    };
                    dialing = match self.begin(&why).await {
                        Ok(dialing) => dialing,
                        Err(unreachable) => {
                            let (error, text) = told(unreachable);
                            return Err((why, error, text));
                        }
                    };
                    continue;
                }
                Outcome::Open => (
                    StanzaError::REMOTE_SERVER_TIMEOUT,
                    "the connection broke before anything was said".to_owned(),
                ),
            });
            match link.into_reason() {
                Some(reason) => why = reason,
                None => return Ok(()),
            }
        }
        let (error, text) = failure.unwrap_or_else(|| told(dialing.why()));
        Err((why, error, text))
    }

    /// Begins to dial. What only answers somebody there waits apart from what our own people want; a
    /// verification does not, since friends are at the door, and of these there are few at a time.
    async fn begin(&self, why: &Reached) -> Result<Dialing, Unreachable> {
        let remote = match why {
            Reached::Deliver(remote) => remote,
            Reached::Verify(verification) => {
                return self.dialer.begin(verification.theirs.as_str()).await;
            }
        };
        if remote.only_answers() {
            let begun = self.dialer.begin_to_answer(remote.theirs.as_str()).await;
            // Somebody here may have written meanwhile.
            if begun.is_ok() || remote.only_answers() {
                return begun;
            }
        }
        self.dialer.begin(remote.theirs.as_str()).await
    }

    /// Has a link driven by a task of its own. Gives it back if it ends before it is decided how the call
    /// goes.
    async fn drive(&self, dialed: Dialed, why: Reached) -> Option<Link> {
        let address = dialed.address.ip();
        let mut link = Link::calling(self.house.server.clone(), address, dialed.direct, why);
        let (tell, reached) = oneshot::channel();
        link.tell_when_reached(tell);
        if dialed.dnssec {
            link.expect_published(Published::new(dialed.host, dialed.tlsa));
        }
        let how = Serving {
            address,
            direct: dialed.direct,
            admission: None,
            stop: self.stop.clone(),
        };
        let serve = tcp::serve(self.house.clone(), Socket::Clear(dialed.tcp), link, how);
        let alive = self.alive.upgrade();
        let mut serving = tokio::spawn(async move {
            let link = serve.await;
            drop(alive);
            link
        });
        tokio::select! {
            Ok(()) = reached => None,
            ended = &mut serving => ended.ok(),
        }
    }
}

fn told(unreachable: Unreachable) -> (StanzaError, String) {
    match unreachable {
        Unreachable::NotFound(why) => (StanzaError::REMOTE_SERVER_NOT_FOUND, why),
        Unreachable::Timeout(why) => (StanzaError::REMOTE_SERVER_TIMEOUT, why),
    }
}
