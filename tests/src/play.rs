//! Plays a script in a world, line by line, and says where the two part.
//!
//! Strict: before anything new happens, everything that came must have been spoken of.

use crate::{
    addresses::{Addresses, HOME},
    answers::{self, Answers},
    client::{Client, PASSWORD},
    component::SECRET,
    filling::Bindings,
    matching,
    script::{Action, IT, Script, Step},
    wire::Item,
    world::{Problem, World},
};
use std::collections::{BTreeMap, BTreeSet};

/// How it went.
#[derive(Debug)]
pub struct Played {
    /// Nothing, when all went as the script says; otherwise the line and what was wrong there.
    pub problem: Option<(usize, Problem)>,
    /// The script with the answers that came instead of those it had.
    pub answers: Answers,
}

/// Plays the script as it stands.
pub fn play(script: &Script, world: &mut dyn World) -> Played {
    Player::new(script, world, false).play(script)
}

/// Plays the script and notes the answers that came, where they are not those of the script.
pub fn bless(script: &Script, world: &mut dyn World) -> Played {
    Player::new(script, world, true).play(script)
}

struct Player<'a> {
    world: &'a mut dyn World,
    addresses: Addresses,
    bindings: Bindings,
    /// By full JID; the raw connection under [`IT`].
    clients: BTreeMap<String, Client>,
    /// Those that resume later on, and therefore must be resumable.
    resumers: BTreeSet<String>,
    /// Those who are on other servers.
    remotes: BTreeSet<String>,
    /// Whether nothing was done since the world came to rest.
    settled: bool,
    blessing: bool,
    answers: Answers,
}

impl<'a> Player<'a> {
    fn new(script: &Script, world: &'a mut dyn World, blessing: bool) -> Player<'a> {
        let mut addresses = Addresses::new(world.domain(), world.suffix());
        let mut resumers = BTreeSet::new();
        for step in &script.steps {
            match &step.action {
                Action::Has { account, .. } => {
                    addresses.add(account.split('@').next().unwrap_or_default());
                }
                Action::Resumes { who } => {
                    resumers.insert(who.clone());
                }
                _ => {}
            }
        }
        Player {
            bindings: Bindings::new(world.repeats()),
            world,
            addresses,
            clients: BTreeMap::new(),
            resumers,
            remotes: BTreeSet::new(),
            settled: true,
            blessing,
            answers: Answers::default(),
        }
    }

    fn play(mut self, script: &Script) -> Played {
        let problem = self.play_all(script).err();
        Played {
            problem,
            answers: self.answers,
        }
    }

    fn play_all(&mut self, script: &Script) -> Result<(), (usize, Problem)> {
        for step in &script.steps {
            if let Some(lacks) = self.world.lacks(&step.action) {
                return Err((step.line, Problem::NotApplicable(lacks)));
            }
        }
        let preparations = script
            .steps
            .iter()
            .take_while(|step| step.action.is_preparation())
            .count();
        let (preparations, happenings) = script.steps.split_at(preparations);
        self.prepare(preparations)?;
        let mut last = preparations.last().map_or(1, |step| step.end);
        for step in happenings {
            if !step.action.is_outcome() {
                self.nothing_is_left(last)?;
                self.settled = false;
            }
            self.take(step).map_err(|problem| (step.line, problem))?;
            last = step.end;
        }
        self.nothing_is_left(last)
    }

    /// Configuration, then accounts, then who knows whom, and at last everybody comes online.
    fn prepare(&mut self, steps: &[Step]) -> Result<(), (usize, Problem)> {
        let mut order: Vec<&Step> = steps.iter().collect();
        order.sort_by_key(|step| {
            !matches!(step.action, Action::With { .. } | Action::Component { .. })
        });
        for step in &order {
            let done = match &step.action {
                Action::With { key, value } => self.world.configure(key, value),
                Action::Has { account, .. } => self.make_account(account),
                Action::Component { name } => {
                    let key = format!("components.'{name}'");
                    self.world.configure(&key, SECRET)
                }
                Action::Remote { jid } => self.make_remote(jid),
                _ => Ok(()),
            };
            done.map_err(|problem| (step.line, problem))?;
        }
        for step in &order {
            if let Action::Contacts { one, other } = &step.action {
                self.make_contacts(one, other)
                    .map_err(|problem| (step.line, problem))?;
            }
        }
        for step in steps {
            if let Action::Component { name } = &step.action {
                self.connect(name, true)
                    .map_err(|problem| (step.line, problem))?;
            }
            let Action::Has { account, resources } = &step.action else {
                continue;
            };
            for resource in resources {
                let who = format!("{account}/{resource}");
                self.connect(&who, true)
                    .map_err(|problem| (step.line, problem))?;
            }
        }
        self.world.settle();
        self.settled = true;
        for (who, client) in &mut self.clients {
            client
                .collect(self.world, &self.addresses)
                .map_err(|problem| (1, about(who, problem)))?;
            client.queue.clear();
        }
        Ok(())
    }

    fn make_account(&mut self, jid: &str) -> Result<(), Problem> {
        match jid.split_once('@') {
            Some((localpart, HOME)) => self
                .world
                .make_account(&self.addresses.localpart(localpart), PASSWORD),
            _ => Err(failed(format!("{jid} is not at {HOME}"))),
        }
    }

    fn make_remote(&mut self, jid: &str) -> Result<(), Problem> {
        let client = Client::far(self.world, jid)?;
        self.clients.insert(jid.into(), client);
        self.remotes.insert(jid.into());
        Ok(())
    }

    /// The handshake of RFC 6121 §3.1, both ways, by sessions that are gone afterwards.
    fn make_contacts(&mut self, one: &str, other: &str) -> Result<(), Problem> {
        let mut clients = Vec::new();
        for jid in [one, other] {
            if let Some(client) = self.clients.remove(jid) {
                clients.push((jid, client));
                continue;
            }
            let who = format!("{jid}/preparation");
            let mut client = Client::log_in(self.world, &self.addresses, &who)?;
            client.announce(self.world, &who);
            clients.push((jid, client));
        }
        self.world.settle();
        for type_ in ["subscribe", "subscribed"] {
            for (at, to) in [(0, other), (1, one)] {
                let presence = format!("<presence to='{to}' type='{type_}'/>");
                clients[at]
                    .1
                    .write(self.world, &self.addresses.outward(&presence));
                self.world.settle();
            }
        }
        for (jid, mut client) in clients {
            if self.remotes.contains(jid) {
                self.clients.insert(jid.into(), client);
                continue;
            }
            client.write(self.world, "<presence type='unavailable'/></stream:stream>");
            client
                .collect(self.world, &self.addresses)
                .map_err(|problem| about(jid, problem))?;
            self.world.settle();
            self.world.cut(client.link);
        }
        self.world.settle();
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), Problem> {
        match &step.action {
            Action::Sends { who, text } => self.send(who, text),
            Action::Gets { who, text, ordered } => self.get(step, who, text, *ordered),
            Action::MayGet { who, text } => self.may_get(who, text),
            Action::GetsNothing { who } => self.get_nothing(who),
            Action::Connects { who, available } => self.connect(who, *available),
            Action::Reconnects { who } => self.connect(who, true),
            Action::LosesConnection { who } => {
                let link = self.client(who)?.link;
                self.world.cut(link);
                if self.resumers.contains(who) {
                    self.client(who)?.forget_line();
                } else {
                    self.clients.remove(who);
                }
                Ok(())
            }
            Action::Resumes { who } => {
                let lost = self
                    .clients
                    .remove(who)
                    .ok_or_else(|| failed(format!("{who} was never there")))?;
                let bare = who.split('/').next().unwrap_or_default();
                let client = lost.resume(self.world, &self.addresses, bare)?;
                self.clients.insert(who.clone(), client);
                Ok(())
            }
            Action::Closed { who } => self.is_closed(who),
            Action::After(time) => self.world.pass(*time),
            Action::DiskIsFull => self.world.disk_fills(),
            Action::DiskHasRoom => self.world.disk_empties(),
            Action::PowerFails => {
                self.everybody_is_gone();
                self.world.power_fails()
            }
            Action::Restarts => {
                let restarted = self.world.restarts();
                self.everybody_is_gone();
                restarted
            }
            Action::Raw(port) => {
                let client = Client::raw(self.world, *port)?;
                self.now_it_is(client);
                Ok(())
            }
            Action::RawOf { account } => {
                let client = Client::authenticated(self.world, &self.addresses, account)?;
                self.now_it_is(client);
                Ok(())
            }
            Action::Has { .. }
            | Action::Remote { .. }
            | Action::Component { .. }
            | Action::Contacts { .. }
            | Action::With { .. } => Err(failed(
                "accounts, contacts and configuration come first".into(),
            )),
        }
    }

    /// All connections are gone; who resumes later on remembers its session.
    fn everybody_is_gone(&mut self) {
        let (resumers, remotes) = (&self.resumers, &self.remotes);
        self.clients
            .retain(|who, _| resumers.contains(who) || remotes.contains(who));
        for (who, client) in &mut self.clients {
            if !remotes.contains(who) {
                client.forget_line();
            }
        }
    }

    fn now_it_is(&mut self, client: Client) {
        if let Some(previous) = self.clients.insert(IT.into(), client) {
            self.world.cut(previous.link);
        }
    }

    fn connect(&mut self, who: &str, available: bool) -> Result<(), Problem> {
        if !who.contains('/') {
            let component = Client::component(self.world, &self.addresses, who)
                .map_err(|problem| about(who, problem))?;
            self.clients.insert(who.into(), component);
            return Ok(());
        }
        let mut client = Client::log_in(self.world, &self.addresses, who)
            .map_err(|problem| about(who, problem))?;
        if self.resumers.contains(who) {
            client.enable_management(self.world, &self.addresses)?;
        }
        if available {
            client.announce(self.world, who);
        }
        self.clients.insert(who.into(), client);
        Ok(())
    }

    fn send(&mut self, who: &str, text: &str) -> Result<(), Problem> {
        let bytes = self.bindings.fill(text, &self.addresses).map_err(failed)?;
        let client = self.client(who)?;
        client.note_sent(text);
        let link = client.link;
        self.world.write(link, &bytes);
        Ok(())
    }

    fn get(&mut self, step: &Step, who: &str, text: &str, ordered: bool) -> Result<(), Problem> {
        let wanted = matching::read(text).map_err(failed)?;
        let mut client = self
            .clients
            .remove(who)
            .ok_or_else(|| failed(format!("{who} is not connected")))?;
        let sorted = match ordered {
            false => self.sort(&mut client, &wanted),
            true if !self.world.repeats() => self.sort_answers(&mut client, &wanted),
            true => Ok(()),
        };
        let matched = sorted.and_then(|()| self.match_all(&mut client, who, &wanted));
        if self.blessing && matches!(matched, Err(Problem::Failed(_))) {
            self.settle();
            client.collect(self.world, &self.addresses)?;
            let came: Vec<Item> = client.queue.drain(..).collect();
            self.answers.replace(
                step.line..step.end,
                answers::gets(who, ordered, &came, &self.bindings),
            );
            self.clients.insert(who.into(), client);
            return Ok(());
        }
        self.clients.insert(who.into(), client);
        matched
    }

    /// Brings what came into the order in which the script says it, as far as it is there.
    fn sort(&mut self, client: &mut Client, wanted: &[Item]) -> Result<(), Problem> {
        client.wait_for(self.world, &self.addresses, wanted.len())?;
        for (at, item) in wanted.iter().enumerate() {
            let mut candidates = (at..client.queue.len().min(wanted.len())).filter(|candidate| {
                matching::compare(item, &client.queue[*candidate], &mut self.bindings.clone())
                    .is_ok()
            });
            if let Some(found) = candidates.next() {
                client.queue.swap(at, found);
            }
        }
        Ok(())
    }

    /// Requests are answered in any order (RFC 6120 §8.2.3): a result waits for the disk, and the answer to
    /// what was asked after it need not. Puts the answers that came into the order of the script, where time
    /// is not the script's.
    fn sort_answers(&mut self, client: &mut Client, wanted: &[Item]) -> Result<(), Problem> {
        client.wait_for(self.world, &self.addresses, wanted.len())?;
        let place_of = |got: &Item| {
            let id = answered(got)?;
            wanted.iter().position(|item| answered(item) == Some(id))
        };
        let came = client.queue.iter().take(wanted.len()).enumerate();
        let (places, mut answers): (Vec<_>, Vec<_>) = came
            .filter(|(_, got)| place_of(got).is_some())
            .map(|(at, got)| (at, got.clone()))
            .unzip();
        answers.sort_by_key(place_of);
        for (at, answer) in places.into_iter().zip(answers) {
            client.queue[at] = answer;
        }
        Ok(())
    }

    fn match_all(
        &mut self,
        client: &mut Client,
        who: &str,
        wanted: &[Item],
    ) -> Result<(), Problem> {
        for (at, wanted_item) in wanted.iter().enumerate() {
            if client.queue.is_empty() {
                client.wait_for(self.world, &self.addresses, wanted.len() - at)?;
            }
            // RFC 6120 §11.4 lets a stream begin with an XML declaration or not; a script may insist.
            if *wanted_item != Item::Declaration && client.queue.front() == Some(&Item::Declaration)
            {
                client.queue.pop_front();
                client.wait_for(self.world, &self.addresses, wanted.len() - at)?;
            }
            let Some(got) = client.queue.front() else {
                let rest = client.rest();
                let incomplete = if rest.is_empty() {
                    String::new()
                } else {
                    format!("\nbut for\n{rest}")
                };
                return Err(failed(format!(
                    "{who} did not get\n{}{incomplete}",
                    answers::block(wanted_item, None)
                )));
            };
            if let Err(why) = matching::compare(wanted_item, got, &mut self.bindings) {
                let (got, wanted) = (answers::block(got, None), answers::block(wanted_item, None));
                return Err(failed(format!(
                    "{who} got\n{got}\ninstead of\n{wanted}\nwhere {why}"
                )));
            }
            client.queue.pop_front();
        }
        Ok(())
    }

    fn may_get(&mut self, who: &str, text: &str) -> Result<(), Problem> {
        let possible = matching::read(text).map_err(failed)?;
        self.settle();
        let mut client = self
            .clients
            .remove(who)
            .ok_or_else(|| failed(format!("{who} is not connected")))?;
        let collected = client.collect(self.world, &self.addresses);
        for item in &possible {
            let found = client
                .queue
                .iter()
                .position(|got| matching::compare(item, got, &mut self.bindings).is_ok());
            found.and_then(|at| client.queue.remove(at));
        }
        self.clients.insert(who.into(), client);
        collected
    }

    fn get_nothing(&mut self, who: &str) -> Result<(), Problem> {
        self.settle();
        let mut client = self
            .clients
            .remove(who)
            .ok_or_else(|| failed(format!("{who} is not connected")))?;
        let collected = client.collect(self.world, &self.addresses);
        let came = client.queue.front().cloned();
        self.clients.insert(who.into(), client);
        collected?;
        match came {
            None => Ok(()),
            Some(item) => Err(failed(format!(
                "{who} got\n{}\ninstead of nothing",
                answers::block(&item, None)
            ))),
        }
    }

    fn is_closed(&mut self, who: &str) -> Result<(), Problem> {
        let mut client = self
            .clients
            .remove(who)
            .ok_or_else(|| failed(format!("{who} is not connected")))?;
        client.collect(self.world, &self.addresses)?;
        if let Some(item) = client.queue.front() {
            return Err(failed(format!(
                "before it was closed, {who} got\n{}",
                answers::block(item, None)
            )));
        }
        if client.wait_for_end(self.world) {
            Ok(())
        } else {
            Err(failed(format!("{who} is still connected")))
        }
    }

    /// What was not spoken of is a failure, or an answer to be noted behind the line `last`.
    fn nothing_is_left(&mut self, last: usize) -> Result<(), (usize, Problem)> {
        self.settle();
        for (who, client) in &mut self.clients {
            client
                .collect(self.world, &self.addresses)
                .map_err(|problem| (last, about(who, problem)))?;
            if client.queue.is_empty() && (client.is_gone || !self.world.is_closed(client.link)) {
                continue;
            }
            if self.blessing && !client.queue.is_empty() {
                let came: Vec<Item> = client.queue.drain(..).collect();
                self.answers
                    .insert(last, answers::gets(who, true, &came, &self.bindings));
                continue;
            }
            let came: Vec<String> = client
                .queue
                .iter()
                .map(|item| answers::block(item, None))
                .collect();
            let closed = if self.world.is_closed(client.link) {
                "\nand was closed"
            } else {
                ""
            };
            return Err((
                last - 1,
                failed(format!("then {who} also got\n{}{closed}", came.join("\n"))),
            ));
        }
        Ok(())
    }

    fn settle(&mut self) {
        if !self.settled {
            self.world.settle();
            self.settled = true;
        }
    }

    fn client(&mut self, who: &str) -> Result<&mut Client, Problem> {
        self.clients
            .get_mut(who)
            .ok_or_else(|| failed(format!("{who} is not connected")))
    }
}

/// The id of an answer to a request.
fn answered(item: &Item) -> Option<&str> {
    let Item::Element(element) = item else {
        return None;
    };
    let is_answer = ["result", "error"].contains(&element.attr("type")?);
    (element.name == "iq" && is_answer).then(|| element.attr("id"))?
}

fn about(who: &str, problem: Problem) -> Problem {
    match problem {
        Problem::Failed(why) => Problem::Failed(format!("{who}: {why}")),
        Problem::NotApplicable(_) => problem,
    }
}

fn failed(why: String) -> Problem {
    Problem::Failed(why)
}
