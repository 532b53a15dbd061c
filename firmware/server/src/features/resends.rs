//! Messages that a client sends again because the power failed before it got its acknowledgement (DESIGN
//! §6): what the archive has already is acknowledged and counted like any other stanza, and goes no further.
//!
//! Only for [`RESEND_MS_MAX`] after a start, and only for messages with an origin-id (XEP-0359 §2.2), which
//! its sender never gives to two of them; the `id` of a stanza is unique on its stream alone (RFC 6120
//! §8.1.3). Where the sender's copy is on disk and the recipient's is not, the message goes on to the
//! recipient, and is not kept for its sender once more.
//!
//! State: [`Resends`] per account, read when the first such message comes; [`Window`] once per server.

use super::worth_keeping;
use crate::{
    account::Cx,
    archive::{self, ENTRY, EntryKind, SHARED, STANZA_ID},
    feature::{Feature, Spec, Verdict},
    limits::{RESEND_MS_MAX, RESEND_ROWS_MAX, RESENDS_MAX},
    server::Server,
    session::Session,
};
use aws_lc_rs::digest;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use store::Snapshot;
use tokio::sync::oneshot;
use tracing::{error, info};
use xmpp::{Jid, Kind, Passing, Stanza};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Own("resends"),
    message_out: Some(recognise),
    ..Feature::NONE
};

/// The last messages an account sent; nothing where nobody asked.
#[derive(Debug, Default)]
pub(crate) struct Resends(Option<Box<[Sent]>>);

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Of its recipient and its origin-id.
    digest: u64,
    /// The recipient's archive has it, too.
    arrived: bool,
}

/// When the server looks for messages that are sent again.
#[derive(Debug)]
pub(crate) struct Window {
    /// In elapsed milliseconds.
    until: u64,
    /// What it needed is given back.
    over: AtomicBool,
}

impl Window {
    /// Opens now.
    pub(crate) fn new(elapsed_ms: u64) -> Window {
        Window {
            until: elapsed_ms.saturating_add(RESEND_MS_MAX),
            over: AtomicBool::new(false),
        }
    }
}

/// Before anything is kept or copied.
fn recognise(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let Some(sent) = &cx.state.memory.resends.0 else {
        return Verdict::Pass;
    };
    let known = digest_of_message(message).filter(|_| cx.server.looks_for_resends());
    let known = known.and_then(|digest| sent.iter().find(|sent| sent.digest == digest));
    let Some(Sent { arrived, .. }) = known.copied() else {
        return Verdict::Pass;
    };
    info!(account = %cx.jid(), arrived, "a message from before the start comes again");
    if !arrived {
        cx.route(message.clone());
    }
    Verdict::Taken
}

/// Of a message that is kept and says which one it is.
fn digest_of_message(message: &Passing) -> Option<u64> {
    if message.stanza.kind != Kind::Message {
        return None;
    }
    let digest = digest_of(message.to.bare_str(), &message.stanza);
    digest.filter(|_| worth_keeping(message))
}

fn digest_of(recipient: &str, stanza: &Stanza) -> Option<u64> {
    let id = stanza.child(STANZA_ID, "origin-id")?.attr("id")?;
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(recipient.as_bytes());
    context.update(b"\0"); // which no address has
    context.update(id.as_bytes());
    let first = context.finish().as_ref().first_chunk().copied();
    first.map(u64::from_be_bytes)
}

impl Server {
    fn looks_for_resends(&self) -> bool {
        self.clock().elapsed_ms() < self.resends().until
    }

    /// Whether [`Server::recall`] has something to do for what a client sent.
    pub(crate) fn may_be_resent(&self, sent: Option<&Passing>) -> bool {
        self.looks_for_resends() && sent.and_then(digest_of_message).is_some()
    }

    /// Reads what an account sent last, unless that was done. A disk that cannot be read recognises nothing:
    /// a message that comes twice is better than one that does not come.
    pub(crate) async fn recall(self: &Arc<Self>, session: &Session) {
        let account = &session.account;
        if self.at(account, 0, |cx| cx.state.memory.resends.0.is_some()) {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        let (server, id, jid) = (self.clone(), account.id, account.jid.clone());
        self.readers().run(Box::new(move || {
            let snapshot = server.store().snapshot();
            let _ = sender.send(snapshot.and_then(|snapshot| read(&snapshot, id, &jid)));
        }));
        let sent = match receiver.await {
            Ok(Ok(sent)) => sent,
            Ok(Err(error)) => {
                error!(account = %account.jid, %error, "the archive cannot be read");
                Box::default()
            }
            Err(_) => Box::default(),
        };
        self.at(account, 0, |cx| {
            cx.state.memory.resends.0.get_or_insert(sent);
        });
    }

    /// Once, when the time is over: gives the memory back.
    pub(crate) fn forget_resends(&self) {
        if self.looks_for_resends() || self.resends().over.swap(true, Ordering::Relaxed) {
            return;
        }
        for account in self.directory().all() {
            self.at(&account, 0, |cx| cx.state.memory.resends = Resends(None));
        }
    }
}

/// The last messages with an origin-id that this account sent.
fn read(snapshot: &Snapshot, account: u32, own: &Jid) -> Result<Box<[Sent]>, store::Error> {
    let (mut sent, mut looked_at) = (Vec::new(), 0);
    for row in ENTRY
        .prefix(snapshot, &account)?
        .rev()
        .take(RESEND_ROWS_MAX)
    {
        let ((_, position), entry) = row?;
        // A note to oneself is kept once, as received.
        let to_oneself = entry.contact == own.as_str();
        let is_sent =
            entry.kind == EntryKind::Sent || entry.kind == EntryKind::Received && to_oneself;
        if !is_sent {
            continue;
        }
        let arrived = to_oneself || SHARED.get(snapshot, &entry.payload)?.is_some();
        let stanza = archive::read(snapshot, account, position)?;
        let digest = stanza.and_then(|(entry, stanza)| digest_of(&entry.contact, &stanza));
        sent.extend(digest.map(|digest| Sent { digest, arrived }));
        looked_at += 1;
        if looked_at == RESENDS_MAX {
            break;
        }
    }
    Ok(sent.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::Fixture, session::Session};
    use store::Urgency;

    const FROM_JULIET: &str = "<message to='romeo@home.example' type='chat' id='m1'>\
        <body>Hist!</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/></message>";

    /// The same server after a power cut.
    fn again(home: &Fixture) -> Fixture {
        home.write();
        Fixture::on(home.disk.clone())
    }

    fn kept(home: &Fixture, session: &Session) -> usize {
        home.write();
        let snapshot = home.server.store().snapshot().unwrap();
        ENTRY
            .prefix(&snapshot, &session.account.id)
            .unwrap()
            .count()
    }

    fn remembers(session: &Session) -> bool {
        session.account.lock().memory.resends.0.is_some()
    }

    #[test]
    fn half_a_message_goes_on_to_its_recipient_and_is_not_kept_twice() {
        let home = Fixture::new(&["juliet", "romeo"]);
        let romeo = home.online("romeo", "orchard");
        home.send(&home.online("juliet", "balcony"), FROM_JULIET);
        home.write();
        // The power failed between the two archives.
        let snapshot = home.server.store().snapshot().unwrap();
        let rows = ENTRY.prefix(&snapshot, &romeo.account.id).unwrap();
        let mut writes = Vec::new();
        for row in rows {
            let (key, entry) = row.unwrap();
            writes.extend([ENTRY.remove(&key), SHARED.remove(&entry.payload)]);
        }
        assert_eq!(writes.len(), 2);
        home.server.store().queue(writes, Urgency::Now);
        drop(snapshot);

        let home = again(&home);
        let romeo = home.online("romeo", "orchard");
        let juliet = home.online("juliet", "balcony");
        home.send(&juliet, FROM_JULIET);
        assert_eq!(home.got(&romeo).len(), 1);
        assert_eq!((kept(&home, &juliet), kept(&home, &romeo)), (1, 1));
    }

    #[test]
    fn only_who_writes_is_remembered_and_only_for_a_while() {
        let home = Fixture::new(&["juliet", "romeo"]);
        home.send(&home.online("juliet", "balcony"), FROM_JULIET);
        let home = again(&home);
        let romeo = home.online("romeo", "orchard");
        assert_eq!(home.got(&romeo).len(), 0, "it was on its socket");
        let juliet = home.online("juliet", "balcony");
        home.send(
            &juliet,
            "<message to='romeo@home.example' type='chat'><body>1</body></message>",
        );
        assert!(!remembers(&juliet), "that cannot be known again");
        home.send(&juliet, FROM_JULIET);
        assert!(remembers(&juliet) && !remembers(&romeo));
        assert_eq!(kept(&home, &juliet), 2);
        home.hands.pass(RESEND_MS_MAX);
        home.tick();
        assert!(!remembers(&juliet));
        home.send(&juliet, FROM_JULIET);
        assert!(!remembers(&juliet), "nobody looks any more");
        assert_eq!(kept(&home, &juliet), 3);
    }

    #[test]
    fn the_last_ones_are_remembered() {
        let home = Fixture::new(&["juliet", "romeo"]);
        let juliet = home.online("juliet", "balcony");
        let sent = |n: usize| FROM_JULIET.replace("o1", &format!("o{n}"));
        for n in 0..=RESENDS_MAX {
            home.send(&juliet, &sent(n));
        }
        let home = again(&home);
        let juliet = home.online("juliet", "balcony");
        for (n, expected) in [(RESENDS_MAX, 65), (1, 65), (0, 66)] {
            home.send(&juliet, &sent(n));
            assert_eq!(kept(&home, &juliet), expected, "{n}");
        }
    }
}
