//! What goes on on one connection: how many requests are being answered, and whether there has been any.

use crate::limits::IDLE_MAX;
use axum::body::Body;
use hyper::body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{sync::Notify, time::sleep};

/// The requests of one connection.
#[derive(Default)]
pub(crate) struct Visits {
    open: AtomicUsize,
    /// Requests whose body has not come whole.
    coming: AtomicUsize,
    begun: AtomicBool,
    changed: Notify,
}

/// One request that is being answered; dropping it says that it is not any more.
pub(crate) struct Visit(Arc<Visits>);

/// A request's body that is on its way in; dropping it says that it is not any more.
pub(crate) struct Coming(Arc<Visits>);

/// An answer, with the request that it is for.
pub(crate) struct Answer {
    body: Body,
    _visit: Visit,
}

impl Visits {
    pub(crate) fn begin(self: &Arc<Self>) -> Visit {
        self.begun.store(true, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        Visit(self.clone())
    }

    /// Whether nothing was ever asked.
    pub(crate) fn none_yet(&self) -> bool {
        !self.begun.load(Ordering::Relaxed)
    }

    /// A request begins to come in.
    pub(crate) fn coming(self: &Arc<Self>) -> Coming {
        self.coming.fetch_add(1, Ordering::Relaxed);
        Coming(self.clone())
    }

    /// Whether the rest of some request is to come.
    pub(crate) fn is_any_coming(&self) -> bool {
        self.coming.load(Ordering::Relaxed) > 0
    }

    /// Returns when nothing was asked and answered for [`IDLE_MAX`], and nothing `is_left` to be taken: the
    /// end of an answer is on its way after it was given. For one who waits.
    pub(crate) async fn until_idle(&self, is_left: impl Fn() -> bool) {
        loop {
            // What happens before this is waited for is kept for it.
            let changed = self.changed.notified();
            if self.open.load(Ordering::Relaxed) > 0 {
                changed.await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = sleep(IDLE_MAX) => {
                    if !is_left() {
                        return;
                    }
                }
            }
        }
    }
}

impl Visit {
    /// The request is open until its answer has gone out.
    pub(crate) fn until_the_end_of(self, body: Body) -> Answer {
        Answer { body, _visit: self }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

impl hyper::body::Body for Answer {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn idle_is_who_asks_nothing_and_is_answered_nothing() {
        let visits = Arc::new(Visits::default());
        assert!(visits.none_yet());
        let visit = visits.begin();
        assert!(!visits.none_yet());
        let other = visits.begin();
        let long = IDLE_MAX * 3;
        assert!(
            timeout(long, visits.until_idle(|| false)).await.is_err(),
            "two answers are open"
        );
        drop(visit);
        assert!(
            timeout(long, visits.until_idle(|| false)).await.is_err(),
            "one is"
        );
        let begin = Instant::now();
        let answer = other.until_the_end_of(Body::empty());
        let ends = async {
            sleep(Duration::from_secs(5)).await;
            drop(answer);
        };
        tokio::join!(visits.until_idle(|| false), ends);
        assert_eq!(begin.elapsed(), Duration::from_secs(5) + IDLE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_idle_who_still_takes_an_answer() {
        let visits = Visits::default();
        let begin = Instant::now();
        visits.until_idle(|| begin.elapsed() < IDLE_MAX * 5).await;
        assert_eq!(begin.elapsed(), IDLE_MAX * 5);
    }
}
