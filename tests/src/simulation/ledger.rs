//! What was sent, to whom its handling was promised, and where it arrived; and what must hold of it.

use super::{
    archives::Archives,
    blocks::{Blocks, Pair},
    contacts::Changes,
    heard::{Copy, Heard},
    rooms::Rooms,
};
use std::collections::BTreeMap;

/// A message by its number; `m7` on the wire.
pub(super) type Message = usize;

/// A session as its client knows it; unique in a story.
pub(super) type Number = usize;

const BLOCKED: &str = "sent by somebody who was blocked, before, then or later";

#[derive(Debug)]
struct Known {
    from: usize,
    to: usize,
    /// To the bare address, and never sent to any other.
    is_bare: bool,
    /// Archives are to keep it.
    is_kept: bool,
    /// Sessions it was sent in: more than one where the first never said that it is handled.
    sent_in: Vec<Number>,
    /// The server said that it is handled.
    is_promised: bool,
    /// It came to a device of its recipient.
    has_come: bool,
    /// The sender was told that it was refused.
    is_refused: bool,
    /// It was on its way while the disk took nothing, or behind a block, so it may have been refused.
    may_be_refused: bool,
    /// Its refusal may have been lost.
    may_be_refused_unheard: bool,
    /// It was sent while its recipient blocked its sender for certain, and does so still.
    is_banned: bool,
    /// Why nobody needs to get it; the archive has it all the same.
    excuse: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: Vec<Known>,
    /// By the session that received them, in their order.
    received: BTreeMap<Number, Vec<Receipt>>,
    pub(super) archives: Archives,
    pub(super) blocks: Blocks,
    pub(super) changes: Changes,
    pub(super) rooms: Rooms,
    /// Of requests.
    last_number: usize,
}

#[derive(Clone, Copy, Debug)]
struct Receipt {
    message: Message,
    is_delayed: bool,
    /// A copy (XEP-0280).
    is_wrapped: bool,
    /// A copy of what another device sent.
    is_sent: bool,
}

impl Receipt {
    /// Below 0 a device gets copies of what comes (XEP-0280 §7), and nothing of what waits until somebody is
    /// there with a better priority (RFC 6121 §8.5.2.1.1, XEP-0160 §2 rule 5). Raising its own it becomes the
    /// one who gets that, behind the copies of what came later.
    fn waited_for_priority(&self, earlier: &Receipt) -> bool {
        earlier.is_wrapped && !self.is_wrapped && self.is_delayed
    }
}

/// Who reads a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) account: usize,
    pub(super) session: Number,
    /// Nobody else is on the account, ever.
    pub(super) is_only_one: bool,
}

impl Ledger {
    /// The next message; it is sent with [`Ledger::sent`].
    pub(super) fn write(
        &mut self,
        from: usize,
        to: usize,
        is_bare: bool,
        is_kept: bool,
    ) -> Message {
        self.known.push(Known {
            from,
            to,
            is_bare,
            is_kept,
            sent_in: Vec::new(),
            is_promised: false,
            has_come: false,
            is_refused: false,
            may_be_refused: false,
            may_be_refused_unheard: false,
            is_banned: false,
            excuse: None,
        });
        self.known.len() - 1
    }

    /// A number for a request.
    pub(super) fn number(&mut self) -> usize {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn sent(&mut self, message: Message, session: Number) {
        let known = &mut self.known[message];
        let is_first = known.sent_in.is_empty();
        known.sent_in.push(session);
        let blocked = self.blocks.is_blocked((known.to, known.from));
        let blocks = self.blocks.is_blocked((known.from, known.to));
        known.may_be_refused |= blocked != Some(false) || blocks != Some(false);
        if blocked != Some(false) {
            known.excuse = Some(BLOCKED);
        }
        known.is_banned |= is_first && blocked == Some(true);
    }

    /// The server said that it is handled.
    pub(super) fn promised(&mut self, message: Message) {
        self.known[message].is_promised = true;
    }

    /// It is on its way, and the disk takes nothing.
    pub(super) fn may_be_refused(&mut self, message: Message) {
        self.known[message].may_be_refused = true;
    }

    /// Somebody asks to block another account, or to do so no more. What is between the two may be refused
    /// from here on; what waits of somebody who was blocked since stays in the archive (XEP-0191 §3.3).
    pub(super) fn asks_to_block(&mut self, pair: Pair, blocks: bool, session: Number) -> usize {
        let number = self.number();
        self.blocks.ask(number, pair, blocks, session);
        let (by, whom) = pair;
        for known in &mut self.known {
            let is_whom = (known.from, known.to) == (whom, by);
            if !known.has_come && (is_whom || (known.from, known.to) == pair) {
                known.may_be_refused = true;
                if is_whom {
                    known.excuse = Some(BLOCKED);
                    known.is_banned = false;
                }
            }
        }
        number
    }

    /// A session is over: an answer that waited for it is lost with it.
    pub(super) fn session_is_over(&mut self, session: Number) {
        for known in &mut self.known {
            if known.may_be_refused && known.sent_in.contains(&session) {
                known.may_be_refused_unheard = true;
            }
        }
        self.blocks.session_is_over(session);
    }

    /// The server wrote it to a session that acknowledges nothing.
    pub(super) fn written_for_good(&mut self, heard: &Heard) {
        let (Heard::Live(copy) | Heard::Found(_, copy)) = heard else {
            return;
        };
        if !copy.is_sent {
            self.known[copy.message].excuse = Some("written to somebody who acknowledges nothing");
        }
    }

    /// A client was told that it was refused.
    pub(super) fn refused(&mut self, message: Message) {
        self.known[message].is_refused = true;
    }

    /// A client has found it in the archive.
    pub(super) fn found(&mut self, copy: &Copy, account: usize) -> Result<(), String> {
        self.belongs(copy, account)?;
        self.known[copy.message].has_come |= !copy.is_sent;
        Ok(())
    }

    /// A client has read a message, or a copy of one.
    pub(super) fn received(&mut self, copy: &Copy, reader: Reader) -> Result<(), String> {
        let (message, session) = (copy.message, reader.session);
        self.belongs(copy, reader.account)?;
        if let (Some(id), false) = (&copy.id, copy.is_delayed) {
            self.archives.came(reader.account, session, id);
        }
        let known = &mut self.known[message];
        known.has_come |= !copy.is_sent;
        if copy.is_sent && known.sent_in.contains(&session) {
            return Err(format!(
                "m{message} came back to session {session}, which sent it"
            ));
        }
        if known.is_banned && !copy.is_sent {
            return Err(format!("m{message} came from somebody who was blocked"));
        }
        let receipts = self.received.entry(session).or_default();
        receipts.push(Receipt {
            message,
            is_delayed: copy.is_delayed,
            is_wrapped: copy.is_wrapped,
            is_sent: copy.is_sent,
        });
        self.nothing_comes_twice(message, session)?;
        self.nothing_overtakes(session, reader.is_only_one)
    }

    fn belongs(&self, copy: &Copy, account: usize) -> Result<(), String> {
        let (message, known) = (copy.message, &self.known[copy.message]);
        let whose = if copy.is_sent { known.from } else { known.to };
        if whose == account {
            return Ok(());
        }
        Err(format!(
            "m{message} is of account {whose} and came to {account}"
        ))
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
    /// to it, and what one of them leaves behind comes late to the other, with the time it came; and so it is
    /// with the two lives of one that gets copies below priority 0. Copies of what others sent are compared
    /// among themselves.
    fn nothing_overtakes(&self, session: Number, is_only_device: bool) -> Result<(), String> {
        let receipts = &self.received[&session];
        let Some((last, before)) = receipts.split_last() else {
            return Ok(());
        };
        let known = &self.known[last.message];
        for earlier in before
            .iter()
            .filter(|earlier| earlier.is_sent == last.is_sent)
        {
            let other = &self.known[earlier.message];
            let comparable = if is_only_device {
                known.is_bare && other.is_bare && !last.waited_for_priority(earlier)
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
            let answered = known.has_come || known.was_refused() || known.excuse.is_some();
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

    /// At the end: whatever was promised and is kept is in both archives, no message is there more often than
    /// it was sent, and what one session sent is there in that order.
    pub(super) fn archives_are_right(&self) -> Result<(), String> {
        self.archives
            .are_consistent(|message| self.known[message].may_be_refused)?;
        for (message, known) in self.known.iter().enumerate() {
            for (account, is_sent) in [(known.from, true), (known.to, false)] {
                let times = self.archives.times(account, message, is_sent);
                let (least, most) = known.times_in_archives(is_sent);
                if !(least..=most).contains(&times) {
                    return Err(format!(
                        "m{message} is {times} times in the archive of account {account}, and should be \
                         {least} to {most} times: {known:?}"
                    ));
                }
            }
        }
        for account in self.archives.accounts() {
            let mut last = BTreeMap::new();
            for row in self.archives.of(account) {
                let [session] = self.known[row.message].sent_in[..] else {
                    continue;
                };
                let last = last.entry((session, row.is_sent)).or_insert(row.message);
                if *last > row.message {
                    return Err(format!(
                        "m{} is behind m{last} in the archive of account {account}",
                        row.message
                    ));
                }
                *last = row.message;
            }
        }
        Ok(())
    }
}

impl Known {
    /// It never reached its recipient, and the sender knows, or would if it had listened.
    fn was_refused(&self) -> bool {
        self.is_refused || self.may_be_refused_unheard
    }

    /// How often it is at least and at most in the archive of its sender, or of its recipient.
    fn times_in_archives(&self, is_sender: bool) -> (usize, usize) {
        if !self.is_kept || self.is_banned && !is_sender {
            return (0, 0);
        }
        let least = self.is_promised && !self.was_refused();
        (usize::from(least), self.sent_in.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one session reads: the number, `w` for wrapped, `d` for delayed. What overtook what.
    fn overtaken(reads: &str, is_only_one: bool) -> Option<String> {
        let mut ledger = Ledger::default();
        for message in 0..4 {
            ledger.write(0, 1, true, true);
            ledger.sent(message, 7);
        }
        let reader = Reader {
            account: 1,
            session: 8,
            is_only_one,
        };
        reads.split(' ').find_map(|read| {
            let copy = Copy {
                message: read[..1].parse().unwrap(),
                id: None,
                is_delayed: read.contains('d'),
                is_wrapped: read.contains('w'),
                is_sent: false,
            };
            ledger.received(&copy, reader).err()
        })
    }

    #[test]
    fn only_what_waited_for_a_priority_comes_behind_a_later_copy() {
        for (reads, alone, one_of_several) in [
            ("1 2 3", true, true),
            ("2 1", false, false),
            ("2 1d", false, true),
            ("2w 3w 1d", true, true),
            ("2w 3wd 1d", true, true),
            ("2w 1", false, false),
            ("2w 1w", false, false),
            ("2w 1wd", false, true),
            ("2 1wd", false, true),
            ("3w 2d 1d", false, true),
        ] {
            assert_eq!(overtaken(reads, true).is_none(), alone, "{reads}");
            assert_eq!(overtaken(reads, false).is_none(), one_of_several, "{reads}");
        }
    }
}
