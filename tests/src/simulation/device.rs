//! A device: it logs in (`login.rs`), goes on with its session or begins a new one, sends again what nobody
//! took, and acknowledges what it reads.

use super::{
    archives::Row,
    catching_up::Query,
    chance::Chance,
    contacts::List,
    heard::{CARBONS, Heard},
    ledger::{Ledger, Message, Number, Reader},
    line::{Line, MANAGEMENT},
    login::{SASL2, header},
    rooms::{self, HALL},
    session::{Sent, Session},
};
use crate::{addresses::HOME, simulated::Simulated, wire::Item};
use std::time::Duration;
use xmpp::{Element, ns};

/// What a client does about stream management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    Nothing,
    /// Acknowledges, and cannot resume.
    Counts,
    Resumes,
}

/// How far its login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for the features of a stream without a login.
    Stranger,
    /// Waits for the outcome of its login.
    LoggingIn,
    /// Waits for the features behind it.
    LoggedIn,
    Resuming,
    Binding,
    Bound,
}

#[derive(Debug)]
pub(super) struct Device {
    /// Number of the account.
    pub(super) account: usize,
    pub(super) jid: String,
    pub(super) habit: Habit,
    /// Logs in with SASL2 and Bind 2, which give it an address anew each time.
    pub(super) is_modern: bool,
    /// Nobody else is on the account, ever.
    pub(super) is_only_one: bool,
    pub(super) priority: i8,
    /// What stands for it when it signs in with SASL2; with one, it keeps a token.
    pub(super) installation: Option<String>,
    pub(super) token: Option<String>,
    /// Since when it has the token.
    pub(super) token_age: Duration,
    /// Signs in with the token it has.
    pub(super) uses_token: bool,
    /// What the server answers to the token.
    pub(super) expected: Option<String>,
    /// XEP-0280.
    pub(super) wants_copies: bool,
    /// Nobody looks at it (XEP-0352).
    pub(super) is_inactive: bool,
    /// Looks into the archive when it begins a session, now and then.
    pub(super) catches_up: bool,
    /// The last message that it knows of, by its id in the archive.
    pub(super) known: Option<String>,
    /// What it is asking the archive.
    pub(super) query: Option<Query>,
    /// Everything in the archive so far, for one who reads it all.
    pub(super) whole_archive: Option<Vec<Row>>,
    /// The contact list as far as it knows, if it cares.
    pub(super) list: Option<List>,
    pub(super) line: Option<Line>,
    pub(super) stage: Stage,
    pub(super) session: Option<Session>,
    /// What sessions that are over left behind.
    pub(super) to_send_again: Vec<Sent>,
    /// The line is not good for anything any more; why.
    ended: Option<String>,
}

/// What a device needs of the story around it.
pub(super) struct Around<'a> {
    pub(super) chance: &'a mut Chance,
    pub(super) ledger: &'a mut Ledger,
    pub(super) next_session: &'a mut Number,
    pub(super) log: &'a mut Vec<String>,
}

impl Device {
    pub(super) fn new(account: usize, resource: &str, habit: Habit) -> Device {
        Device {
            account,
            jid: format!("{}/{resource}", bare(account)),
            habit,
            is_modern: false,
            is_only_one: false,
            priority: 0,
            installation: None,
            token: None,
            token_age: Duration::ZERO,
            uses_token: false,
            expected: None,
            wants_copies: false,
            is_inactive: false,
            catches_up: false,
            known: None,
            query: None,
            whole_archive: None,
            list: None,
            line: None,
            stage: Stage::Stranger,
            session: None,
            to_send_again: Vec::new(),
            ended: None,
        }
    }

    /// Whether it can send stanzas.
    pub(super) fn is_online(&self) -> bool {
        self.line.is_some() && self.stage == Stage::Bound
    }

    /// Messages that are on their way or will be sent again.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = Message> {
        let sessions = self.session.iter().flat_map(Session::unacknowledged);
        sessions
            .chain(&self.to_send_again)
            .filter_map(|sent| sent.message)
    }

    /// Takes a new line; gives the one it had.
    pub(super) fn connect(&mut self, line: Line) -> Option<Line> {
        let old = self.lose_line();
        self.line = Some(line);
        self.stage = Stage::Stranger;
        self.expected = None;
        self.ended = None;
        self.write(&header());
        old
    }

    /// The line is no more.
    pub(super) fn lose_line(&mut self) -> Option<Line> {
        let line = self.line.take()?;
        if let (Stage::Bound, Some(session)) = (self.stage, &mut self.session) {
            session.loses(&line);
        }
        Some(line)
    }

    pub(super) fn write(&mut self, text: &str) {
        if let Some(line) = &mut self.line {
            line.write(text);
        }
    }

    /// Says goodbye: the session is over, whether the server hears it or not.
    pub(super) fn close(&mut self, ledger: &mut Ledger) {
        self.write("</stream:stream>");
        self.forget_session(ledger);
    }

    pub(super) fn send(&mut self, sent: Sent, ledger: &mut Ledger) {
        let (Some(line), Some(session)) = (&mut self.line, &mut self.session) else {
            return;
        };
        if let Some(message) = sent.message {
            ledger.sent(message, session.number);
        }
        session.send(line, sent);
    }

    pub(super) fn acknowledge(&mut self) {
        let Some(session) = self.counting() else {
            return;
        };
        let text = format!("<a xmlns='{MANAGEMENT}' h='{}'/>", session.received);
        self.write(&text);
    }

    pub(super) fn ask(&mut self) {
        if self.counting().is_some() {
            self.write(&format!("<r xmlns='{MANAGEMENT}'/>"));
        }
    }

    /// Nothing is on its way, in either direction.
    pub(super) fn has_heard_all(&self) -> bool {
        let line = self.line.as_ref();
        line.is_some_and(|line| line.in_flight() == (0, 0))
    }

    /// Its session, where the server counts what it sends and the line goes on with it.
    fn counting(&self) -> Option<&Session> {
        let session = self.session.as_ref()?;
        (session.is_counted && self.is_online()).then_some(session)
    }

    /// So many bytes reach it. Why its line has ended, where that is so.
    pub(super) fn read(
        &mut self,
        bytes: usize,
        world: &Simulated,
        around: &mut Around<'_>,
    ) -> Result<Option<String>, String> {
        let Some(line) = &mut self.line else {
            return Ok(None);
        };
        for item in line.carry_to_client(bytes)? {
            match item {
                Item::Element(element) => self.hear(&element, around)?,
                Item::Close => self.ended = self.ended.take().or(Some("closed".into())),
                Item::Open(_) | Item::Declaration => {}
            }
        }
        let line = self.line.as_ref();
        if line.is_some_and(|line| line.is_at_its_end(world)) {
            return Ok(Some(self.ended.take().unwrap_or_else(|| "cut".into())));
        }
        Ok(None)
    }

    fn hear(&mut self, element: &Element, around: &mut Around<'_>) -> Result<(), String> {
        match (element.ns.as_str(), element.name.as_str()) {
            (ns::STREAMS, "features") => self.features(around),
            (ns::STREAMS, "error") => {
                let conditions = element.elements().map(|e| e.name.clone());
                let conditions: Vec<String> = conditions.collect();
                self.ended = Some(conditions.join(" "));
            }
            (ns::SASL, "success") => {
                self.stage = Stage::LoggedIn;
                self.write(&header());
            }
            (SASL2, "success") => self.logged_in(element, around)?,
            (ns::SASL | SASL2, "failure") => self.refused(element, around)?,
            (ns::CLIENT, "iq") if self.stage == Stage::Binding => self.bound(element, around)?,
            (ns::CLIENT, _) => self.stanza(element, around)?,
            (MANAGEMENT, name) => self.management(name, element, around)?,
            _ => return Err(format!("{} heard <{}/>", self.jid, element.name)),
        }
        Ok(())
    }

    pub(super) fn announce(&mut self, ledger: &mut Ledger) {
        let xml = format!(
            "<presence><priority>{}</priority></presence>",
            self.priority
        );
        self.send(Sent::of(xml), ledger);
    }

    /// Turns copies on or off, as it wants them.
    pub(super) fn switch_copies(&mut self, ledger: &mut Ledger) {
        let verb = if self.wants_copies {
            "enable"
        } else {
            "disable"
        };
        let id = ledger.number();
        let xml = format!("<iq type='set' id='c{id}'><{verb} xmlns='{CARBONS}'/></iq>");
        self.send(Sent::of(xml), ledger);
    }

    /// The session is over, and nobody will say what of it was handled.
    pub(super) fn forget_session(&mut self, ledger: &mut Ledger) {
        if let Some(session) = self.session.take() {
            ledger.session_is_over(session.number);
            self.query = None;
            self.to_send_again.extend(session.unacknowledged().cloned());
        }
    }

    fn stanza(&mut self, element: &Element, around: &mut Around<'_>) -> Result<(), String> {
        let Some(session) = &mut self.session else {
            return Ok(()); // said goodbye
        };
        session.received += u32::from(session.is_counted);
        let number = session.number;
        let from = element.attr("from").unwrap_or_default();
        if from.split('/').next() == Some(HALL) && element.name != "iq" {
            around
                .log
                .push(format!("  {} hears {}", self.jid, rooms::told(element)));
            let heard = session.view.hears(element, &mut around.ledger.rooms);
            if heard.map_err(|wrong| format!("{} {wrong}", self.jid))? {
                let open = rooms::open(around.ledger.number());
                self.send(Sent::of(open), around.ledger);
            }
            return Ok(());
        }
        match element.name.as_str() {
            "message" => self.message(element, number, around),
            "iq" => self.iq(element, around),
            _ => Ok(()),
        }
    }

    fn message(
        &mut self,
        element: &Element,
        session: Number,
        around: &mut Around<'_>,
    ) -> Result<(), String> {
        let heard = Heard::of(element, &bare(self.account));
        let log = &mut *around.log;
        match &heard {
            Heard::Live(copy) => {
                let sent = if copy.is_sent { " as sent" } else { "" };
                log.push(format!("  {} reads m{}{sent}", self.jid, copy.message));
                if let (Some(id), None) = (&copy.id, &self.query) {
                    self.known = Some(id.clone());
                }
                let reader = Reader {
                    account: self.account,
                    session,
                    is_only_one: self.is_only_one,
                };
                around.ledger.received(copy, reader)?;
            }
            Heard::Found(id, copy) => {
                log.push(format!("  {} finds m{}", self.jid, copy.message));
                around.ledger.found(copy, self.account)?;
                self.query_gives(id, copy);
            }
            Heard::Refused(message) => {
                log.push(format!("  {} reads m{message} refused", self.jid));
                around.ledger.refused(*message);
            }
            Heard::Nothing => {}
        }
        Ok(())
    }

    /// Answers to what it asked, by the first letter of the id, and pushes.
    fn iq(&mut self, iq: &Element, around: &mut Around<'_>) -> Result<(), String> {
        let id = iq.attr("id").unwrap_or_default();
        let is_done = iq.attr("type") == Some("result");
        if !is_done && iq.attr("type") != Some("error") {
            if self.list.as_mut().is_some_and(|list| list.is_pushed(iq)) {
                let xml = format!("<iq type='result' id='{id}'/>");
                self.send(Sent::of(xml), around.ledger);
            }
            return Ok(());
        }
        if let Some(session) = &mut self.session {
            session.is_answered(id)?;
        }
        let Some((kind, number)) = id.split_at_checked(1) else {
            return Ok(());
        };
        let number = number.parse().unwrap_or_default();
        match kind {
            "q" => self.query_is_answered(id, iq, around.ledger),
            "k" => around.ledger.blocks.answered(number, is_done),
            "s" if is_done => around.ledger.changes.promised(number),
            "r" if is_done => {
                if let Some(list) = &mut self.list {
                    list.is_answered(iq);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn management(
        &mut self,
        name: &str,
        element: &Element,
        around: &mut Around<'_>,
    ) -> Result<(), String> {
        let h = element.attr("h").and_then(|h| h.parse::<u32>().ok());
        let (Some(session), Some(line)) = (&mut self.session, &mut self.line) else {
            // Said goodbye, or had nothing to go on with.
            return Ok(());
        };
        match (name, h) {
            ("enabled", _) => {
                session.is_counted = true;
                session.id = element.attr("id").map(str::to_owned);
            }
            ("r", _) if !around.chance.once_in(5) => self.acknowledge(),
            ("r", _) => {}
            ("a", Some(h)) => session.is_told(h, line, around.ledger)?,
            ("resumed", Some(h)) => {
                session.is_resumed(h, line, around.ledger)?;
                around
                    .log
                    .push(format!("  {} goes on with h={h}", self.jid));
                self.stage = Stage::Bound;
            }
            ("failed", h) => self.failed(h, around)?,
            _ => return Err(format!("{} heard <{name}/> without a count", self.jid)),
        }
        Ok(())
    }

    fn failed(&mut self, h: Option<u32>, around: &mut Around<'_>) -> Result<(), String> {
        around
            .log
            .push(format!("  {} cannot go on, h={h:?}", self.jid));
        if let Some(mut session) = self.session.take() {
            self.to_send_again
                .extend(session.is_failed(h, around.ledger)?);
            around.ledger.session_is_over(session.number);
            self.query = None;
        }
        if !self.is_modern {
            self.bind(around);
        }
        Ok(())
    }
}

/// The address of an account.
pub(super) fn bare(account: usize) -> String {
    format!("{}@{HOME}", localpart(account))
}

pub(super) fn localpart(account: usize) -> String {
    format!("person{account}")
}
