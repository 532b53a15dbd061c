//! What the stream of a session goes over: requests, in the order of their ids, and the answers to them.

use super::{Sessions, Shared, body::Condition, limits::GOODBYE_BYTES_MAX, lock, session::Session};
use crate::transport::{Ahead, Line, tcp::House};
use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep, timeout},
};
use xmpp::framing;

pub(super) struct Requests {
    sid: String,
    session: Shared,
    all: Arc<Sessions>,
    house: Arc<House>,
    stop: watch::Receiver<bool>,
    time: Pin<Box<Sleep>>,
    /// What the timer is set to, in elapsed milliseconds.
    set_to: u64,
}

impl Requests {
    pub(super) fn new(
        sid: String,
        session: Shared,
        all: Arc<Sessions>,
        house: &Arc<House>,
        stop: watch::Receiver<bool>,
    ) -> Requests {
        Requests {
            sid,
            session,
            all,
            house: house.clone(),
            stop,
            time: Box::pin(sleep(Duration::ZERO)),
            set_to: u64::MAX,
        }
    }

    fn now(&self) -> u64 {
        self.house.server.clock().elapsed_ms()
    }

    /// Lets the session do what time brings, until `until` gives something; pending, it wakes for both.
    fn poll_session<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut until: impl FnMut(&mut Session, u64) -> Option<T>,
    ) -> Poll<T> {
        loop {
            let now = self.now();
            let deadline = {
                let mut session = lock(&self.session);
                session.waker = Some(cx.waker().clone());
                session.tick(now);
                if let Some(value) = until(&mut session, now) {
                    return Poll::Ready(value);
                }
                session.deadline(now)
            };
            if deadline != self.set_to {
                let wait = Duration::from_millis(deadline.saturating_sub(now).max(1));
                self.time.as_mut().reset(Instant::now() + wait);
                self.set_to = deadline;
            }
            if self.time.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.set_to = u64::MAX;
        }
    }
}

impl Line for Requests {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&[u8], usize),
    ) -> Poll<io::Result<bool>> {
        let input = self.poll_session(cx, |session, now| {
            if session.is_over {
                return Some(None);
            }
            let input = session.input.take();
            if input.is_none() {
                session.is_settled = true;
                session.respond(now);
            }
            input.map(Some)
        });
        input.map(|input| {
            if let Some(input) = &input {
                take(input.as_bytes(), input.len());
            }
            Ok(input.is_some())
        })
    }

    /// Returns when it was taken by requests: until then it counts as not written.
    async fn write(&mut self, bytes: &[u8], _: impl Ahead) -> io::Result<()> {
        let cut = framing::cut(bytes);
        let pieces = cut.map_err(|error| io::Error::other(error.condition))?;
        let now = self.now();
        lock(&self.session).say(pieces, now);
        let mut stop = self.stop.clone();
        let mut stopped = pin!(async move {
            let _ = stop.wait_for(|stop| *stop).await; // or nobody is left to say so
        });
        let mut is_stopped = false;
        poll_fn(|cx| {
            is_stopped = is_stopped || stopped.as_mut().poll(cx).is_ready();
            self.poll_session(cx, |session, _| {
                let is_told = session.output.is_empty() && !session.is_closing;
                if session.is_over {
                    // Who was told nothing has received nothing: it goes to whoever comes next.
                    let told = session.is_told.then_some(());
                    Some(told.ok_or(io::ErrorKind::NotConnected.into()))
                } else if is_told {
                    Some(Ok(()))
                } else if session.is_goodbye && !session.is_closing {
                    // Nobody fetches it any more: it goes with the last answer, and what came is read (§13).
                    let fits = (session.untold() <= GOODBYE_BYTES_MAX).then_some(());
                    Some(fits.ok_or(io::ErrorKind::NotConnected.into()))
                } else if is_stopped && !session.has_live() {
                    Some(Err(io::ErrorKind::NotConnected.into()))
                } else {
                    None
                }
            })
        })
        .await
    }

    /// The last answer was the goodbye.
    async fn close(&mut self) {}

    fn trust(&mut self) {
        lock(&self.session).is_known = true;
    }
}

impl Drop for Requests {
    /// The stream is gone: nothing of the session stays but why, where its client may still ask for that.
    fn drop(&mut self) {
        let mut session = lock(&self.session);
        if session.has_last_words() {
            // The rest was not told, and goes to whoever comes next.
            session
                .output
                .retain(|element| element.starts_with("<stream:error"));
            let words = LastWords {
                sid: std::mem::take(&mut self.sid),
                session: self.session.clone(),
                all: self.all.clone(),
            };
            let now = self.house.server.clock().elapsed_ms();
            let wait = session.deadline(now).saturating_sub(now);
            tokio::spawn(words.keep(Duration::from_millis(wait), self.stop.clone()));
            return;
        }
        self.all.forget(&self.sid);
        if !session.is_over {
            let oldest = session.held.pop_front();
            let reply = oldest.and_then(super::replies::Held::into_reply);
            session.fail(Condition::RemoteConnectionFailed, reply);
        }
    }
}

/// A session without a stream, whose client has not heard why it ended (§17.2).
struct LastWords {
    sid: String,
    session: Shared,
    all: Arc<Sessions>,
}

impl LastWords {
    /// Until the client asks, is not expected to ask any more, or the house closes.
    async fn keep(self, wait: Duration, mut stop: watch::Receiver<bool>) {
        let told = poll_fn(|cx| {
            let mut session = lock(&self.session);
            session.waker = Some(cx.waker().clone());
            if session.is_over {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let told = timeout(wait, told);
        tokio::select! {
            _ = told => {} // or nobody asked
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.all.forget(&self.sid);
        let mut session = lock(&self.session);
        if !session.is_over {
            session.fail(Condition::ItemNotFound, None);
        }
    }
}
