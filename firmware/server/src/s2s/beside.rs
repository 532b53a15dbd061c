//! Reads that another server or a component asks for: they run beside its stream, so that what one of its
//! people looks for in an archive keeps nobody else's messages waiting (DESIGN §4). In which order requests
//! are answered is free.

use super::limits::READS_BESIDE_MAX;
use crate::features::mam;
use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};
use xmpp::{Kind, Passing};

type Read = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Those of one stream that are not done, from the oldest.
#[derive(Default)]
pub(crate) struct Beside(Vec<Read>);

impl Beside {
    /// Whether it is one of those: what changes something goes in order with everything else (RFC 6120
    /// §10.1).
    pub(crate) fn is_for(passing: &Passing) -> bool {
        let stanza = &passing.stanza;
        let is_query = || stanza.child(mam::NS, "query").is_some();
        stanza.kind == Kind::Iq
            && (stanza.type_() == "get" || stanza.type_() == "set" && is_query())
    }

    /// Whether nothing more is read from the stream before one of them is done.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= READS_BESIDE_MAX
    }

    /// Begins one. What needs nothing from the disk is done at once.
    pub(crate) async fn begin(&mut self, read: impl Future<Output = ()> + Send + 'static) {
        self.0.push(Box::pin(read));
        self.go_on().await;
    }

    /// Goes on with all of them as far as it goes now.
    pub(crate) async fn go_on(&mut self) {
        if self.0.is_empty() {
            return;
        }
        poll_fn(|cx| {
            let _ = self.poll(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Goes on with all of them; ready when one is done.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.0.len();
        self.0
            .retain_mut(|read| read.as_mut().poll(cx).is_pending());
        if self.0.len() < before {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Sees all of them to their end.
    pub(crate) async fn finish(&mut self) {
        for read in std::mem::take(&mut self.0) {
            read.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::fixture::block_on;
    use std::task::Waker;
    use tokio::sync::oneshot;

    #[test]
    fn so_many_at_a_time_and_each_to_its_end() {
        let mut beside = Beside::default();
        block_on(beside.begin(async {}));
        assert!(beside.0.is_empty(), "done at once");
        let mut ends = Vec::new();
        while !beside.is_full() {
            let (end, ended) = oneshot::channel::<()>();
            ends.push(end);
            block_on(beside.begin(async {
                let _ = ended.await;
            }));
        }
        assert_eq!(ends.len(), READS_BESIDE_MAX);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(beside.poll(&mut cx).is_pending());
        drop(ends.swap_remove(7));
        assert!(beside.poll(&mut cx).is_ready());
        assert!(!beside.is_full());
        drop(ends);
        block_on(beside.finish());
        assert!(beside.0.is_empty());
    }

    #[test]
    fn what_changes_something_keeps_its_place() {
        for (xml, expected) in [
            (
                "<iq type='get' id='a'><query xmlns='jabber:iq:version'/></iq>",
                true,
            ),
            (
                "<iq type='set' id='a'><query xmlns='urn:xmpp:mam:2'/></iq>",
                true,
            ),
            (
                "<iq type='set' id='a'><query xmlns='jabber:iq:roster'/></iq>",
                false,
            ),
            ("<iq type='result' id='a'/>", false),
            ("<message type='get'/>", false),
            ("<presence/>", false),
        ] {
            let stanza = xmpp::Stanza::parse(xml).unwrap();
            let jid = xmpp::Jid::parse("a@b.example").unwrap();
            let passing = Passing::new(std::sync::Arc::new(stanza), jid.clone(), jid);
            assert_eq!(Beside::is_for(&passing), expected, "{xml}");
        }
    }
}
