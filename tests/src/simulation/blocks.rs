//! Who blocks whom (XEP-0191), as far as the clients can know it.

use super::ledger::Number;
use std::collections::BTreeMap;

/// Who blocks, and whom: numbers of accounts.
pub(super) type Pair = (usize, usize);

/// A block that was asked for or taken back, and is not answered yet.
#[derive(Debug)]
struct Request {
    pair: Pair,
    blocks: bool,
    /// Where it was asked.
    session: Number,
    /// Nobody else asked something about that pair meanwhile, so the answer tells how it is now.
    is_alone: bool,
    /// Its session is over: it may still be heard until the world is at rest.
    is_over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Whether it is blocked, or nobody knows. Nobody blocks anybody in the beginning.
    known: BTreeMap<Pair, Option<bool>>,
    /// By their number.
    requests: BTreeMap<usize, Request>,
}

impl Blocks {
    /// Whether one blocks the other; `None` where that depends on what is on its way.
    pub(super) fn is_blocked(&self, pair: Pair) -> Option<bool> {
        self.known.get(&pair).copied().unwrap_or(Some(false))
    }

    pub(super) fn ask(&mut self, number: usize, pair: Pair, blocks: bool, session: Number) {
        let mut is_alone = true;
        for other in self.requests.values_mut().filter(|r| r.pair == pair) {
            (is_alone, other.is_alone) = (false, false);
        }
        let request = Request {
            pair,
            blocks,
            session,
            is_alone,
            is_over: false,
        };
        self.requests.insert(number, request);
        self.known.insert(pair, None);
    }

    pub(super) fn answered(&mut self, number: usize, is_done: bool) {
        if let Some(request) = self.requests.remove(&number)
            && is_done
            && request.is_alone
        {
            self.known.insert(request.pair, Some(request.blocks));
        }
    }

    pub(super) fn session_is_over(&mut self, session: Number) {
        for request in self.requests.values_mut() {
            request.is_over |= request.session == session;
        }
    }

    /// The world is at rest: what was asked in a session that is over was heard by now, or never will be.
    pub(super) fn come_to_rest(&mut self) {
        self.requests.retain(|_, request| !request.is_over);
    }
}
