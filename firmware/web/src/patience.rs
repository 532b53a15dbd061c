//! How long a request's body may stand still. It may take as long as it needs on the whole.

use crate::{
    limits::BODY_STALL_MAX,
    visits::{Coming, Visits},
};
use axum::BoxError;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    io::{Error, ErrorKind},
    iter,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::time::{Sleep, sleep};

/// A body of which the next part comes in time, or it ends with an error.
pub(crate) struct Patient {
    body: Incoming,
    /// Runs while somebody waits for the next part.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Until the end of it.
    coming: Option<Coming>,
}

impl Patient {
    pub(crate) fn new(body: Incoming, visits: &Arc<Visits>) -> Patient {
        let coming = (!body.is_end_stream()).then(|| visits.coming());
        Patient {
            body,
            waiting: None,
            coming,
        }
    }
}

/// Whether a body could not be read because it stood still.
pub(crate) fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = iter::successors(Some(error), |error| error.source());
    causes.any(|error| {
        let error = error.downcast_ref::<Error>();
        error.is_some_and(|error| error.kind() == ErrorKind::TimedOut)
    })
}

impl Body for Patient {
    type Data = <Incoming as Body>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = None;
            if frame.is_none() || self.body.is_end_stream() {
                self.coming = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let start = || Box::pin(sleep(BODY_STALL_MAX));
        ready!(self.waiting.get_or_insert_with(start).as_mut().poll(cx));
        let error = Error::new(ErrorKind::TimedOut, "the body stood still for too long");
        Poll::Ready(Some(Err(error.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
