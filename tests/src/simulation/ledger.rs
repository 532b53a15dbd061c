//! What was sent, to whom its handling was promised, and where it arrived; and what must hold of it.

use std::collections::BTreeMap;
use xmpp::{Element, ns};

/// A message by its number; `m7` on the wire.
pub(super) type Message = usize;

/// A session as its client knows it; unique in a story.
pub(super) type Number = usize;

#[derive(Debug)]
struct Known {
    to: usize,
    /// To the bare address, and never sent to any other.
    is_bare: bool,
    /// Sessions it was sent in: more than one where the first never said that it is handled.
    sent_in: Vec<Number>,
    /// The server said that it is handled.
    is_promised: bool,
    /// It came to a device of its recipient.
    has_come: bool,
    /// The sender was told that it was refused.
    is_refused: bool,
    /// It was on its way while the disk took nothing, so it may have been refused.
    may_be_refused: bool,
    /// Why nobody needs to get it.
    excuse: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: Vec<Known>,
    /// By the session that received them, in their order.
    received: BTreeMap<Number, Vec<Receipt>>,
}

#[derive(Clone, Copy, Debug)]
struct Receipt {
    message: Message,
    is_delayed: bool,
}

impl Ledger {
    /// The next message; it is sent with [`Ledger::sent`].
    pub(super) fn write(&mut self, to: usize, is_bare: bool) -> Message {
        self.known.push(Known {
            to,
            is_bare,
            sent_in: Vec::new(),
            is_promised: false,
            has_come: false,
            is_refused: false,
            may_be_refused: false,
            excuse: None,
        });
        self.known.len() - 1
    }

    pub(super) fn sent(&mut self, message: Message, session: Number) {
        self.known[message].sent_in.push(session);
    }

    /// The server said that it is handled.
    pub(super) fn promised(&mut self, message: Message) {
        self.known[message].is_promised = true;
    }

    /// It is on its way, and the disk takes nothing.
    pub(super) fn may_be_refused(&mut self, message: Message) {
        self.known[message].may_be_refused = true;
    }

    /// A session is over: an answer that waited for it is lost with it.
    pub(super) fn session_is_over(&mut self, session: Number) {
        for known in &mut self.known {
            if known.may_be_refused && known.sent_in.contains(&session) {
                known.excuse = Some("refused, and the refusal was lost with the session");
            }
        }
    }

    /// The server wrote it to a session that acknowledges nothing.
    pub(super) fn written_for_good(&mut self, element: &Element) {
        if let Some(message) = number_of(element) {
            self.known[message].excuse = Some("written to somebody who acknowledges nothing");
        }
    }

    /// A client has read a message stanza.
    pub(super) fn received(
        &mut self,
        element: &Element,
        account: usize,
        session: Number,
        is_only_device: bool,
    ) -> Result<(), String> {
        let Some(message) = number_of(element) else {
            return Ok(());
        };
        if element.attr("type") == Some("error") {
            self.known[message].is_refused = true;
            return Ok(());
        }
        let known = &mut self.known[message];
        if known.to != account {
            return Err(format!(
                "m{message} was for account {} and came to {account}",
                known.to
            ));
        }
        known.has_come = true;
        let is_delayed = element.child("urn:xmpp:delay", "delay").is_some();
        let receipts = self.received.entry(session).or_default();
        receipts.push(Receipt {
            message,
            is_delayed,
        });
        self.nothing_comes_twice(message, session)?;
        self.nothing_overtakes(session, is_only_device)
    }

    /// In one session a message comes at most as often as it was sent in different ones.
    fn nothing_comes_twice(&self, message: Message, session: Number) -> Result<(), String> {
        let receipts = &self.received[&session];
        let times = receipts.iter().filter(|r| r.message == message).count();
        let sent = self.known[message].sent_in.len();
        if times <= sent {
            return Ok(());
        }
        Err(format!(
            "m{message} came {times} times to session {session}, and was sent in {sent}"
        ))
    }

    /// What one session sent comes to another in this order. Two devices of an account may part what is sent
    /// to it, and what one of them leaves behind comes late to the other, with the time it came.
    fn nothing_overtakes(&self, session: Number, is_only_device: bool) -> Result<(), String> {
        let receipts = &self.received[&session];
        let Some((last, before)) = receipts.split_last() else {
            return Ok(());
        };
        let known = &self.known[last.message];
        for earlier in before {
            let other = &self.known[earlier.message];
            let comparable = if is_only_device {
                known.is_bare && other.is_bare
            } else {
                !last.is_delayed && !earlier.is_delayed
            };
            let once = known.sent_in.len() == 1 && known.sent_in == other.sent_in;
            if comparable && once && earlier.message > last.message {
                return Err(format!(
                    "m{} came to session {session} behind m{}, which was sent later",
                    last.message, earlier.message
                ));
            }
        }
        Ok(())
    }

    /// At the end, when everybody has got everything: what was promised has come, or its sender knows.
    pub(super) fn nothing_promised_is_lost(&self) -> Result<(), String> {
        let lost = self.known.iter().enumerate().filter(|(_, known)| {
            let answered = known.has_come || known.is_refused || known.excuse.is_some();
            known.is_promised && !answered
        });
        let lost: Vec<String> = lost.map(|(message, _)| format!("m{message}")).collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(format!(
            "acknowledged and never delivered: {}",
            lost.join(" ")
        ))
    }

    /// Messages that came to any session, however often.
    pub(super) fn receipts(&self) -> usize {
        self.received.values().map(Vec::len).sum()
    }

    /// How many messages there were; how many were promised; how many of these came.
    pub(super) fn counts(&self) -> [usize; 3] {
        let promised = self.known.iter().filter(|known| known.is_promised);
        let came = promised.clone().filter(|known| known.has_come);
        [self.known.len(), promised.count(), came.count()]
    }
}

fn number_of(element: &Element) -> Option<Message> {
    let is_message = element.is(ns::CLIENT, "message");
    is_message
        .then(|| element.attr("id"))
        .flatten()?
        .strip_prefix('m')?
        .parse()
        .ok()
}
