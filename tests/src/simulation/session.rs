//! A session as its client keeps it (XEP-0198): what it sent and is not told of, what it received, and what
//! the server may say about that.

use super::{
    ledger::{Ledger, Message, Number},
    line::Line,
    rooms::{View, Words},
};
use std::collections::{BTreeSet, VecDeque};

#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) xml: String,
    pub(super) message: Option<Message>,
    /// Said in a room.
    pub(super) words: Option<Words>,
}

impl Sent {
    /// Nothing that is counted.
    pub(super) fn of(xml: String) -> Sent {
        Sent {
            xml,
            message: None,
            words: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: Number,
    /// What resumes it.
    pub(super) id: Option<String>,
    /// `<enable/>` was sent: what is sent from here on is counted.
    pub(super) counts: bool,
    /// The server said `<enabled/>`: what it sends from here on is counted.
    pub(super) is_counted: bool,
    /// Stanzas received since.
    pub(super) received: u32,
    /// Stanzas that the server said it has handled.
    handled: u32,
    unacknowledged: VecDeque<Sent>,
    /// Handled before the line that it has now.
    base: u32,
    /// While it has no line: how many stanzas the server has at least and at most.
    left: Option<(u32, u32)>,
    /// The disk was in trouble, so something may never be handled.
    pub(super) is_troubled: bool,
    /// Requests that were answered, by their id.
    answered: BTreeSet<String>,
    /// Of the room.
    pub(super) view: View,
}

impl Session {
    pub(super) fn new(number: Number) -> Session {
        Session {
            number,
            id: None,
            counts: false,
            is_counted: false,
            received: 0,
            handled: 0,
            unacknowledged: VecDeque::new(),
            base: 0,
            left: None,
            is_troubled: false,
            answered: BTreeSet::new(),
            view: View::default(),
        }
    }

    /// A request has one answer (RFC 6120 §8.2.3), however often its line drops.
    pub(super) fn is_answered(&mut self, id: &str) -> Result<(), String> {
        if self.answered.insert(id.to_owned()) {
            return Ok(());
        }
        Err(format!("session {}: {id} was answered twice", self.number))
    }

    pub(super) fn send(&mut self, line: &mut Line, sent: Sent) {
        if self.counts {
            line.write_counted(&sent.xml);
            self.unacknowledged.push_back(sent);
        } else {
            line.write(&sent.xml);
        }
    }

    /// Messages that nobody has said are handled.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &Sent> {
        self.unacknowledged
            .iter()
            .filter(|sent| sent.message.is_some())
    }

    /// The line is gone. What may be on the server by now was there when it last came to rest, or arrived
    /// since.
    pub(super) fn loses(&mut self, line: &Line) {
        if self.left.is_none() {
            self.left = Some((self.base + line.processed, self.base + line.arrived));
        }
    }

    /// `<a h=''/>`.
    pub(super) fn is_told(
        &mut self,
        h: u32,
        line: &Line,
        ledger: &mut Ledger,
    ) -> Result<(), String> {
        self.the_count_is_possible(h, self.base + line.arrived)?;
        self.acknowledged(h, ledger);
        Ok(())
    }

    /// `<resumed h=''/>` on another line: everything else goes out again.
    pub(super) fn is_resumed(
        &mut self,
        h: u32,
        line: &mut Line,
        ledger: &mut Ledger,
    ) -> Result<(), String> {
        let (least, most) = self.left.take().unwrap_or((0, u32::MAX));
        self.the_count_is_possible(h, most)?;
        self.a_resumption_counts_all_that_arrived(h, least)?;
        self.acknowledged(h, ledger);
        self.base = h;
        for sent in &self.unacknowledged {
            line.write_counted(&sent.xml);
        }
        Ok(())
    }

    /// `<failed h=''/>`: gives what is to be sent again in a new session.
    pub(super) fn is_failed(
        &mut self,
        h: Option<u32>,
        ledger: &mut Ledger,
    ) -> Result<Vec<Sent>, String> {
        if let Some(h) = h {
            let (least, most) = self.left.unwrap_or((0, u32::MAX));
            self.the_count_is_possible(h, most)?;
            self.a_resumption_counts_all_that_arrived(h, least)?;
            self.acknowledged(h, ledger);
        }
        Ok(self.unacknowledged().cloned().collect())
    }

    fn acknowledged(&mut self, h: u32, ledger: &mut Ledger) {
        while self.handled < h {
            self.handled += 1;
            let Some(sent) = self.unacknowledged.pop_front() else {
                continue;
            };
            if let Some(message) = sent.message {
                ledger.promised(message);
            }
            if let Some(words) = sent.words {
                ledger.rooms.promised(words);
            }
        }
    }

    /// A count never goes back, and never exceeds what reached the server.
    fn the_count_is_possible(&self, h: u32, most: u32) -> Result<(), String> {
        let sent = self.handled + self.unacknowledged.len() as u32;
        if (self.handled..=sent.min(most)).contains(&h) {
            return Ok(());
        }
        Err(format!(
            "session {}: h={h}, but {} were handled before, {most} reached the server and {sent} were sent",
            self.number, self.handled
        ))
    }

    /// XEP-0198 §5 with DESIGN §6: an end of waiting tells everything that was received.
    fn a_resumption_counts_all_that_arrived(&self, h: u32, least: u32) -> Result<(), String> {
        if self.is_troubled || h >= least {
            return Ok(());
        }
        Err(format!(
            "session {}: goes on with h={h}, but {least} were worked off",
            self.number
        ))
    }
}
